//! AMD SEV-SNP: attestation reports of versions 2 to 5, of Milan, Genoa and Turin, signed by a VCEK or a VLEK.
//!
//! In scope: the report, AMD's certificates, the checks. Out of scope: reports inside a vTPM's (a kind of its own).
//! References: *ABI* is AMD 56860 (SEV-SNP firmware ABI), *VCEK* is AMD 57230.

mod authenticity;
mod certificate;
mod chain;
mod claims;
mod explain;
mod generation;
mod lint;
mod policy;
mod report;
mod requirements;
mod selection;
mod snapshot;

#[cfg(test)]
pub(in crate::verifier) use generation::built_in;

pub(in crate::verifier) use chain::VerifiedVek;
pub use generation::Generation;
pub(in crate::verifier) use policy::Policy;
pub use report::{ECDSA_P384_SHA384, REPORT_BYTES, SIGNED_BYTES, SigningKey, Tcb, VERSIONS};

use super::{About, Assurance, Finding, Inner, Input, Kind};
use crate::verifier::binding::Carriage;
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm};
use crate::verifier::collateral::Collateral;
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::SNP_REPORT;
use crate::verifier::lint::Remark;
use crate::verifier::policy::{AppraisalPolicy, CollateralPolicy};
use crate::verifier::reference::{MEASUREMENT, ReferenceValues, Registers};
use crate::verifier::wanted::Wanted;

use certificate::Endorsement;
use report::{Report, Unreadable};

/// The name of this kind.
pub const NAME: &str = "sev-snp";

/// What the host gave the guest at launch, and what its owner calls it.
const HOST_DATA: &str = "host_data";
const FAMILY_ID: &str = "family_id";
const IMAGE_ID: &str = "image_id";
/// What a reference value may name, and how many octets it has.
const REGISTERS: [(&str, usize); 4] = [(FAMILY_ID, 16), (HOST_DATA, 32), (IMAGE_ID, 16), (MEASUREMENT, 48)];

/// This kind.
pub(in crate::verifier) struct SevSnp;

/// Everything a check may look at.
struct Context<'a> {
    report: Result<&'a Report, &'a Unreadable>,
    vek: &'a VerifiedVek,
    policy: &'a Policy,
    freshness: &'a CollateralPolicy,
    references: &'a ReferenceValues,
    now: u64,
}

/// All of them, in order.
fn table<'a>() -> [Check<Context<'a>>; 26] {
    [
        Check::firm("format", Harm::NotAuthentic, authenticity::format),
        Check::firm("canonical", Harm::NotAuthentic, authenticity::canonical),
        Check::firm("signature-algorithm", Harm::NotAuthentic, authenticity::signature_algorithm),
        Check::firm("endorsement", Harm::NotAuthentic, authenticity::endorsement),
        Check::firm("chain", Harm::NotAuthentic, authenticity::chain),
        Check::firm("root", Harm::NotAuthentic, authenticity::root),
        Check::firm("validity", Harm::NotAuthentic, authenticity::validity),
        Check::waivable("revocation", Harm::Hardware, authenticity::revocation),
        Check::firm("signing-key", Harm::NotAuthentic, authenticity::signing_key),
        Check::firm("signature", Harm::NotAuthentic, authenticity::signature),
        Check::firm("generation", Harm::NotAuthentic, authenticity::generation),
        Check::firm("tcb-binding", Harm::NotAuthentic, authenticity::tcb_binding),
        Check::firm("chip-binding", Harm::NotAuthentic, authenticity::chip_binding),
        Check::firm("allowed-key", Harm::Configuration, requirements::allowed_key),
        Check::firm("allowed-generation", Harm::Hardware, requirements::allowed_generation),
        Check::firm("tcb-order", Harm::Hardware, requirements::tcb_order),
        Check::waivable("tcb-floor", Harm::WeakHardware, requirements::tcb_floor),
        Check::waivable("mitigations", Harm::WeakHardware, requirements::mitigations),
        Check::waivable("debug", Harm::Exposed, requirements::debug),
        Check::waivable("migration", Harm::Exposed, requirements::migration),
        Check::firm("vmpl", Harm::Configuration, requirements::vmpl),
        Check::waivable("guest-policy", Harm::Configuration, requirements::guest_policy),
        Check::waivable("platform", Harm::Configuration, requirements::platform),
        Check::firm("machine", Harm::Identity, requirements::machine),
        Check::firm("id-block", Harm::Configuration, requirements::id_block),
        Check::waivable("reference-value", Harm::Executables, requirements::reference_value),
    ]
}

/// What it is.
const ABOUT: About = About {
    name: NAME,
    media_types: &[SNP_REPORT],
    supplements: &[],
    documents: &[],
    reads: explain::octets,
    has_register,
    vouches,
    recognises: report::looks_like_a_report,
    is_a_device: false,
};

impl Kind for SevSnp {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn wants(&self, octets: &[u8]) -> Vec<Wanted> {
        Report::read(octets).map(|report| wants(&report)).unwrap_or_default()
    }

    fn named(&self, collateral: &Collateral) -> Vec<(String, Collateral)> {
        snapshot::named(collateral)
    }

    fn vendor_roots(&self) -> Vec<(String, [u8; 32])> {
        let named =
            |generation: Generation| (format!("amd-{NAME}-{generation}"), generation.root_fingerprint());
        Generation::ALL.into_iter().map(named).collect()
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint(&policy.kinds().sev_snp, remarks);
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        impossible(NAME, policy)
    }

    fn is_off(&self, policy: &AppraisalPolicy, check: &str) -> bool {
        lint::is_off(&policy.kinds().sev_snp, check)
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let inner = examine(NAME, input.item.bytes(), input, Place::Alone);
        let reference = inner.registers.as_ref().and_then(|found| input.references.find(NAME, found));
        Finding {
            recognised: self.recognises(input.item.bytes()),
            checks: inner.checks,
            affirms: TrustVector {
                executables: reference.map_or(0, |value| vouches(&value.registers)),
                ..inner.affirms
            },
            claims: inner.claims,
            carriage: inner.report_data.map(Carriage::Whole),
            assurance: inner.assurance,
            generation: inner.generation,
            machine: inner.machine,
            reference: reference.cloned(),
            collateral: inner.collateral,
        }
    }
}

/// A report of version 2 does not say of which generation it is; one under a VLEK names no chip.
fn wants(report: &Report) -> Vec<Wanted> {
    let (Some(Ok(generation)), Ok(key)) = (report.generation(), report.signing_key()) else {
        return Vec::new();
    };
    let mut wanted = vec![Wanted::AmdCrl { generation, key }];
    if key == SigningKey::Vlek {
        // The issuer of VCEKs is built in.
        wanted.push(Wanted::AmdChain { generation, key });
    }
    if let Some(chip) = report.authenticated_chip() {
        let octets = if generation == Generation::Turin { 8 } else { chip.len() };
        let hardware_id = chip.get(..octets).unwrap_or(chip).to_vec();
        wanted.push(Wanted::AmdVcek { generation, hardware_id, tcb: report.reported_tcb() });
    }
    wanted
}

/// Why no report can pass a policy, if that is so: as evidence of its own, or inside that of another kind, whose waivers
/// apply.
pub(super) fn impossible(kind: &str, policy: &AppraisalPolicy) -> Option<String> {
    let section = &policy.kinds().sev_snp;
    let floor = || lint::no_floor(section).filter(|_| !policy.waives(kind, "tcb-floor"));
    lint::impossible(section).or_else(floor)
}

/// The checks of a report inside other evidence: all but that of reference values, which are the other kind's.
pub(super) fn inner_checks() -> Vec<CheckInfo> {
    checks::infos(table().split_last().map_or(&[], |(_, others)| others))
}

/// Appraises a report inside evidence of another kind, whose waivers apply.
pub(super) fn appraise_inner(kind: &str, report: &[u8], input: &Input<'_>) -> Inner {
    examine(kind, report, input, Place::Inside)
}

/// Where a report is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    Inside,
}

fn examine(kind: &str, octets: &[u8], input: &Input<'_>, place: Place) -> Inner {
    let table = table();
    let inside = table.split_last().map_or(table.as_slice(), |(_, others)| others);
    let checks = if place == Place::Alone { &table } else { inside };
    let report = Report::read(octets);
    let collateral = selection::of_one(input.collateral, report.as_ref().ok());
    let vek = input.caches.sev_snp.get_or_make(
        collateral.digest(),
        || chain::verify(&collateral, input.roots),
        VerifiedVek::holds,
    );
    let policy = &input.policy.kinds().sev_snp;
    let context = Context {
        report: report.as_ref(),
        vek: &vek,
        policy,
        freshness: input.policy.collateral(),
        references: input.references,
        now: input.now,
    };
    let report = report.as_ref().ok();
    let root = vek.root.as_ref().ok();
    let generation = report.and_then(|report| report.generation().and_then(Result::ok));
    let generation = generation.or(root.map(|root| root.generation));
    Inner {
        checks: checks::run(kind, checks, &context, input.policy, input.now),
        affirms: TrustVector {
            instance_identity: policy.machines.instance_identity(),
            configuration: 2,
            executables: 0,
            hardware: 2,
            runtime_opaque: 2,
        },
        claims: report.map(|report| claims::of(report, generation)),
        report_data: report.map(|report| report.fields().report_data),
        level: report.map(|report| report.fields().vmpl),
        registers: report.map(registers),
        assurance: match root {
            Some(root) if root.simulated => Assurance::Simulated,
            _ => Assurance::Hardware,
        },
        generation: generation.map(|generation| generation.name().to_ascii_lowercase()),
        machine: report.and_then(Report::authenticated_chip).map(|chip| chip.to_vec()),
        collateral: vek.collateral(&collateral, input.now),
    }
}

/// Whether a report has a register of this name and length: beside the measurement those that the host (HOST_DATA, which
/// carries the policy of an agent or its initialisation data) and the owner of the guest (by the ID block) gave it.
pub(super) fn has_register(name: &str, octets: usize) -> bool {
    REGISTERS.contains(&(name, octets))
}

/// The launch digest is of what was started; nobody measures what runs then. What host and owner say beside it counts with
/// it, and by itself is the word of anybody.
pub(super) fn vouches(registers: &Registers) -> i8 {
    if registers.contains_key(MEASUREMENT) { 3 } else { 0 }
}

/// What the report measures, and what was given at the launch.
fn registers(report: &Report) -> Registers {
    let fields = report.fields();
    let values: [(&str, &[u8]); 4] = [
        (FAMILY_ID, &fields.family_id),
        (HOST_DATA, &fields.host_data),
        (IMAGE_ID, &fields.image_id),
        (MEASUREMENT, &fields.measurement),
    ];
    values.into_iter().map(|(name, octets)| (name.to_owned(), octets.to_vec())).collect()
}

impl<'a> Context<'a> {
    fn report(&self) -> Result<&'a Report, Found> {
        self.report.map_err(|_| Found::NotEvaluated("the report could not be read"))
    }

    fn endorsement(&self) -> Result<&'a Endorsement, Found> {
        let endorsement = self.vek.endorsement.as_ref();
        endorsement.map_err(|_| Found::NotEvaluated("there is no endorsement to compare with"))
    }

    /// The generation as far as it is established: by the root the chain ends in.
    fn rooted_generation(&self) -> Result<Generation, Found> {
        let root = self.vek.root.as_ref();
        root.map(|root| root.generation).map_err(|_| Found::NotEvaluated("no pinned root"))
    }
}
