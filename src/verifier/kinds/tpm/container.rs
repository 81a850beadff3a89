//! The form in which a quote is evidence here: one map in deterministic CBOR, documented in docs/verifier.md.
//!
//! TPMs have no envelope of their own, and every service has another: this is ours, with one spelling of everything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use treering_provenance::bytes::Bytes;
use treering_provenance::strict::{self, StrictError};

use super::key::Key;
use super::quote::Quote;
use super::trust::Voucher;
use super::wire::{Public, algorithm};
use crate::verifier::checks::{Found, Outcome, fail, relaxed};

/// Octets of the whole: attest and signature have about 1 KiB, 24 registers 1.2 KiB, a key 0.6 KiB.
const MAX_BYTES: usize = 16 * 1024;
/// Octets of a handle of a hierarchy, which is its own name.
const HANDLE_OCTETS: usize = 4;

/// Attributes of an object (Part 2, TPMA_OBJECT).
const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;
const SIGN: u32 = 1 << 18;
/// What an attestation key must have: it was made in this TPM, cannot leave it, and signs only what the TPM made.
const REQUIRED: [(u32, &str); 5] = [
    (FIXED_TPM, "fixedTPM"),
    (FIXED_PARENT, "fixedParent"),
    (SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
    (RESTRICTED, "restricted"),
    (SIGN, "sign"),
];

/// The map.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::verifier::kinds) struct Form {
    /// TPMS_ATTEST.
    pub(in crate::verifier::kinds) attest: Bytes,
    /// SubjectPublicKeyInfo of the attestation key, where there is no `public`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::verifier::kinds) key: Option<Bytes>,
    /// Qualified name of the key's parent, or the handle of its hierarchy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::verifier::kinds) parent: Option<Bytes>,
    /// The registers quoted.
    pub(in crate::verifier::kinds) pcrs: BTreeMap<u8, Bytes>,
    /// TPMT_PUBLIC of the attestation key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::verifier::kinds) public: Option<Bytes>,
    /// TPMT_SIGNATURE.
    pub(in crate::verifier::kinds) signature: Bytes,
}

/// Evidence that was read.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) quote: Quote,
    /// The key, or why it is none.
    pub(super) key: Result<Key, String>,
    /// The public area, where it came along.
    pub(super) public: Option<Public>,
    /// Name of the key's qualified name, as the public area and the parent give it.
    qualified_name: Option<Result<Vec<u8>, String>>,
}

/// Why octets are not such evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verifier::kinds) enum Unreadable {
    /// Not of the form.
    Format(String),
    /// Of the form, but not in its one spelling.
    NotCanonical(String),
}

impl From<StrictError> for Unreadable {
    fn from(error: StrictError) -> Self {
        let reason = error.to_string();
        match error {
            StrictError::LongForm(_)
            | StrictError::Indefinite(_)
            | StrictError::KeyOrder(_)
            | StrictError::DuplicateKey
            | StrictError::Trailing(_)
            | StrictError::Respelled => Self::NotCanonical(reason),
            _ => Self::Format(reason),
        }
    }
}

impl Container {
    pub(super) fn read(octets: &[u8]) -> Result<Self, Unreadable> {
        let form: Form = strict::from_slice(octets, MAX_BYTES)?;
        let quote = Quote::read(&form.attest, &form.signature, &form.pcrs).map_err(Unreadable::Format)?;
        match (&form.key, &form.public, &form.parent) {
            (Some(spki), None, None) => {
                let key = Key::from_spki(&spki.0);
                Ok(Self { quote, key, public: None, qualified_name: None })
            }
            (None, Some(octets), Some(parent)) => {
                let read = Public::read(&octets.0);
                let public = read.map_err(|error| Unreadable::Format(format!("public: {error}")))?;
                let key = Key::from_public(&public.key);
                let name = qualified_name(public.name_algorithm, &octets.0, &parent.0);
                Ok(Self { quote, key, public: Some(public), qualified_name: Some(name) })
            }
            _ => Err(Unreadable::Format("want the key, or its public area and its parent".to_owned())),
        }
    }
}

/// The qualified name of an object (Part 1, section 16): over its parent's and its own name.
fn qualified_name(name_algorithm: u16, public: &[u8], parent: &[u8]) -> Result<Vec<u8>, String> {
    if name_algorithm != algorithm::SHA256 {
        return Err(format!("name algorithm {name_algorithm:#06x}, want SHA-256"));
    }
    if parent.len() != HANDLE_OCTETS && parent.len() != 34 {
        return Err("a parent is a handle of 4 octets, or a qualified name of 34".to_owned());
    }
    let named = |digest: &[u8]| [&name_algorithm.to_be_bytes(), digest].concat();
    let name = named(&Sha256::digest(public));
    Ok(named(&Sha256::new().chain_update(parent).chain_update(name).finalize()))
}

/// Whether octets are recognisably such a container, perhaps a damaged one.
pub(super) fn looks_like_one(octets: &[u8]) -> bool {
    let contains = |word: &[u8]| octets.windows(word.len()).any(|window| window == word);
    let signs = [contains(b"\x66attest"), contains(b"\x64pcrs"), contains(b"\x69signature")];
    // A quote inside other evidence has these too.
    let other = contains(b"\x67runtime") || contains(b"HCLAkPub");
    octets.len() <= MAX_BYTES && signs.iter().filter(|sign| **sign).count() >= 2 && !other
}

/// That the key is one of a TPM, and signs as a quote nothing but what the TPM made. A key that would sign anything could
/// sign a quote that names a public area of its holder's making: so whoever vouches for the key must say it, and the public
/// area, where it comes along, must not say otherwise.
pub(super) fn key_attributes(context: &super::Context<'_>) -> Outcome {
    let attest = context.quoted.attest()?;
    let container = context.container.ok();
    let public = container.and_then(|one| Some((one.public.as_ref()?, one.qualified_name.as_ref()?)));
    let attributes = public.map(|(public, name)| said_of_itself(public, name, &attest.qualified_signer));
    match (attributes.transpose()?, said_by_voucher(context)?) {
        (Some(attributes), Vouched::For(by)) => Ok(format!("{attributes}; {by}")),
        (None, Vouched::For(by)) => Ok(format!("{by}; no public area is given")),
        (Some(attributes), Vouched::Nothing) => {
            relaxed("require_key_purpose", format!("{attributes}; so it says itself"))
        }
        (None, Vouched::Nothing) => fail(
            "neither the certificate of the key nor a public area says that it signs only what the TPM made",
        ),
    }
}

/// What the public area says, if it is that of the signer, and of a key that may attest.
fn said_of_itself(public: &Public, name: &Result<Vec<u8>, String>, signer: &[u8]) -> Outcome {
    match name {
        Err(reason) => return fail(reason.as_str()),
        Ok(name) if name != signer => {
            return fail("the quote names another signer than the public area and its parent");
        }
        Ok(_) => {}
    }
    if let Some((_, missing)) = REQUIRED.iter().find(|(bit, _)| public.attributes & bit == 0) {
        return fail(format!("the key is not {missing} ({:#x})", public.attributes));
    }
    if public.attributes & DECRYPT != 0 {
        return fail(format!("the key decrypts too ({:#x})", public.attributes));
    }
    Ok(format!("{:#x}: made in this TPM, bound to it, for what it makes alone", public.attributes))
}

/// What whoever vouches for a key says of its purpose.
enum Vouched {
    For(&'static str),
    Nothing,
}

fn said_by_voucher(context: &super::Context<'_>) -> Result<Vouched, Found> {
    let endorsement = context.endorsement()?;
    match &endorsement.voucher {
        Err(_) => Err(Found::NotEvaluated("nobody who is known vouches for the key")),
        Ok(Voucher::Policy(_)) => Ok(Vouched::For("the policy vouches for the key")),
        Ok(Voucher::Root(_) | Voucher::Simulated) if endorsement.is_for_attestation => {
            Ok(Vouched::For("its certificate says that it is an attestation key"))
        }
        Ok(Voucher::Root(_) | Voucher::Simulated) if context.policy.require_key_purpose => fail(
            "its certificate does not say that it is an attestation key (2.23.133.8.3), and the policy requires that",
        ),
        Ok(Voucher::Root(_) | Voucher::Simulated) => Ok(Vouched::Nothing),
    }
}
