//! What Intel's quotes of TDX and SGX have in common: form, certificates, collateral, and the verdict on them.
//!
//! The crate `dcap-qvl` verifies: signatures, certificates, CRLs, TCB levels, identity of the quoting enclave. It gives
//! one answer, and stops at the first thing that is wrong; here its answer is taken apart into checks by name
//! ([`verdict`]), and what it does not look at is added: that a quote has one form only ([`quote`]), which collateral
//! is taken ([`collateral`]), and what the owner of the policy allows ([`rules`]).
//! References: *DCAP* is Intel's "SGX ECDSA Quote Library Reference" and "TDX DCAP Quoting Library API" (the layouts
//! of quotes version 3, 4 and 5), *PCS* is the API of Intel's Provisioning Certification Service, version 4.

mod authenticity;
mod claims;
mod collateral;
mod explain;
pub(in crate::verifier) mod lint;
mod provider;
mod quote;
mod rules;
mod verdict;
mod wanted;

pub(in crate::verifier) use authenticity::{module_step, table as authenticity};
pub(in crate::verifier) use claims::{PlatformClaims, platform};
pub use collateral::{ENCLAVE_IDENTITY_TYPE, TCB_INFO_TYPE};
pub(in crate::verifier) use collateral::{edition, read as read_collateral, until};
pub(in crate::verifier) use explain::octets;
pub use quote::quote_length;
pub(in crate::verifier) use quote::{Quote, Tee, Unreadable, ends, looks_like_a_quote, parts};
pub(in crate::verifier) use rules::{Ppid, TcbRules, table as rules};
pub(in crate::verifier) use verdict::Verdict;
pub(in crate::verifier) use wanted::{named_crls, named_documents, wants};

use dcap_qvl::QuoteClaims;

use super::Input;
use crate::verifier::checks::Found;
use crate::verifier::collateral::Collateral;
use crate::verifier::policy::{CollateralPolicy, NamedBy};
use crate::verifier::roots::{HardwareRoots, fingerprint};

/// Intel's root, in DER: "Intel SGX Root CA", valid to the end of 2049.
const ROOT: &[u8] = include_bytes!("intel/root-ca.der");
/// Its SHA-256. Written out so that a change of the built-in file is a change of two files.
const ROOT_PIN: [u8; 32] = [
    0x44, 0xa0, 0x19, 0x6b, 0x2b, 0x99, 0xf8, 0x89, 0xb8, 0xe1, 0x49, 0xe9, 0x5b, 0x80, 0x7a, 0x35, 0x0e,
    0x74, 0x24, 0x96, 0x43, 0x99, 0xe8, 0x85, 0xa7, 0xcb, 0xb8, 0xcc, 0xfa, 0xb6, 0x74, 0xd3,
];

/// The vendor's root, for the list of all.
pub(in crate::verifier) fn vendor_root() -> (String, [u8; 32]) {
    ("intel-sgx-root-ca".to_owned(), ROOT_PIN)
}

/// The root that a quote's own certificates end in, if it is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verifier) struct Root {
    der: Vec<u8>,
    pub(in crate::verifier) simulated: bool,
}

/// Looks up a root by its hash: which octets are trusted never depends on what came with the evidence.
fn pinned(roots: &HardwareRoots, der: &[u8]) -> Result<Root, String> {
    let print = fingerprint(der);
    if print == ROOT_PIN {
        return Ok(Root { der: ROOT.to_vec(), simulated: false });
    }
    if roots.is_simulated(&print) {
        return Ok(Root { der: der.to_vec(), simulated: true });
    }
    let hex = data_encoding::HEXLOWER.encode(&print);
    Err(format!("the quote's certificates end in a root with SHA-256 {hex}, which is not pinned"))
}

/// A quote with everything that was found out about it; what the checks of both kinds look at.
pub(in crate::verifier) struct Judged<'a> {
    pub(in crate::verifier) tee: Tee,
    pub(in crate::verifier) quote: Result<Quote, Unreadable>,
    root: Result<Root, String>,
    chosen: Result<collateral::Chosen, String>,
    pub(in crate::verifier) verdict: Verdict,
    pub(in crate::verifier) tcb: &'a TcbRules,
    machines: &'a NamedBy<Ppid>,
    freshness: &'a CollateralPolicy,
    now: u64,
}

impl<'a> Judged<'a> {
    /// Judges the octets of a quote: reads it, takes its collateral out of what was given, and verifies it.
    pub(in crate::verifier) fn new(
        tee: Tee,
        octets: &[u8],
        (tcb, machines): (&'a TcbRules, &'a NamedBy<Ppid>),
        input: &Input<'a>,
    ) -> Self {
        let now = input.now;
        let quote = Quote::read(tee, octets);
        let unread = || "the quote could not be read".to_owned();
        let read = quote.as_ref().map_err(|_| unread());
        let root = read.clone().and_then(|quote| pinned(input.roots, quote.root_certificate()));
        let chosen = match (&read, &root) {
            (Ok(quote), Ok(root)) => collateral::choose(quote, &root.der, input.collateral, now),
            (Ok(_), Err(_)) => Err("no pinned root".to_owned()),
            (Err(error), _) => Err(error.clone()),
        };
        let verdict = match (&read, &root, &chosen) {
            (Ok(quote), Ok(root), Ok(chosen)) => verdict::of(quote, &root.der, chosen, now),
            _ => Verdict::not_begun(),
        };
        let freshness = input.policy.collateral();
        Self { tee, quote, root, chosen, verdict, tcb, machines, freshness, now }
    }

    pub(in crate::verifier) fn quote(&self) -> Result<&Quote, Found> {
        self.quote.as_ref().map_err(|_| Found::NotEvaluated("the quote could not be read"))
    }

    /// What was verified, if all of it was.
    pub(in crate::verifier) fn verified(&self) -> Result<&QuoteClaims, Found> {
        self.verdict.claims().ok_or(Found::NotEvaluated("the verification stopped before"))
    }

    /// Whether the root is that of a simulated platform.
    pub(in crate::verifier) fn is_simulated(&self) -> bool {
        self.root.as_ref().is_ok_and(|root| root.simulated)
    }

    /// The collateral that the verdict rests on; all that was given where there is no verdict.
    pub(in crate::verifier) fn collateral(&self, given: &Collateral) -> Collateral {
        self.chosen.as_ref().map_or_else(|_| given.clone(), |chosen| chosen.snapshot.clone())
    }

    /// What names the machine: the PPID, where it is authenticated.
    pub(in crate::verifier) fn machine(&self) -> Option<Vec<u8>> {
        let ppid = &self.verdict.claims()?.platform.pck.ppid;
        (!ppid.iter().all(|octet| *octet == 0)).then(|| ppid.clone())
    }

    /// The family of processors, where it is authenticated: Intel's FMSPC in hex.
    pub(in crate::verifier) fn generation(&self) -> Option<String> {
        let fmspc = self.verdict.claims()?.platform.pck.fmspc;
        Some(format!("fmspc-{}", data_encoding::HEXLOWER.encode(&fmspc)))
    }

    /// AR4SI's claim about the hardware, if every check holds: an allowed status is still the status that it is.
    pub(in crate::verifier) fn hardware(&self) -> i8 {
        let status = self.verdict.claims().map(|claims| claims.tcb.status);
        if status == Some(dcap_qvl::TcbStatus::UpToDate) { 2 } else { 32 }
    }
}

/// Contexts of checks that have such a quote in them.
pub(in crate::verifier) trait HasQuote {
    /// The quote.
    fn judged(&self) -> &Judged<'_>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_root_is_the_pinned_one() {
        assert_eq!(fingerprint(ROOT), ROOT_PIN);
        assert_eq!(pinned(&HardwareRoots::vendors(), ROOT).map(|root| root.simulated), Ok(false));
        pinned(&HardwareRoots::vendors(), b"another").unwrap_err();
        let simulated = HardwareRoots::with_simulated([ROOT_PIN, fingerprint(b"another")]);
        assert_eq!(pinned(&simulated, b"another").map(|root| root.simulated), Ok(true));
        let intel = pinned(&simulated, ROOT).map(|root| root.simulated);
        assert_eq!(intel, Ok(false), "Intel's root is never a simulated one");
    }
}
