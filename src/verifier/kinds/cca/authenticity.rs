//! Is it genuine? What fails here cannot be waived, and leaves nothing in the token to be believed.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::Context;
use super::platform::short;
use crate::verifier::checks::{Found, Outcome, fail};
use crate::verifier::sign1::{self, Unreadable};

pub(super) fn format(context: &Context<'_>) -> Outcome {
    match context.token {
        Ok(token) => {
            let realm = token.realm.profile.as_deref().unwrap_or("that of the platform");
            Ok(format!("CCA token; profile {}, of the realm {realm}", token.platform.profile))
        }
        Err(Unreadable::Format(reason)) => fail(reason.as_str()),
        Err(Unreadable::NotCanonical(_)) => Ok("CBOR".to_owned()),
    }
}

pub(super) fn canonical(context: &Context<'_>) -> Outcome {
    match context.token {
        Ok(_) => Ok("what is not signed has one form, and this is it".to_owned()),
        Err(Unreadable::NotCanonical(reason)) => fail(reason.as_str()),
        Err(Unreadable::Format(_)) => Err(Found::NotEvaluated("the token could not be read")),
    }
}

pub(super) fn platform_key(context: &Context<'_>) -> Outcome {
    let (token, keys) = (context.token()?, context.keys()?);
    if keys.count() == 0 {
        let instance = HEXLOWER.encode(&token.platform.instance_id);
        let implementation = HEXLOWER.encode(&token.platform.implementation_id);
        return fail(format!(
            "the policy names no platform key for instance {instance} of implementation {implementation}"
        ));
    }
    if keys.is_simulated_in_vain() {
        return fail("a simulated platform, and the configuration does not pin its key");
    }
    if keys.is_simulated() {
        return Ok("SIMULATED platform, pinned by configuration".to_owned());
    }
    Ok(format!("{} of the policy's keys are for this platform", keys.count()))
}

pub(super) fn platform_signature(context: &Context<'_>) -> Outcome {
    let keys = context.keys()?;
    match keys.signer() {
        Some(key) => Ok(format!("by {}, over the octets received", key.name)),
        None if keys.count() == 0 => Err(Found::NotEvaluated("the policy names no key for this platform")),
        None => fail("none of the policy's keys for this platform signed the platform token"),
    }
}

pub(super) fn realm_signature(context: &Context<'_>) -> Outcome {
    let token = context.token()?;
    let key = token.realm.key();
    let key = key.map_err(|reason| Found::Failed(format!("the realm's key: {reason}")))?;
    if sign1::verifies(&token.realm_message, &key) {
        Ok("by the key in it, over the octets received".to_owned())
    } else {
        fail("the key in it did not sign the realm token")
    }
}

/// The realm token is signed by a key that it brings itself: only the platform's word makes it the realm's.
pub(super) fn key_binding(context: &Context<'_>) -> Outcome {
    let token = context.token()?;
    let name = token.realm.public_key_hash_algorithm.as_str();
    let Some(digest) = hash(name, &token.realm.public_key) else {
        return fail(format!("hash algorithm {:?} is not known", short(name)));
    };
    if bool::from(digest.as_slice().ct_eq(&token.platform.challenge)) {
        Ok(format!("the platform's challenge is the {name} of the realm's key"))
    } else {
        fail(format!("the platform's challenge is not the {name} of the realm's key"))
    }
}

/// A hash by its name in IANA's registry of named information.
fn hash(name: &str, octets: &[u8]) -> Option<Vec<u8>> {
    Some(match name {
        "sha-256" => Sha256::digest(octets).to_vec(),
        "sha-384" => Sha384::digest(octets).to_vec(),
        "sha-512" => Sha512::digest(octets).to_vec(),
        _ => return None,
    })
}

/// Whether a hash of this name is one that is accepted.
pub(super) fn is_known_hash(name: &str) -> bool {
    hash(name, &[]).is_some()
}
