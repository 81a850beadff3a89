//! What is the paravisor's and the vTPM's, wrong in one point at a time, under SEV-SNP and under TDX alike: each check by
//! its own name, and no other with it but those that cannot be made then.

use std::sync::Arc;

use treering::attester::simulated::Launch;
use treering::attester::simulated::azure::{AzureEvidence, AzureVm, Host, VmConfiguration};
use treering::attester::simulated::intel::{Td, measure};
use treering::attester::simulated::tpm::{Attest, Tpm};
use treering::verifier::{self, Evidence};

use super::{LENIENT, MEASUREMENT, MILAN, TDX_LENIENT, case, tdx_example};
use crate::verifier::intel::{self, check};
use crate::verifier::tpm::NOW;
use crate::verifier::tpm::logs::{boot, google_log, secure_boot_variable, small_log};
use crate::verifier::{Case, assert_affirming, failed, policy_of};

#[derive(Debug, Clone, Copy)]
enum Tee {
    Snp,
    Tdx,
}

const BOTH: [Tee; 2] = [Tee::Snp, Tee::Tdx];

impl Tee {
    /// A VM whose vTPM has these registers.
    fn vm(self, vtpm: Tpm, secure_boot: bool) -> AzureVm {
        let configuration = VmConfiguration {
            console_enabled: true,
            secure_boot,
            tpm_enabled: true,
            vm_unique_id: "911B0EF8-9DBA-48B0-B275-4E4DF2D39252".to_owned(),
        };
        let host = match self {
            Self::Snp => Host::Snp(MILAN.guest(Launch::of(MEASUREMENT)).unwrap()),
            Self::Tdx => Host::Tdx(Arc::clone(&intel::PLATFORM), Box::new(Td::of(measure(b"paravisor")))),
        };
        AzureVm::new(host, vtpm, configuration).unwrap()
    }

    fn case(self, evidence: &AzureEvidence) -> Case {
        let (case, policy) = match self {
            Self::Snp => (case(evidence), LENIENT),
            Self::Tdx => (tdx_example().with_octets(evidence.to_bytes().unwrap()), TDX_LENIENT),
        };
        Case { policy: policy_of(policy), ..case }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Snp => verifier::AZ_SNP,
            Self::Tdx => verifier::AZ_TDX,
        }
    }

    /// The name that the other has in the container.
    fn other(self) -> String {
        match self {
            Self::Snp => "tdx".to_owned(),
            Self::Tdx => "sev-snp".to_owned(),
        }
    }
}

/// Fails these checks under both, and no other.
#[track_caller]
fn assert_failed(names: &[&str], edit: impl Fn(&AzureVm, Tee) -> AzureEvidence) {
    for tee in BOTH {
        let vm = tee.vm(Tpm::generate(NOW).unwrap(), true);
        assert_affirming("as it should be", &tee.case(&good(&vm)).appraise());
        let appraisal = tee.case(&edit(&vm, tee)).appraise();
        assert_eq!(failed(&appraisal), names, "{tee:?}: {:#?}", appraisal.checks().collect::<Vec<_>>());
    }
}

fn good(vm: &AzureVm) -> AzureEvidence {
    vm.evidence(&vm.runtime().unwrap(), &vm.attest(&[7; 32])).unwrap()
}

/// Evidence with one thing changed after it was signed.
fn changed(change: impl Fn(&mut AzureEvidence, Tee)) -> impl Fn(&AzureVm, Tee) -> AzureEvidence {
    move |vm, tee| {
        let mut evidence = good(vm);
        change(&mut evidence, tee);
        evidence
    }
}

/// A quote that says something else, signed.
fn quoted(change: fn(&mut Attest)) -> impl Fn(&AzureVm, Tee) -> AzureEvidence {
    move |vm, _| {
        let mut attest = vm.attest(&[7; 32]);
        change(&mut attest);
        vm.evidence(&vm.runtime().unwrap(), &attest).unwrap()
    }
}

/// Runtime data that say something else, and a report for them.
fn with_runtime(from: &'static str, to: &'static str) -> impl Fn(&AzureVm, Tee) -> AzureEvidence {
    move |vm, _| {
        let runtime = String::from_utf8(vm.runtime().unwrap()).unwrap();
        assert!(runtime.contains(from), "{from} in {runtime}");
        vm.evidence(runtime.replacen(from, to, 1).as_bytes(), &vm.attest(&[7; 32])).unwrap()
    }
}

#[test]
fn the_container_has_one_form_under_both() {
    let container = |names: &[&str], change: fn(&mut AzureEvidence, Tee)| {
        for tee in BOTH {
            let vm = tee.vm(Tpm::generate(NOW).unwrap(), true);
            let failed = failed(&tee.case(&changed(change)(&vm, tee)).appraise());
            // Nothing in it is read: the report inside is none.
            assert_eq!(failed, names, "{tee:?}");
        }
    };
    container(&["container", "format"], |evidence, tee| evidence.tee = tee.other());
    container(&["container", "format"], |evidence, _| evidence.signature.0.push(0));
}

#[test]
fn what_the_paravisor_and_its_vtpm_say_is_judged_by_name_under_both() {
    // A key that cannot be read is none to verify with.
    let keyless: &[&str] = &["runtime-data", "quote-key"];
    assert_failed(keyless, with_runtime("HCLAkPub", "HCLEkPub"));
    assert_failed(keyless, with_runtime("[\"sign\"]", "[\"sign\",\"decrypt\"]"));
    assert_failed(keyless, with_runtime("{", "["));
    assert_failed(&["runtime-binding"], changed(|evidence, _| evidence.runtime.0.push(b' ')));
    assert_failed(&["quote-type"], quoted(|attest| attest.kind = 0x8014));
    assert_failed(
        &["quote-signature"],
        changed(|evidence, _| *evidence.signature.0.last_mut().unwrap() ^= 1),
    );
    assert_failed(&["pcr-digest"], quoted(|attest| attest.pcr_digest[0] ^= 1));
    assert_failed(&["pcr-digest"], changed(|evidence, _| evidence.pcrs.get_mut(&3).unwrap().0[0] ^= 1));
}

/// A log comes along: of a VM that booted as it says.
fn with_log(tee: Tee, log: &[u8], secure_boot: bool, more: impl FnOnce(&mut Tpm)) -> Case {
    let mut vtpm = Tpm::generate(NOW).unwrap();
    boot(&mut vtpm, log);
    more(&mut vtpm);
    let case = tee.case(&good(&tee.vm(vtpm, secure_boot)));
    let items = [(tee.media_type(), case.octets().to_vec()), (verifier::TCG_EVENT_LOG, log.to_vec())];
    Case { evidence: Evidence::new(items).unwrap(), ..case }
}

#[test]
fn an_event_log_must_lead_to_the_registers_of_the_vtpm() {
    let on = small_log(&[secure_boot_variable(0x61, 1), (7, 4, vec![0; 4])]);
    for tee in BOTH {
        let appraisal = with_log(tee, &on, true, |_| {}).appraise();
        assert_affirming("it leads there", &appraisal);
        assert_eq!(check(&appraisal, "boot-log").detail(), "2 events lead to the registers quoted");
        // The firmware extended another register, of which the log knows nothing.
        let appraisal = with_log(tee, &on, true, |vtpm| vtpm.extend(4, &[1; 32])).appraise();
        assert_eq!(failed(&appraisal), ["boot-log"]);
        assert!(check(&appraisal, "boot-log").detail().contains("pcr4"), "{tee:?}");
        // Something that is no log.
        let case = with_log(tee, &on, true, |_| {});
        let items = [(tee.media_type(), case.octets().to_vec()), (verifier::TCG_EVENT_LOG, vec![0; 70])];
        let appraisal = Case { evidence: Evidence::new(items).unwrap(), ..case }.appraise();
        assert_eq!(failed(&appraisal), ["boot-log"]);
    }
    let Some(google) = google_log() else { return };
    for tee in BOTH {
        // A machine's whole log, which proves that secure boot was off; and so does the paravisor say.
        let case = with_log(tee, &google, false, |_| {});
        let appraisal = case.appraise();
        assert!(check(&appraisal, "boot-log").ok(), "{}", check(&appraisal, "boot-log").detail());
        assert_eq!(failed(&appraisal), ["secure-boot"]);
    }
}

/// The paravisor's word counts as long as no log proves the opposite; a proof counts whatever is required.
#[test]
fn secure_boot_is_not_what_the_log_disproves() {
    let log = |on: u8| small_log(&[secure_boot_variable(0x61, on), (7, 4, vec![0; 4])]);
    for tee in BOTH {
        let section = match tee {
            Tee::Snp => "[az_snp]\n",
            Tee::Tdx => "[az_tdx]\n",
        };
        for (said, logged, required, passes) in [
            (true, 1, true, true),
            (true, 0, true, false),
            (true, 0, false, false),
            (false, 1, true, false),
            (false, 0, true, false),
            (false, 0, false, true),
            (false, 1, false, true),
        ] {
            let case = with_log(tee, &log(logged), said, |_| {});
            let policy = match tee {
                Tee::Snp => LENIENT,
                Tee::Tdx => TDX_LENIENT,
            };
            let policy = policy.replace(section, &format!("{section}require_secure_boot = {required}\n"));
            let appraisal = Case { policy: policy_of(&policy), ..case }.appraise();
            let wanted: &[&str] = if passes { &[] } else { &["secure-boot"] };
            assert_eq!(failed(&appraisal), wanted, "{tee:?} {said} {logged} {required}");
        }
    }
    let contradicted = with_log(Tee::Snp, &log(0), true, |_| {}).appraise();
    assert!(check(&contradicted, "secure-boot").detail().contains("the event log proves that it was off"));
}

#[test]
fn secure_boot_and_console_are_the_paravisors_word_under_both() {
    for tee in BOTH {
        let vm = tee.vm(Tpm::generate(NOW).unwrap(), false);
        assert_eq!(failed(&tee.case(&good(&vm)).appraise()), ["secure-boot"], "{tee:?}");
        let silent = with_runtime("\"secure-boot\":false,", "")(&vm, tee);
        assert_eq!(failed(&tee.case(&silent).appraise()), ["secure-boot"], "{tee:?}: not said is not on");
    }
}
