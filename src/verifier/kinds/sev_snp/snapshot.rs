//! What of the collateral given is this kind's: AMD's certificates, filled in where the caller gave none.

use std::sync::LazyLock;

use super::certificate::{Parsed, Role};
use super::generation::{self, Generation};
use super::report::SigningKey;
use crate::verifier::collateral::Collateral;
use crate::verifier::wanted::Wanted;

/// AMD's own, read once.
static BUILT_IN: LazyLock<Vec<Parsed>> =
    LazyLock::new(|| generation::built_in().filter_map(|der| Parsed::read(&der).ok()).collect());

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
        let mut built_in = BUILT_IN.iter().filter(|one| wanted(one));
        let missing = built_in.find(|issuer| parsed.iter().any(|one| one.names_issuer(issuer)));
        parsed.extend(missing.cloned());
    }
    parsed
}

/// A snapshot of these certificates and CRLs alone: what a chain was found in need not be kept whole.
pub(super) fn only(certificates: &[&Parsed], crls: Vec<Vec<u8>>) -> Collateral {
    Collateral::of_parts(certificates.iter().map(|one| one.der().to_vec()).collect(), crls, Vec::new())
}

/// The parts of collateral under the names by which they are wanted: VCEKs by chip and TCB version, issuers, and the
/// CRLs of a root, which do not say whose issuers they are about.
pub(super) fn named(collateral: &Collateral) -> Vec<(String, Collateral)> {
    let mut found = Vec::new();
    for one in read(collateral) {
        match one.role() {
            Role::Endorsement(SigningKey::Vcek) => {
                let wanted = one.endorsement(SigningKey::Vcek).ok().and_then(|endorsement| {
                    let product = endorsement.product.split('-').next().unwrap_or_default();
                    let generation = Generation::from_name(product)?;
                    let (hardware_id, tcb) = (endorsement.hardware_id?, endorsement.tcb);
                    Some(Wanted::AmdVcek { generation, hardware_id, tcb })
                });
                found.extend(wanted.map(|wanted| (wanted.name(), only(&[&one], Vec::new()))));
            }
            Role::Intermediate(generation) if one.issues() == SigningKey::Vlek => {
                let wanted = Wanted::AmdChain { generation, key: SigningKey::Vlek };
                found.push((wanted.name(), only(&[&one], Vec::new())));
            }
            Role::Root(_) | Role::Intermediate(_) | Role::Endorsement(_) | Role::Other => {}
        }
    }
    for crl in collateral.crls() {
        let issuer = BUILT_IN.iter().find(|one| is_root(one) && one.verify_crl(crl).is_ok());
        if let Some(Role::Root(generation)) = issuer.map(Parsed::role) {
            for key in [SigningKey::Vcek, SigningKey::Vlek] {
                let name = Wanted::AmdCrl { generation, key }.name();
                found.push((name, only(&[], vec![crl.clone()])));
            }
        }
    }
    found
}

fn is_intermediate(certificate: &Parsed) -> bool {
    matches!(certificate.role(), Role::Intermediate(_))
}

fn is_root(certificate: &Parsed) -> bool {
    matches!(certificate.role(), Role::Root(_))
}
