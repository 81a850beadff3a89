//! OCSP responses (RFC 6960) as collateral: what a responder said about a certificate, signed.
//!
//! In scope: basic responses signed by the issuer of the certificate, or by a responder whose certificate the issuer
//! signed for that purpose. Out of scope: asking, and nonces (an answer that is to be replayed years later is not
//! fresh; it is of its time).

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384};
use treering_provenance::x509::{self, Profile};
use x509_cert::Certificate;
use x509_cert::der::asn1::{GeneralizedTime, ObjectIdentifier};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::chain::Link;
use super::der::{self, Element, Elements};
use super::revocation::{Word, parsed};
use crate::verifier::certificates::called;

/// Media type of an OCSP response (RFC 6960 appendix C.2).
pub const OCSP_RESPONSE: &str = "application/ocsp-response";
/// Seconds that an answer holds which does not say how long: newer information is always to be had (RFC 6960
/// section 4.2.2.1), so not long.
const WITHOUT_END_S: u64 = 86_400;
/// id-pkix-ocsp-basic, content octets.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
/// Hash algorithms that certificates are named by, content octets. SHA-1 names here and proves nothing.
const SHA1_OID: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];

/// Reasons of a revocation (RFC 5280 section 5.3.1) that have a name worth showing.
const CERTIFICATE_HOLD: u8 = 6;
const KEY_COMPROMISE: u8 = 1;

/// What a response says about this chain: nothing if it speaks of others, an error if it cannot be believed.
pub(super) fn read(octets: &[u8], chain: &[Link]) -> Vec<Result<Word, String>> {
    let response = match Response::read(octets) {
        Ok(response) => response,
        Err(error) => return vec![Err(format!("not an OCSP response: {error}"))],
    };
    let about = response.answers.iter().filter_map(|answer| {
        let position =
            chain.windows(2).position(|pair| matches!(pair, [one, issuer] if answer.names(one, issuer)))?;
        Some((position, answer))
    });
    about.map(|(position, answer)| response.word(position, answer, chain)).collect()
}

/// What a responder sent back, before anybody looks at whose signature it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OcspReply {
    /// Answers about certificates with these serial numbers.
    Answers(Vec<Vec<u8>>),
    /// None: the request was not one that it answers (`malformedRequest`, `sigRequired`, `unauthorized`).
    Refused,
    /// None now: it has trouble of its own (`internalError`, `tryLater`).
    Trouble,
}

/// Reads what a responder sent back.
pub fn read_reply(octets: &[u8]) -> Result<OcspReply, String> {
    let status = |octets| -> Result<Vec<u8>, String> {
        let mut outer = Elements::of(der::only(octets, der::SEQUENCE)?)?;
        Ok(outer.want(der::ENUMERATED)?.content.to_vec())
    };
    match status(octets)?.as_slice() {
        [0] => {
            let response = Response::read(octets)?;
            Ok(OcspReply::Answers(response.answers.iter().map(|answer| answer.serial.to_vec()).collect()))
        }
        [2 | 3] => Ok(OcspReply::Trouble),
        _ => Ok(OcspReply::Refused),
    }
}

/// The serial numbers of the certificates that a response is about; none of what is no response.
pub(super) fn serials(octets: &[u8]) -> Vec<Vec<u8>> {
    match read_reply(octets) {
        Ok(OcspReply::Answers(serials)) => serials,
        _ => Vec::new(),
    }
}

/// Until when a response holds, if it is one.
pub(in crate::verifier) fn until(octets: &[u8]) -> Option<u64> {
    Response::read(octets).ok()?.answers.iter().map(|answer| answer.until).min()
}

/// When a response was made for, if it is one.
pub(in crate::verifier) fn from(octets: &[u8]) -> Option<u64> {
    Response::read(octets).ok()?.answers.iter().map(|answer| answer.from).max()
}

/// A response, taken apart.
struct Response<'a> {
    /// What is signed, the algorithm and the signature, put together as a certificate is.
    signed: Vec<u8>,
    answers: Vec<Answer<'a>>,
    /// Certificates of the responder, in DER.
    certificates: Vec<&'a [u8]>,
}

/// What is said about one certificate.
struct Answer<'a> {
    algorithm: &'a [u8],
    issuer_name: &'a [u8],
    issuer_key: &'a [u8],
    serial: &'a [u8],
    /// Good, or why not.
    status: Result<(), String>,
    from: u64,
    until: u64,
}

impl<'a> Response<'a> {
    /// `OCSPResponse ::= SEQUENCE { responseStatus, [0] { SEQUENCE { responseType, response } } }`.
    fn read(octets: &'a [u8]) -> Result<Self, String> {
        let mut outer = Elements::of(der::only(octets, der::SEQUENCE)?)?;
        let status = outer.want(der::ENUMERATED)?;
        if status.content != [0] {
            return Err(format!("the responder did not answer (status {:?})", status.content));
        }
        let body = outer.want(der::constructed(0))?;
        outer.finish()?;
        let mut body = Elements::of(der::only(body.content, der::SEQUENCE)?)?;
        let (kind, response) = (body.next()?, body.want(der::OCTET_STRING)?);
        body.finish()?;
        if kind.content != BASIC {
            return Err("it is not a basic response".to_owned());
        }
        Self::basic(response.content)
    }

    fn basic(octets: &'a [u8]) -> Result<Self, String> {
        let mut fields = Elements::of(der::only(octets, der::SEQUENCE)?)?;
        let data = fields.want(der::SEQUENCE)?;
        let algorithm = fields.want(der::SEQUENCE)?;
        let signature = fields.want(der::BIT_STRING)?;
        let mut certificates = Vec::new();
        if let Some(list) = fields.optional(der::constructed(0))? {
            let mut list = Elements::of(der::only(list.content, der::SEQUENCE)?)?;
            while let Some(one) = list.take()? {
                certificates.push(one.whole);
            }
        }
        fields.finish()?;
        let signature = signature.content.strip_prefix(&[0]).ok_or("the signature has unused bits")?;
        Ok(Self {
            signed: x509::assemble_certificate(data.whole, algorithm.whole, signature),
            answers: answers(data.content)?,
            certificates,
        })
    }

    fn word(&self, about: usize, answer: &Answer<'_>, chain: &[Link]) -> Result<Word, String> {
        let Some([one, issuer, ..]) = chain.get(about..) else {
            return Err("no such certificate".to_owned());
        };
        let window = self.signer(issuer).ok_or_else(|| {
            format!("neither {} nor a responder of its choice signed the OCSP response", issuer.name)
        })?;
        Ok(Word {
            about,
            what: "ocsp-response",
            from: answer.from,
            until: Some(answer.until.min(window.1)),
            signer_from: window.0,
            revoked: answer
                .status
                .as_ref()
                .err()
                .map(|status| format!("{} is {status} (OCSP)", called(one.name, &one.der))),
        })
    }

    /// When the key that signed may speak for this issuer: always for its own; a responder's, while its certificate is
    /// valid (RFC 6960 section 4.2.2.2).
    fn signer(&self, issuer: &Link) -> Option<(u64, u64)> {
        if x509::is_signed_by(&self.signed, issuer.profile.spki()) {
            return Some((0, u64::MAX));
        }
        self.certificates.iter().find_map(|der| {
            let profile = Profile::parse(der).ok()?;
            let issued = profile.names_issuer(&issuer.profile)
                && profile.algorithms_agree()
                && x509::is_signed_by(der, issuer.profile.spki());
            let speaks = issued && may_answer(der) && x509::is_signed_by(&self.signed, profile.spki());
            speaks.then(|| profile.validity())
        })
    }
}

fn may_answer(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    match certificate.tbs_certificate().get_extension::<ExtendedKeyUsage>() {
        Ok(Some((_, usages))) => usages.0.contains(&OCSP_SIGNING),
        _ => false,
    }
}

/// `ResponseData ::= SEQUENCE { [0] version, responderID, producedAt, responses, [1] extensions }`.
fn answers(data: &[u8]) -> Result<Vec<Answer<'_>>, String> {
    let mut fields = Elements::of(data)?;
    if fields.optional(der::constructed(0))?.is_some() {
        return Err("its version is written out, which DER leaves out".to_owned());
    }
    let _responder = fields.next()?;
    let _produced = fields.want(der::GENERALIZED_TIME)?;
    let list = fields.want(der::SEQUENCE)?;
    fields.optional(der::constructed(1))?;
    fields.finish()?;
    let (mut list, mut answers) = (Elements::of(list.content)?, Vec::new());
    while let Some(one) = list.take()? {
        answers.push(answer(one.content)?);
    }
    Ok(answers)
}

/// `SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, [0] nextUpdate, [1] extensions }`.
fn answer(octets: &[u8]) -> Result<Answer<'_>, String> {
    let mut fields = Elements::of(octets)?;
    let name = fields.want(der::SEQUENCE)?;
    let status = status(fields.next()?)?;
    let from = time(fields.next()?)?;
    let until = match fields.optional(der::constructed(0))? {
        Some(next) => time(Elements::of(next.content)?.next()?)?,
        None => from.saturating_add(WITHOUT_END_S),
    };
    fields.optional(der::constructed(1))?;
    fields.finish()?;
    let mut name = Elements::of(name.content)?;
    let (algorithm, issuer_name, issuer_key, serial) =
        (name.next()?, name.next()?, name.next()?, name.next()?);
    name.finish()?;
    Ok(Answer {
        algorithm: Elements::of(algorithm.content)?.next()?.content,
        issuer_name: issuer_name.content,
        issuer_key: issuer_key.content,
        serial: serial.content,
        status,
        from,
        until,
    })
}

/// `good [0] NULL, revoked [1] { time, [0] reason }, unknown [2] NULL`.
fn status(element: Element<'_>) -> Result<Result<(), String>, String> {
    if element.tag == der::primitive(0) {
        return Ok(Ok(()));
    }
    if element.tag == der::primitive(2) {
        return Ok(Err("unknown to its issuer".to_owned()));
    }
    if element.tag != der::constructed(1) {
        return Err(format!("a status with tag {:#04x}", element.tag));
    }
    let mut fields = Elements::of(element.content)?;
    let _when = fields.want(der::GENERALIZED_TIME)?;
    let reason = match fields.optional(der::constructed(0))? {
        Some(reason) => der::only(reason.content, der::ENUMERATED)?.last().copied(),
        None => None,
    };
    fields.finish()?;
    Ok(Err(match reason {
        Some(CERTIFICATE_HOLD) => "on hold".to_owned(),
        Some(KEY_COMPROMISE) => "revoked, its key compromised".to_owned(),
        Some(reason) => format!("revoked, for reason {reason}"),
        None => "revoked".to_owned(),
    }))
}

fn time(element: Element<'_>) -> Result<u64, String> {
    let time = GeneralizedTime::from_der(element.whole).map_err(|error| error.to_string())?;
    Ok(time.to_unix_duration().as_secs())
}

impl Answer<'_> {
    /// Whether it is about this certificate of this issuer.
    fn names(&self, one: &Link, issuer: &Link) -> bool {
        let algorithm = match self.algorithm {
            SHA1_OID => &SHA1_FOR_LEGACY_USE_ONLY,
            SHA256_OID => &SHA256,
            SHA384_OID => &SHA384,
            _ => return false,
        };
        let Ok(certificate) = parsed(issuer) else { return false };
        let Ok(name) = certificate.tbs_certificate().subject().to_der() else { return false };
        let key = certificate.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
        self.serial.iter().skip_while(|octet| **octet == 0).eq(one
            .profile
            .serial()
            .iter()
            .skip_while(|octet| **octet == 0))
            && digest::digest(algorithm, &name).as_ref() == self.issuer_name
            && digest::digest(algorithm, key).as_ref() == self.issuer_key
    }
}
