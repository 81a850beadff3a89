//! Azure's confidential VMs under a paravisor: a report of the TEE for the paravisor, which vouches for the key of a
//! vTPM that the paravisor keeps in the memory of the TEE, and a quote of that vTPM.
//!
//! The report is requested by the paravisor (HCL) at start; its REPORT_DATA is the SHA-256 of the *runtime data*, JSON
//! with the vTPM's attestation key and how the VM is set up. The guest itself cannot have a report: what answers our
//! challenge is the quote.
//! In scope: the runtime data, what binds the three together. Out of scope: the report (`sev_snp`) and the quote (`tpm`),
//! whose own code makes their checks; the envelopes of services (`envelopes`).

pub(super) mod hcl;
mod runtime;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::tpm::log::BootLog;
use super::tpm::quote::{self, Bank, Quote, QuoteClaims, Quoted};
use super::{Finding, Inner, Input, Kind, sev_snp, tdx, tpm};
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm, Outcome, fail};
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::{AZ_SNP, AZ_TDX, TCG_EVENT_LOG};
use crate::verifier::reference::{MEASUREMENT, ReferenceValue, ReferenceValues, Registers};
use runtime::{Runtime, VmConfiguration};

/// What the binding value is digested under.
pub const AZ_SNP_BINDING_TAG: &str = "treering-binding-az-snp-v1";
/// The same for TDX.
pub const AZ_TDX_BINDING_TAG: &str = "treering-binding-az-tdx-v1";
/// Octets of the whole: a TD quote with its certificates has 5 to 8 KiB, runtime data 1.2 KiB, a quote 2 KiB.
const MAX_BYTES: usize = 48 * 1024;

/// The sections `[az_snp]` and `[az_tdx]`. What the report must be is for the section of its own kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    require_reference_value: bool,
    require_secure_boot: bool,
    forbid_console: bool,
}

/// Fail closed.
impl Default for Policy {
    fn default() -> Self {
        Self { require_reference_value: true, require_secure_boot: true, forbid_console: false }
    }
}

/// The map that such evidence is, in deterministic CBOR; documented in docs/verifier.md.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    /// TPMS_ATTEST.
    pub(super) attest: Bytes,
    /// The registers quoted.
    pub(super) pcrs: BTreeMap<u8, Bytes>,
    /// The report of the TEE.
    pub(super) report: Bytes,
    /// The runtime data that the report is for.
    pub(super) runtime: Bytes,
    /// TPMT_SIGNATURE.
    pub(super) signature: Bytes,
    /// Which TEE: the name of the kind of the report.
    pub(super) tee: String,
}

/// Evidence that was read.
struct Container {
    quote: Quote,
    report: Vec<u8>,
    runtime: Vec<u8>,
}

impl Container {
    fn read(octets: &[u8], tee: &str) -> Result<Self, String> {
        let form: Form = strict::from_slice(octets, MAX_BYTES).map_err(|error| error.to_string())?;
        if form.tee != tee {
            return Err(format!("a report of {:?}, want {tee:?}", form.tee));
        }
        let quote = Quote::read(&form.attest, &form.signature, &form.pcrs)?;
        Ok(Self { quote, report: form.report.0, runtime: form.runtime.0 })
    }
}

/// Everything a check may look at.
struct Context<'a> {
    container: Result<&'a Container, &'a str>,
    runtime: Option<Result<&'a Runtime, &'a str>>,
    quoted: Quoted<'a>,
    report_data: Option<[u8; 64]>,
    level: Option<u32>,
    policy: &'a Policy,
    kind: &'static str,
    reference: Option<&'a ReferenceValue>,
    references: &'a ReferenceValues,
}

/// What comes before the checks of the report.
fn table_before<'a>() -> [Check<Context<'a>>; 8] {
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
fn table_snp<'a>() -> [Check<Context<'a>>; 1] {
    [Check::firm("paravisor-level", Harm::NotAuthentic, paravisor_level)]
}

/// What comes after them.
fn table_after<'a>() -> [Check<Context<'a>>; 3] {
    [
        Check::waivable("secure-boot", Harm::Configuration, secure_boot),
        Check::waivable("console", Harm::Configuration, console),
        Check::waivable("reference-value", Harm::Executables, reference_value),
    ]
}

/// SEV-SNP under Azure's paravisor.
pub(in crate::verifier) struct AzSnp;

impl Kind for AzSnp {
    fn name(&self) -> &'static str {
        "az-snp"
    }

    fn media_type(&self) -> &'static str {
        AZ_SNP
    }

    fn supplements(&self) -> &'static [&'static str] {
        &[TCG_EVENT_LOG]
    }

    fn checks(&self) -> Vec<CheckInfo> {
        let own = [checks::infos(&table_before()), checks::infos(&table_snp())].concat();
        [own, sev_snp::inner_checks(), checks::infos(&table_after())].concat()
    }

    fn has_register(&self, name: &str, octets: usize) -> bool {
        (name == MEASUREMENT && octets == 48) || quote::has_pcr(name, octets)
    }

    fn recognises(&self, octets: &[u8]) -> bool {
        looks_like_one(octets) && !contains(octets, b"\x63tdx")
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let container = Container::read(input.item.bytes(), sev_snp::NAME);
        let report = container.as_ref().map(|container| container.report.as_slice()).unwrap_or_default();
        let inner = sev_snp::appraise_inner(self.name(), report, input);
        let recognised = self.recognises(input.item.bytes());
        let policy = &input.policy.kinds().az_snp;
        finding(self.name(), AZ_SNP_BINDING_TAG, input, policy, container.as_ref(), inner, recognised)
    }
}

/// TDX under Azure's paravisor. The TD itself gets the quote, of a TDREPORT that the paravisor requested.
pub(in crate::verifier) struct AzTdx;

impl Kind for AzTdx {
    fn name(&self) -> &'static str {
        "az-tdx"
    }

    fn media_type(&self) -> &'static str {
        AZ_TDX
    }

    fn supplements(&self) -> &'static [&'static str] {
        &[TCG_EVENT_LOG]
    }

    fn checks(&self) -> Vec<CheckInfo> {
        [checks::infos(&table_before()), tdx::inner_checks(), checks::infos(&table_after())].concat()
    }

    fn has_register(&self, name: &str, octets: usize) -> bool {
        tdx::Tdx.has_register(name, octets) || quote::has_pcr(name, octets)
    }

    fn recognises(&self, octets: &[u8]) -> bool {
        looks_like_one(octets) && !contains(octets, b"\x67sev-snp")
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let container = Container::read(input.item.bytes(), tdx::NAME);
        let report = container.as_ref().map(|container| container.report.as_slice()).unwrap_or_default();
        let inner = tdx::appraise_inner(self.name(), report, input);
        let recognised = self.recognises(input.item.bytes());
        let policy = &input.policy.kinds().az_tdx;
        finding(self.name(), AZ_TDX_BINDING_TAG, input, policy, container.as_ref(), inner, recognised)
    }
}

/// The two kinds differ in the report alone.
fn finding(
    kind: &'static str,
    tag: &'static str,
    input: &Input<'_>,
    policy: &Policy,
    container: Result<&Container, &String>,
    inner: Inner,
    recognised: bool,
) -> Finding {
    let read = container.ok();
    let quote = read.map(|container| &container.quote);
    let runtime = read.map(|container| Runtime::read(&container.runtime));
    let runtime = runtime.as_ref().map(|read| read.as_ref().map_err(String::as_str));
    let log = tpm::boot_log(input.supplements, Bank::Sha256, quote);
    let registers = read.zip(inner.registers.as_ref()).map(|(container, measured)| {
        measured.clone().into_iter().chain(container.quote.registers()).collect::<Registers>()
    });
    let reference = registers.as_ref().and_then(|registers| input.references.find(kind, registers));
    let context = Context {
        container: container.map_err(String::as_str),
        runtime,
        quoted: Quoted {
            quote,
            key: runtime.unwrap_or(Err("")).map(|runtime| &runtime.key),
            bank: Bank::Sha256,
            log: log.as_ref(),
        },
        report_data: inner.report_data,
        level: inner.level,
        policy,
        kind,
        reference,
        references: input.references,
    };
    let only_snp = if kind == AzSnp.name() {
        checks::run(kind, &table_snp(), &context, input.policy, input.now)
    } else {
        Vec::new()
    };
    let run_before = checks::run(kind, &table_before(), &context, input.policy, input.now);
    let run_after = checks::run(kind, &table_after(), &context, input.policy, input.now);
    Finding {
        recognised,
        checks: [run_before, only_snp, inner.checks, run_after].concat(),
        affirms: TrustVector { executables: executables(reference), ..inner.affirms },
        claims: runtime
            .and_then(Result::ok)
            .zip(quote)
            .and_then(|(runtime, quote)| claims(runtime, quote, log.as_ref(), inner.claims)),
        carriage: quote.and_then(|quote| quote.carriage(tag)),
        assurance: inner.assurance,
        generation: inner.generation,
        machine: inner.machine,
        reference: reference.cloned(),
        collateral: inner.collateral,
    }
}

/// The report measures the paravisor, the registers what it booted: both, or only the first.
fn executables(reference: Option<&ReferenceValue>) -> i8 {
    match reference {
        None => 0,
        Some(value) if value.registers.keys().any(|name| name.starts_with("pcr")) => 2,
        Some(_) => 3,
    }
}

/// Whether a reference value names what was launched: without it, nothing is known of who speaks.
fn names_paravisor(value: &ReferenceValue) -> bool {
    value.registers.contains_key(MEASUREMENT) || value.registers.contains_key(tdx::MRTD)
}

fn contains(octets: &[u8], word: &[u8]) -> bool {
    octets.windows(word.len()).any(|window| window == word)
}

/// Whether octets are recognisably such a container, perhaps a damaged one.
fn looks_like_one(octets: &[u8]) -> bool {
    let signs =
        [contains(octets, b"\x67runtime"), contains(octets, b"\x66report"), contains(octets, b"HCLAkPub")];
    octets.len() <= MAX_BYTES && signs.iter().filter(|sign| **sign).count() >= 2
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(flatten)]
    quote: QuoteClaims,
    vm: &'a VmConfiguration,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<&'a BootLog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Value>,
}

fn claims(
    runtime: &Runtime,
    quote: &Quote,
    log: Option<&Result<BootLog, String>>,
    report: Option<Value>,
) -> Option<Value> {
    let claims = Claims {
        quote: quote.claims()?,
        vm: &runtime.vm,
        user_data: runtime.user_data.as_deref(),
        boot: log.and_then(|log| log.as_ref().ok()),
        report,
    };
    // Texts and numbers always become JSON.
    serde_json::to_value(claims).ok()
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

fn secure_boot(context: &Context<'_>) -> Outcome {
    match (context.runtime()?.vm.secure_boot, context.policy.require_secure_boot) {
        (Some(true), _) => Ok("on, as the paravisor says".to_owned()),
        (_, true) => fail("the paravisor does not say that it is on, and the policy requires it"),
        (_, false) => Ok("not on; the policy does not require it".to_owned()),
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
    let known = context.references.count(context.kind);
    match context.reference {
        // Registers are the paravisor's word: a VM that was launched with another one says of them what it likes.
        Some(value) if !names_paravisor(value) => {
            fail(format!("{} names registers, and not the paravisor whose word they are", value.name))
        }
        Some(value) => Ok(format!("the measurements are those of {}", value.name)),
        None if known == 0 && !context.policy.require_reference_value => {
            Ok("no reference values given: the measurements are not judged".to_owned())
        }
        None => fail(format!("the measurements are those of none of the {known} reference values")),
    }
}
