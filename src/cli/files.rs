//! Files that the subcommands read: limited, and errors that name them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use treering_provenance::trust::Trust;

use crate::config::Issuer;

/// The largest file read whole: an SBOM has some megabytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Where systems keep the CAs that their programs trust: Debian and most others, Fedora and its kin, SUSE.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// The CAs that the programs of this system trust, PEM.
pub(super) fn system_roots() -> Result<Vec<u8>> {
    let found = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    let missing = || format!("this system has no CA certificates (looked for {})", SYSTEM_ROOTS.join(", "));
    read(found.with_context(missing)?)
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let length = fs::metadata(path).with_context(|| format!("read {shown}"))?.len();
    if length > MAX_FILE_BYTES {
        bail!("{shown} has {length} octets, at most {MAX_FILE_BYTES} are read");
    }
    fs::read(path).with_context(|| format!("read {shown}"))
}

/// Reads a trust file.
pub(super) fn trust(path: &Path) -> Result<Trust> {
    Trust::parse(&read(path)?).with_context(|| format!("{} is not a trust file", path.display()))
}

/// Reads a third party; what it says is checked by who uses it.
pub(super) fn issuer(path: &Path) -> Result<Issuer> {
    let shown = path.display();
    let text = String::from_utf8(read(path)?).with_context(|| format!("{shown} is no text"))?;
    toml::from_str(&text).with_context(|| format!("{shown} is no issuer (iss, kinds, key or [[anchor]])"))
}

/// Reads the certificates of a PEM file, or one in DER.
pub(super) fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let found: Vec<Vec<u8>> =
        CertificateDer::pem_slice_iter(bytes).flatten().map(|certificate| certificate.to_vec()).collect();
    if found.is_empty() { vec![bytes.to_vec()] } else { found }
}
