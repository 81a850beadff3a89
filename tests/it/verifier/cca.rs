//! Appraisal of Arm CCA tokens. No token of hardware is public: those of the folder of foreign vectors are made with
//! test keys by Veraison's tools, and the simulated platform's can be made wrong in one point at a time.

mod anything;
mod foreign;
mod policy;
mod simulated;

use std::sync::{Arc, LazyLock};

use ciborium::Value;
use data_encoding::BASE64;
use treering::attester::Attester;
use treering::attester::simulated::cca::{CcaPlatform, Claims, Realm, RealmImage};
use treering::verifier::{self, Appraisal, AppraisalPolicy, CCA_TOKEN, Collateral, HardwareRoots};

use super::{Case, assert_refused, policy_of};

const NOW: u64 = 1_782_864_000;
const BINDING: [u8; 64] = [0x5a; 64];
const LENIENT: &str = "[cca]\nrequire_reference_value = false\nrequire_platform_reference = false\n";

fn with_key(key: &str) -> AppraisalPolicy {
    policy_of(&format!("{LENIENT}[[cca.platform_key]]\nname = \"test key\"\n{key}"))
}

fn of_octets(name: &str, octets: Vec<u8>, policy: AppraisalPolicy) -> Case {
    Case { policy, ..Case::of(name, CCA_TOKEN, octets, Collateral::default(), NOW) }
}

static REALM: LazyLock<Realm> = LazyLock::new(|| {
    let platform = Arc::new(CcaPlatform::generate().unwrap());
    platform.realm(RealmImage::of(b"image 7")).unwrap()
});

fn roots() -> HardwareRoots {
    HardwareRoots::with_simulated([REALM.platform().key_fingerprint()])
}

fn key_of(platform: &CcaPlatform) -> String {
    format!("spki = \"{}\"", BASE64.encode(&platform.key()))
}

/// The example of this kind.
pub(crate) fn example() -> Case {
    let octets = REALM.report(&BINDING).unwrap().evidence.remove(0).bytes;
    Case { roots: roots(), ..of_octets("simulated", octets, with_key(&key_of(REALM.platform()))) }
}

fn policy(rules: &str) -> AppraisalPolicy {
    let key = format!("[[cca.platform_key]]\nname = \"ours\"\n{}\n", key_of(REALM.platform()));
    policy_of(&format!("{LENIENT}{rules}\n{key}"))
}

fn encode(claims: Claims) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(&Value::Map(claims), &mut out).unwrap();
    out
}

fn parts(token: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let value: Value = ciborium::from_reader(token).unwrap();
    let (_, map) = value.into_tag().unwrap();
    let mut parts = map.into_map().unwrap().into_iter().map(|(_, part)| part.into_bytes().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

fn detail(appraisal: &Appraisal, check: &str) -> String {
    appraisal.checks().find(|one| one.name() == check).unwrap().detail().to_owned()
}

#[track_caller]
fn assert_format(case: &Case, reason: &str) {
    let appraisal = case.appraise();
    assert_refused(&appraisal, "format");
    assert!(detail(&appraisal, "format").contains(reason), "{}", detail(&appraisal, "format"));
}

fn digest(octets: &[u8]) -> [u8; 32] {
    verifier::fingerprint(octets)
}
