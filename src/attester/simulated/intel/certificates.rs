//! Certificates and CRLs in the form of Intel's (Intel SGX PCK Certificate and CRL Specification). Names and keys are
//! the simulation's own.

use sha2::{Digest, Sha256};

use super::super::der::{
    bits, boolean_true, element, explicit, integer, octets, oid, printable, sequence, set, time, utf8,
};
use super::{IntelModel, P256Key};
use crate::attester::AttesterError;

/// Organisation in every name, where Intel's certificates have Intel's: nobody takes one for the other.
const ORGANISATION: &str = "Treering Simulation";
const ROOT: &str = "Intel SGX Root CA";
const ISSUER: &str = "Intel SGX PCK Platform CA";
const PCK: &str = "Intel SGX PCK Certificate";
const SIGNER: &str = "Intel SGX TCB Signing";
const ROOT_LIFETIME_S: u64 = 20 * 365 * 86_400;
const ISSUER_LIFETIME_S: u64 = 15 * 365 * 86_400;
const LEAF_LIFETIME_S: u64 = 7 * 365 * 86_400;

const CONTEXT: u8 = 0x80;
const IA5_URI: u8 = 0x86;
const ENUMERATED: u8 = 0x0a;
/// Key usages: keyCertSign and cRLSign; digitalSignature and nonRepudiation.
const OF_CA: [u8; 2] = [1, 0x06];
const OF_LEAF: [u8; 2] = [6, 0xc0];

pub(super) fn root(key: &P256Key, serial: &[u8], now: u64) -> Result<Vec<u8>, AttesterError> {
    let extensions = common(key, key, "root", OF_CA, &sequence(&[boolean_true(), integer(&[1])]));
    certificate((ROOT, key), (ROOT, key), serial, (now, ROOT_LIFETIME_S), &extensions)
}

pub(super) fn issuer(
    key: &P256Key,
    root: &P256Key,
    serial: &[u8],
    now: u64,
) -> Result<Vec<u8>, AttesterError> {
    let extensions = common(key, root, "root", OF_CA, &sequence(&[boolean_true(), integer(&[0])]));
    certificate((ISSUER, key), (ROOT, root), serial, (now, ISSUER_LIFETIME_S), &extensions)
}

/// The certificate of the key that signs TCB information and identities.
pub(super) fn signer(
    key: &P256Key,
    root: &P256Key,
    serial: &[u8],
    now: u64,
) -> Result<Vec<u8>, AttesterError> {
    let extensions = common(key, root, "root", OF_LEAF, &sequence(&[]));
    certificate((SIGNER, key), (ROOT, root), serial, (now, LEAF_LIFETIME_S), &extensions)
}

pub(super) fn pck(
    key: &P256Key,
    issuer: &P256Key,
    serial: &[u8],
    (model, ppid): (&IntelModel, &[u8; 16]),
    now: u64,
) -> Result<Vec<u8>, AttesterError> {
    let mut extensions = common(key, issuer, "platform", OF_LEAF, &sequence(&[]));
    extensions.push(extension("1.2.840.113741.1.13.1", false, &platform(model, ppid)));
    certificate((PCK, key), (ISSUER, issuer), serial, (now, LEAF_LIFETIME_S), &extensions)
}

/// Intel's extension of a PCK certificate of the platform's CA.
fn platform(model: &IntelModel, ppid: &[u8; 16]) -> Vec<u8> {
    let named = |id: &'static str, value: Vec<u8>| sequence(&[oid(id), value]);
    let components = [
        "1.2.840.113741.1.13.1.2.1",
        "1.2.840.113741.1.13.1.2.2",
        "1.2.840.113741.1.13.1.2.3",
        "1.2.840.113741.1.13.1.2.4",
        "1.2.840.113741.1.13.1.2.5",
        "1.2.840.113741.1.13.1.2.6",
        "1.2.840.113741.1.13.1.2.7",
        "1.2.840.113741.1.13.1.2.8",
        "1.2.840.113741.1.13.1.2.9",
        "1.2.840.113741.1.13.1.2.10",
        "1.2.840.113741.1.13.1.2.11",
        "1.2.840.113741.1.13.1.2.12",
        "1.2.840.113741.1.13.1.2.13",
        "1.2.840.113741.1.13.1.2.14",
        "1.2.840.113741.1.13.1.2.15",
        "1.2.840.113741.1.13.1.2.16",
    ];
    let mut tcb: Vec<Vec<u8>> =
        components.into_iter().zip(model.cpu_svn).map(|(id, svn)| named(id, integer(&[svn]))).collect();
    tcb.push(named("1.2.840.113741.1.13.1.2.17", integer(&model.pce_svn.to_be_bytes())));
    tcb.push(named("1.2.840.113741.1.13.1.2.18", octets(&model.cpu_svn)));
    let configuration = [
        named("1.2.840.113741.1.13.1.7.1", boolean_true()),
        named("1.2.840.113741.1.13.1.7.2", boolean_true()),
        named("1.2.840.113741.1.13.1.7.3", boolean_true()),
    ];
    let mut parts = vec![
        named("1.2.840.113741.1.13.1.1", octets(ppid)),
        named("1.2.840.113741.1.13.1.2", sequence(&tcb)),
        named("1.2.840.113741.1.13.1.3", octets(&[0, 0])),
        named("1.2.840.113741.1.13.1.4", octets(&model.fmspc)),
        named("1.2.840.113741.1.13.1.5", element(ENUMERATED, &[1])),
        named("1.2.840.113741.1.13.1.6", octets(ppid)),
    ];
    if model.says_flags {
        parts.push(named("1.2.840.113741.1.13.1.7", sequence(&configuration)));
    }
    sequence(&parts)
}

/// A CRL of the root's or the issuer's.
pub(super) fn crl(
    (is_root, key): (bool, &P256Key),
    revoked: &[[u8; 20]],
    this_update: u64,
    next_update: u64,
) -> Result<Vec<u8>, AttesterError> {
    let mut parts = vec![
        integer(&[1]),
        algorithm(),
        name(if is_root { ROOT } else { ISSUER }),
        time(this_update),
        time(next_update),
    ];
    if !revoked.is_empty() {
        // Reason: the key was compromised.
        let reason = extension("2.5.29.21", false, &element(ENUMERATED, &[1]));
        let entry = |serial: &[u8; 20]| {
            sequence(&[integer(serial), time(this_update), sequence(std::slice::from_ref(&reason))])
        };
        parts.push(sequence(&revoked.iter().map(entry).collect::<Vec<_>>()));
    }
    let extensions = [
        extension("2.5.29.20", false, &integer(&[1])),
        extension("2.5.29.35", false, &sequence(&[element(CONTEXT, &identifier(key))])),
    ];
    parts.push(explicit(0, &sequence(&extensions)));
    signed(&sequence(&parts), key)
}

/// The extensions of every certificate, in Intel's order.
fn common(key: &P256Key, issuer: &P256Key, crl: &str, usage: [u8; 2], constraints: &[u8]) -> Vec<Vec<u8>> {
    let uri = element(IA5_URI, format!("https://simulation.invalid/{crl}.crl").as_bytes());
    let points = sequence(&[sequence(&[explicit(0, &explicit(0, &uri))])]);
    vec![
        extension("2.5.29.35", false, &sequence(&[element(CONTEXT, &identifier(issuer))])),
        extension("2.5.29.31", false, &points),
        extension("2.5.29.14", false, &octets(&identifier(key))),
        extension("2.5.29.15", true, &element(0x03, &usage)),
        extension("2.5.29.19", true, constraints),
    ]
}

fn certificate(
    (subject, key): (&str, &P256Key),
    (issuer, issuer_key): (&str, &P256Key),
    serial: &[u8],
    (from, lifetime): (u64, u64),
    extensions: &[Vec<u8>],
) -> Result<Vec<u8>, AttesterError> {
    let algorithms = sequence(&[oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")]);
    let body = sequence(&[
        explicit(0, &integer(&[2])),
        integer(serial),
        algorithm(),
        name(issuer),
        sequence(&[time(from), time(from.saturating_add(lifetime))]),
        name(subject),
        sequence(&[algorithms, bits(key.point())]),
        explicit(3, &sequence(extensions)),
    ]);
    signed(&body, issuer_key)
}

fn signed(to_be_signed: &[u8], key: &P256Key) -> Result<Vec<u8>, AttesterError> {
    let signature = key.sign_asn1(to_be_signed)?;
    Ok(sequence(&[to_be_signed.to_vec(), algorithm(), bits(&signature)]))
}

/// ECDSA with SHA-256.
fn algorithm() -> Vec<u8> {
    sequence(&[oid("1.2.840.10045.4.3.2")])
}

/// Key identifier: the first 160 bits of SHA-256 of the key (RFC 7093 method 1).
fn identifier(key: &P256Key) -> Vec<u8> {
    Sha256::digest(key.point()).iter().take(20).copied().collect()
}

/// A name in Intel's order of attributes.
fn name(common_name: &str) -> Vec<u8> {
    let attribute = |id: &'static str, value: Vec<u8>| set(&[sequence(&[oid(id), value])]);
    sequence(&[
        attribute("2.5.4.3", utf8(common_name)),
        attribute("2.5.4.10", utf8(ORGANISATION)),
        attribute("2.5.4.7", utf8("Santa Clara")),
        attribute("2.5.4.8", utf8("CA")),
        attribute("2.5.4.6", printable("US")),
    ])
}

fn extension(id: &'static str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean_true());
    }
    parts.push(octets(value));
    sequence(&parts)
}
