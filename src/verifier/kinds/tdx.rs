//! Intel TDX: quotes of version 4 and 5 (TDX 1.0 and 1.5), with the event log of the TD where one comes along.
//!
//! In scope: what a TD says of itself, and what the policy asks of it. Out of scope: what is Intel's own (`intel`), and
//! what else is in evidence with a quote inside (`azure`, which calls [`appraise_inner`]).
//! References: *ABI* is Intel 348551 (TDX Module ABI specification), *DCAP* see `intel`.

mod claims;
mod events;
mod lint;
mod policy;
mod requirements;

pub use events::{CCEL_TYPE, RUNTIME_LOG_TYPE};
pub(in crate::verifier) use policy::Policy;

use dcap_qvl::quote::{Report, TDReport10};

use super::intel::{self, HasQuote, Judged, Tee};
use super::{About, Assurance, Finding, Inner, Input, Kind};
use crate::verifier::binding::Carriage;
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm};
use crate::verifier::collateral::Collateral;
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::EvidenceItem;
use crate::verifier::lint::Remark;
use crate::verifier::parts::Part;
use crate::verifier::policy::AppraisalPolicy;
use crate::verifier::reference::{ReferenceValue, ReferenceValues, Registers};
use crate::verifier::wanted::Wanted;

use events::Events;

/// The name of this kind.
pub const NAME: &str = "tdx";
/// Media type of a TDX quote. No type is registered; this is the name we use, in Intel's tree.
pub const TDX_QUOTE: &str = "application/vnd.intel.tdx-quote";

/// The register of what a TD was launched with.
pub(super) const MRTD: &str = "mrtd";
/// What a reference value may name, each of 48 octets.
const REGISTERS: [&str; 10] = [
    "mrconfigid",
    "mrowner",
    "mrownerconfig",
    "mrseam",
    "mrsignerseam",
    MRTD,
    "rtmr0",
    "rtmr1",
    "rtmr2",
    "rtmr3",
];
/// Those that together say what runs: firmware, its configuration, boot loader and kernel, command line, and what the
/// system measures of its workloads.
const ALL_THAT_RUNS: [&str; 5] = [MRTD, "rtmr0", "rtmr1", "rtmr2", "rtmr3"];
const REGISTER_BYTES: usize = 48;

/// This kind.
pub(in crate::verifier) struct Tdx;

/// Everything a check may look at.
struct Context<'a> {
    judged: Judged<'a>,
    events: Option<Events>,
    policy: &'a Policy,
    references: &'a ReferenceValues,
}

impl HasQuote for Context<'_> {
    fn judged(&self) -> &Judged<'_> {
        &self.judged
    }
}

/// All of them, in order.
fn table<'a>() -> Vec<Check<Context<'a>>> {
    let mut checks: Vec<Check<Context<'a>>> = intel::authenticity().into_iter().collect();
    checks.push(Check::firm("tdx-module", Harm::Hardware, requirements::tdx_module));
    checks.extend(intel::rules());
    checks.extend([
        Check::waivable("debug", Harm::Exposed, requirements::debug),
        Check::firm("migration", Harm::Exposed, requirements::migration),
        Check::firm("td-attributes", Harm::Configuration, requirements::td_attributes),
        Check::waivable("xfam", Harm::Configuration, requirements::xfam),
        Check::waivable("service-td", Harm::Configuration, requirements::service_td),
        Check::firm("module-pins", Harm::Hardware, requirements::module_pins),
        Check::firm("owner", Harm::Configuration, requirements::owner),
        Check::firm("event-log", Harm::Executables, events::replayed),
        Check::firm("event-data", Harm::Executables, events::proven),
        Check::waivable("events", Harm::Executables, events::required),
        Check::waivable("secure-boot", Harm::Configuration, events::secure_boot),
        Check::waivable("reference-value", Harm::Executables, requirements::reference_value),
    ]);
    checks
}

/// How many at the end are, for a quote inside other evidence, that evidence's to make.
const OF_THE_WHOLE: usize = 2;

/// What it is.
const ABOUT: About = About {
    name: NAME,
    media_types: &[TDX_QUOTE],
    supplements: &[CCEL_TYPE, RUNTIME_LOG_TYPE],
    documents: &[intel::TCB_INFO_TYPE, intel::ENCLAVE_IDENTITY_TYPE],
    reads: |check| intel::octets(Tee::Tdx, check),
    has_register: |name, octets| octets == REGISTER_BYTES && REGISTERS.contains(&name),
    vouches,
    recognises: |octets| intel::looks_like_a_quote(Tee::Tdx, octets),
    is_a_device: false,
};

impl Kind for Tdx {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn wants(&self, octets: &[u8]) -> Vec<Wanted> {
        intel::wants(Tee::Tdx, octets)
    }

    fn named(&self, collateral: &Collateral) -> Vec<(String, Collateral)> {
        [intel::named_documents(Tee::Tdx, collateral), intel::named_crls(collateral)].concat()
    }

    fn vendor_roots(&self) -> Vec<(String, [u8; 32])> {
        vec![intel::vendor_root()]
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint(policy, remarks);
    }

    fn ends(&self, item: &EvidenceItem) -> Vec<u64> {
        intel::ends(Tee::Tdx, item.bytes())
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        intel::parts(Tee::Tdx, octets)
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        lint::impossible(NAME, policy)
    }

    fn is_off(&self, policy: &AppraisalPolicy, check: &str) -> bool {
        lint::is_off(&policy.kinds().tdx, check)
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        examine(NAME, input.item.bytes(), input.supplements, input).0
    }
}

/// The checks of a quote inside other evidence: all but those of secure boot and of reference values, which are the other
/// kind's.
pub(super) fn inner_checks() -> Vec<CheckInfo> {
    let mut infos = checks::infos(&table());
    infos.truncate(infos.len().saturating_sub(OF_THE_WHOLE));
    infos
}

/// Why no quote inside evidence of this other kind can pass a policy, if that is so.
pub(super) fn inner_impossible(kind: &str, policy: &AppraisalPolicy) -> Option<String> {
    let asked = || lint::asks_for_a_log(policy, kind);
    lint::impossible(kind, policy).or_else(|| {
        asked().map(|key| {
            format!("tdx.{key}: the quote inside has no event log, the one beside it is the vTPM's")
        })
    })
}

/// Appraises a quote inside evidence of another kind, whose waivers apply.
pub(super) fn appraise_inner(kind: &str, quote: &[u8], input: &Input<'_>) -> Inner {
    let (mut finding, registers) = examine(kind, quote, &[], input);
    finding.checks.truncate(finding.checks.len().saturating_sub(OF_THE_WHOLE));
    let report_data = match finding.carriage {
        Some(Carriage::Whole(octets)) => Some(octets),
        Some(Carriage::Digest { .. }) | None => None,
    };
    Inner {
        checks: finding.checks,
        affirms: TrustVector { executables: 0, ..finding.affirms },
        claims: finding.claims,
        report_data,
        level: None,
        registers,
        assurance: finding.assurance,
        generation: finding.generation,
        machine: finding.machine,
        collateral: finding.collateral,
    }
}

/// Appraises the octets of a quote and the logs that come along with it, whatever item of evidence they were in: of the
/// input, everything but the item and its supplements counts. With the findings, what the quote measures.
fn examine(
    kind: &str,
    octets: &[u8],
    supplements: &[&EvidenceItem],
    input: &Input<'_>,
) -> (Finding, Option<Registers>) {
    let policy = &input.policy.kinds().tdx;
    let owned = (&policy.tcb, &policy.machines);
    let judged = Judged::new(Tee::Tdx, octets, owned, input);
    let context = Context { events: Events::read(supplements), judged, policy, references: input.references };
    let registers = context.report().ok().map(registers);
    let reference = registers.as_ref().and_then(|found| input.references.find(NAME, found));
    let judged = &context.judged;
    let finding = Finding {
        recognised: intel::looks_like_a_quote(Tee::Tdx, octets),
        checks: checks::run(kind, &table(), &context, input.policy, input.now),
        affirms: TrustVector {
            instance_identity: policy.machines.instance_identity(),
            configuration: 2,
            executables: reference.map_or(0, ReferenceValue::vouches),
            hardware: judged.hardware(),
            runtime_opaque: 2,
        },
        claims: claims::of(&context),
        carriage: context.report().ok().map(|report| Carriage::Whole(report.report_data)),
        assurance: if judged.is_simulated() { Assurance::Simulated } else { Assurance::Hardware },
        generation: judged.generation(),
        machine: judged.machine(),
        reference: reference.cloned(),
        collateral: judged.collateral(input.collateral),
    };
    (finding, registers)
}

/// MRTD is the hardware's word, the others are extended by what it measures: without it, a TD with firmware of anybody's
/// has them too. Owner and module are not what runs.
fn vouches(registers: &Registers) -> i8 {
    let names = |name: &&str| registers.contains_key(*name);
    match (names(&MRTD), ALL_THAT_RUNS.iter().all(names)) {
        (false, _) => 0,
        (true, false) => 3,
        (true, true) => 2,
    }
}

/// What the quote measures.
fn registers(report: &TDReport10) -> Registers {
    let values = [
        ("mrconfigid", report.mr_config_id),
        ("mrowner", report.mr_owner),
        ("mrownerconfig", report.mr_owner_config),
        ("mrseam", report.mr_seam),
        ("mrsignerseam", report.mr_signer_seam),
        ("mrtd", report.mr_td),
        ("rtmr0", report.rt_mr0),
        ("rtmr1", report.rt_mr1),
        ("rtmr2", report.rt_mr2),
        ("rtmr3", report.rt_mr3),
    ];
    values.into_iter().map(|(name, octets)| (name.to_owned(), octets.to_vec())).collect()
}

impl Context<'_> {
    fn body(&self) -> Result<&Report, Found> {
        Ok(&self.judged.quote()?.fields().report)
    }

    fn report(&self) -> Result<&TDReport10, Found> {
        self.body()?.as_td10().ok_or(Found::NotEvaluated("the quote is not of a TD"))
    }
}
