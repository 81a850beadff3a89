//! Results of other Verifiers. The bundle of NVIDIA's service is a real one (shared vectors); its key is not published
//! any more, and was computed from its two signatures, which determine it. All other tokens are synthetic: claims as
//! their issuers document them, signed by test keys.

use std::sync::LazyLock;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;
use serde_json::{Value, json};
use treering::verifier::{
    self, ATTESTATION_RESULT, ATTESTATION_RESULT_BUNDLE, ATTESTATION_RESULT_CWT, ATTESTATION_RESULT_JWT,
    Appraisal, Assurance, Collateral, EarProfile, ReferenceValue, ReferenceValues, Status, TokenError,
    TokenKeys, TokenOptions,
};
use treering_provenance::cose::{Ed25519Signer, Es256Signer, Signer};

use super::sev_snp;
use super::tokens::{self, Issuer, KID};
use super::{
    Case, assert_affirming, assert_refused, failed, main, no_flipped_bit_is_accepted, policy_of, read,
    vectors,
};

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

#[test]
fn every_format_is_mapped_to_the_same_statement() {
    for example in examples() {
        let case = example.case(&example.claims, "");
        let appraisal = case.appraise();
        assert_affirming(example.format, &appraisal);
        let appraised = appraisal.clone().into_appraised().unwrap();
        assert_eq!(appraised.tee(), example.tee, "{}", example.format);
        assert_eq!(appraised.assurance(), Assurance::Hardware);
        assert_eq!(main(&appraisal).vector().hardware, 2);
        assert_eq!(main(&appraisal).claim("verifier"), Some("v"), "who vouched is said");
        assert!(appraisal.matches_binding(&BINDING), "{}: carries the binding", example.format);
        assert!(!appraisal.matches_binding(&[0; 64]));
    }
}

/// The name of a register of each format, and that another value is not accepted.
#[test]
fn reference_values_decide_what_runs() {
    let value = |tee: &str, register: &str, octets: Vec<u8>| ReferenceValue {
        name: "payments 1".to_owned(),
        tee: tee.to_owned(),
        registers: [(register.to_owned(), octets)].into(),
        source: [0; 32],
    };
    for example in examples().iter().filter(|one| one.tee == "sev-snp" || one.format.starts_with("google")) {
        let (tee, register, right) = match example.format {
            "google-confidential-space" => ("attestation-result", "image-digest", vec![9; 32]),
            _ => ("sev-snp", "measurement", MEASUREMENT.to_vec()),
        };
        let mut wrong = right.clone();
        wrong[0] ^= 1;
        let with = |octets| ReferenceValues::new(vec![value(tee, register, octets)]).unwrap();
        let case = example.case(&example.claims, "");
        let known = Case { references: with(right), ..case.clone() }.appraise();
        assert_affirming(example.format, &known);
        assert_eq!(main(&known).reference().unwrap().name, "payments 1");
        assert_eq!(main(&known).vector().executables, 3);
        let unknown = Case { references: with(wrong), ..case }.appraise();
        assert_refused(&unknown, "reference-value");
        assert_eq!(main(&unknown).vector().executables, 33);
    }
    let first = &examples()[0];
    let rules = external(first.issuer, first.format, first.tee, &signer("ES256").jwks(), "");
    let strict = case_of(first.media_type, signer("ES256").jwt(&first.claims), &rules).appraise();
    assert_refused(&strict, "reference-value");
    assert_eq!(failed(&strict), ["reference-value"], "required unless the policy says otherwise");
}

/// Each format, wrong in one point each, and the check that says so.
#[test]
fn what_a_format_says_that_is_wrong_is_named() {
    let wrong: [(&str, &str, Value, &str); 24] = [
        ("ear-04", "/submods/sev-snp/ear_status", json!("contraindicated"), "claims"),
        ("ear-04", "/ear_status", json!("contraindicated"), "status"),
        ("ear-04", "/ear_status", json!("fine"), "claims"),
        ("ear-04", "/submods/sev-snp/ear_trustworthiness_vector/hardware", json!(96), "claims"),
        ("ear-04", "/submods/sev-snp/ear_trustworthiness_vector/hardware", json!(300), "claims"),
        ("ear-04", "/submods/sev-snp/ear_trustworthiness_vector", json!({ "software": 2 }), "claims"),
        ("ear-04", "/submods/sev-snp/ear_trustworthiness_vector/configuration", json!(0), "debug"),
        ("ear-04", "/eat_profile", json!("tag:github.com,2023:veraison/ear"), "claims"),
        ("ear-04", "/iat", json!(1.5), "claims"),
        ("ear-04", "/ear_verifier_id/developer", json!("https://other.example"), "issuer"),
        ("ear-04", "/submods", json!({}), "claims"),
        ("ear-veraison", "/eat_profile", json!("tag:ietf.org,2026:rats/ear#04"), "claims"),
        (
            "ear-trustee",
            "/submods/cpu0/ear.veraison.annotated-evidence/snp/policy_debug_allowed",
            json!(true),
            "debug",
        ),
        ("ear-trustee", "/submods/cpu0/ear.veraison.annotated-evidence", json!({ "sample": {} }), "claims"),
        ("intel-trust-authority", "/attester_tcb_status", json!("OutOfDate"), "tcb-status"),
        ("intel-trust-authority", "/tdx_is_debuggable", json!(true), "debug"),
        ("intel-trust-authority", "/policy_ids_unmatched", json!([{ "id": "x" }]), "status"),
        ("intel-trust-authority", "/attester_type", json!("SGX"), "claims"),
        ("intel-trust-authority", "/iss", json!("https://other.example"), "issuer"),
        ("azure-attestation", "/x-ms-sevsnpvm-is-debuggable", json!(true), "debug"),
        ("azure-attestation", "/x-ms-compliance-status", json!("none"), "status"),
        ("google-confidential-space", "/dbgstat", json!("enabled"), "debug"),
        ("google-confidential-space", "/swname", json!("GCE"), "status"),
        (
            "google-confidential-space",
            "/submods/confidential_space/support_attributes",
            json!(["USABLE"]),
            "status",
        ),
    ];
    let examples = examples();
    for (format, pointer, value, check) in wrong {
        let example = examples.iter().find(|example| example.format == format).unwrap();
        let mut claims = example.claims.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        claims.pointer_mut(parent).unwrap()[name] = value.clone();
        let appraisal = example.case(&claims, "").appraise();
        assert_refused(&appraisal, check);
        assert_eq!(failed(&appraisal), [check], "{format} {pointer} {value}: nothing else is wrong");
    }
}

#[test]
fn a_token_of_another_time_is_refused() {
    let example = &examples()[4];
    for (name, value, check) in [
        ("exp", json!(NOW), "validity"),
        ("nbf", json!(NOW + 61), "validity"),
        ("iat", json!(NOW + 61), "validity"),
        ("iat", json!(NOW - 601), "age"),
        ("iat", json!(-1), "claims"),
        ("exp", json!("tomorrow"), "claims"),
    ] {
        let mut claims = example.claims.clone();
        claims[name] = value;
        assert_refused(&example.case(&claims, "").appraise(), check);
    }
    let mut claims = example.claims.clone();
    claims.as_object_mut().unwrap().remove("exp");
    assert_refused(&example.case(&claims, "").appraise(), "claims");
    // A clock a little ahead of ours is let pass.
    let mut claims = example.claims.clone();
    claims["iat"] = json!(NOW + 60);
    assert_eq!(example.case(&claims, "").appraise().refusal(), None);
}

/// Every key of the section changes something, and only that.
#[test]
fn the_policy_is_kept() {
    let examples = examples();
    let (ear, intel, google) = (&examples[0], &examples[4], &examples[9]);
    let refused = |example: &Example, claims: &Value, more: &str, check: &str| {
        let appraisal = example.case(claims, more).appraise();
        assert_refused(&appraisal, check);
        assert_eq!(failed(&appraisal), [check], "{more}");
    };
    let passes = |example: &Example, claims: &Value, more: &str| {
        let appraisal = example.case(claims, more).appraise();
        assert_eq!(appraisal.refusal(), None, "{more}");
        appraisal
    };
    refused(google, &google.claims, "audience = \"https://other.example\"", "audience");
    passes(google, &google.claims, "audience = \"https://treering.example\"");
    let mut old = intel.claims.clone();
    old["iat"] = json!(NOW - 3600);
    refused(intel, &old, "", "age");
    passes(intel, &old, "max_age_s = 3600");
    let mut swh = intel.claims.clone();
    swh["attester_tcb_status"] = "SWHardeningNeeded".into();
    refused(intel, &swh, "", "tcb-status");
    passes(intel, &swh, "allowed_tcb_statuses = [\"SWHardeningNeeded\"]");
    let mut warns = ear.claims.clone();
    warns["ear_status"] = "warning".into();
    warns["submods"]["sev-snp"]["ear_status"] = "warning".into();
    warns["submods"]["sev-snp"]["ear_trustworthiness_vector"]["hardware"] = json!(32);
    refused(ear, &warns, "", "status");
    assert_eq!(passes(ear, &warns, "allow_warning = true").status(), Status::Warning, "and it shows");
    let mut simulated = ear.claims.clone();
    simulated["submods"]["sev-snp"]["ear_verifier_claims"] = json!({ "assurance": "simulated" });
    refused(ear, &simulated, "", "assurance");
    let shown = passes(ear, &simulated, "allow_simulated = true").into_appraised().unwrap();
    assert_eq!(shown.assurance(), Assurance::Simulated);
    simulated["submods"]["sev-snp"]["ear_verifier_claims"]["assurance"] = json!("excellent");
    refused(ear, &simulated, "allow_simulated = true", "assurance");
    let mut two = ear.claims.clone();
    two["submods"]["nvidia-gpu"] = json!({ "ear_status": "affirming" });
    refused(ear, &two, "", "claims");
    passes(ear, &two, "submod = \"sev-snp\"");
    refused(ear, &two, "submod = \"tdx\"", "claims");
    let rules =
        external(ear.issuer, ear.format, "tdx", &signer("ES256").jwks(), "require_reference_value = false");
    let foreign = case_of(ear.media_type, signer("ES256").jwt(&ear.claims), &rules).appraise();
    assert_eq!(failed(&foreign), ["tee"]);
    let none = case_of(ear.media_type, signer("ES256").jwt(&ear.claims), "").appraise();
    assert_refused(&none, "issuer-key");
    for more in ["submod = \"x\"", "max_age = 3", "rsa_algorithm = \"none\"", "tees = []"] {
        let text = external(intel.issuer, intel.format, "tdx", &signer("PS384").jwks(), more);
        let text = format!("version = 1\nname = \"t\"\n{text}");
        verifier::AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

#[test]
fn a_waiver_lets_pass_and_shows() {
    let intel = &examples()[4];
    let mut claims = intel.claims.clone();
    claims["attester_tcb_status"] = "OutOfDate".into();
    let waiver =
        "[[waiver]]\ncheck = \"tcb-status\"\nreason = \"patch week\"\nuntil = \"2100-01-01T00:00:00Z\"";
    let appraisal = intel.case(&claims, waiver).appraise();
    assert_eq!(appraisal.refusal(), None);
    assert_eq!((appraisal.status(), main(&appraisal).vector().hardware), (Status::Warning, 32));
}

/// RFC 8725: what a token says of its own key or algorithm counts for nothing.
#[test]
fn the_key_says_the_algorithm() {
    let claims = ear04().to_string();
    let (p256, rsa) = (signer("ES256"), signer("RS256"));
    let dev = "https://verifier.example";
    let appraise = |issuer: &Issuer, token: &str| {
        let rules = external(dev, "ear-04", "sev-snp", &issuer.jwks(), "require_reference_value = false");
        case_of(ATTESTATION_RESULT, token, &rules).appraise()
    };
    let header = |alg: &str| format!("{{\"alg\":\"{alg}\",\"kid\":\"{KID}\"}}");
    assert_eq!(appraise(p256, &p256.raw(&header("ES256"), &claims)).refusal(), None);
    for alg in ["none", "None", "HS256", "HS384", "ES256K", "RS512", ""] {
        let refused = appraise(p256, &p256.raw(&header(alg), &claims));
        assert_refused(&refused, "format");
        // Without a signature at all.
        let token = p256.raw(&header(alg), &claims);
        assert_refused(&appraise(p256, &token[..=token.rfind('.').unwrap()]), "format");
    }
    for (issuer, alg) in
        [(p256, "ES384"), (p256, "EdDSA"), (rsa, "PS256"), (rsa, "PS384"), (rsa, "RS384"), (p256, "RS256")]
    {
        assert_refused(&appraise(issuer, &issuer.raw(&header(alg), &claims)), "signature");
    }
    // A key that came along is not looked at: here the attacker's own, well signed.
    let attacker = Issuer::ecdsa("ES256");
    let own = json!({ "alg": "ES256", "kid": KID, "jwk": attacker.jwk, "jku": "https://attacker.example" });
    assert_refused(&appraise(p256, &attacker.raw(&own.to_string(), &claims)), "signature");
    for (header, check) in [
        (format!("{{\"alg\":\"ES256\",\"kid\":\"{KID}\",\"crit\":[\"exp\"],\"exp\":1}}"), "format"),
        (format!("{{\"alg\":\"ES256\",\"kid\":\"{KID}\",\"b64\":false}}"), "format"),
        (format!("{{\"alg\":\"ES256\",\"alg\":\"ES256\",\"kid\":\"{KID}\"}}"), "format"),
        (format!("{{\"alg\":\"ES256\",\"kid\":\"{KID}\",\"typ\":\"wit+jwt\"}}"), "format"),
        ("{\"alg\":\"ES256\",\"kid\":\"another\"}".to_owned(), "issuer-key"),
        ("{\"alg\":\"ES256\",\"kid\":7}".to_owned(), "format"),
        ("{\"kid\":\"test-key\"}".to_owned(), "format"),
        ("[]".to_owned(), "format"),
    ] {
        assert_refused(&appraise(p256, &p256.raw(&header, &claims)), check);
    }
    let twice = claims.replacen('{', "{\"iat\":1,", 1);
    assert_refused(&appraise(p256, &p256.raw(&header("ES256"), &twice)), "claims");
}

#[test]
fn a_token_has_one_spelling() {
    let token = String::from_utf8(example().octets().to_vec()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    // The last character of 64 octets in base64url has four bits that say nothing.
    let spelled = [
        format!("{signed}.{}B", &signature[..signature.len() - 1]),
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}."),
        token.replacen('.', "..", 1),
        signed.to_owned(),
    ];
    for spelling in spelled {
        let case = example().with_octets(spelling.clone().into_bytes());
        assert_refused(&case.appraise(), "format");
    }
    let long = vec![b'A'; verifier::MAX_TOKEN_BYTES + 1];
    assert_refused(&example().with_octets(long).appraise(), "format");
}

#[test]
fn every_flipped_bit_of_a_jwt_is_refused() {
    let case = example();
    no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

#[test]
fn every_flipped_bit_of_a_cwt_is_refused() {
    let case = our_cwt();
    no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

// --- the real bundle of NVIDIA's service --------------------------------------------------------------------------

/// The key that the two signatures of the bundle determine (ECDSA lets the key be computed up to a sign from each).
const NRAS_KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-384","kid":"nv-eat-kid-prod-20250609211310110-93b13aa1-17e4-4c14-9d33-dba2323329f2","x":"SxcafsuCx2kYrk2OvoKU8qXKcQ2blXApum6dljy5su8zKVdXqO3WN3sGU5aI7duV","y":"ZkueLsZQyl7RvE7DzVShOVtQESioynTYLMc78rLJ28hO31w5aRyiUQnE2dwQ9nky"}]}"#;
const NRAS_NOW: u64 = 1_749_601_900;

fn nras() -> Option<Case> {
    let path = vectors()?.join("evidence/nvidia/attestation-sdk/hopperClaimsv3_detached_eat.json");
    let bundle: Value = serde_json::from_slice(&read(path)).unwrap();
    let more = "require_reference_value = false";
    let rules = external("https://nras.attestation.nvidia.com", "nvidia-nras", "nvidia-gpu", NRAS_KEY, more);
    Some(Case { now: NRAS_NOW, ..case_of(ATTESTATION_RESULT_BUNDLE, bundle.to_string(), &rules) })
}

#[test]
fn the_real_bundle_of_nras_is_accepted_at_its_instant() {
    let Some(case) = nras() else { return };
    let appraisal = case.appraise();
    assert_affirming("nras", &appraisal);
    let component = main(&appraisal);
    assert_eq!((component.tee(), component.generation()), ("nvidia-gpu", Some("gh100")));
    assert_eq!(component.vector().executables, 2);
    let later = Case { now: 1_749_605_458, policy: case.policy.clone(), ..case.clone() };
    assert_refused(&later.appraise(), "validity");
    // As the service wrote it, with white space: the bundle is not signed, so it has one spelling here.
    let path = vectors().unwrap().join("evidence/nvidia/attestation-sdk/hopperClaimsv3_detached_eat.json");
    assert_refused(&case.with_octets(read(path)).appraise(), "format");
    // The overall token names another device's token.
    let mut bundle: Value = serde_json::from_slice(case.octets()).unwrap();
    bundle[1]["GPU-0"] = bundle[0][1].clone();
    assert_refused(&case.with_octets(bundle.to_string().into_bytes()).appraise(), "claims");
    bundle[1]["GPU-1"] = bundle[0][1].clone();
    assert_refused(&case.with_octets(bundle.to_string().into_bytes()).appraise(), "format");
}

#[test]
fn flipped_bits_of_the_real_bundle_are_refused() {
    let Some(case) = nras() else { return };
    let octets = case.octets().to_vec();
    for at in (0..octets.len()).step_by(7) {
        let mut flipped = octets.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(case.with_octets(flipped).appraise().refusal().is_some(), "octet {at}");
    }
}

#[test]
#[ignore = "soak: every bit of the bundle, two P-384 signatures each"]
fn every_flipped_bit_of_the_real_bundle_is_refused() {
    let Some(case) = nras() else { return };
    no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

/// A key that is served as a certificate alone, as NVIDIA and Azure do.
#[test]
fn a_key_may_be_a_certificate() {
    let Some(vectors) = vectors() else { return };
    let x5c: Value =
        serde_json::from_slice(&read(vectors.join("evidence/nvidia/attestation-rs/nras_gpu_x5c_chain.json")))
            .unwrap();
    let set = json!({ "keys": [{ "kty": "EC", "crv": "P-384", "kid": "k", "x5c": x5c["x5c"] }] });
    // "crv" with "x5c" and no coordinates: the coordinates are what a curve must have.
    TokenKeys::parse(&set.to_string(), None).unwrap_err();
    let set = json!({ "keys": [{ "kty": "EC", "kid": "k", "x5c": x5c["x5c"] }] });
    TokenKeys::parse(&set.to_string(), None).unwrap();
}

#[test]
fn keys_that_could_mean_two_things_are_refused() {
    let rsa = signer("RS256").jwk.clone();
    let edit = |edit: &dyn Fn(&mut Value)| {
        let mut key = rsa.clone();
        edit(&mut key);
        json!({ "keys": [key] }).to_string()
    };
    TokenKeys::parse(&edit(&|_| ()), None).unwrap();
    let without = edit(&|key| drop(key.as_object_mut().unwrap().remove("alg")));
    TokenKeys::parse(&without, None).unwrap_err();
    TokenKeys::parse(&without, Some(verifier::TokenAlgorithm::Ps384)).unwrap();
    TokenKeys::parse(&without, Some(verifier::TokenAlgorithm::Es256)).unwrap_err();
    for bad in [
        edit(&|key| key["alg"] = "ES256".into()),
        edit(&|key| key["alg"] = "HS256".into()),
        edit(&|key| key["use"] = "enc".into()),
        edit(&|key| key["n"] = "AQAB".into()),
        edit(&|key| key["d"] = "AQAB".into()),
        edit(&|key| *key = json!({ "kty": "oct", "k": "AAAA", "kid": "a" })),
        json!({ "keys": [] }).to_string(),
        json!({ "keys": [rsa, rsa] }).to_string(),
        json!({ "keys": [ED25519.jwk, { "kty": "OKP", "crv": "Ed25519", "x": ED25519.jwk["x"] }] })
            .to_string(),
        "{}".to_owned(),
    ] {
        TokenKeys::parse(&bad, None).unwrap_err();
    }
    TokenKeys::parse(&tokens::pem_of_p256(), None).unwrap();
    TokenKeys::parse("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", None).unwrap_err();
}

// --- our own results, signed --------------------------------------------------------------------------------------

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

#[test]
fn our_results_are_read_back_in_both_forms() {
    let appraisal = signed();
    let now = appraisal.now();
    let es256 = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &aws_lc_rs::rand::SystemRandom::new(),
    );
    let signers: [&dyn Signer; 2] =
        [&ed25519_signer(), &Es256Signer::from_pkcs8(es256.unwrap().as_ref()).unwrap()];
    for signer in signers {
        let keys = TokenKeys::parse(&jwks_of(signer), None).unwrap();
        let options = TokenOptions { expires: Some(now + 60), nonce: Some(b"a relying party's") };
        let jwt = verifier::write_jwt(&appraisal, options, signer).unwrap();
        let cwt = verifier::write_cwt(&appraisal, options, signer).unwrap();
        let read = verifier::verify_jwt(jwt.as_bytes(), &keys, now).unwrap();
        assert_eq!(read, verifier::verify_cwt(&cwt, &keys, now).unwrap(), "both forms say the same");
        assert_eq!(
            (read.profile, read.issued_at, read.status),
            (EarProfile::Draft04, now, Status::Affirming)
        );
        assert_eq!((read.developer.as_str(), read.build.as_str()), (verifier::DEVELOPER, verifier::BUILD));
        assert_eq!(read.nonces, [b"a relying party's".to_vec()]);
        let submod = &read.submods["sev-snp"];
        assert_eq!(submod.nonces, [sev_snp::BINDING.to_vec()], "what the evidence carries");
        assert_eq!(submod.vector, [0, 2, 0, 0, 2, 2, 0, 0]);
        assert!(submod.policy_ids[0].starts_with("ni:///sha-256;"));
        assert!(cwt.len() < jwt.len());
        for verify in [
            verifier::verify_jwt(jwt.as_bytes(), &keys, now + 60),
            verifier::verify_cwt(&cwt, &keys, now + 60),
            verifier::verify_jwt(jwt.as_bytes(), &keys, now - 61),
        ] {
            assert!(matches!(verify, Err(TokenError::Time(_))), "{verify:?}");
        }
        let other = TokenKeys::parse(&tokens::pem_of_p256(), None).unwrap();
        verifier::verify_jwt(jwt.as_bytes(), &other, now).unwrap_err();
        verifier::verify_cwt(&cwt, &other, now).unwrap_err();
        verifier::verify_cwt(jwt.as_bytes(), &keys, now).unwrap_err();
    }
}

/// The numbers of the draft, by a decoder that knows nothing of our labels.
#[test]
fn a_cwt_has_the_numbers_of_the_draft() {
    let cwt = verifier::write_cwt(&signed(), TokenOptions::default(), &ed25519_signer()).unwrap();
    assert_eq!(cwt[0], 0xd2, "tag 18");
    let message: ciborium::Value = ciborium::from_reader(cwt.as_slice()).unwrap();
    let parts = message.into_tag().unwrap().1.into_array().unwrap();
    let header: ciborium::Value = ciborium::from_reader(parts[0].as_bytes().unwrap().as_slice()).unwrap();
    let claims: ciborium::Value = ciborium::from_reader(parts[2].as_bytes().unwrap().as_slice()).unwrap();
    let at = |map: &ciborium::Value, label: i64| {
        let entry = map.as_map().unwrap().iter().find(|(key, _)| key.as_integer() == Some(label.into()));
        entry.unwrap_or_else(|| panic!("no {label}")).1.clone()
    };
    assert_eq!(at(&header, 1), ciborium::Value::from(-8));
    assert_eq!(at(&header, 16).as_text(), Some(verifier::CWT_TYPE));
    assert_eq!(at(&claims, 265).as_text(), Some("tag:ietf.org,2026:rats/ear#04"));
    assert_eq!(at(&claims, 1000), ciborium::Value::from(2));
    assert_eq!(at(&at(&claims, 1004), 1).as_text(), Some(verifier::BUILD));
    let submods = at(&claims, 266);
    let submod = &submods.as_map().unwrap()[0].1;
    assert_eq!(at(submod, 1000), ciborium::Value::from(2));
    assert_eq!(at(submod, 10).as_bytes().unwrap().as_slice(), sev_snp::BINDING);
    let vector = at(submod, 1001);
    for (label, value) in [(0, 0), (1, 2), (2, 0), (4, 2), (5, 2)] {
        assert_eq!(at(&vector, label), ciborium::Value::from(value), "vector {label}");
    }
    assert!(at(submod, 1003).is_array() && at(submod, 1005).is_map() && at(submod, 1006).is_map());
}

/// What the crate `ear` 0.6.0 of the Veraison project writes (`make interop` has its other half: it reads ours).
const WRITTEN_BY_EAR: (&str, &str) = (
    r#"{"eat_profile":"tag:ietf.org,2026:rats/ear#04","iat":1800000000,"ear_verifier_id":{"developer":"https://veraison-project.org","build":"vsts 0.0.1"},"submods":{"sev-snp":{"ear_status":"affirming","ear_trustworthiness_vector":{"configuration":2,"hardware":2,"runtime-opaque":2},"ear_appraisal_policy_ids":["policy:one"]}}}"#,
    "bf190109781d7461673a696574662e6f72672c323032363a726174732f656172233034061a6b49d2001903eca200781c68747470733a2f2f7665726169736f6e2d70726f6a6563742e6f7267016a7673747320302e302e3119010aa1677365762d736e70bf1903e8021903e9bf010204020502ff1903eb816a706f6c6963793a6f6e65ffff",
);

fn cwt_of(payload: &[u8]) -> Vec<u8> {
    let header = ciborium::Value::Map(vec![(1.into(), (-8).into())]);
    let message = treering_provenance::cose::Sign1::sign(&ed25519_signer(), &header, payload, false).unwrap();
    message.to_bytes().unwrap()
}

#[test]
fn what_the_crate_of_veraison_writes_is_read() {
    let keys = TokenKeys::parse(&jwks_of(&ed25519_signer()), None).unwrap();
    let header = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{KID}\"}}");
    let jwt = ED25519.raw(&header, WRITTEN_BY_EAR.0);
    let read = verifier::verify_jwt(jwt.as_bytes(), &keys, NOW).unwrap();
    let cbor = HEXLOWER.decode(WRITTEN_BY_EAR.1.as_bytes()).unwrap();
    assert_eq!(verifier::verify_cwt(&cwt_of(&cbor), &keys, NOW).unwrap(), read);
    assert_eq!(read.submods["sev-snp"].vector, [0, 2, 0, 0, 2, 2, 0, 0]);
    assert_eq!(read.developer, "https://veraison-project.org");
}

/// Maps that could be read in two ways.
#[test]
fn a_claim_that_occurs_twice_is_refused() {
    let keys = TokenKeys::parse(&jwks_of(&ed25519_signer()), None).unwrap();
    let cbor = HEXLOWER.decode(WRITTEN_BY_EAR.1.as_bytes()).unwrap();
    let changed = |insert: &[u8]| [&cbor[..1], insert, &cbor[1..]].concat();
    for (payload, why) in [
        (changed(&[0x06, 0x00]), "iat twice, by number"),
        (changed(b"\x63iat\x00"), "iat by number and by name"),
        (changed(b"\xf5\x00"), "a claim named by true"),
        ([cbor.as_slice(), &[0]].concat(), "something after the map"),
        (vec![0x80], "no map"),
    ] {
        let read = verifier::verify_cwt(&cwt_of(&payload), &keys, NOW);
        assert!(matches!(read, Err(TokenError::Claims(_))), "{why}: {read:?}");
    }
}

#[test]
fn what_makes_no_sense_is_not_signed() {
    let appraisal = signed();
    let sign = |options| verifier::write_jwt(&appraisal, options, &ed25519_signer());
    sign(TokenOptions { expires: Some(appraisal.now()), nonce: None }).unwrap_err();
    sign(TokenOptions { expires: None, nonce: Some(b"short") }).unwrap_err();
    sign(TokenOptions { expires: None, nonce: Some(&[0; 65]) }).unwrap_err();
    let nothing = Case::of("nothing", "text/plain", vec![1], Collateral::default(), NOW).appraise();
    verifier::write_cwt(&nothing, TokenOptions::default(), &ed25519_signer()).unwrap_err();
}

/// Two Verifiers of one workload lead to the same: what a mapping manifest can see is equal.
#[test]
fn a_local_appraisal_and_the_result_of_another_verifier_say_the_same() {
    let mut local = sev_snp::simulated_case();
    let measurement = main(&local.appraise()).claim("measurement").unwrap().to_owned();
    let value = format!("[[reference]]\nname = \"payments-api 1\"\nmeasurement = \"{measurement}\"");
    local.references = ReferenceValues::parse(value.as_bytes()).unwrap();
    let appraisal = local.appraise();
    let here = appraisal.clone().into_appraised().unwrap();
    let more = "allow_simulated = true";
    let rules = external(verifier::DEVELOPER, "ear-04", "sev-snp", &jwks_of(&ed25519_signer()), more);
    let jwt =
        verifier::write_jwt(&appraisal, TokenOptions::default(), &ed25519_signer()).unwrap().into_bytes();
    let cwt = verifier::write_cwt(&appraisal, TokenOptions::default(), &ed25519_signer()).unwrap();
    for (media_type, token) in [(ATTESTATION_RESULT, jwt), (ATTESTATION_RESULT_CWT, cwt)] {
        let case = Case {
            now: local.now,
            references: local.references.clone(),
            ..case_of(media_type, token, &rules)
        };
        let there = case.appraise().into_appraised().unwrap();
        assert_eq!(there.tee(), here.tee());
        assert_eq!(there.generation(), here.generation());
        assert_eq!(there.assurance(), here.assurance());
        assert_eq!(there.reference(), here.reference());
        assert!(there.matches_binding(&sev_snp::BINDING) && here.matches_binding(&sev_snp::BINDING));
        assert_eq!(
            there.components()[0].claim("issuer"),
            Some(verifier::DEVELOPER),
            "and the claims say who vouched"
        );
    }
}

/// A result is part of evidence of several components like any other.
#[test]
fn a_result_beside_local_evidence_counts_for_its_part() {
    let local = sev_snp::simulated_case();
    let token = our_cwt();
    let evidence = verifier::Evidence::new([
        (verifier::SNP_REPORT, local.octets().to_vec()),
        (ATTESTATION_RESULT_CWT, token.octets().to_vec()),
    ]);
    let more = "require_reference_value = false\nallow_simulated = true";
    let rules = format!(
        "[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n{}[composite.components]\nsev-snp = 1\nattestation-result = 1\n",
        external(verifier::DEVELOPER, "ear-04", "sev-snp", &jwks_of(&ed25519_signer()), more)
    );
    let case = Case { evidence: evidence.unwrap(), policy: policy_of(&rules), ..local };
    assert_eq!(case.appraise().into_appraised().unwrap().tee(), "sev-snp+sev-snp");
}

/// A logged appraisal is replayed and compared octet by octet.
#[test]
fn the_octets_of_a_result_are_pinned() {
    let text = String::from_utf8(example().appraise().ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    assert_eq!(
        HEXLOWER.encode(&verifier::fingerprint(text.as_bytes())),
        "593da496f5d378ff5b5c4a45032479ee78623677e01c1746de96f5d6b4fae77c"
    );
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..400), form in 0..4_usize) {
        let media_type = [ATTESTATION_RESULT, ATTESTATION_RESULT_CWT, ATTESTATION_RESULT_JWT, ATTESTATION_RESULT_BUNDLE][form];
        let case = case_of(media_type, octets, "");
        prop_assert!(case.appraise().refusal().is_some());
    }

    /// Well signed, and anything inside.
    #[test]
    fn no_claims_make_it_panic(claims in "\\PC{0,200}", format in 0..10_usize) {
        let examples = examples();
        let example = &examples[format];
        let rules = external(example.issuer, example.format, example.tee, &ED25519.jwks(), "require_reference_value = false");
        let header = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{KID}\"}}");
        for payload in [claims.clone(), format!("{{\"submods\":{{\"{}\":[1]}}}}", claims.escape_default())] {
            let case = case_of(example.media_type, ED25519.raw(&header, &payload), &rules);
            prop_assert!(case.appraise().refusal().is_some());
        }
    }
}
