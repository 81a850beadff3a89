//! NVIDIA GPUs and `NVSwitches`: SPDM 1.1 measurement reports, signed by a key of the device's firmware, with the
//! certificates that lead from it through the device's boot ROM up to NVIDIA's root.
//!
//! In scope: the report and its certificates as one item of evidence, NVIDIA's root, the checks. Out of scope: tokens
//! of NVIDIA's remote attestation service (those are results of another Verifier), RIM files (their measurements are
//! given as reference values).
//! References: *SPDM* is DMTF DSP0274 1.1; *DICE* is TCG's DICE Attestation Architecture; the layout of NVIDIA's
//! opaque data is that of its attestation SDK.

mod authenticity;
mod chain;
mod claims;
mod container;
mod der;
mod device;
mod explain;
mod export;
mod lint;
mod ocsp;
mod opaque;
mod policy;
mod report;
mod requirements;
mod revocation;
mod wanted;

use super::{About, Assurance, Finding, Input, Kind};
use crate::verifier::binding::Carriage;
use crate::verifier::cache;
use crate::verifier::certificates::ends as certificates_end;
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm};
use crate::verifier::collateral::{Collateral, Document};
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::{EvidenceItem, NVIDIA_GPU, NVIDIA_SWITCH};
use crate::verifier::lint::Remark;
use crate::verifier::parts::{Part, of_cbor};
use crate::verifier::policy::{AppraisalPolicy, CollateralPolicy};
use crate::verifier::reference::{ReferenceValue, ReferenceValues, Registers};
use crate::verifier::wanted::Wanted;

pub(in crate::verifier) use chain::VerifiedChain;
pub use container::write as nvidia_evidence;
pub use device::NvidiaGeneration;
pub use export::{ExportError, NvidiaItem, from_hex_and_pem, read_export};
pub(in crate::verifier) use ocsp::{from as answers_from, until as answers_until};

/// Whether a document is a responder's answer.
pub(in crate::verifier) fn is_answer(document: &Document) -> bool {
    document.media_type == OCSP_RESPONSE
}
pub use ocsp::{OCSP_RESPONSE, OcspReply, read_reply as read_ocsp_reply};
pub(in crate::verifier) use policy::Policy;

use chain::Root;
use container::{Container, Unreadable};
use device::{Class, Device};
use report::Report;
use revocation::Word;

/// The two kinds: the same form, checks and root; the certificates say which a device is.
pub(in crate::verifier) const GPU: Nvidia = Nvidia { class: Class::Gpu };
pub(in crate::verifier) const SWITCH: Nvidia = Nvidia { class: Class::Switch };

/// One of them.
pub(in crate::verifier) struct Nvidia {
    class: Class,
}

/// Everything a check may look at.
struct Context<'a> {
    class: Class,
    evidence: Result<&'a Evidence, &'a Unreadable>,
    chain: Option<&'a VerifiedChain>,
    words: &'a [&'a Result<Word, String>],
    policy: &'a Policy,
    freshness: &'a CollateralPolicy,
    references: &'a ReferenceValues,
    now: u64,
}

/// An item of evidence, read.
struct Evidence {
    report: Report,
    container: Container,
}

/// All of them, in order.
fn table<'a>() -> [Check<Context<'a>>; 15] {
    [
        Check::firm("format", Harm::NotAuthentic, authenticity::format),
        Check::firm("canonical", Harm::NotAuthentic, authenticity::canonical),
        Check::firm("chain", Harm::NotAuthentic, authenticity::chain),
        Check::firm("root", Harm::NotAuthentic, authenticity::root),
        Check::firm("validity", Harm::NotAuthentic, authenticity::validity),
        Check::waivable("revocation", Harm::Hardware, authenticity::revocation),
        Check::firm("signature", Harm::NotAuthentic, authenticity::signature),
        Check::firm("device", Harm::NotAuthentic, authenticity::device),
        Check::firm("fwid", Harm::NotAuthentic, authenticity::fwid),
        Check::firm("allowed-generation", Harm::Hardware, requirements::allowed_generation),
        Check::waivable("driver-version", Harm::WeakHardware, requirements::driver_version),
        Check::waivable("vbios-version", Harm::WeakHardware, requirements::vbios_version),
        Check::waivable("mode", Harm::Configuration, requirements::mode),
        Check::firm("machine", Harm::Identity, requirements::machine),
        Check::waivable("reference-value", Harm::Executables, requirements::reference_value),
    ]
}

/// What a GPU is.
const ABOUT_GPU: About = About {
    name: Class::Gpu.kind(),
    media_types: &[NVIDIA_GPU],
    supplements: &[],
    documents: &[OCSP_RESPONSE],
    reads: explain::octets,
    has_register: |name, octets| has_register(Class::Gpu, name, octets),
    vouches: |registers| vouches(Class::Gpu, registers),
    recognises: |octets| container::looks_like_one(octets) && device::looks_like_a(Class::Gpu, octets),
    is_a_device: true,
};

/// What a switch is: the same, but for the class.
const ABOUT_SWITCH: About = About {
    name: Class::Switch.kind(),
    media_types: &[NVIDIA_SWITCH],
    has_register: |name, octets| has_register(Class::Switch, name, octets),
    vouches: |registers| vouches(Class::Switch, registers),
    recognises: |octets| container::looks_like_one(octets) && device::looks_like_a(Class::Switch, octets),
    ..ABOUT_GPU
};

impl Kind for Nvidia {
    fn about(&self) -> &'static About {
        match self.class {
            Class::Gpu => &ABOUT_GPU,
            Class::Switch => &ABOUT_SWITCH,
        }
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn wants(&self, octets: &[u8]) -> Vec<Wanted> {
        wanted::wants(octets)
    }

    fn named(&self, collateral: &Collateral) -> Vec<(String, Collateral)> {
        // The same for both kinds: once is enough.
        if self.class == Class::Gpu { wanted::named(collateral) } else { Vec::new() }
    }

    fn vendor_roots(&self) -> Vec<(String, [u8; 32])> {
        vec![(self.name().to_owned(), chain::NVIDIA_ROOT)]
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint(self.class, self.section(policy), remarks);
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        of_cbor(octets, |_| false, |path| Some(path.to_owned()))
    }

    fn ends(&self, item: &EvidenceItem) -> Vec<u64> {
        Container::read(item.bytes()).map(|one| certificates_end(&one.chain)).unwrap_or_default()
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        lint::impossible(self.class, self.section(policy))
    }

    fn is_off(&self, policy: &AppraisalPolicy, check: &str) -> bool {
        lint::is_off(self.class, self.section(policy), check)
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let evidence = read(self.class, input.item.bytes());
        let chain = evidence.as_ref().ok().map(|evidence| {
            input.caches.nvidia.get_or_make(
                cache::key(input.collateral, evidence.container.chain.iter().map(Vec::as_slice)),
                || chain::verify(&evidence.container.chain, input.collateral, input.roots),
                VerifiedChain::holds,
            )
        });
        let said = chain.as_ref().map(|chain| chain.said.as_slice()).unwrap_or_default();
        let (words, used) = revocation::in_force(said, input.collateral, input.now);
        let policy = self.section(input.policy);
        let context = Context {
            class: self.class,
            evidence: evidence.as_ref(),
            chain: chain.as_deref(),
            words: &words,
            policy,
            freshness: input.policy.collateral(),
            references: input.references,
            now: input.now,
        };
        let report = evidence.as_ref().ok().map(|evidence| &evidence.report);
        let device = chain.as_ref().and_then(|chain| chain.device.as_ref().ok());
        let reference = report.and_then(|report| input.references.find(self.name(), &registers(report)));
        Finding {
            recognised: container::looks_like_one(input.item.bytes()),
            checks: checks::run(self.name(), &table(), &context, input.policy, input.now),
            affirms: TrustVector {
                instance_identity: policy.machines.instance_identity(),
                configuration: 2,
                executables: reference.map_or(0, ReferenceValue::vouches),
                hardware: 2,
                // A report does not say who can see the device's memory.
                runtime_opaque: 0,
            },
            claims: report.map(|report| claims::of(report, device)),
            carriage: report.map(|report| Carriage::Digest { tag: self.class.tag(), digest: report.nonce }),
            assurance: match chain.as_ref().map(|chain| &chain.root) {
                Some(Ok(Root::Simulated)) => Assurance::Simulated,
                _ => Assurance::Hardware,
            },
            generation: device.map(|device| device.generation.name().to_owned()),
            machine: device.map(|device| device.serial.clone()),
            reference: reference.cloned(),
            collateral: used,
        }
    }
}

impl Nvidia {
    fn section<'a>(&self, policy: &'a AppraisalPolicy) -> &'a Policy {
        match self.class {
            Class::Gpu => &policy.kinds().nvidia_gpu,
            Class::Switch => &policy.kinds().nvidia_switch,
        }
    }
}

fn read(class: Class, octets: &[u8]) -> Result<Evidence, Unreadable> {
    let container = Container::read(octets)?;
    let report = Report::read(&container.report, class.measurements())?;
    Ok(Evidence { report, container })
}

/// What the report measures, by number as NVIDIA's RIMs count: from 0, where SPDM counts from 1.
fn registers(report: &Report) -> Registers {
    report.measurements.iter().enumerate().map(|(number, value)| (register(number), value.to_vec())).collect()
}

fn has_register(class: Class, name: &str, octets: usize) -> bool {
    octets == report::DIGEST_BYTES && (0..class.measurements()).any(|number| register(number) == name)
}

/// Each measurement is of a part of the firmware, its configuration or the driver's: all of them, or some.
fn vouches(class: Class, registers: &Registers) -> i8 {
    match registers.len() {
        0 => 0,
        some if some < class.measurements() => 3,
        _ => 2,
    }
}

fn register(number: usize) -> String {
    format!("{}{number}", report::REGISTER)
}

impl<'a> Context<'a> {
    fn report(&self) -> Result<&'a Report, Found> {
        let evidence = self.evidence.map_err(|_| Found::NotEvaluated("the report could not be read"))?;
        Ok(&evidence.report)
    }

    fn chain(&self) -> Result<&'a VerifiedChain, Found> {
        self.chain.ok_or(Found::NotEvaluated("the report could not be read"))
    }

    fn device(&self) -> Result<&'a Device, Found> {
        let device = self.chain()?.device.as_ref();
        device.map_err(|_| Found::NotEvaluated("the certificates do not say what device it is"))
    }
}
