//! Results of other Verifiers. The bundle of NVIDIA's service is a real one (shared vectors); its key is not published
//! any more, and was computed from its two signatures, which determine it. All other tokens are synthetic: claims as
//! their issuers document them, signed by test keys.

mod anything;
mod form;
mod formats;
mod nras;
mod ours;
mod policy;

use std::sync::LazyLock;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use treering::verifier::{
    self, ATTESTATION_RESULT, ATTESTATION_RESULT_CWT, ATTESTATION_RESULT_JWT, Appraisal, Collateral,
    TokenOptions,
};
use treering_provenance::cose::{Ed25519Signer, Signer};

use super::tokens::Issuer;
use super::{Case, policy_of, sev_snp};

const NOW: u64 = 1_800_000_000;
const BINDING: [u8; 64] = [0x5a; 64];
const MEASUREMENT: [u8; 48] = [0x11; 48];

static ED25519: LazyLock<Issuer> = LazyLock::new(|| Issuer::ed25519(7));

/// A section `[[external]]` with these lines after name and keys.
fn external(issuer: &str, format: &str, tee: &str, keys: &str, more: &str) -> String {
    format!(
        "[[external]]\nname = \"v\"\nformat = \"{format}\"\nissuer = \"{issuer}\"\ntees = [\"{tee}\"]\nkeys = '''{keys}'''\n{more}\n"
    )
}

/// A format: its name, the type of its tokens, an issuer of its algorithm, claims, and what it vouches for.
struct Example {
    format: &'static str,
    media_type: &'static str,
    issuer: &'static str,
    algorithm: &'static str,
    tee: &'static str,
    claims: Value,
}

fn hex48(octet: u8) -> String {
    HEXLOWER.encode(&[octet; 48])
}

fn snp_claims() -> Value {
    json!({ "measurement": HEXLOWER.encode(&MEASUREMENT), "report_data": HEXLOWER.encode(&BINDING), "generation": "Milan" })
}

fn ear04() -> Value {
    json!({
        "eat_profile": "tag:ietf.org,2026:rats/ear#04",
        "iat": NOW,
        "ear_verifier_id": { "developer": "https://verifier.example", "build": "v 1" },
        "ear_status": "affirming",
        "submods": { "sev-snp": {
            "ear_status": "affirming",
            "ear_trustworthiness_vector": { "configuration": 2, "hardware": 2, "runtime-opaque": 2, "executables": 2 },
            "ear_appraisal_policy_ids": ["p"],
            "ear_attester_claims": snp_claims(),
            "eat_nonce": BASE64URL_NOPAD.encode(&BINDING),
        } },
    })
}

fn old_ear(profile: &str, submod: &str, evidence: &Value) -> Value {
    json!({
        "eat_profile": profile,
        "iat": NOW,
        "ear.verifier-id": { "developer": "https://verifier.example", "build": "v 1" },
        "eat_nonce": BASE64URL_NOPAD.encode(&BINDING) + "==",
        "submods": { submod: {
            "ear.status": "affirming",
            "ear.trustworthiness-vector": { "instance-identity": 0, "configuration": 2, "executables": 3, "file-system": 0,
                "hardware": 2, "runtime-opaque": 2, "storage-opaque": 0, "sourced-data": 0 },
            "ear.appraisal-policy-id": "default",
            "ear.veraison.annotated-evidence": evidence,
        } },
    })
}

fn tdx_claims() -> Value {
    let mut claims = json!({ "attester_type": "TDX", "attester_tcb_status": "UpToDate", "tdx_is_debuggable": false,
        "tdx_mrtd": hex48(1), "attester_held_data": BASE64.encode(&BINDING) });
    for number in 0..4_u8 {
        claims[format!("tdx_rtmr{number}")] = hex48(2 + number).into();
    }
    claims
}

fn issued(issuer: &str, mut claims: Value) -> Value {
    for (name, value) in
        [("iss", json!(issuer)), ("iat", json!(NOW)), ("nbf", json!(NOW)), ("exp", json!(NOW + 300))]
    {
        claims[name] = value;
    }
    claims
}

fn azure_snp() -> Value {
    json!({
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-sevsnpvm-is-debuggable": false,
        "x-ms-sevsnpvm-migration-allowed": false,
        "x-ms-sevsnpvm-launchmeasurement": HEXLOWER.encode(&MEASUREMENT),
        "x-ms-sevsnpvm-reportdata": HEXLOWER.encode(&BINDING),
    })
}

const DEVELOPER: &str = "https://verifier.example";
const INTEL: &str = "https://portal.trustauthority.intel.com";
const AZURE: &str = "https://sharedeus.eus.attest.azure.net";
const GOOGLE: &str = "https://confidentialcomputing.googleapis.com";
const TRUSTEE: &str = "tag:github.com,2024:confidential-containers/Trustee";

impl Example {
    fn ear(format: &'static str, algorithm: &'static str, tee: &'static str, claims: Value) -> Self {
        Self { format, media_type: ATTESTATION_RESULT, issuer: DEVELOPER, algorithm, tee, claims }
    }

    /// A vendor's, which names its issuer and has an end.
    fn of(issuer: &'static str, algorithm: &'static str, tee: &'static str, claims: Value) -> Self {
        let format = match issuer {
            INTEL => "intel-trust-authority",
            AZURE => "azure-attestation",
            _ => "google-confidential-space",
        };
        let claims = issued(issuer, claims);
        Self { format, media_type: ATTESTATION_RESULT_JWT, issuer, algorithm, tee, claims }
    }
}

fn trustee(evidence: &Value) -> Value {
    old_ear(TRUSTEE, "cpu0", evidence)
}

fn azure_tdx() -> Value {
    let mut claims = tdx_claims();
    claims["x-ms-attestation-type"] = "tdxvm".into();
    claims["tdx_td_attributes_debug"] = false.into();
    claims["tdx_report_data"] = HEXLOWER.encode(&BINDING).into();
    claims
}

/// A confidential VM of Azure: its REPORT_DATA is of the vTPM's keys.
fn azure_vm() -> Value {
    let mut hardware = azure_snp();
    hardware["x-ms-sevsnpvm-reportdata"] = HEXLOWER.encode(&[7; 64]).into();
    json!({ "x-ms-attestation-type": "azurevm", "x-ms-isolation-tee": hardware,
        "x-ms-runtime": { "client-payload": { "nonce": BASE64.encode(&BINDING) } } })
}

fn confidential_space() -> Value {
    json!({
        "sub": "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances/i",
        "aud": "https://treering.example",
        "eat_nonce": BASE64URL_NOPAD.encode(&BINDING),
        "secboot": true, "hwmodel": "GCP_INTEL_TDX", "swname": "CONFIDENTIAL_SPACE", "dbgstat": "disabled-since-boot",
        "submods": { "confidential_space": { "support_attributes": ["LATEST", "STABLE", "USABLE"] },
            "container": { "image_digest": format!("sha256:{}", HEXLOWER.encode(&[9; 32])) } },
    })
}

fn examples() -> Vec<Example> {
    let veraison = old_ear("tag:github.com,2023:veraison/ear", "SEV_SNP", &snp_claims());
    let snp = json!({ "snp": { "measurement": BASE64.encode(&MEASUREMENT), "policy_debug_allowed": false,
        "report_data": HEXLOWER.encode(&BINDING) } });
    let body = json!({ "mr_td": hex48(1), "rtmr_0": hex48(2), "rtmr_1": hex48(3), "rtmr_2": hex48(4),
        "rtmr_3": hex48(5), "report_data": HEXLOWER.encode(&BINDING) });
    let tdx = json!({ "tdx": { "quote": { "body": body }, "tcb_status": "UpToDate", "td_attributes": { "debug": false } } });
    let untyped = Example::ear("ear-trustee", "ES256", "sev-snp", trustee(&snp));
    vec![
        Example::ear("ear-04", "ES256", "sev-snp", ear04()),
        Example::ear("ear-veraison", "ES256", "sev-snp", veraison),
        Example { media_type: ATTESTATION_RESULT_JWT, ..untyped },
        Example::ear("ear-trustee", "ES384", "tdx", trustee(&tdx)),
        Example::of(INTEL, "PS384", "tdx", tdx_claims()),
        Example::of(INTEL, "RS256", "tdx", json!({ "tdx": tdx_claims() })),
        Example::of(AZURE, "RS256", "sev-snp", azure_snp()),
        Example::of(AZURE, "RS256", "tdx", azure_tdx()),
        Example::of(AZURE, "RS256", "sev-snp", azure_vm()),
        Example::of(GOOGLE, "RS256", "tdx", confidential_space()),
    ]
}

static RSA: LazyLock<[Issuer; 3]> =
    LazyLock::new(|| [Issuer::rsa("RS256"), Issuer::rsa("PS384"), Issuer::rsa("PS256")]);
static ECDSA: LazyLock<[Issuer; 2]> = LazyLock::new(|| [Issuer::ecdsa("ES256"), Issuer::ecdsa("ES384")]);

fn signer(algorithm: &str) -> &'static Issuer {
    let all = RSA.iter().chain(ECDSA.iter()).chain([&*ED25519]);
    all.into_iter().find(|issuer| issuer.algorithm == algorithm).unwrap()
}

fn case_of(media_type: &str, token: impl Into<Vec<u8>>, rules: &str) -> Case {
    Case { policy: policy_of(rules), ..Case::of(rules, media_type, token.into(), Collateral::default(), NOW) }
}

impl Example {
    fn case(&self, claims: &Value, more: &str) -> Case {
        let signer = signer(self.algorithm);
        let more = format!("require_reference_value = false\n{more}");
        let rules = external(self.issuer, self.format, self.tee, &signer.jwks(), &more);
        case_of(self.media_type, signer.jwt(claims), &rules)
    }
}

/// The example of the kind: an EAR of a Verifier about a SEV-SNP guest.
pub(crate) fn example() -> Case {
    let rules = external(
        "https://verifier.example",
        "ear-04",
        "sev-snp",
        &ED25519.jwks(),
        "require_reference_value = false",
    );
    case_of(ATTESTATION_RESULT, ED25519.jwt(&ear04()), &rules)
}

/// An EAR of a Verifier about a SEV-SNP guest, issued then, and the section that names its issuer.
pub(crate) fn issued_at(issued: u64, binding: &[u8; 64]) -> (Vec<u8>, String) {
    token(issued, None, binding)
}

/// The same with an end.
pub(crate) fn ending_at(issued: u64, until: u64, binding: &[u8; 64]) -> (Vec<u8>, String) {
    token(issued, Some(until), binding)
}

fn token(issued: u64, until: Option<u64>, binding: &[u8; 64]) -> (Vec<u8>, String) {
    let mut claims = ear04();
    claims["iat"] = json!(issued);
    claims["submods"]["sev-snp"]["eat_nonce"] = BASE64URL_NOPAD.encode(binding).into();
    if let Some(until) = until {
        claims["exp"] = json!(until);
    }
    let more = "require_reference_value = false";
    let rules = external(DEVELOPER, "ear-04", "sev-snp", &ED25519.jwks(), more);
    (ED25519.jwt(&claims).into_bytes(), rules)
}

/// One workload in a TD, vouched for by Intel's service and by Azure's, each in its own format and under its own test
/// key: token, its type, and the section that names its issuer. No two real tokens are of one workload.
pub(crate) fn of_one_td() -> [(&'static str, Vec<u8>, String); 2] {
    let examples = examples();
    [4, 7].map(|number| {
        let Example { format, media_type, issuer, algorithm, tee, claims } = &examples[number];
        let signer = signer(algorithm);
        (*media_type, signer.jwt(claims).into_bytes(), external(issuer, format, tee, &signer.jwks(), ""))
    })
}

/// When they count.
pub(crate) const INSTANT: u64 = NOW;

fn ed25519_signer() -> Ed25519Signer {
    Ed25519Signer::from_seed(&[7; 32]).unwrap()
}

/// The key of a signer as others pin it.
fn jwks_of(signer: &dyn Signer) -> String {
    let pem = BASE64.encode(&signer.key().to_spki());
    format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n")
}

fn signed() -> Appraisal {
    let case = sev_snp::simulated_case();
    case.appraise()
}

fn our_cwt() -> Case {
    let appraisal = signed();
    let token = verifier::write_cwt(&appraisal, TokenOptions::default(), &ed25519_signer()).unwrap();
    let more = "require_reference_value = false\nallow_simulated = true";
    let rules = external(verifier::DEVELOPER, "ear-04", "sev-snp", &jwks_of(&ed25519_signer()), more);
    Case { now: appraisal.now(), ..case_of(ATTESTATION_RESULT_CWT, token, &rules) }
}

/// A logged appraisal is replayed and compared octet by octet.
#[test]
fn the_octets_of_a_result_are_pinned() {
    let text = String::from_utf8(example().appraise().ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    assert_eq!(
        HEXLOWER.encode(&verifier::fingerprint(text.as_bytes())),
        "888e0b1eb4f7d78c046903942ccb3da3d56b43bf525dd37af9bb852db128bac8"
    );
}
