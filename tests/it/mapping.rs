//! From an appraisal to claims: what a mapping manifest makes of evidence, whoever appraised it.

use treering::mapper::{self, Manifest};
use treering::verifier::{
    self, ATTESTATION_RESULT, ATTESTATION_RESULT_CWT, Collateral, ReferenceValues, TokenOptions,
};
use treering_provenance::cose::{Ed25519Signer, Signer};

use crate::verifier::{Case, attestation_result, main, policy_of, sev_snp};

const MANIFEST: &str = r#"
version = 1
identifier = "spiffe://prod.bank.example/payments/api"
appraisal_policy = "default"
reference_values = "payments-api"
max_ttl_s = 900

[[selector]]
name = "snp"
tee = ["sev-snp"]
assurance = ["simulated"]
reference_values = ["payments-api 1"]

[selector.claims]
environment = "trial"

[selector.derived]
tee = "tee"
generation = "generation"
release = "reference-value"
"#;

/// A workload that we appraise, and the same by the signed result of another Verifier, in both forms.
#[test]
fn results_of_two_verifiers_map_to_the_same_claims() {
    let manifest = Manifest::parse(MANIFEST.as_bytes()).unwrap();
    let mut local = sev_snp::simulated_case();
    let measurement = main(&local.appraise()).claim("measurement").unwrap().to_owned();
    let values = format!("[[reference]]\nname = \"payments-api 1\"\nmeasurement = \"{measurement}\"");
    local.references = ReferenceValues::parse(values.as_bytes()).unwrap();
    let appraisal = local.appraise();
    let here = mapper::map(&appraisal.clone().into_appraised().unwrap(), &manifest).unwrap();

    let signer = Ed25519Signer::from_seed(&[3; 32]).unwrap();
    let pem = data_encoding::BASE64.encode(&signer.key().to_spki());
    let rules = format!(
        "[[external]]\nname = \"other\"\nformat = \"ear-04\"\nissuer = \"{}\"\ntees = [\"sev-snp\"]\nallow_simulated = true\nkeys = \"\"\"\n-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n\"\"\"\n",
        verifier::DEVELOPER
    );
    let jwt = verifier::write_jwt(&appraisal, TokenOptions::default(), &signer).unwrap().into_bytes();
    let cwt = verifier::write_cwt(&appraisal, TokenOptions::default(), &signer).unwrap();
    for (media_type, token) in [(ATTESTATION_RESULT, jwt), (ATTESTATION_RESULT_CWT, cwt)] {
        let case = Case {
            policy: policy_of(&rules),
            references: local.references.clone(),
            ..Case::of("other", media_type, token, Collateral::default(), local.now)
        };
        let there = mapper::map(&case.appraise().into_appraised().unwrap(), &manifest).unwrap();
        assert_eq!(there.claims(), here.claims());
        assert_eq!(there.identifier(), here.identifier());
        assert_eq!((there.selector(), there.explanation()), (here.selector(), here.explanation()));
    }
    assert_eq!(here.claims().len(), 5, "what is compared is not nothing: {:?}", here.claims());
}

/// One workload, vouched for by two vendors' services in two formats: the same claims, and the same as of the kind that
/// they vouch for. The tokens are synthetic, since no two real ones are of one workload.
#[test]
fn results_of_two_vendors_map_to_the_same_claims() {
    let manifest = MANIFEST.replace("sev-snp", "tdx").replace("\"simulated\"", "\"hardware\"");
    let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
    let registers = ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"];
    let registers: Vec<String> = (1_u8..)
        .zip(registers)
        .map(|(octet, name)| format!("{name} = \"{}\"", format!("{octet:02x}").repeat(48)))
        .collect();
    let values = format!(
        "[[reference]]\nname = \"payments-api 1\"\ntee = \"tdx\"\nregisters = {{ {} }}",
        registers.join(", ")
    );
    let references = ReferenceValues::parse(values.as_bytes()).unwrap();
    let mapped = attestation_result::of_one_td().map(|(media_type, token, rules)| {
        let case = Case {
            policy: policy_of(&rules),
            references: references.clone(),
            ..Case::of("vendor", media_type, token, Collateral::default(), attestation_result::INSTANT)
        };
        let appraised = case.appraise().into_appraised().unwrap();
        let format = main(appraised.appraisal()).claim("format").unwrap().to_owned();
        (format, mapper::map(&appraised, &manifest).unwrap())
    });
    let [(first, intel), (second, azure)] = &mapped;
    assert_eq!((first.as_str(), second.as_str()), ("intel-trust-authority", "azure-attestation"));
    assert_eq!(intel.claims(), azure.claims());
    assert_eq!(intel.identifier(), azure.identifier());
    assert_eq!((intel.selector(), intel.explanation()), (azure.selector(), azure.explanation()));
    assert_eq!(intel.claims().len(), 4, "what is compared is not nothing: {:?}", intel.claims());
    assert_eq!(intel.until(), Some(attestation_result::INSTANT + 300), "no longer than the token lasts");
}
