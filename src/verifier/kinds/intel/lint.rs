//! What the owner of a policy will hardly have meant about an Intel platform, of TDX and SGX alike.

use dcap_qvl::TcbStatus;

use super::rules::{Ppid, TcbRules};
use crate::verifier::lint::{self, Remark};
use crate::verifier::policy::NamedBy;

/// Of a section, `tdx` or `sgx`, whose rules for attributes are given as what must and what may not be set.
pub(in crate::verifier) fn lint(
    section: &str,
    rules: &TcbRules,
    machines: &NamedBy<Ppid>,
    out: &mut Vec<Remark>,
) {
    let at = |key: &str| format!("{section}.tcb.{key}");
    for status in rules.statuses.iter().filter(|status| **status != TcbStatus::UpToDate) {
        out.push(Remark::lenient(at("statuses"), status));
    }
    if rules.out_of_date_grace_s > 0 {
        out.push(Remark::lenient(
            at("out_of_date_grace_s"),
            format!("{} s out of date", rules.out_of_date_grace_s),
        ));
    }
    if rules.require_flags && !rules.forbids_flags() {
        out.push(Remark::warning(at("require_flags"), "no flag is forbidden: it has no effect"));
    }
    lint::named(&format!("{section}.machine"), "PPID", machines, out);
}

/// Why no platform can pass.
pub(in crate::verifier) fn impossible(rules: &TcbRules) -> Option<String> {
    let none = rules.statuses.is_empty() && rules.out_of_date_grace_s == 0;
    none.then(|| "tcb.statuses allows none".to_owned())
}

/// Whether the rules ask for nothing that this check could find missing.
pub(in crate::verifier) fn is_off(rules: &TcbRules, check: &str) -> bool {
    match check {
        "advisories" => rules.denied_advisories.is_empty(),
        "tcb-evaluation" => rules.min_evaluation_number.is_none(),
        "platform" => !rules.forbids_flags(),
        _ => false,
    }
}

/// Bits that a policy requires and forbids, or that every platform or none has.
pub(in crate::verifier) fn contradiction(
    what: &str,
    (required, forbidden): (u64, u64),
    (always, never): (u64, u64),
) -> Option<String> {
    [
        (required & forbidden, "are required and forbidden"),
        (forbidden & always, "are forbidden, and must be set"),
        (required & never, "are required, and may not be set"),
    ]
    .into_iter()
    .find(|(bits, _)| *bits != 0)
    .map(|(bits, why)| format!("{what} {bits:#x} {why}"))
}
