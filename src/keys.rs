//! Keys by purpose, and the files they lie in.
//!
//! In scope: the master key and what is derived from it, the key of each role (one key, one purpose: RFC 9943 section
//! 9.4; all Ed25519, but that of receipts, which may be P-256), and reading and writing key files with strict permissions.
//! Out of scope: the X.509 key of the Credential Authority (`authority`), keys of key-encryption (`vault`).
//!
//! Trust: whoever reads `keys/` can sign as every role and read all content; whoever changes it can do no more than
//! stop the service, since the log names the keys that count.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use aws_lc_rs::{hkdf, rand};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use treering_provenance::cose::{Ed25519Signer, Es256Signer, Signer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The largest key file read.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;
const PKCS8_LABEL: &str = "PRIVATE KEY";

/// What went wrong with a key or its file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the file.
    #[error(
        "{path} may be read by others (mode {mode:o}), want 600: chmod 600 it, and replace the key if others read it"
    )]
    Permissions {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file has no key of the kind that is wanted.
    #[error("{path} holds no {wanted}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The system's random source failed.
    #[error("the system gave no random octets")]
    Random,
}

/// A role that signs, each with a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Signs issuance and abandoned statements.
    Authority,
    /// Signs activations.
    Governance,
    /// Signs the registration policy, trust anchors, keys and grants.
    Ledger,
    /// Signs C2SP checkpoints.
    Log,
    /// Signs mapping statements.
    Mapper,
    /// Signs COSE receipts.
    Receipt,
    /// Signs appraisals, collateral and refusals.
    Verifier,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [
        Self::Authority,
        Self::Governance,
        Self::Ledger,
        Self::Log,
        Self::Mapper,
        Self::Receipt,
        Self::Verifier,
    ];

    /// The name in file names and in the role's URI.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Governance => "governance",
            Self::Ledger => "ledger",
            Self::Log => "log",
            Self::Mapper => "mapper",
            Self::Receipt => "receipt",
            Self::Verifier => "verifier",
        }
    }
}

/// The key from which all symmetric keys of a ledger come. Whoever has it reads all content.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// A master key from its octets.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key for one purpose: HKDF-SHA-256 with the purpose as info, and no salt (the input is uniform).
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.0, &[b"treering-key-v1\0", purpose.as_bytes()])
    }
}

/// HKDF-SHA-256 of a uniform secret to 32 octets.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "32 octets are far below HKDF's limit of 8,160"
)]
pub fn derive(secret: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(secret)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(out.as_mut()))
        .expect("HKDF of 32 octets");
    out
}

/// Fresh random octets.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

/// Makes an Ed25519 key.
pub fn generate_ed25519() -> Result<SigningKey, KeyError> {
    Ok(SigningKey::from_bytes(&Zeroizing::new(random::<32>()?)))
}

/// What signs receipts: every client of RFC 9942 verifies ES256, and not every one EdDSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptKey {
    /// `EdDSA`.
    Ed25519,
    /// ES256.
    P256,
}

/// The folder of a ledger's keys.
#[derive(Debug, Clone)]
pub struct KeyStore {
    dir: PathBuf,
}

impl KeyStore {
    /// The keys in a folder.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Makes the master key and one Ed25519 key per role; an existing file is an error, never overwritten.
    pub fn create(&self) -> Result<(), KeyError> {
        self.create_with(ReceiptKey::Ed25519)
    }

    /// The same, with the kind of key that signs receipts.
    pub fn create_with(&self, receipts: ReceiptKey) -> Result<(), KeyError> {
        fs::create_dir_all(&self.dir).map_err(|source| KeyError::Io { path: self.dir.clone(), source })?;
        let master = Zeroizing::new(random::<32>()?);
        write_secret(&self.dir.join("master.key"), BASE64.encode(master.as_ref()).as_bytes())?;
        for role in Role::ALL {
            let path = self.role_path(role);
            if role == Role::Receipt && receipts == ReceiptKey::P256 {
                write_p256(&path)?;
            } else {
                write_ed25519(&path, &generate_ed25519()?)?;
            }
        }
        Ok(())
    }

    /// The master key.
    pub fn master(&self) -> Result<MasterKey, KeyError> {
        let path = self.dir.join("master.key");
        let text = read_secret(&path)?;
        let bytes = Zeroizing::new(BASE64.decode(text.trim_ascii()).unwrap_or_default());
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        key.map(MasterKey).map_err(|_| KeyError::Format { path, wanted: "master key: 32 octets in base64" })
    }

    /// The key of a role.
    pub fn role(&self, role: Role) -> Result<SigningKey, KeyError> {
        read_ed25519(&self.role_path(role))
    }

    /// The signer of receipts, whichever kind of key its file holds.
    pub fn receipt_signer(&self) -> Result<Box<dyn Signer>, KeyError> {
        let path = self.role_path(Role::Receipt);
        let text = read_secret(&path)?;
        let pem = std::str::from_utf8(&text).unwrap_or_default();
        let ed25519 = SigningKey::from_pkcs8_pem(pem).ok();
        if let Some(signer) = ed25519.and_then(|key| Ed25519Signer::from_seed(&key.to_bytes()).ok()) {
            return Ok(Box::new(signer));
        }
        let der = pem_rfc7468::decode_vec(&text).ok().filter(|(label, _)| *label == PKCS8_LABEL);
        let der = der.map(|(_, der)| Zeroizing::new(der));
        let wanted = "Ed25519 or P-256 private key (PKCS#8 in PEM)";
        let signer = der.and_then(|der| Es256Signer::from_pkcs8(&der).ok());
        let signer = signer.ok_or(KeyError::Format { path, wanted })?;
        Ok(Box::new(signer))
    }

    fn role_path(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{}.pem", role.name()))
    }
}

/// Reads an Ed25519 key (PKCS#8 in PEM) from a file that nobody else may read.
pub fn read_ed25519(path: &Path) -> Result<SigningKey, KeyError> {
    let text = read_secret(path)?;
    std::str::from_utf8(&text).ok().and_then(|pem| SigningKey::from_pkcs8_pem(pem).ok()).ok_or_else(|| {
        KeyError::Format { path: path.to_owned(), wanted: "Ed25519 private key (PKCS#8 in PEM)" }
    })
}

/// Writes an Ed25519 key as PKCS#8 in PEM, mode 600: version 1, without the public half. Version 2 (RFC 8410, section
/// 10.3) has it, and tools in wide use refuse such a file; both are read.
pub fn write_ed25519(path: &Path, key: &SigningKey) -> Result<(), KeyError> {
    let wanted = "Ed25519 private key";
    let pem = KeypairBytes { secret_key: key.to_bytes(), public_key: None }.to_pkcs8_pem(LineEnding::LF);
    let pem = pem.map_err(|_| KeyError::Format { path: path.to_owned(), wanted })?;
    write_secret(path, pem.as_bytes())
}

/// Makes a P-256 key and writes it as PKCS#8 in PEM, mode 600.
fn write_p256(path: &Path) -> Result<(), KeyError> {
    let wanted = "P-256 private key";
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rand::SystemRandom::new());
    let der = der.map_err(|_| KeyError::Random)?;
    let pem = pem_rfc7468::encode_string(PKCS8_LABEL, LineEnding::LF, der.as_ref());
    let pem = pem.map_err(|_| KeyError::Format { path: path.to_owned(), wanted })?;
    write_secret(path, Zeroizing::new(pem).as_bytes())
}

/// Writes a new file with mode 600 and syncs it; an existing file is an error.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    use std::os::unix::fs::OpenOptionsExt;
    let io_error = |source| KeyError::Io { path: path.to_owned(), source };
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io_error)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error)
}

/// Reads a file that nobody else may read.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let io_error = |source| KeyError::Io { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(io_error)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Permissions { path: path.to_owned(), mode });
    }
    if metadata.len() > MAX_KEY_FILE_BYTES {
        return Err(KeyError::Format { path: path.to_owned(), wanted: "key of less than 64 KiB" });
    }
    fs::read(path).map(Zeroizing::new).map_err(io_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::at(dir.path().join("keys"));
        store.create().unwrap();
        let first = store.role(Role::Log).unwrap();
        assert_ne!(first.to_bytes(), store.role(Role::Receipt).unwrap().to_bytes());
        assert!(
            matches!(store.create_with(ReceiptKey::P256), Err(KeyError::Io { .. })),
            "an existing key is never overwritten"
        );
        assert_eq!(first.to_bytes(), store.role(Role::Log).unwrap().to_bytes());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.pem");
        write_ed25519(&path, &generate_ed25519().unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_ed25519(&path), Err(KeyError::Permissions { mode: 0o640, .. })));
    }

    #[test]
    fn ed25519_files_are_of_version_1_and_both_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("1.pem"), dir.path().join("2.pem"));
        let key = generate_ed25519().unwrap();
        write_ed25519(&path, &key).unwrap();
        let (_, der) = pem_rfc7468::decode_vec(&fs::read(&path).unwrap()).unwrap();
        // SEQUENCE { INTEGER 0, … }: the 48 octets of RFC 8410, section 10.3, first example.
        assert_eq!((der.len(), &der[..5]), (48, [0x30, 0x2e, 0x02, 0x01, 0x00].as_slice()));
        write_secret(&other, key.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        for path in [path, other] {
            assert_eq!(read_ed25519(&path).unwrap().to_bytes(), key.to_bytes());
        }
    }

    #[test]
    fn receipts_are_signed_by_either_kind_of_key() {
        let dir = tempfile::tempdir().unwrap();
        for (kind, algorithm) in [(ReceiptKey::Ed25519, -8), (ReceiptKey::P256, -7)] {
            let store = KeyStore::at(dir.path().join(algorithm.to_string()));
            store.create_with(kind).unwrap();
            let signer = store.receipt_signer().unwrap();
            assert_eq!(signer.algorithm().id(), algorithm);
            let signature = signer.sign(b"message").unwrap();
            assert!(signer.key().verify(signer.algorithm(), b"message", &signature).is_ok());
            // The others are Ed25519 either way.
            store.role(Role::Log).unwrap();
        }
        let store = KeyStore::at(dir.path().join("neither"));
        store.create_with(ReceiptKey::P256).unwrap();
        fs::remove_file(store.role_path(Role::Receipt)).unwrap();
        write_secret(&store.role_path(Role::Receipt), b"-----BEGIN PRIVATE KEY-----\nAAAA\n").unwrap();
        assert!(matches!(store.receipt_signer(), Err(KeyError::Format { .. })));
    }

    #[test]
    fn purposes_give_unrelated_keys() {
        let master = MasterKey::from_bytes([1; 32]);
        assert_ne!(*master.derive("index"), *master.derive("vault"));
        assert_eq!(*master.derive("index"), *MasterKey::from_bytes([1; 32]).derive("index"));
    }
}
