//! What of the collateral given is this kind's: AMD's certificates, filled in where the caller gave none.

use super::certificate::{Parsed, Role};
use super::generation::built_in;
use crate::verifier::collateral::Collateral;

/// The certificates, as far as they are of AMD's form.
pub(super) fn read(collateral: &Collateral) -> Vec<Parsed> {
    collateral.certificates().iter().filter_map(|der| Parsed::read(der).ok()).collect()
}

/// The snapshot that an appraisal really rests on: where the caller gave no intermediate or no root, AMD's own
/// are added. What the caller gave is never replaced: a wrong chain is refused, not repaired.
pub(super) fn completed(given: &Collateral) -> Vec<Parsed> {
    let mut parsed = read(given);
    for wanted in [is_intermediate, is_root] {
        if parsed.iter().any(wanted) {
            continue;
        }
        let built_in = built_in().filter_map(|der| Parsed::read(&der).ok());
        let missing =
            built_in.filter(wanted).find(|issuer| parsed.iter().any(|one| one.names_issuer(issuer)));
        parsed.extend(missing);
    }
    parsed
}

/// A snapshot of these certificates and CRLs alone: what a chain was found in need not be kept whole.
pub(super) fn only(certificates: &[&Parsed], crls: Vec<Vec<u8>>) -> Collateral {
    Collateral::of_parts(certificates.iter().map(|one| one.der().to_vec()).collect(), crls, Vec::new())
}

fn is_intermediate(certificate: &Parsed) -> bool {
    matches!(certificate.role(), Role::Intermediate(_))
}

fn is_root(certificate: &Parsed) -> bool {
    matches!(certificate.role(), Role::Root(_))
}
