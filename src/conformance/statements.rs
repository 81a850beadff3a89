//! The statements that are sent: good ones, and the ways to spoil them.

use std::cell::Cell;

use ciborium::Value;
use treering_provenance::cose::{Ed25519Signer, Sign1, Signer, sig_structure};
use treering_provenance::strict;
use treering_tlog::bundle::MAX_ENTRY_LEN;

use crate::keys;

const TAG_SIGN1: u64 = 18;
const ALG: i64 = 1;
const CONTENT_TYPE: i64 = 3;
const KID: i64 = 4;
const CWT_CLAIMS: i64 = 15;
const X5CHAIN: i64 = 33;
/// WalnutDSA, the example of SCRAPI's own text: registered, broken, and accepted by nobody.
const ALG_NOBODY_TAKES: i64 = -260;
/// The octets of a COSE_Sign1 with its tag: tag 18, an array of four.
const HEAD: [u8; 2] = [0xd2, 0x84];

/// Makes statements under a key that the service knows.
pub struct Maker {
    /// The issuer's key.
    pub signer: Box<dyn Signer>,
    /// The `iss`.
    pub issuer: String,
    /// The `aud`, for a service that wants one.
    pub audience: Option<String>,
    /// The payload's media type.
    pub content_type: String,
    /// The `iat`, Unix seconds.
    pub now: u64,
}

/// Where statements that the service should take come from.
pub enum Supply {
    /// Nowhere: registration cannot be checked, errors can.
    Nothing,
    /// From somebody who knows what the service wants.
    Prepared(Vec<Vec<u8>>),
    /// They are made.
    Made(Maker),
}

/// A statement as its parts.
struct Parts {
    protected: Vec<u8>,
    payload: Value,
    signature: Vec<u8>,
}

/// Statements of one run.
pub(super) struct Sample<'a> {
    supply: &'a Supply,
    /// Signs what is spoilt, so that nothing but the fault is wrong with it; not there for prepared statements.
    stranger: Maker,
    number: Cell<u64>,
    base: Vec<u8>,
}

impl<'a> Sample<'a> {
    pub(super) fn new(supply: &'a Supply) -> Result<Self, String> {
        let seed = keys::random().map_err(|error| error.to_string())?;
        let signer = Ed25519Signer::from_seed(&seed).map_err(|error| error.to_string())?;
        let stranger = Maker {
            signer: Box::new(signer),
            issuer: "https://stranger.invalid".to_owned(),
            audience: None,
            content_type: "text/plain".to_owned(),
            now: 0,
        };
        let mut sample = Self { supply, stranger, number: Cell::default(), base: Vec::new() };
        sample.base = match supply {
            Supply::Prepared(statements) => {
                for statement in statements {
                    let parsed = Sign1::parse(statement, MAX_ENTRY_LEN);
                    parsed.map_err(|error| format!("a prepared statement: {error}"))?;
                }
                statements.first().cloned().ok_or("no prepared statement")?
            }
            Supply::Made(_) | Supply::Nothing => sample.make()?,
        };
        Ok(sample)
    }

    /// The first statement.
    pub(super) fn base(&self) -> &[u8] {
        &self.base
    }

    /// Whether the service was said to take these statements.
    pub(super) const fn is_meant_for_the_service(&self) -> bool {
        !matches!(self.supply, Supply::Nothing)
    }

    /// Another statement, if there is one.
    pub(super) fn another(&self) -> Option<Vec<u8>> {
        match self.supply {
            Supply::Prepared(statements) => statements.iter().find(|one| **one != self.base).cloned(),
            Supply::Made(_) => self.make().ok(),
            Supply::Nothing => None,
        }
    }

    fn maker(&self) -> &Maker {
        match self.supply {
            Supply::Made(maker) => maker,
            Supply::Nothing | Supply::Prepared(_) => &self.stranger,
        }
    }

    fn make(&self) -> Result<Vec<u8>, String> {
        self.number.set(self.number.get() + 1);
        let maker = self.maker();
        let random: [u8; 8] = keys::random().map_err(|error| error.to_string())?;
        let name = format!("{:016x}-{}", u64::from_be_bytes(random), self.number.get());
        let mut claims = vec![
            (1.into(), Value::from(maker.issuer.as_str())),
            (2.into(), Value::from(format!("urn:conformance:{name}"))),
        ];
        claims.extend(maker.audience.as_deref().map(|audience| (3.into(), audience.into())));
        claims.push((6.into(), maker.now.into()));
        let protected = strict::encode(&Value::Map(vec![
            (ALG.into(), maker.signer.algorithm().id().into()),
            (CONTENT_TYPE.into(), maker.content_type.as_str().into()),
            (KID.into(), Value::Bytes(maker.signer.kid().to_vec())),
            (CWT_CLAIMS.into(), Value::Map(claims)),
        ]));
        let protected = protected.map_err(|error| error.to_string())?;
        let payload = format!("conformance statement {name}").into_bytes();
        let signature = maker.signer.sign(&sig_structure(&protected, &payload));
        let signature = signature.map_err(|error| error.to_string())?;
        assemble(protected, Value::Map(Vec::new()), Value::Bytes(payload), signature)
    }

    /// The base in other words: its last octet missing, one octet more, an array of indefinite length.
    pub(super) fn truncated(&self) -> Vec<u8> {
        self.base.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default()
    }

    pub(super) fn trailing(&self) -> Vec<u8> {
        [self.base.as_slice(), &[0]].concat()
    }

    pub(super) fn indefinite(&self) -> Option<Vec<u8>> {
        let rest = self.base.strip_prefix(&HEAD)?;
        Some([&[0xd2, 0x9f], rest, &[0xff]].concat())
    }

    /// A protected header that has `kid` twice.
    pub(super) fn duplicate_label(&self) -> Result<Vec<u8>, String> {
        let mut parts = self.parts()?;
        match parts.protected.first_mut() {
            // A map of fewer than 23 members says how many in its first octet.
            Some(first) if (0xa0..0xb7).contains(first) => *first += 1,
            _ => return Err("the protected header is not a short map".to_owned()),
        }
        parts.protected.extend([0x04, 0x41, 0x00]);
        self.sealed(parts)
    }

    pub(super) fn detached(&self) -> Result<Vec<u8>, String> {
        let Parts { protected, signature, .. } = self.parts()?;
        assemble(protected, Value::Map(Vec::new()), Value::Null, signature)
    }

    pub(super) fn bad_algorithm(&self) -> Result<Vec<u8>, String> {
        let mut parts = self.parts()?;
        let header: Value =
            ciborium::from_reader(parts.protected.as_slice()).map_err(|error| error.to_string())?;
        let mut members = header.into_map().map_err(|_| "the protected header is not a map")?;
        members.retain(|(label, _)| *label != Value::from(ALG));
        members.push((ALG.into(), ALG_NOBODY_TAKES.into()));
        parts.protected = strict::encode(&Value::Map(members)).map_err(|error| error.to_string())?;
        self.sealed(parts)
    }

    pub(super) fn bad_signature(&self) -> Result<Vec<u8>, String> {
        let Parts { protected, payload, mut signature } = self.parts()?;
        // In the first half: what is changed must not be mistaken for another form of the same signature.
        signature.iter_mut().take(1).for_each(|octet| *octet ^= 1);
        assemble(protected, Value::Map(Vec::new()), payload, signature)
    }

    /// The base with something in its unprotected header.
    pub(super) fn dressed(&self) -> Result<Vec<u8>, String> {
        self.with_unprotected((Value::from("conformance"), Value::from(1)))
    }

    pub(super) fn unprotected_chain(&self) -> Result<Vec<u8>, String> {
        self.with_unprotected((X5CHAIN.into(), Value::Bytes(vec![0x30, 0x00])))
    }

    fn with_unprotected(&self, member: (Value, Value)) -> Result<Vec<u8>, String> {
        let Parts { protected, payload, signature } = self.parts()?;
        assemble(protected, Value::Map(vec![member]), payload, signature)
    }

    /// Signs anew what was changed, if the key is here: then nothing but the change is wrong with it.
    fn sealed(&self, parts: Parts) -> Result<Vec<u8>, String> {
        let Parts { protected, payload, mut signature } = parts;
        if !matches!(self.supply, Supply::Prepared(_)) {
            let message = payload.as_bytes().map(Vec::as_slice).unwrap_or_default();
            signature = (self.maker().signer.sign(&sig_structure(&protected, message)))
                .map_err(|error| error.to_string())?;
        }
        assemble(protected, Value::Map(Vec::new()), payload, signature)
    }

    fn parts(&self) -> Result<Parts, String> {
        let sign1 = Sign1::parse(&self.base, MAX_ENTRY_LEN).map_err(|error| error.to_string())?;
        Ok(Parts {
            protected: sign1.protected_bytes().to_vec(),
            payload: sign1.payload().map_or(Value::Null, |payload| Value::Bytes(payload.to_vec())),
            signature: sign1.signature().to_vec(),
        })
    }
}

/// What the log must hold of a statement: the same with an empty unprotected header (RFC 9943 section 6.3).
pub(super) fn stripped(statement: &[u8]) -> Result<Vec<u8>, String> {
    let sign1 = Sign1::parse(statement, MAX_ENTRY_LEN).map_err(|error| error.to_string())?;
    sign1.without_unprotected().to_bytes().map_err(|error| error.to_string())
}

fn assemble(
    protected: Vec<u8>,
    unprotected: Value,
    payload: Value,
    signature: Vec<u8>,
) -> Result<Vec<u8>, String> {
    let parts = vec![Value::Bytes(protected), unprotected, payload, Value::Bytes(signature)];
    let message = Value::Tag(TAG_SIGN1, Box::new(Value::Array(parts)));
    strict::encode(&message).map_err(|error| error.to_string())
}
