//! An EAR as others take it: signed, as a JWT (RFC 7519) or a CWT (RFC 8392).
//!
//! The octets that are logged stay the unsigned EAR; a token is that result once more, with an end and a nonce of the
//! relying party's where it wants them, under the key of the Verifier. In scope: both forms, written and verified.
//! Out of scope: whose key may sign (`jose::TokenKeys`; policies pin them).

use ciborium::Value as Cbor;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value as Json, json};
use treering_provenance::cose::{Sign1, Signer};
use treering_provenance::strict;

use super::labels;
use super::read::Ear;
use crate::verifier::appraisal::Appraisal;
use crate::verifier::jose::{self, MAX_TOKEN_BYTES, Times, Token, TokenError, TokenKeys};
use crate::verifier::json as strict_json;

/// The media type of the token in its header: RFC 9782 with the profile of the result.
pub const JWT_TYPE: &str = "application/eat+jwt; eat_profile=\"tag:ietf.org,2026:rats/ear#04\"";
/// The same of the CBOR form.
pub const CWT_TYPE: &str = "application/eat+cwt; eat_profile=\"tag:ietf.org,2026:rats/ear#04\"";
/// Octets of a nonce (RFC 9711 section 4.1).
pub const NONCE_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
/// COSE: algorithm, key, and the type of the whole message (RFC 9596).
const ALG: i64 = 1;
const KID: i64 = 4;
const TYP: i64 = 16;

/// What a token says beside the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenOptions<'a> {
    /// When it ends, Unix seconds.
    pub expires: Option<u64>,
    /// What the relying party sent, 8 to 64 octets.
    pub nonce: Option<&'a [u8]>,
}

/// The result of an appraisal as a JWT.
pub fn write_jwt(
    appraisal: &Appraisal,
    options: TokenOptions<'_>,
    signer: &dyn Signer,
) -> Result<String, TokenError> {
    let claims = claims(appraisal, options)?;
    let header = json!({
        "alg": jose::jws_name(signer.algorithm()),
        "typ": JWT_TYPE,
        "kid": BASE64URL_NOPAD.encode(&signer.kid()),
    });
    let part = |value: &Json| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = signer.sign(signed.as_bytes()).map_err(|error| TokenError::Signing(error.to_string()))?;
    let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
    if token.len() > MAX_TOKEN_BYTES { Err(TokenError::TooLarge(token.len())) } else { Ok(token) }
}

/// The result of an appraisal as a CWT: COSE_Sign1, tag 18.
pub fn write_cwt(
    appraisal: &Appraisal,
    options: TokenOptions<'_>,
    signer: &dyn Signer,
) -> Result<Vec<u8>, TokenError> {
    let claims = labels::to_cbor(&claims(appraisal, options)?).map_err(TokenError::Claims)?;
    let signing = |error: &dyn std::fmt::Display| TokenError::Signing(error.to_string());
    let payload = strict::encode(&claims).map_err(|error| signing(&error))?;
    let header = Cbor::Map(vec![
        (ALG.into(), signer.algorithm().id().into()),
        (KID.into(), Cbor::Bytes(signer.kid().to_vec())),
        (TYP.into(), CWT_TYPE.into()),
    ]);
    let message = Sign1::sign(signer, &header, &payload, false).map_err(|error| signing(&error))?;
    let token = message.to_bytes().map_err(|error| signing(&error))?;
    if token.len() > MAX_TOKEN_BYTES { Err(TokenError::TooLarge(token.len())) } else { Ok(token) }
}

/// The logged claims, with what the token says beside them after `iat`.
fn claims(appraisal: &Appraisal, options: TokenOptions<'_>) -> Result<Json, TokenError> {
    let bad = |reason: &str| TokenError::Claims(reason.to_owned());
    let logged = strict_json::object(appraisal.ear()).map_err(TokenError::Claims)?;
    let Json::Object(logged) = logged else { return Err(bad("the result is no object")) };
    if appraisal.components().is_empty() {
        return Err(bad("nothing was appraised: there is no result to sign"));
    }
    if options.expires.is_some_and(|expires| expires <= appraisal.now()) {
        return Err(bad("it would end before it begins"));
    }
    let mut claims = Map::new();
    for (name, value) in logged {
        let last = name == "iat";
        claims.insert(name, value);
        if !last {
            continue;
        }
        if let Some(expires) = options.expires {
            claims.insert("exp".to_owned(), expires.into());
        }
        if let Some(nonce) = options.nonce {
            if !NONCE_BYTES.contains(&nonce.len()) {
                return Err(bad("a nonce has 8 to 64 octets"));
            }
            claims.insert("eat_nonce".to_owned(), BASE64URL_NOPAD.encode(nonce).into());
        }
    }
    // In a submodule it is the nonce that was in the evidence.
    for component in appraisal.components() {
        let submod = claims.get_mut("submods").and_then(|submods| submods.get_mut(component.name()));
        if let (Some(Json::Object(submod)), Some(carried)) = (submod, component.carried()) {
            submod.insert("eat_nonce".to_owned(), BASE64URL_NOPAD.encode(carried).into());
        }
    }
    Ok(Json::Object(claims))
}

/// Verifies a JWT at an instant, by pinned keys, and reads the result.
pub fn verify_jwt(token: &[u8], keys: &TokenKeys, now: u64) -> Result<Ear, TokenError> {
    let token = Token::read_jws(token)?;
    token.check_type("eat+jwt")?;
    token.verify(keys)?;
    read(&strict_json::object(token.payload()).map_err(TokenError::Claims)?, now)
}

/// Verifies a CWT at an instant, by pinned keys, and reads the result.
pub fn verify_cwt(token: &[u8], keys: &TokenKeys, now: u64) -> Result<Ear, TokenError> {
    let token = Token::read_cose(token)?;
    token.check_type("eat+cwt")?;
    token.verify(keys)?;
    read(&cwt_claims(&token).map_err(TokenError::Claims)?, now)
}

fn read(claims: &Json, now: u64) -> Result<Ear, TokenError> {
    Times::of(claims).and_then(|times| times.check(now)).map_err(TokenError::Time)?;
    Ear::read(claims).map_err(TokenError::Claims)
}

/// The claims of a CWT by the names that JSON has for them.
pub(in crate::verifier) fn cwt_claims(token: &Token) -> Result<Json, String> {
    // Signed as they stand, so any encoding will do, as long as it says one thing: a claim that occurs twice is refused
    // below. The crate of Veraison writes maps of indefinite length.
    let mut rest = token.payload();
    let claims: Cbor = ciborium::from_reader(&mut rest).map_err(|error| error.to_string())?;
    if !claims.is_map() || !rest.is_empty() {
        return Err("the claims are not one map".to_owned());
    }
    labels::to_json(&claims)
}
