//! Intel SGX: quotes of version 3, of an enclave.
//!
//! In scope: what an enclave says of itself, and what the policy asks of it. Out of scope: what is Intel's own
//! (`intel`), and enclaves of other quoting schemes (EPID, which Intel has ended).
//! References: *SDM* is Intel's Software Developer's Manual, volume 3D, chapter "Enclave data structures".

mod claims;
mod lint;
mod policy;
mod requirements;

pub(in crate::verifier) use policy::Policy;

use dcap_qvl::quote::EnclaveReport;

use super::intel::{self, HasQuote, Judged, Tee};
use super::{About, Assurance, Finding, Input, Kind};
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

/// The name of this kind.
pub const NAME: &str = "sgx";
/// Media type of an SGX quote. No type is registered; this is the name we use, in Intel's tree.
pub const SGX_QUOTE: &str = "application/vnd.intel.sgx-quote";

/// What a reference value may name, and how many octets it has; numbers are big-endian, as people write them.
const REGISTERS: [(&str, usize); 7] = [
    ("configid", 64),
    ("isvextprodid", 16),
    ("isvfamilyid", 16),
    ("isvprodid", 2),
    ("isvsvn", 2),
    ("mrenclave", 32),
    ("mrsigner", 32),
];

/// This kind.
pub(in crate::verifier) struct Sgx;

/// Everything a check may look at.
struct Context<'a> {
    judged: Judged<'a>,
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
    checks.extend(intel::rules());
    checks.extend([
        Check::waivable("debug", Harm::Exposed, requirements::debug),
        Check::firm("attributes", Harm::Configuration, requirements::attributes),
        Check::waivable("isv-svn", Harm::Executables, requirements::isv_svn),
        Check::waivable("reference-value", Harm::Executables, requirements::reference_value),
    ]);
    checks
}

/// What it is.
const ABOUT: About = About {
    name: NAME,
    media_types: &[SGX_QUOTE],
    supplements: &[],
    documents: &[intel::TCB_INFO_TYPE, intel::ENCLAVE_IDENTITY_TYPE],
    reads: |check| intel::octets(Tee::Sgx, check),
    has_register: |name, octets| REGISTERS.contains(&(name, octets)),
    vouches,
    recognises: |octets| intel::looks_like_a_quote(Tee::Sgx, octets),
    is_a_device: false,
};

impl Kind for Sgx {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn wants(&self, octets: &[u8]) -> Vec<Wanted> {
        intel::wants(Tee::Sgx, octets)
    }

    fn named(&self, collateral: &Collateral) -> Vec<(String, Collateral)> {
        // The CRLs are those of TDX too, and named there.
        intel::named_documents(Tee::Sgx, collateral)
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint(&policy.kinds().sgx, remarks);
    }

    fn ends(&self, item: &EvidenceItem) -> Vec<u64> {
        intel::ends(Tee::Sgx, item.bytes())
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        intel::parts(Tee::Sgx, octets)
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        lint::impossible(&policy.kinds().sgx)
    }

    fn is_off(&self, policy: &AppraisalPolicy, check: &str) -> bool {
        lint::is_off(&policy.kinds().sgx, check)
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let policy = &input.policy.kinds().sgx;
        let owned = (&policy.tcb, &policy.machines);
        let octets = input.item.bytes();
        let judged = Judged::new(Tee::Sgx, octets, owned, input);
        let context = Context { judged, policy, references: input.references };
        let registers = context.report().ok().map(registers);
        let reference = registers.as_ref().and_then(|found| input.references.find(NAME, found));
        let judged = &context.judged;
        Finding {
            recognised: self.recognises(octets),
            checks: checks::run(NAME, &table(), &context, input.policy, input.now),
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
        }
    }
}

/// MRENCLAVE says which enclave it is; MRSIGNER says whose, and one signer's are many. A number of a product, or what its
/// configuration is, says nothing without one of these: every signer has a product 1.
fn vouches(registers: &Registers) -> i8 {
    match (registers.contains_key("mrenclave"), registers.contains_key("mrsigner")) {
        (true, _) => 2,
        (false, true) => 3,
        (false, false) => 0,
    }
}

/// What the quote says of the enclave. With KSS (key separation and sharing) the enclave's owner chooses more of it;
/// those fields lie in what is reserved otherwise.
fn registers(report: &EnclaveReport) -> Registers {
    let kss = Kss::of(report);
    let values: [(&str, &[u8]); 7] = [
        ("configid", &kss.config_id),
        ("isvextprodid", &kss.ext_prod_id),
        ("isvfamilyid", &kss.family_id),
        ("isvprodid", &report.isv_prod_id.to_be_bytes()),
        ("isvsvn", &report.isv_svn.to_be_bytes()),
        ("mrenclave", &report.mr_enclave),
        ("mrsigner", &report.mr_signer),
    ];
    values.into_iter().map(|(name, octets)| (name.to_owned(), octets.to_vec())).collect()
}

/// The fields of KSS (SDM, "REPORT").
struct Kss {
    ext_prod_id: [u8; 16],
    config_id: [u8; 64],
    config_svn: u16,
    family_id: [u8; 16],
}

impl Kss {
    fn of(report: &EnclaveReport) -> Self {
        let mut kss = Self { ext_prod_id: [0; 16], config_id: [0; 64], config_svn: 0, family_id: [0; 16] };
        // 28 octets: 12 reserved, ISVEXTPRODID.
        take(&report.reserved1, 12, &mut kss.ext_prod_id);
        // 96 octets: 32 reserved, CONFIGID.
        take(&report.reserved3, 32, &mut kss.config_id);
        // 60 octets: CONFIGSVN, 42 reserved, ISVFAMILYID.
        let mut svn = [0; 2];
        take(&report.reserved4, 0, &mut svn);
        kss.config_svn = u16::from_le_bytes(svn);
        take(&report.reserved4, 44, &mut kss.family_id);
        kss
    }
}

fn take(from: &[u8], at: usize, to: &mut [u8]) {
    from.iter().skip(at).zip(to).for_each(|(from, to)| *to = *from);
}

impl Context<'_> {
    fn report(&self) -> Result<&EnclaveReport, Found> {
        let report = &self.judged.quote()?.fields().report;
        report.as_sgx().ok_or(Found::NotEvaluated("the quote is not of an enclave"))
    }
}
