//! The protected header of a statement: what we write, and what we accept.

use ciborium::Value;
use coset::Label;

use super::{
    Draft, ENVELOPE_TYPE, Form, HEADER_VERSION, Kind, MAX_ISSUER_BYTES, MAX_NAME_BYTES, Payload,
    StatementError,
};
use crate::{
    bytes::{Digest, Fixed, Leaf},
    content::REGISTRATION_POLICY_TYPE,
    cose::{CLAIM_AUD, CLAIM_IAT, CLAIM_ISS, CLAIM_SUB, LABEL_CWT_CLAIMS, LABEL_TREERING, Sign1, Signer},
    issuer,
};

const LABEL_ALG: i64 = 1;
const LABEL_CONTENT_TYPE: i64 = 3;
const LABEL_KID: i64 = 4;
/// RFC 9360: certificates, and the hash of the first.
pub(super) const LABEL_X5CHAIN: i64 = 33;
pub(super) const LABEL_X5T: i64 = 34;
/// RFC 9995: the payload is a hash, by this algorithm...
const LABEL_HASH_ALG: i64 = 258;
/// ...of something of this type.
const LABEL_PREIMAGE_TYPE: i64 = 259;
const HASH_SHA256: i64 = -16;

/// What a statement's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audience: Option<String>,
    pub(super) issued_at: Option<u64>,
    pub(super) hashed: Option<Hashed>,
    pub(super) label: Option<TreeringLabel>,
}

/// Payload hash, and the type of what was hashed.
pub(super) type Hashed = ([u8; 32], Option<String>);

/// Our own parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeringLabel {
    pub(super) kind: Kind,
    pub(super) parents: Vec<Leaf>,
    pub(super) commit: Option<Digest>,
    pub(super) cred: Option<Digest>,
}

/// The protected header of a draft. Order does not matter here: the encoder sorts.
pub(super) fn protected(draft: &Draft<'_>, signer: &dyn Signer) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let claims = vec![
        (CLAIM_ISS.into(), text(draft.issuer)),
        (CLAIM_SUB.into(), text(draft.subject)),
        (CLAIM_AUD.into(), text(draft.audience)),
        (CLAIM_IAT.into(), draft.issued_at.into()),
    ];
    let parents = draft.parents.iter().map(|leaf| Value::Bytes(leaf.0.to_vec())).collect();
    let mut label = vec![
        (text("v"), HEADER_VERSION.into()),
        (text("kind"), text(draft.kind.as_str())),
        (text("parents"), Value::Array(parents)),
    ];
    if let Some(cred) = &draft.cred {
        label.push((text("cred"), Value::Bytes(cred.0.to_vec())));
    }
    let mut header = vec![
        (LABEL_ALG.into(), signer.algorithm().id().into()),
        (LABEL_KID.into(), Value::Bytes(signer.kid().to_vec())),
        (LABEL_CWT_CLAIMS.into(), Value::Map(claims)),
    ];
    if let Some(chain) = issuer::x5chain(signer.certificates()) {
        header.push((LABEL_X5CHAIN.into(), chain));
    }
    match &draft.payload {
        Payload::Public { content_type, .. } => header.push((LABEL_CONTENT_TYPE.into(), text(content_type))),
        Payload::Confidential { commit, .. } => {
            header.push((LABEL_HASH_ALG.into(), HASH_SHA256.into()));
            header.push((LABEL_PREIMAGE_TYPE.into(), text(ENVELOPE_TYPE)));
            label.push((text("commit"), Value::Bytes(commit.0.to_vec())));
        }
    }
    header.push((text(LABEL_TREERING), Value::Map(label)));
    Value::Map(header)
}

impl Header {
    /// Reads and checks a header: every rule of RFC 9943 section 6 that can be checked without keys, and, where our
    /// label is present, every rule of the kind.
    pub(super) fn read(sign1: &Sign1) -> Result<Self, StatementError> {
        let payload = sign1.payload().ok_or(StatementError::PayloadMissing)?;
        let claims = sign1.protected_int(LABEL_CWT_CLAIMS).and_then(Value::as_map);
        let claims = claims.ok_or_else(|| problem("15 (CWT claims)", "is missing or not a map"))?;
        let claim = |label: i64| {
            let wanted = Value::from(label);
            claims.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value)
        };
        if sign1.kid().is_none() && sign1.protected_int(LABEL_X5CHAIN).is_none() {
            return Err(problem(
                "4 (kid)",
                "is missing, and so is 33 (x5chain): a signature needs one of them",
            ));
        }
        let header = Self {
            issuer: text_claim(claim(CLAIM_ISS), "iss", MAX_ISSUER_BYTES)?,
            subject: text_claim(claim(CLAIM_SUB), "sub", MAX_NAME_BYTES)?,
            audience: claim(CLAIM_AUD)
                .map(|value| text_claim(Some(value), "aud", MAX_NAME_BYTES))
                .transpose()?,
            issued_at: claim(CLAIM_IAT).map(time_claim).transpose()?,
            hashed: read_hashed(sign1, payload)?,
            label: sign1.protected_text(LABEL_TREERING).map(read_label).transpose()?,
        };
        if let Some(label) = &header.label {
            sign1.check_sorted()?;
            header.check_closed(sign1, claims.len())?;
            header.check_kind(label, sign1)?;
        }
        Ok(header)
    }

    /// With our label nothing else may be in the header: what we sign and verify we understand whole.
    fn check_closed(&self, sign1: &Sign1, claims: usize) -> Result<(), StatementError> {
        let known = |label: &Label| match label {
            Label::Int(LABEL_CWT_CLAIMS | LABEL_X5CHAIN) => true,
            Label::Int(LABEL_HASH_ALG | LABEL_PREIMAGE_TYPE) => self.hashed.is_some(),
            Label::Int(_) => false,
            Label::Text(text) => text == LABEL_TREERING,
        };
        if let Some(unknown) = sign1.unknown_parameter(known) {
            return Err(problem("(unknown)", format!("{unknown} is not in the format")));
        }
        if self.audience.is_none() || self.issued_at.is_none() || claims != 4 {
            return Err(problem("15 (CWT claims)", "want exactly iss, sub, aud and iat"));
        }
        if let Some(Err(error)) = sign1.protected_int(LABEL_X5CHAIN).map(issuer::certificates) {
            return Err(problem("33 (x5chain)", error.to_string()));
        }
        if sign1.kid().map(<[u8]>::len) != Some(32) {
            return Err(problem("4 (kid)", "want the 32-byte thumbprint of the key"));
        }
        Ok(())
    }

    fn check_kind(&self, label: &TreeringLabel, sign1: &Sign1) -> Result<(), StatementError> {
        let kind = label.kind;
        let rule = |rule: String| Err(StatementError::KindRule { kind, rule });
        match (&self.hashed, kind.form()) {
            (Some(_), Form::Public) => return rule("is always public".to_owned()),
            (None, Form::Confidential) => return rule("is always confidential".to_owned()),
            (Some((_, content_type)), _) => {
                if content_type.as_deref() != Some(ENVELOPE_TYPE) {
                    return Err(problem("259 (preimage type)", format!("want {ENVELOPE_TYPE}")));
                }
            }
            (None, _) => check_public_type(kind, sign1)?,
        }
        if label.commit.is_some() != self.hashed.is_some() {
            return rule("has `commit` if and only if it is confidential".to_owned());
        }
        if label.cred.is_some() != kind.has_cred() {
            return rule(if kind.has_cred() { "has `cred`" } else { "has no `cred`" }.to_owned());
        }
        let parents = kind.parents();
        if !parents.contains(&label.parents.len()) {
            let (least, most) = (parents.start(), parents.end());
            return rule(format!("has {least} to {most} parents, got {}", label.parents.len()));
        }
        Ok(())
    }
}

fn check_public_type(kind: Kind, sign1: &Sign1) -> Result<(), StatementError> {
    let content_type =
        sign1.content_type().ok_or_else(|| problem("3 (content type)", "want a media type"))?;
    // Of the policies only the registration policy is public: the others tell what workloads there are.
    if kind == Kind::Policy && content_type != REGISTRATION_POLICY_TYPE {
        let rule = format!("is public only as {REGISTRATION_POLICY_TYPE}");
        return Err(StatementError::KindRule { kind, rule });
    }
    Ok(())
}

fn read_hashed(sign1: &Sign1, payload: &[u8]) -> Result<Option<Hashed>, StatementError> {
    let Some(algorithm) = sign1.protected_int(LABEL_HASH_ALG) else {
        return Ok(None);
    };
    if *algorithm != Value::from(HASH_SHA256) {
        return Err(problem("258 (payload hash)", "want -16 (SHA-256)"));
    }
    if sign1.has_content_type() {
        return Err(problem("3 (content type)", "must not appear beside 258"));
    }
    let digest = payload.try_into();
    let digest =
        digest.map_err(|_| problem("258 (payload hash)", format!("payload has {} bytes", payload.len())))?;
    let content_type = sign1.protected_int(LABEL_PREIMAGE_TYPE).and_then(Value::as_text).map(str::to_owned);
    Ok(Some((digest, content_type)))
}

fn read_label(value: &Value) -> Result<TreeringLabel, StatementError> {
    let malformed = |what: &str| problem("treering", what.to_owned());
    let entries = value.as_map().ok_or_else(|| malformed("want a map"))?;
    let (mut version, mut kind, mut parents, mut commit, mut cred) = (None, None, None, None, None);
    for (key, value) in entries {
        match key.as_text() {
            Some("v") => version = Some(value),
            Some("kind") => kind = value.as_text(),
            Some("parents") => parents = value.as_array(),
            Some("commit") => commit = Some(digest(value)?),
            Some("cred") => cred = Some(digest(value)?),
            _ => return Err(malformed("has a member that is not in the format")),
        }
    }
    if version != Some(&Value::from(HEADER_VERSION)) {
        return Err(malformed("want v = 1"));
    }
    let kind = kind.ok_or_else(|| malformed("want a kind"))?.parse()?;
    let parents = parents.ok_or_else(|| malformed("want parents"))?;
    let parents = parents.iter().map(digest).collect::<Result<_, _>>()?;
    Ok(TreeringLabel { kind, parents, commit, cred })
}

fn digest(value: &Value) -> Result<Fixed<32>, StatementError> {
    let bytes = value.as_bytes().and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    bytes.map(Fixed).ok_or_else(|| problem("treering", "a hash has 32 bytes"))
}

fn text_claim(value: Option<&Value>, name: &'static str, max: usize) -> Result<String, StatementError> {
    let text = value.and_then(Value::as_text).ok_or_else(|| problem(name, "is missing or not text"))?;
    if text.is_empty() || text.len() > max {
        return Err(problem(name, format!("has {} bytes, want 1 to {max}", text.len())));
    }
    Ok(text.to_owned())
}

fn time_claim(value: &Value) -> Result<u64, StatementError> {
    let seconds = value.as_integer().and_then(|value| u64::try_from(value).ok());
    seconds.ok_or_else(|| problem("iat", "want Unix seconds, not negative"))
}

fn problem(name: &'static str, problem: impl Into<String>) -> StatementError {
    StatementError::Header { name, problem: problem.into() }
}
