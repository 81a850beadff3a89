//! TPM 2.0 quotes: what was measured into a TPM's registers, signed by an attestation key.
//!
//! A TPM is not a TEE: it says what was booted, and keeps nobody from reading memory. So its result rests on software's
//! word ([`Assurance::Software`]), and claims nothing about memory.
//! In scope: the quote, its key and who vouches for it, the event log. Out of scope: quotes of a vTPM whose key a TEE's
//! report vouches for (`azure`), which share the checks of `quote`.
//! References: TPM 2.0 Library, Parts 1 to 3 (TCG); PC Client Platform Firmware Profile (TCG).

pub(super) mod container;
pub(super) mod explain;
pub(super) mod key;
mod lint;
pub(super) mod log;
mod policy;
pub(super) mod quote;
mod trust;
pub(super) mod wire;

use data_encoding::HEXLOWER;
use serde::Serialize;

pub(in crate::verifier) use policy::Policy;
pub(in crate::verifier) use trust::Endorsement;

use super::{About, Assurance, Finding, Input, Kind};
use crate::verifier::cache;
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm, Outcome, fail};
use crate::verifier::collateral::Collateral;
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::{EvidenceItem, TCG_EVENT_LOG, TPM_QUOTE};
use crate::verifier::lint::Remark;
use crate::verifier::parts::{Part, of_cbor};
use crate::verifier::policy::AppraisalPolicy;
use crate::verifier::reference::{ReferenceValue, ReferenceValues, Registers, Words};
use container::{Container, Unreadable};
use key::Key;
use log::BootLog;
use quote::{Bank, Quote, QuoteClaims, Quoted};
use trust::Voucher;

/// The name of this kind.
pub const NAME: &str = "tpm";
/// What the binding value is digested under.
pub const BINDING_TAG: &str = "treering-binding-tpm-v1";

/// This kind.
pub(in crate::verifier) struct Tpm;

/// Everything a check may look at.
struct Context<'a> {
    container: Result<&'a Container, &'a Unreadable>,
    quoted: Quoted<'a>,
    endorsement: Option<&'a Endorsement>,
    policy: &'a Policy,
    reference: Option<&'a ReferenceValue>,
    references: &'a ReferenceValues,
    now: u64,
}

/// All of them, in order.
fn table<'a>() -> [Check<Context<'a>>; 15] {
    [
        Check::firm("format", Harm::NotAuthentic, format),
        Check::firm("canonical", Harm::NotAuthentic, canonical),
        Check::firm("quote-type", Harm::NotAuthentic, |context| quote::quote_type(&context.quoted)),
        Check::firm("quote-key", Harm::NotAuthentic, |context| quote::quote_key(&context.quoted)),
        Check::firm("quote-signature", Harm::NotAuthentic, |context| quote::signature(&context.quoted)),
        Check::firm("pcr-digest", Harm::NotAuthentic, |context| quote::pcr_digest(&context.quoted)),
        Check::firm("boot-log", Harm::NotAuthentic, |context| quote::boot_log(&context.quoted)),
        Check::firm("endorsement", Harm::NotAuthentic, endorsement),
        Check::firm("chain", Harm::NotAuthentic, chain),
        Check::firm("root", Harm::NotAuthentic, root),
        Check::firm("validity", Harm::NotAuthentic, validity),
        Check::firm("key-attributes", Harm::NotAuthentic, container::key_attributes),
        Check::waivable("secure-boot", Harm::Configuration, |context| {
            quote::secure_boot(&context.quoted, context.policy.require_secure_boot)
        }),
        Check::firm("machine", Harm::Identity, machine),
        Check::waivable("reference-value", Harm::Executables, reference_value),
    ]
}

/// What it is.
const ABOUT: About = About {
    name: NAME,
    media_types: &[TPM_QUOTE],
    supplements: &[TCG_EVENT_LOG],
    documents: &[],
    reads: explain::octets,
    has_register: quote::has_pcr,
    vouches,
    recognises: container::looks_like_one,
    is_a_device: false,
};

impl Kind for Tpm {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint(&policy.kinds().tpm, remarks);
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        lint::impossible(&policy.kinds().tpm)
    }

    fn is_off(&self, policy: &AppraisalPolicy, check: &str) -> bool {
        lint::is_off(&policy.kinds().tpm, check)
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        of_cbor(octets, |_| false, |path| Some(path.to_owned()))
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let policy = &input.policy.kinds().tpm;
        let read = Container::read(input.item.bytes());
        let container = read.as_ref().ok();
        let quote = container.map(|container| &container.quote);
        let log = boot_log(input.supplements, policy.pcr_bank, quote);
        let key = container.map(|container| &container.key);
        let endorsement = key.and_then(|key| key.as_ref().ok());
        let endorsement = endorsement.map(|key| {
            input.caches.tpm.get_or_make(
                cache::key(input.collateral, [&input.policy.digest()[..], &key.fingerprint()]),
                || trust::endorse(key, input.collateral, policy, input.roots),
                Endorsement::is_worth_keeping,
            )
        });
        let reference = quote.and_then(|quote| input.references.find(NAME, &quote.registers()));
        let context = Context {
            container: read.as_ref(),
            quoted: Quoted {
                quote,
                key: key.map_or(Err(""), |key| key.as_ref().map_err(String::as_str)),
                bank: policy.pcr_bank,
                log: log.as_ref(),
            },
            endorsement: endorsement.as_deref(),
            policy,
            reference,
            references: input.references,
            now: input.now,
        };
        let voucher = endorsement.as_ref().and_then(|endorsement| endorsement.voucher.as_ref().ok());
        Finding {
            recognised: self.recognises(input.item.bytes()),
            checks: checks::run(NAME, &table(), &context, input.policy, input.now),
            affirms: TrustVector {
                instance_identity: policy.machines.instance_identity(),
                configuration: 2,
                executables: reference.map_or(0, ReferenceValue::vouches),
                // A maker's word, or none.
                hardware: if matches!(voucher, Some(Voucher::Policy(_))) { 0 } else { 2 },
                runtime_opaque: 0,
            },
            claims: container.and_then(|container| claims(container, log.as_ref())),
            carriage: quote.and_then(|quote| quote.carriage(BINDING_TAG)),
            assurance: match voucher {
                Some(Voucher::Simulated) => Assurance::Simulated,
                _ => Assurance::Software,
            },
            generation: None,
            machine: key.and_then(|key| key.as_ref().ok()).map(|key| key.fingerprint().to_vec()),
            reference: reference.cloned(),
            collateral: endorsement
                .map_or_else(Collateral::default, |endorsement| endorsement.collateral.clone()),
        }
    }
}

/// What was booted, or a part of it; nobody measured what ran since.
fn vouches(registers: &Registers) -> i8 {
    if quote::CODE.iter().any(|pcr| registers.contains_key(*pcr)) { 3 } else { 0 }
}

/// The event log that came along, judged; a second one is one too many.
pub(super) fn boot_log(
    supplements: &[&EvidenceItem],
    bank: Bank,
    quote: Option<&Quote>,
) -> Option<Result<BootLog, String>> {
    match (supplements, quote) {
        ([], _) => None,
        ([item], Some(quote)) => Some(log::judge(item.bytes(), bank.algorithm(), &quote.pcrs)),
        ([_], None) => Some(Err("there is no quote to judge it by".to_owned())),
        _ => Some(Err(format!("{} event logs, want one at most", supplements.len()))),
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(flatten)]
    quote: QuoteClaims,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_attributes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<&'a BootLog>,
}

fn claims(container: &Container, log: Option<&Result<BootLog, String>>) -> Option<serde_json::Value> {
    let key: Option<&Key> = container.key.as_ref().ok();
    let claims = Claims {
        quote: container.quote.claims()?,
        key: key.map(|key| HEXLOWER.encode(&key.fingerprint())),
        key_attributes: container.public.as_ref().map(|public| format!("{:#x}", public.attributes)),
        boot: log.and_then(|log| log.as_ref().ok()),
    };
    // Texts and numbers always become JSON.
    serde_json::to_value(claims).ok()
}

fn format(context: &Context<'_>) -> Outcome {
    match context.container {
        Ok(_) => Ok("a TPM quote with its key and registers".to_owned()),
        Err(Unreadable::Format(reason)) => fail(reason.as_str()),
        Err(Unreadable::NotCanonical(_)) => Ok("a TPM quote".to_owned()),
    }
}

fn canonical(context: &Context<'_>) -> Outcome {
    match context.container {
        Ok(_) => Ok("deterministic CBOR, and every structure in it consumed".to_owned()),
        Err(Unreadable::NotCanonical(reason)) => fail(reason.as_str()),
        Err(Unreadable::Format(_)) => Err(Found::NotEvaluated("the evidence could not be read")),
    }
}

impl<'a> Context<'a> {
    fn endorsement(&self) -> Result<&'a Endorsement, Found> {
        self.endorsement.ok_or(Found::NotEvaluated("there is no attestation key"))
    }
}

fn endorsement(context: &Context<'_>) -> Outcome {
    context.endorsement()?.certificate.clone().map_err(Found::Failed)
}

fn chain(context: &Context<'_>) -> Outcome {
    match &context.endorsement()?.chain {
        Ok(chain) => Ok(chain.clone()),
        Err(reason) if reason.is_empty() => Err(Found::NotEvaluated("there is no certificate of the key")),
        Err(reason) => fail(reason.as_str()),
    }
}

fn root(context: &Context<'_>) -> Outcome {
    match &context.endorsement()?.voucher {
        Ok(Voucher::Policy(name)) => Ok(format!("the policy names the key: {name}")),
        Ok(Voucher::Root(name)) => Ok(format!("the policy names the root: {name}")),
        Ok(Voucher::Simulated) => Ok("SIMULATED platform, pinned by configuration".to_owned()),
        Err(reason) if reason.is_empty() => Err(Found::NotEvaluated("no chain leads to a root")),
        Err(reason) => fail(reason.as_str()),
    }
}

fn validity(context: &Context<'_>) -> Outcome {
    use crate::clock::rfc3339;
    let endorsement = context.endorsement()?;
    if endorsement.chain.is_err() {
        return Err(Found::NotEvaluated("no chain leads to a root"));
    }
    for (position, (from, until)) in endorsement.validity.iter().enumerate() {
        if !(*from..=*until).contains(&context.now) {
            let dates = format!("{} to {}", rfc3339(*from), rfc3339(*until));
            return fail(format!("certificate {position} of the chain is valid from {dates}"));
        }
    }
    match endorsement.validity.iter().map(|(_, until)| *until).min() {
        Some(until) => Ok(format!("{} certificates, until {}", endorsement.validity.len(), rfc3339(until))),
        None => Ok("no certificate is needed".to_owned()),
    }
}

fn machine(context: &Context<'_>) -> Outcome {
    let print = context.quoted.key()?.fingerprint();
    let stranger = "the attestation key is of none of the machines that the policy names";
    context.policy.machines.check(|| Ok(print), stranger)
}

fn reference_value(context: &Context<'_>) -> Outcome {
    context.quoted.attest()?;
    let words = Words {
        found: "the registers are those of",
        unjudged: "the registers are",
        unknown: "the registers are those of",
    };
    context.references.judge(NAME, context.policy.require_reference_value, context.reference, &words)
}
