//! What was handed over: one token, or a bundle of one with the token that it names by its hash.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    ATTESTATION_RESULT, ATTESTATION_RESULT_BUNDLE, ATTESTATION_RESULT_CWT, ATTESTATION_RESULT_JWT, External,
    Format,
};
use crate::verifier::ear::{cwt_claims, name_of_path};
use crate::verifier::jose::{MAX_TOKEN_BYTES, Times, Token, TokenError, TokenKeys};
use crate::verifier::json;
use crate::verifier::parts::{Part, of_cbor, of_jwt, place};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    EatJwt,
    Jwt,
    Cwt,
    Bundle,
}

/// The tokens, read; no signature is verified yet.
pub(super) struct Presented {
    form: Form,
    main: Token,
    detached: Option<Detached>,
}

/// A token that the main one names by the SHA-256 of its octets.
pub(super) struct Detached {
    pub(super) name: String,
    pub(super) sha256: String,
    token: Token,
}

impl Presented {
    pub(super) fn read(media_type: &str, octets: &[u8]) -> Result<Self, TokenError> {
        let (form, expected) = match media_type {
            ATTESTATION_RESULT => (Form::EatJwt, "eat+jwt"),
            ATTESTATION_RESULT_JWT => (Form::Jwt, "jwt"),
            ATTESTATION_RESULT_CWT => (Form::Cwt, "eat+cwt"),
            ATTESTATION_RESULT_BUNDLE => return Self::read_bundle(octets),
            other => return Err(TokenError::Form(format!("not a type of token: {other}"))),
        };
        let main = if form == Form::Cwt { Token::read_cose(octets)? } else { Token::read_jws(octets)? };
        main.check_type(expected)?;
        Ok(Self { form, main, detached: None })
    }

    /// `[["JWT", token], {name: token}]`, without white space: its octets are not signed, so they have one spelling.
    fn read_bundle(octets: &[u8]) -> Result<Self, TokenError> {
        let form = |reason: &str| TokenError::Form(reason.to_owned());
        if octets.len() > 2 * MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge(octets.len()));
        }
        let bundle = json::parse(octets).map_err(|error| form(&error))?;
        if bundle.to_string().as_bytes() != octets {
            return Err(form("the bundle is written otherwise than compact JSON"));
        }
        let (Some("JWT"), Some(main)) = (at(&bundle, "/0/0"), at(&bundle, "/0/1")) else {
            return Err(form("want [[\"JWT\", token], {name: token}]"));
        };
        let lengths =
            (bundle.as_array().map(Vec::len), bundle.pointer("/0").and_then(Value::as_array).map(Vec::len));
        let detached = bundle.pointer("/1").and_then(Value::as_object);
        let (Some(detached), (Some(2), Some(2))) = (detached, lengths) else {
            return Err(form("want [[\"JWT\", token], {name: token}]"));
        };
        let mut members = detached.iter();
        let (Some((name, Value::String(token))), None) = (members.next(), members.next()) else {
            return Err(form("want one detached token: each device is a component of its own"));
        };
        let sha256 = HEXLOWER.encode(&Sha256::digest(token.as_bytes()));
        let detached = Detached { name: name.clone(), sha256, token: Token::read_jws(token.as_bytes())? };
        let main = Token::read_jws(main.as_bytes())?;
        Ok(Self { form: Form::Bundle, main, detached: Some(detached) })
    }

    /// The Verifier of the policy whose key the token names: of several the first whose key verifies it, since names of
    /// keys are their issuers' own, and two may choose the same.
    pub(super) fn external<'a>(&self, externals: &'a [External]) -> Option<&'a External> {
        let mut known =
            externals.iter().filter(|one| self.may_be(one.format) && self.main.is_known_to(&one.keys));
        let first = known.clone().next();
        known.find(|one| self.verify(&one.keys).is_ok()).or(first)
    }

    fn may_be(&self, format: Format) -> bool {
        match self.form {
            Form::EatJwt => format.is_ear(),
            Form::Cwt => format == Format::Ear04,
            Form::Jwt => format != Format::NvidiaNras,
            Form::Bundle => format == Format::NvidiaNras,
        }
    }

    pub(super) fn key_name(&self) -> String {
        self.main.key_name()
    }

    /// Verifies every signature.
    pub(super) fn verify(&self, keys: &TokenKeys) -> Result<(), TokenError> {
        self.main.verify(keys)?;
        self.detached.as_ref().map_or(Ok(()), |detached| detached.token.verify(keys))
    }

    /// The claims of the main token, named as in JSON.
    pub(super) fn claims(&self) -> Result<Value, String> {
        if self.form == Form::Cwt { cwt_claims(&self.main) } else { json::object(self.main.payload()) }
    }

    /// When the tokens expire, where they say so.
    pub(super) fn ends(&self) -> Vec<u64> {
        let tokens = [self.claims().ok(), self.detached.as_ref().and_then(|detached| detached.claims().ok())];
        tokens.into_iter().flatten().filter_map(|claims| Times::of(&claims).ok()?.expires).collect()
    }

    pub(super) fn detached(&self) -> Option<&Detached> {
        self.detached.as_ref()
    }
}

impl Detached {
    pub(super) fn claims(&self) -> Result<Value, String> {
        json::object(self.token.payload())
    }
}

/// Where the parts of a token are, or those of the tokens in a bundle.
pub(super) fn parts(octets: &[u8]) -> Vec<Part> {
    match octets.first() {
        Some(b'[') => parts_of_bundle(octets),
        Some(b'e') => of_jwt(octets),
        _ => of_cbor(
            octets,
            |path| path == "[2]",
            |path| {
                Some(match path {
                    "[0]" => "protected header".to_owned(),
                    "[2]" => "payload".to_owned(),
                    "[3]" => "signature".to_owned(),
                    other => name_of_path(other.strip_prefix("[2]")?),
                })
            },
        ),
    }
}

/// The text of a token has no character that JSON would write otherwise, so it stands in a bundle as it is.
fn parts_of_bundle(octets: &[u8]) -> Vec<Part> {
    let Ok(bundle) = json::parse(octets) else { return Vec::new() };
    let detached = bundle.pointer("/1").and_then(Value::as_object).into_iter().flatten();
    let detached = detached.filter_map(|(name, token)| Some((name.as_str(), token.as_str()?)));
    let main = at(&bundle, "/0/1").map(|token| ("the main token", token));
    let mut all = Vec::new();
    for (name, token) in main.into_iter().chain(detached) {
        let Some(range) = place(octets, token.as_bytes()) else { continue };
        all.extend(of_jwt(token.as_bytes()).into_iter().map(|part| {
            let (from, to) = (part.range.start, part.range.end);
            let range = range.start.saturating_add(from)..range.start.saturating_add(to);
            Part::new(format!("{name}: {}", part.name), range)
        }));
    }
    all
}

fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// Whether an unread token has claims about a platform. Only to guess by; nothing is believed of it.
pub(super) fn speaks_of_a_platform(octets: &[u8]) -> bool {
    const MARKS: [&str; 5] = ["submods", "x-ms-attestation-type", "attester_tcb_status", "tdx", "hwmodel"];
    let Some(payload) = octets.split(|octet| *octet == b'.').nth(1) else { return true };
    let claims = BASE64URL_NOPAD.decode(payload).ok().and_then(|payload| json::object(&payload).ok());
    claims.is_none_or(|claims| MARKS.iter().any(|mark| claims.get(mark).is_some()))
}
