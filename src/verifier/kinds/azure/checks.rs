//! What is the paravisor's and the vTPM's in such evidence, checked; the report's own checks are its kind's.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::super::tpm::quote::{self, Quoted};
use super::runtime::Runtime;
use super::{Container, Policy};
use crate::verifier::checks::{Check, Found, Harm, Outcome, fail, relaxed};
use crate::verifier::reference::{ReferenceValue, ReferenceValues, Words};

/// Everything a check may look at.
pub(super) struct Context<'a> {
    pub(super) container: Result<&'a Container, &'a str>,
    pub(super) runtime: Option<Result<&'a Runtime, &'a str>>,
    pub(super) quoted: Quoted<'a>,
    pub(super) report_data: Option<[u8; 64]>,
    pub(super) level: Option<u32>,
    pub(super) policy: &'a Policy,
    pub(super) kind: &'static str,
    pub(super) reference: Option<&'a ReferenceValue>,
    pub(super) references: &'a ReferenceValues,
}

/// What comes before the checks of the report.
pub(super) fn table_before<'a>() -> [Check<Context<'a>>; 8] {
    [
        Check::firm("container", Harm::NotAuthentic, container),
        Check::firm("runtime-data", Harm::NotAuthentic, runtime_data),
        Check::firm("runtime-binding", Harm::NotAuthentic, runtime_binding),
        Check::firm("quote-type", Harm::NotAuthentic, |context| quote::quote_type(&context.quoted)),
        Check::firm("quote-key", Harm::NotAuthentic, |context| quote::quote_key(&context.quoted)),
        Check::firm("quote-signature", Harm::NotAuthentic, |context| quote::signature(&context.quoted)),
        Check::firm("pcr-digest", Harm::NotAuthentic, |context| quote::pcr_digest(&context.quoted)),
        Check::firm("boot-log", Harm::NotAuthentic, |context| quote::boot_log(&context.quoted)),
    ]
}

/// What holds of SEV-SNP alone.
pub(super) fn table_snp<'a>() -> [Check<Context<'a>>; 1] {
    [Check::firm("paravisor-level", Harm::NotAuthentic, paravisor_level)]
}

/// What comes after them.
pub(super) fn table_after<'a>() -> [Check<Context<'a>>; 3] {
    [
        Check::waivable("secure-boot", Harm::Configuration, secure_boot),
        Check::waivable("console", Harm::Configuration, console),
        Check::waivable("reference-value", Harm::Executables, reference_value),
    ]
}

impl<'a> Context<'a> {
    fn runtime(&self) -> Result<&'a Runtime, Found> {
        let read = self.runtime.ok_or(Found::NotEvaluated("the evidence could not be read"))?;
        read.map_err(|_| Found::NotEvaluated("the runtime data could not be read"))
    }
}

fn container(context: &Context<'_>) -> Outcome {
    match context.container {
        Ok(_) => Ok("report, runtime data and quote, in the one encoding".to_owned()),
        Err(reason) => fail(reason),
    }
}

fn runtime_data(context: &Context<'_>) -> Outcome {
    match context.runtime {
        Some(Ok(_)) => Ok("JSON with the key of the vTPM and the configuration of the VM".to_owned()),
        Some(Err(reason)) => fail(reason),
        None => Err(Found::NotEvaluated("the evidence could not be read")),
    }
}

/// The report is for this runtime data, octet for octet: so it vouches for the key in it.
fn runtime_binding(context: &Context<'_>) -> Outcome {
    let Ok(container) = context.container else {
        return Err(Found::NotEvaluated("the evidence could not be read"));
    };
    let report_data = context.report_data.ok_or(Found::NotEvaluated("the report could not be read"))?;
    let mut wanted = [0; 64];
    let digest = Sha256::digest(&container.runtime);
    wanted.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    if bool::from(report_data.ct_eq(&wanted)) {
        Ok("REPORT_DATA is the SHA-256 of the runtime data".to_owned())
    } else {
        fail("REPORT_DATA is not the SHA-256 of the runtime data")
    }
}

/// The guest itself may ask for reports, at a lower level and for data of its own: such a one vouches for no paravisor.
fn paravisor_level(context: &Context<'_>) -> Outcome {
    match context.level {
        None => Err(Found::NotEvaluated("the report could not be read")),
        Some(0) => Ok("requested at VMPL 0, where the paravisor is".to_owned()),
        Some(level) => fail(format!("requested at VMPL {level}, which is not the paravisor's")),
    }
}

/// The paravisor's word, unless a log that leads to the registers proves the opposite: then one of them is not what it
/// seems, whatever the policy requires.
fn secure_boot(context: &Context<'_>) -> Outcome {
    let said = context.runtime()?.vm.secure_boot;
    match (said, context.quoted.secure_boot(), context.policy.require_secure_boot) {
        (Some(true), Some(false), _) => {
            fail("the paravisor says on, and the event log proves that it was off")
        }
        (Some(true), Some(true), _) => Ok("on, as the paravisor says and the event log proves".to_owned()),
        (Some(true), None, _) => Ok("on, as the paravisor says".to_owned()),
        (_, _, true) => fail("the paravisor does not say that it is on, and the policy requires it"),
        (_, _, false) => relaxed("require_secure_boot", "not on; the policy does not require it"),
    }
}

fn console(context: &Context<'_>) -> Outcome {
    match (context.runtime()?.vm.console_enabled, context.policy.forbid_console) {
        (Some(false), _) => Ok("no serial console".to_owned()),
        (_, true) => fail("the VM has a serial console, or does not say, and the policy forbids it"),
        (_, false) => Ok("the policy does not forbid a serial console".to_owned()),
    }
}

fn reference_value(context: &Context<'_>) -> Outcome {
    if context.container.is_err() || context.report_data.is_none() {
        return Err(Found::NotEvaluated("the evidence could not be read"));
    }
    let words = Words {
        found: "the measurements are those of",
        unjudged: "the measurements are",
        unknown: "the measurements are those of",
    };
    let required = context.policy.require_reference_value;
    context.references.judge(context.kind, required, context.reference, &words)
}
