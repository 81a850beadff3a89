//! Appraisal of NVIDIA GPUs and switches: reports of hardware where the folder of foreign vectors lies beside this
//! repository, and a simulated device, which can be made wrong in one point at a time.

mod anything;
mod hardware;
mod policy;
mod revocation;
mod simulated;
mod switch;

use std::sync::LazyLock;

use treering::attester::Attester;
use treering::attester::simulated::nvidia::{Device, Fields, Model};
use treering::verifier::{Appraisal, Collateral, HardwareRoots};

use super::{Case, policy_of};

/// 2026-07-01T00:00:00Z.
const NOW: u64 = 1_782_864_000;
pub(crate) const BINDING: [u8; 64] = [0x5a; 64];

static GPU: LazyLock<Device> = LazyLock::new(|| Device::generate(Model::Gh100, NOW).unwrap());
static SWITCH: LazyLock<Device> = LazyLock::new(|| Device::generate(Model::Ls10, NOW).unwrap());

pub(crate) fn case_of(name: &str, device: &Device) -> Case {
    let octets = Attester::report(device, &BINDING).unwrap().evidence.remove(0).bytes;
    Case {
        roots: HardwareRoots::with_simulated([device.root_fingerprint()]),
        ..Case::of(name, device.media_type(), octets, Collateral::default(), NOW)
    }
}

/// One of each kind, for the tests of all kinds.
pub(crate) fn examples() -> Vec<Case> {
    vec![case_of("simulated GPU", &GPU), case_of("simulated switch", &SWITCH)]
}

/// The simulated GPU's report with this changed, signed again.
fn changed(change: impl FnOnce(&mut Fields)) -> Case {
    let mut fields = GPU.ordinary([7; 32]);
    change(&mut fields);
    let report = GPU.report(&fields).unwrap();
    case_of("changed", &GPU).with_octets(Device::item(&report, GPU.chain()).unwrap())
}

/// The simulated GPU's report with these octets changed, signed again.
fn patched(patch: impl FnOnce(&mut Vec<u8>)) -> Case {
    let mut report = GPU.report(&GPU.ordinary([7; 32])).unwrap();
    patch(&mut report);
    GPU.sign_report(&mut report).unwrap();
    case_of("patched", &GPU).with_octets(Device::item(&report, GPU.chain()).unwrap())
}

fn with_policy(case: &Case, text: &str) -> Appraisal {
    let text = format!("[nvidia_gpu]\nrequire_reference_value = false\nrequire_revocation = false\n{text}");
    Case { policy: policy_of(&text), ..case.clone() }.appraise()
}
