//! What the authorities of a chain say about the certificates they issued: in CRLs, and in OCSP responses.
//!
//! NVIDIA publishes CRLs for its CAs' certificates, and answers by OCSP for a device's. Both are collateral: an
//! appraisal asks nobody. Each is verified over the octets received, under the certificate of the chain that issued
//! what it speaks of; what speaks of other chains is left to the components they belong to.

use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::chain::Link;
use super::ocsp;
use crate::clock::rfc3339;
use crate::verifier::certificates::called;
use crate::verifier::checks::{Outcome, fail};
use crate::verifier::collateral::Collateral;
use crate::verifier::crl::{self, Authority};
use crate::verifier::policy::CollateralPolicy;

const CRL: &str = "crl";

/// What an authority says, and when it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The position in the chain of the certificate that it speaks of, leaf 0.
    pub(super) about: usize,
    /// What it is: `crl` or `ocsp-response`, as the policy names them.
    pub(super) what: &'static str,
    /// When the authority said it, by its own signed word: of two, the later counts.
    pub(super) from: u64,
    pub(super) until: Option<u64>,
    /// From when the key that signed it may be relied on. Nobody signs which certificate of a responder goes along with an
    /// answer, so this makes nothing newer.
    pub(super) signer_from: u64,
    /// Why the certificate is not to be relied on, if it is not.
    pub(super) revoked: Option<String>,
}

impl Word {
    /// Whether it may be used at this instant.
    pub(super) fn usable(&self, freshness: &CollateralPolicy, now: u64) -> Outcome {
        let name = if self.what == CRL { "CRL" } else { "OCSP response" };
        if now < self.signer_from {
            let from = rfc3339(self.signer_from);
            return fail(format!("the certificate of who signed the {name} is not valid before {from}"));
        }
        freshness.usable(self.what, name, self.from, self.until, now)
    }
}

/// A piece of collateral about the chain, and what it says, or why it cannot be believed. Its octets are not kept with it:
/// they are the collateral's, and of an answer not all are signed.
#[derive(Debug)]
pub(super) struct Said {
    piece: Piece,
    words: Vec<Result<Word, String>>,
}

/// Which of the lists or documents given it is.
#[derive(Debug)]
enum Piece {
    Crl(usize),
    Answer(usize),
}

/// Every CRL and OCSP response about this chain, or that cannot be read.
pub(super) fn read(given: &Collateral, chain: &[Link]) -> Vec<Said> {
    let lists = given.crls().iter().enumerate().filter_map(|(position, der)| {
        let words = vec![of_crl(der, chain)?];
        Some(Said { piece: Piece::Crl(position), words })
    });
    let documents = given.documents().iter().enumerate();
    let answers = documents.filter(|(_, document)| document.media_type == ocsp::OCSP_RESPONSE);
    let answers = answers.map(|(position, document)| {
        let words = ocsp::read(&document.bytes, chain);
        Said { piece: Piece::Answer(position), words }
    });
    lists.chain(answers.filter(|said| !said.words.is_empty())).collect()
}

/// Whether all that was given can be believed.
pub(super) fn holds(said: &[Said]) -> bool {
    said.iter().flat_map(|one| &one.words).all(Result::is_ok)
}

/// What counts at an instant: of what is said of a certificate in the same way the newest, and what cannot be believed;
/// and that part of the collateral, which is the one that was read, that says it.
pub(super) fn in_force<'a>(
    said: &'a [Said],
    given: &Collateral,
    now: u64,
) -> (Vec<&'a Result<Word, String>>, Collateral) {
    let all = || said.iter().flat_map(|one| &one.words).flatten();
    let counts = |word: &Word| {
        let of_the_same = all().filter(|other| (other.about, other.what) == (word.about, word.what));
        !crl::is_superseded(word.from, of_the_same.map(|other| other.from), now)
    };
    let (mut words, mut crls, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for one in said {
        let before = words.len();
        words.extend(one.words.iter().filter(|word| word.as_ref().map_or(true, counts)));
        match one.piece {
            _ if words.len() == before => {}
            Piece::Crl(position) => crls.extend(given.crls().get(position).cloned()),
            Piece::Answer(position) => documents.extend(given.documents().get(position).cloned()),
        }
    }
    (words, Collateral::of_parts(Vec::new(), crls, documents))
}

fn of_crl(der: &[u8], chain: &[Link]) -> Option<Result<Word, String>> {
    let list: CertificateList = match CertificateList::from_der(der) {
        Ok(list) => list,
        Err(error) => return Some(Err(format!("not a CRL: {error}"))),
    };
    let is_issuer = |link: &Link| {
        parsed(link).is_ok_and(|one| *one.tbs_certificate().subject() == list.tbs_cert_list.issuer)
    };
    let issuer = chain.iter().position(is_issuer)?;
    Some(verified(der, &list, issuer, chain))
}

fn verified(der: &[u8], list: &CertificateList, issuer: usize, chain: &[Link]) -> Result<Word, String> {
    let authority = chain.get(issuer).ok_or("no such authority")?;
    let by = Authority { name: authority.name, der: &authority.der, spki: authority.profile.spki() };
    // A root that revokes itself says so about itself; every other authority speaks of the one below it.
    let about = issuer.saturating_sub(1);
    let below = chain.get(about).ok_or("the CRL is the leaf's")?;
    crl::verify(der, list, &by, &below.der)?;
    let entries = list.tbs_cert_list.revoked_certificates.as_deref().unwrap_or_default();
    let revokes =
        |link: &Link| entries.iter().any(|entry| entry.serial_number.as_bytes() == link.profile.serial());
    let revoked = [below, authority].into_iter().find(|link| {
        let issued = link.profile.names_issuer(&authority.profile);
        issued && revokes(link)
    });
    Ok(Word {
        about,
        what: CRL,
        from: list.tbs_cert_list.this_update.to_unix_duration().as_secs(),
        until: list.tbs_cert_list.next_update.map(|time| time.to_unix_duration().as_secs()),
        signer_from: 0,
        revoked: revoked
            .map(|link| format!("{} is on a CRL of {}", called(link.name, &link.der), authority.name)),
    })
}

pub(super) fn parsed(link: &Link) -> Result<Certificate, x509_cert::der::Error> {
    Certificate::from_der(&link.der)
}
