//! What a policy did not ask of evidence that it let pass: so that a verdict does not say more than was found.
//!
//! In scope: values more lenient than the defaults, by the kinds that were appraised, and revocation where no list and no
//! answer was there. Out of scope: whether that is right, which is for the policy's owner to say (`lint`).

use super::appraisal::Appraisal;
use super::component::Component;
use super::kinds::{self, Kind};
use super::lint::{Level, Remark};
use super::policy::AppraisalPolicy;

/// The check that looks at lists and answers.
const REVOCATION: &str = "revocation";

/// What was not asked, as keys of the policy (`sev_snp.vmpl`) or names of checks (`revocation`), each once.
pub fn not_asked(appraisal: &Appraisal, policy: &AppraisalPolicy) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for component in appraisal.components() {
        let Some(kind) = kinds::by_name(component.kind()) else { continue };
        let lenient = lenient(kind, policy).into_iter();
        let unlisted = is_unlisted(component).then(|| REVOCATION.to_owned());
        for one in lenient.chain(unlisted) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

/// The keys of a kind's sections, that of the report inside included, with a value more lenient than the default.
fn lenient(kind: &dyn Kind, policy: &AppraisalPolicy) -> Vec<String> {
    let mut remarks: Vec<Remark> = Vec::new();
    kind.lint(policy, &mut remarks);
    if let Some(inside) = kind.inside().and_then(kinds::by_name) {
        let mut inner = Vec::new();
        inside.lint(policy, &mut inner);
        // What runs is a question about the whole.
        remarks.extend(inner.into_iter().filter(|remark| !remark.at.ends_with("require_reference_value")));
    }
    remarks.into_iter().filter(|remark| remark.level == Level::Note).map(|remark| remark.at).collect()
}

/// Whether nobody said anything of revocation, and it passed all the same.
fn is_unlisted(component: &Component) -> bool {
    let passed = component.checks().iter().any(|check| check.name() == REVOCATION && check.ok());
    let used = &component.finding().collateral;
    passed && used.crls().is_empty() && !used.documents().iter().any(kinds::nvidia::is_answer)
}
