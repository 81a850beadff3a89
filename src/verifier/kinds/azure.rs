//! Azure's confidential VMs under a paravisor: a report of the TEE for the paravisor, which vouches for the key of a
//! vTPM that the paravisor keeps in the memory of the TEE, and a quote of that vTPM.
//!
//! The report is requested by the paravisor (HCL) at start; its REPORT_DATA is the SHA-256 of the *runtime data*, JSON
//! with the vTPM's attestation key and how the VM is set up. The guest itself cannot have a report: what answers our
//! challenge is the quote.
//! In scope: the runtime data, what binds the three together. Out of scope: the report (`sev_snp`) and the quote (`tpm`),
//! whose own code makes their checks; the envelopes of services (`envelopes`).

mod checks;
pub(super) mod hcl;
mod lint;
mod runtime;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use treering_provenance::bytes::Bytes;
use treering_provenance::strict;

use super::intel::{self, Tee};
use super::tpm::log::BootLog;
use super::tpm::quote::{self, Bank, Quote, QuoteClaims, Quoted};
use super::{About, Finding, Inner, Input, Kind, sev_snp, tdx, tpm};
use crate::verifier::checks::{CheckInfo, infos, run};
use crate::verifier::collateral::Collateral;
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::{AZ_SNP, AZ_TDX, EvidenceItem, TCG_EVENT_LOG};
use crate::verifier::lint::Remark;
use crate::verifier::parts::{Part, of_cbor};
use crate::verifier::policy::AppraisalPolicy;
use crate::verifier::reference::{MEASUREMENT, ReferenceValue, Registers};
use crate::verifier::wanted::Wanted;
use checks::{Context, table_after, table_before, table_snp};
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

/// SEV-SNP under Azure's paravisor.
pub(in crate::verifier) struct AzSnp;

/// What it is.
const SNP: About = About {
    name: "az-snp",
    media_types: &[AZ_SNP],
    supplements: &[TCG_EVENT_LOG],
    documents: &[],
    reads: |check| reads(check, &sev_snp::SevSnp),
    has_register: |name, octets| sev_snp::has_register(name, octets) || quote::has_pcr(name, octets),
    vouches,
    recognises: |octets| looks_like_one(octets) && !contains(octets, b"\x63tdx"),
    is_a_device: false,
};

impl Kind for AzSnp {
    fn about(&self) -> &'static About {
        &SNP
    }

    fn checks(&self) -> Vec<CheckInfo> {
        let own = [infos(&table_before()), infos(&table_snp())].concat();
        [own, sev_snp::inner_checks(), infos(&table_after())].concat()
    }

    fn inside(&self) -> Option<&'static str> {
        Some(sev_snp::NAME)
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        parts(octets, &sev_snp::SevSnp)
    }

    fn wants(&self, octets: &[u8]) -> Vec<Wanted> {
        let report = Container::read(octets, sev_snp::NAME).map(|container| container.report);
        report.map(|report| sev_snp::SevSnp.wants(&report)).unwrap_or_default()
    }

    fn named(&self, collateral: &Collateral) -> Vec<(String, Collateral)> {
        sev_snp::SevSnp.named(collateral)
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint("az_snp", &policy.kinds().az_snp, remarks);
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        if !policy.kinds().sev_snp.vmpl.contains(&0) {
            return Some("sev_snp.vmpl does not allow level 0, at which the paravisor asks".to_owned());
        }
        sev_snp::impossible(self.name(), policy)
    }

    fn is_off(&self, policy: &AppraisalPolicy, check: &str) -> bool {
        lint::is_off(&policy.kinds().az_snp, &sev_snp::SevSnp, policy, check)
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

/// What it is.
const TDX: About = About {
    name: "az-tdx",
    media_types: &[AZ_TDX],
    supplements: &[TCG_EVENT_LOG],
    documents: &[],
    reads: |check| reads(check, &tdx::Tdx),
    has_register: |name, octets| {
        (tdx::Tdx.about().has_register)(name, octets) || quote::has_pcr(name, octets)
    },
    vouches,
    recognises: |octets| looks_like_one(octets) && !contains(octets, b"\x67sev-snp"),
    is_a_device: false,
};

impl Kind for AzTdx {
    fn about(&self) -> &'static About {
        &TDX
    }

    fn checks(&self) -> Vec<CheckInfo> {
        [infos(&table_before()), tdx::inner_checks(), infos(&table_after())].concat()
    }

    fn inside(&self) -> Option<&'static str> {
        Some(tdx::NAME)
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        parts(octets, &tdx::Tdx)
    }

    fn ends(&self, item: &EvidenceItem) -> Vec<u64> {
        let container = Container::read(item.bytes(), tdx::NAME);
        container.map(|container| intel::ends(Tee::Tdx, &container.report)).unwrap_or_default()
    }

    fn wants(&self, octets: &[u8]) -> Vec<Wanted> {
        let report = Container::read(octets, tdx::NAME).map(|container| container.report);
        report.map(|report| tdx::Tdx.wants(&report)).unwrap_or_default()
    }

    fn named(&self, collateral: &Collateral) -> Vec<(String, Collateral)> {
        tdx::Tdx.named(collateral)
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint("az_tdx", &policy.kinds().az_tdx, remarks);
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        tdx::inner_impossible(self.name(), policy)
    }

    fn is_off(&self, policy: &AppraisalPolicy, check: &str) -> bool {
        lint::is_off(&policy.kinds().az_tdx, &tdx::Tdx, policy, check)
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

/// Which octets a check reads: of the container, of the quote in it, or of the report.
fn reads(check: &str, inner: &dyn Kind) -> Option<&'static str> {
    Some(match check {
        "container" => "all: the map, TPMS_ATTEST in `attest`, TPMT_SIGNATURE in `signature`",
        "runtime-data" => "`runtime`: keys, vm-configuration",
        "runtime-binding" => "`runtime`, all of it; `report`: the 64 octets that it is for",
        "paravisor-level" => "`report`: 0x030..0x034 VMPL",
        "secure-boot" => "`runtime`: secure-boot of vm-configuration; the event log: SecureBoot in pcr7",
        "console" => "`runtime`: console-enabled of vm-configuration",
        "reference-value" => "`report`: what it measures; `pcrs`",
        "quote-type" | "quote-key" | "quote-signature" | "pcr-digest" | "boot-log" => {
            return tpm::explain::octets(check);
        }
        of_the_report => return (inner.about().reads)(of_the_report),
    })
}

/// Every value of the map, and within the report what its own kind finds there.
fn parts(octets: &[u8], inner: &dyn Kind) -> Vec<Part> {
    let mut all = of_cbor(octets, |_| false, |path| Some(path.to_owned()));
    let report = all.iter().find(|part| part.name == "report").map(|part| part.range.clone());
    let found = report.and_then(|range| Some((range.start, inner.parts(octets.get(range)?))));
    let (from, within) = found.unwrap_or_default();
    all.extend(within.into_iter().map(|part| {
        let (start, end) = (from.saturating_add(part.range.start), from.saturating_add(part.range.end));
        Part::new(format!("report: {}", part.name), start..end)
    }));
    all
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
        run(kind, &table_snp(), &context, input.policy, input.now)
    } else {
        Vec::new()
    };
    let run_before = run(kind, &table_before(), &context, input.policy, input.now);
    let run_after = run(kind, &table_after(), &context, input.policy, input.now);
    Finding {
        recognised,
        checks: [run_before, only_snp, inner.checks, run_after].concat(),
        affirms: TrustVector { executables: reference.map_or(0, ReferenceValue::vouches), ..inner.affirms },
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

/// The report measures the paravisor, the registers what it booted: the boot loader, and what it loads, which is GRUB's
/// to measure, or that of a unified kernel image. Registers are the paravisor's word: a VM that was launched with another
/// one says of them what it likes, so that without it they say nothing.
fn vouches(registers: &Registers) -> i8 {
    let names = |all: &[&str]| all.iter().all(|name| registers.contains_key(*name));
    if !names(&[MEASUREMENT]) && !names(&[tdx::MRTD]) {
        return 0;
    }
    let loaded = names(&["pcr8", "pcr9"]) || names(&["pcr11", "pcr12"]);
    if names(&["pcr4"]) && loaded { 2 } else { 3 }
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
