//! The made-up workload: its image, how it was built, what is in it, and its owner's policies.

use anyhow::Result;
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::json;
use sha2::{Digest, Sha256, Sha384};

use super::stage::TRUST_DOMAIN;

/// The name of the workload's reference values.
pub(super) const WORKLOAD: &str = "payments-api";
/// The name of its one reference value.
pub(super) const RELEASE: &str = "payments-api 1.4.2";
/// The appraisal policy's name.
pub(super) const APPRAISAL_POLICY: &str = "default";
/// The media type of a DSSE envelope.
pub(super) const DSSE: &str = "application/vnd.dsse.envelope.v1+json";
/// The media type of the SBOM.
pub(super) const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The workload identifier.
pub(super) fn identifier() -> String {
    format!("spiffe://{TRUST_DOMAIN}/payments/api")
}

/// The image: its octets decide the measurement.
pub(super) fn image() -> Vec<u8> {
    b"the image of payments-api 1.4.2, as CI built it".to_vec()
}

/// An image that nobody registered.
pub(super) fn other_image() -> Vec<u8> {
    b"the image of payments-api 1.4.2, with a small change of somebody's".to_vec()
}

/// The launch measurement of an image on the simulated platform.
pub(super) fn measurement(image: &[u8]) -> Vec<u8> {
    Sha384::digest(image).to_vec()
}

/// The SHA-256 of an image, by which its documents name it.
pub(super) fn digest(image: &[u8]) -> Vec<u8> {
    Sha256::digest(image).to_vec()
}

/// The name of the second workload's reference values, of its one value, and of its appraisal policy.
pub(super) const MODEL: &str = "fraud-model 3";
const MODEL_POLICY: &str = "with-gpu";

/// The second workload's identifier.
pub(super) fn model_identifier() -> String {
    format!("spiffe://{TRUST_DOMAIN}/fraud/model")
}

/// The firmware that its guest boots.
pub(super) fn model_image() -> Vec<u8> {
    b"the firmware, kernel and model server of fraud-model 3".to_vec()
}

/// The appraisal policy of the second workload: both components, and no other.
pub(super) fn model_policy() -> (&'static str, String) {
    let text = "\
version = 1
name = \"with-gpu\"

[composite.components]
tdx = 1
nvidia-gpu = 1

[tdx]
require_reference_value = true

# What runs on the device is not judged here: its reference values come with NVIDIA's driver.
[nvidia_gpu]
require_reference_value = false
require_revocation = false
";
    (MODEL_POLICY, text.to_owned())
}

/// The mapping manifest of the second workload.
pub(super) fn model_manifest() -> String {
    format!(
        "\
version = 1
identifier = \"{}\"
appraisal_policy = \"{MODEL_POLICY}\"
reference_values = \"{MODEL}\"
max_ttl_s = 3600

[[selector]]
name = \"released\"
tee = [\"tdx+nvidia-gpu\"]
assurance = [\"hardware\", \"simulated\"]
reference_values = [\"{MODEL}\"]

[selector.claims]
environment = \"demo\"

[selector.derived]
tee = \"tee\"
",
        model_identifier()
    )
}

/// SLSA provenance v1 in an in-toto v1 statement, signed by CI in a DSSE envelope.
pub(super) fn build_provenance(image: &[u8], ci: &SigningKey) -> Result<Vec<u8>> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "payments-api", "digest": { "sha256": HEXLOWER.encode(&digest(image)) } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://ci.simulated.treering.example/workflow/v1",
                "externalParameters": { "repository": "https://git.treering.example/payments/api", "ref": "refs/tags/v1.4.2" },
                "resolvedDependencies": [{
                    "uri": "git+https://git.treering.example/payments/api@refs/tags/v1.4.2",
                    "digest": { "gitCommit": "3f786850e387550fdab836ed7e6dc881de23001b" },
                }],
            },
            "runDetails": {
                "builder": { "id": "https://ci.simulated.treering.example/builder" },
                "metadata": { "invocationId": "run-4711" },
            },
        },
    });
    let payload = serde_json::to_vec(&statement)?;
    // DSSE's pre-authentication encoding: type and payload, each with its length.
    let mut signed = format!("DSSEv1 {} {IN_TOTO} {} ", IN_TOTO.len(), payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    let signature = ci.sign(&signed);
    Ok(serde_json::to_vec(&json!({
        "payloadType": IN_TOTO,
        "payload": BASE64.encode(&payload),
        "signatures": [{ "sig": BASE64.encode(&signature.to_bytes()) }],
    }))?)
}

/// A CycloneDX 1.6 SBOM.
pub(super) fn sbom(image: &[u8]) -> Result<Vec<u8>> {
    let component = |name: &str, version: &str| json!({ "type": "library", "name": name, "version": version, "purl": format!("pkg:cargo/{name}@{version}") });
    Ok(serde_json::to_vec(&json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "name": "payments-api", "version": "1.4.2",
            "hashes": [{ "alg": "SHA-256", "content": HEXLOWER.encode(&digest(image)) }],
        } },
        "components": [component("rustls", "0.23.46"), component("serde", "1.0.229"), component("tokio", "1.54.1")],
    }))?)
}

/// The appraisal policy.
pub(super) fn appraisal_policy() -> String {
    "\
version = 1
name = \"default\"

[sev_snp]
require_reference_value = true
signing_keys = [\"vcek\"]
vmpl = [0]

[sev_snp.tcb_floor.milan]
bootloader = 3
tee = 0
snp = 8
microcode = 115

[sev_snp.platform]
require_alias_check = false
"
    .to_owned()
}

/// The mapping manifest.
pub(super) fn manifest() -> String {
    format!(
        "\
version = 1
identifier = \"{}\"
appraisal_policy = \"{APPRAISAL_POLICY}\"
reference_values = \"{WORKLOAD}\"
max_ttl_s = 3600

[[selector]]
name = \"released\"
tee = [\"sev-snp\"]
assurance = [\"hardware\", \"simulated\"]
reference_values = [\"{RELEASE}\"]

[selector.claims]
environment = \"demo\"
pci_scope = true

[selector.derived]
tee = \"tee\"
",
        identifier()
    )
}
