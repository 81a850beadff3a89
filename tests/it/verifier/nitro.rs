//! Appraisal of AWS Nitro Enclaves: real documents where the folder of foreign vectors lies beside the repository, and
//! documents of the simulated platform, which can be made wrong in one point at a time.

mod anything;
mod hardware;
mod policy;
mod revocation;
mod simulated;

use std::sync::{Arc, LazyLock};

use ciborium::Value;
use treering::attester::Attester;
use treering::attester::simulated::nitro::{Enclave, EnclaveImage, Hierarchy, NitroPlatform};
use treering::verifier::{Appraisal, AppraisalPolicy, Collateral, HardwareRoots, NITRO_DOCUMENT};

use super::{Case, policy_of};

const NOW: u64 = 1_782_864_000;
const HOUR: u64 = 3600;
const BINDING: [u8; 64] = [0x5a; 64];

static PLATFORM: LazyLock<Arc<NitroPlatform>> = LazyLock::new(|| platform(Hierarchy::default()));

fn platform(hierarchy: Hierarchy) -> Arc<NitroPlatform> {
    Arc::new(NitroPlatform::with(hierarchy, NOW).unwrap())
}

fn roots_of(platform: &NitroPlatform) -> HardwareRoots {
    HardwareRoots::with_simulated([platform.root_fingerprint()])
}

fn image() -> EnclaveImage {
    EnclaveImage::of(b"image 7")
}

fn enclave() -> Enclave {
    PLATFORM.enclave(image(), NOW)
}

/// A document of an enclave.
fn case_of(enclave: &Enclave) -> Case {
    let mut attestation = enclave.report(&BINDING).unwrap();
    let octets = attestation.evidence.remove(0).bytes;
    let crls = attestation.documents.into_iter().map(|list| list.bytes).collect();
    let case = Case::of("simulated", NITRO_DOCUMENT, octets, Collateral::new(vec![], crls).unwrap(), NOW);
    Case { roots: roots_of(enclave.platform()), policy: policy(""), ..case }
}

/// The example of this kind.
pub(crate) fn example() -> Case {
    case_of(&enclave())
}

fn policy(nitro: &str) -> AppraisalPolicy {
    policy_of(&format!("[nitro]\nrequire_reference_value = false\n{nitro}"))
}

fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

/// A document whose fields were changed before it was signed.
fn patched(change: impl FnOnce(&mut Vec<(Value, Value)>)) -> Case {
    let mut fields = enclave().fields(&BINDING);
    change(&mut fields);
    signed(&encode(&Value::Map(fields)))
}

fn signed(payload: &[u8]) -> Case {
    example().with_octets(PLATFORM.sign(payload).unwrap())
}

fn put(fields: &mut Vec<(Value, Value)>, name: &str, value: impl Into<Value>) {
    fields.retain(|(key, _)| key.as_text() != Some(name));
    fields.push((name.into(), value.into()));
}

fn pcrs(fields: &mut [(Value, Value)]) -> &mut Vec<(Value, Value)> {
    let (_, pcrs) = fields.iter_mut().find(|(key, _)| key.as_text() == Some("pcrs")).unwrap();
    pcrs.as_map_mut().unwrap()
}

fn detail(appraisal: &Appraisal, check: &str) -> String {
    appraisal.checks().find(|one| one.name() == check).unwrap().detail().to_owned()
}
