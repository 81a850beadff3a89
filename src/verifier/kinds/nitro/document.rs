//! The attestation document: its envelope in one form, its fields within AWS's limits.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ciborium::Value;
use treering_provenance::cose::{Algorithm, Sign1};

use crate::verifier::cbor::{self, Fields};
use crate::verifier::sign1::{self, Unreadable};

/// Octets of a document: those of hardware have about 4.7 KiB, and the Nitro Security Module answers with at most
/// 12 KiB (NSM, `NSM_RESPONSE_MAX_SIZE` is 0x3000).
pub(super) const MAX_DOCUMENT_BYTES: usize = 0x3000;
/// Octets of a PCR: SHA-384.
pub(super) const PCR_BYTES: usize = 48;
/// PCRs that there are.
pub(super) const INDEXES: RangeInclusive<u8> = 0..=31;
/// Octets of a certificate, of `public_key`, and of `user_data` and `nonce` (AWS).
const CERTIFICATE: RangeInclusive<usize> = 1..=1024;
const PUBLIC_KEY: RangeInclusive<usize> = 1..=1024;
const USER_DATA: RangeInclusive<usize> = 0..=512;
/// Octets of a module's name: "i-", 17 digits, "-enc", 16 digits are 39.
const MAX_MODULE_ID_BYTES: usize = 128;
/// Certificates in `cabundle`: root, region, zone, instance, and one more.
const MAX_CABUNDLE: usize = 5;
/// Fields of a document.
const MAX_FIELDS: usize = 9;

/// An attestation document, read, not yet trusted.
pub(super) struct Document {
    pub(super) message: Sign1,
    pub(super) module_id: String,
    /// Milliseconds since 1970.
    pub(super) timestamp: u64,
    pub(super) pcrs: BTreeMap<u8, [u8; PCR_BYTES]>,
    pub(super) certificate: Vec<u8>,
    /// Root first.
    pub(super) cabundle: Vec<Vec<u8>>,
    pub(super) public_key: Option<Vec<u8>>,
    pub(super) user_data: Option<Vec<u8>>,
    pub(super) nonce: Option<Vec<u8>>,
}

/// Whether octets are recognisably a document: two of the names that every one has, far enough apart that one changed
/// bit leaves two of them.
pub(super) fn looks_like_a_document(octets: &[u8]) -> bool {
    let has = |name: &[u8]| octets.windows(name.len()).any(|window| window == name);
    let signs = [has(b"imodule_id"), has(b"fdigest"), has(b"hcabundle")];
    signs.iter().filter(|sign| **sign).count() >= 2
}

impl Document {
    pub(super) fn read(octets: &[u8]) -> Result<Self, Unreadable> {
        let message = sign1::read_untagged(octets, MAX_DOCUMENT_BYTES)?;
        if message.algorithm() != Algorithm::Es384 {
            let got = message.algorithm().id();
            return Err(Unreadable::Format(format!("signed by algorithm {got}, want ES384 (-35)")));
        }
        Self::of(message).map_err(Unreadable::Format)
    }

    fn of(message: Sign1) -> Result<Self, String> {
        let payload = cbor::read(message.payload().unwrap_or_default())?;
        let mut fields = Fields::of("the fields of the document", payload, MAX_FIELDS)?;
        if fields.take("nitrotpm_pcrs").is_some() {
            return Err("an attestation document of NitroTPM, want one of an enclave".to_owned());
        }
        let module_id = fields.text("module_id", "module_id")?;
        if module_id.is_empty() || module_id.len() > MAX_MODULE_ID_BYTES {
            return Err(format!("module_id has 1 to {MAX_MODULE_ID_BYTES} octets, got {}", module_id.len()));
        }
        let digest = fields.text("digest", "digest")?;
        if digest != "SHA384" {
            return Err("digest is not SHA384".to_owned());
        }
        let timestamp = fields.number("timestamp", "timestamp")?;
        if timestamp == 0 {
            return Err("timestamp is zero".to_owned());
        }
        let document = Self {
            message,
            module_id,
            timestamp,
            pcrs: pcrs(fields.take("pcrs"))?,
            certificate: fields
                .octets("certificate", "certificate", |length| CERTIFICATE.contains(&length))?,
            cabundle: cabundle(fields.list("cabundle", "cabundle")?)?,
            public_key: optional(fields.take("public_key"), "public_key", &PUBLIC_KEY)?,
            user_data: optional(fields.take("user_data"), "user_data", &USER_DATA)?,
            nonce: optional(fields.take("nonce"), "nonce", &USER_DATA)?,
        };
        fields.end()?;
        Ok(document)
    }

    /// The parent instance, such as `i-0bee92034f3d60691`: the first part of the module's name.
    pub(super) fn instance(&self) -> Option<&str> {
        let (instance, _) = self.module_id.split_once("-enc")?;
        let digits = instance.strip_prefix("i-")?;
        (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(instance)
    }

    /// A PCR, where it is not zero: zero means that nothing was measured into it.
    pub(super) fn measured(&self, index: u8) -> Option<&[u8; PCR_BYTES]> {
        self.pcrs.get(&index).filter(|value| value.iter().any(|octet| *octet != 0))
    }

    /// Where the binding value is: all of `user_data`, if that has exactly 64 octets.
    pub(super) fn carriage(&self) -> Option<[u8; 64]> {
        self.user_data.as_deref()?.try_into().ok()
    }
}

fn pcrs(value: Option<Value>) -> Result<BTreeMap<u8, [u8; PCR_BYTES]>, String> {
    let value = value.ok_or("pcrs are missing")?;
    let mut fields = Fields::of("pcrs", value, INDEXES.count())?;
    let mut found = BTreeMap::new();
    for index in INDEXES {
        let name = format!("PCR{index}");
        let octets = fields.maybe_octets(index, &name, |length| length == PCR_BYTES)?;
        if let Some(octets) = octets.and_then(|octets| octets.try_into().ok()) {
            found.insert(index, octets);
        }
    }
    fields.end()?;
    if found.is_empty() { Err("there are no PCRs".to_owned()) } else { Ok(found) }
}

fn cabundle(items: Vec<Value>) -> Result<Vec<Vec<u8>>, String> {
    if items.is_empty() || items.len() > MAX_CABUNDLE {
        return Err(format!("cabundle has 1 to {MAX_CABUNDLE} certificates, got {}", items.len()));
    }
    let one = |item: Value| match item {
        Value::Bytes(der) if CERTIFICATE.contains(&der.len()) => Ok(der),
        Value::Bytes(der) => Err(format!("a certificate of cabundle has {} octets", der.len())),
        _ => Err("a certificate of cabundle is a byte string".to_owned()),
    };
    items.into_iter().map(one).collect()
}

/// A field that may be left out, or be null.
fn optional(
    value: Option<Value>,
    name: &str,
    lengths: &RangeInclusive<usize>,
) -> Result<Option<Vec<u8>>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bytes(octets)) if lengths.contains(&octets.len()) => Ok(Some(octets)),
        Some(Value::Bytes(octets)) => {
            let (least, most) = (lengths.start(), lengths.end());
            Err(format!("{name} has {least} to {most} octets, got {}", octets.len()))
        }
        Some(_) => Err(format!("{name} is a byte string or null")),
    }
}
