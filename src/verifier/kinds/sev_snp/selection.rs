//! Several VCEKs or VLEKs in one collateral, for several components: which of them is for this report.
//!
//! What is chosen here is trusted for nothing: the checks judge it as if it had come alone.

use std::borrow::Cow;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

use super::certificate::{Endorsement, Parsed, Role};
use super::report::{Report, SigningKey, all_zero};
use super::snapshot::read;
use crate::verifier::collateral::Collateral;

/// Common names of the certificates in question, as octets anywhere in them.
const NAMES: [&[u8]; 2] = [b"SEV-VCEK", b"SEV-VLEK"];

/// The collateral for one report: as given, unless there are several VCEKs and VLEKs; then the one that fits, with the
/// certificates that may have issued it, and all CRLs. If none fits it stays as given, and is refused.
pub(super) fn of_one<'a>(given: &'a Collateral, report: Option<&Report>) -> Cow<'a, Collateral> {
    // Most have one: found without reading any certificate.
    let named = |der: &&Vec<u8>| der.windows(NAMES[0].len()).any(|window| NAMES.contains(&window));
    let (Some(report), true) = (report, given.certificates().iter().filter(named).count() > 1) else {
        return Cow::Borrowed(given);
    };
    let parsed = read(given);
    let of_keys: Vec<(&Parsed, SigningKey)> = parsed
        .iter()
        .filter_map(|one| match one.role() {
            Role::Endorsement(kind) => Some((one, kind)),
            Role::Root(_) | Role::Intermediate(_) | Role::Other => None,
        })
        .collect();
    if of_keys.len() < 2 {
        return Cow::Borrowed(given);
    }
    let fits = of_keys.into_iter().filter_map(|(one, kind)| {
        let endorsement = one.endorsement(kind).ok().filter(|endorsement| is_of(report, endorsement))?;
        Some((one, endorsement))
    });
    let mut fits: Vec<(&Parsed, Endorsement)> = fits.collect();
    // A masked chip fits every VCEK of its TCB, and a vendor may issue one anew: the signature tells.
    if fits.len() > 1 {
        fits.retain(|(_, endorsement)| signed(report, endorsement));
    }
    let Some((chosen, _)) = fits.first() else {
        return Cow::Borrowed(given);
    };
    let issuers: Vec<&Parsed> =
        parsed.iter().filter(|one| is_issuer(one) && chosen.names_issuer(one)).collect();
    let roots = parsed.iter().filter(|one| {
        one.is_self_issued() && (issuers.is_empty() || issuers.iter().any(|issuer| issuer.names_issuer(one)))
    });
    let kept = std::iter::once(*chosen).chain(issuers.iter().copied()).chain(roots);
    let certificates = kept.map(|one| one.der().to_vec()).collect();
    Cow::Owned(Collateral::of_parts(certificates, given.crls().to_vec(), Vec::new()))
}

fn is_issuer(one: &Parsed) -> bool {
    matches!(one.role(), Role::Intermediate(_))
}

/// Whether the report says that it is of this key: its kind, its TCB and, of a VCEK, its chip.
fn is_of(report: &Report, endorsement: &Endorsement) -> bool {
    if report.signing_key() != Ok(endorsement.kind) || report.reported_tcb() != endorsement.tcb {
        return false;
    }
    let chip = &report.fields().chip_id;
    match (endorsement.kind, &endorsement.hardware_id) {
        (SigningKey::Vlek, _) => true,
        (SigningKey::Vcek, _) if all_zero(chip) => true,
        (SigningKey::Vcek, Some(id)) => chip.starts_with(id),
        (SigningKey::Vcek, None) => false,
    }
}

fn signed(report: &Report, endorsement: &Endorsement) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &endorsement.public_key);
    key.verify(report.signed(), &report.signature()).is_ok()
}
