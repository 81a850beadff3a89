//! The product by hand, as the README's reader has it: every subcommand against a running service, from an SBOM to a
//! credential, its verification and its trace.

use std::fs;

use serde_json::Value;

use crate::support::{Run, Stage, cli, folder, image, shared};

/// Runs a subcommand as one of the people.
fn as_client(stage: &Stage, who: &str, arguments: &[&str]) -> Run {
    let client = if who == "second" { "approver" } else { who };
    let (url, ca) = (stage.url(), stage.path("tls/ca.pem"));
    let (certificate, key) =
        (stage.path(&format!("clients/{client}.pem")), stage.path(&format!("clients/{client}.key")));
    let connect = ["--url", &url, "--tls-ca", &ca, "--client-cert", &certificate, "--client-key", &key];
    cli(arguments.iter().copied().chain(connect))
}

/// Registers something; its leaf hash.
fn registered(stage: &Stage, who: &str, arguments: &[&str]) -> String {
    let (issuer, key) = (Stage::issuer(who), stage.path(&format!("issuers/{who}.pem")));
    let signing = ["--iss", &issuer, "--signing-key", &key, "--origin", &stage.origin, "--json"];
    let all: Vec<&str> = arguments.iter().copied().chain(signing).collect();
    let answer = as_client(stage, who, &all).ended(0).json();
    assert!(answer["index"].is_u64(), "{answer}");
    answer["leaf"].as_str().unwrap().to_owned()
}

/// Approves and activates; the activation's leaf hash.
fn in_force(stage: &Stage, policy: &str) -> String {
    for who in ["approver", "second"] {
        registered(stage, who, &["policy", "approve", "--policy", policy]);
    }
    loop {
        let run = as_client(stage, "operator", &["policy", "activate", "--policy", policy, "--json"]);
        // Other tests activate theirs beside this one.
        if !run.stderr.contains("409") {
            return run.ended(0).json()["leaf"].as_str().unwrap().to_owned();
        }
    }
}

fn write(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder("by-hand").join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// An SBOM, a build, reference values that name both, and the two policies, all of them in force.
fn set_up(stage: &Stage, target: &str) {
    use sha2::{Digest, Sha256, Sha384};
    let subject = hex(&Sha256::digest(image()));
    let document = |kind: &str, media_type: &str, text: &str| {
        let file = write("document", text);
        let arguments = [
            "provenance",
            "add",
            "--kind",
            kind,
            "--workload",
            "by-hand",
            "--file",
            &file,
            "--media-type",
            media_type,
            "--subject",
            &subject,
        ];
        registered(stage, "ci", &arguments)
    };
    let sbom = document("sbom", "application/vnd.cyclonedx+json", "{\"bomFormat\":\"CycloneDX\"}");
    let build = document("build", "application/vnd.in-toto+json", "{\"_type\":\"statement\"}");
    let value = format!("payments 1={}", hex(&Sha384::digest(image())));
    let arguments = [
        "provenance",
        "reference",
        "--workload",
        "by-hand",
        "--value",
        &value,
        "--provenance",
        &sbom,
        "--provenance",
        &build,
    ];
    in_force(stage, &registered(stage, "ci", &arguments));
    let policy = write("policy.toml", crate::support::APPRAISAL.replace("\"default\"", "\"by-hand\""));
    let propose = |kind, name, file: &str| {
        registered(stage, "author", &["policy", "propose", "--kind", kind, "--name", name, "--file", file])
    };
    in_force(stage, &propose("appraisal", "by-hand", &policy));
    let manifest = Stage::manifest_with("by-hand", "simulated", "by-hand", "by-hand");
    in_force(stage, &propose("mapping", target, &write("manifest.toml", &manifest.body.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_sbom_to_credential_and_back_with_the_program_alone() {
    let stage = shared().await;
    let target = Stage::identifier("by-hand");
    set_up(stage, &target);

    // The auditor makes a key; the operator grants it everything.
    let keys = folder("auditor");
    let (key, public) = (keys.join("auditor.key"), keys.join("auditor.pub"));
    let (key, public) = (key.to_str().unwrap(), public.to_str().unwrap());
    cli(["grant", "key", "--out", key, "--public", public]).ended(0);
    let make = ["grant", "make", "--grantee", "By Hand Ltd", "--public-key", public, "--json"];
    as_client(stage, "operator", &make).ended(0).json();
    as_client(stage, "ci", &make).ended(3); // not an operator

    // The workload.
    let (image, out) = (write("image", image()), folder("workload").join("out"));
    let (url, ca, platform) = (stage.url(), stage.path("tls/ca.pem"), stage.path("platform"));
    let acquire = |image: &str, rp_id: &str, out: &str| {
        let arguments = [
            "acquire",
            "--url",
            &url,
            "--tls-ca",
            &ca,
            "--target",
            &target,
            "--rp-id",
            rp_id,
            "--simulated",
            &platform,
            "--image",
            image,
            "--out",
            out,
            "--json",
        ];
        cli(arguments)
    };
    let acquired = acquire(&image, &stage.rp_id, out.to_str().unwrap()).ended(0).json();
    assert_eq!(acquired["acquired"], true);
    let credential = acquired["credential"].as_str().unwrap();
    // An image that nobody registered, and a service that goes by another name than the workload expects.
    let other = folder("workload").join("other");
    let refused = acquire(&write("image", "another"), &stage.rp_id, other.to_str().unwrap()).ended(1).json();
    assert_eq!(refused["acquired"], false);
    assert!(refused["entry"].is_string() && !other.join("credential.pem").exists());
    let run = acquire(&image, "https://elsewhere.example", other.to_str().unwrap()).ended(3);
    assert!(run.stderr.contains("the service calls itself"), "{}", run.stderr);

    // The relying party, and the auditor over the network.
    let trust = stage.path("trust.json");
    let verify = ["verify", "--credential", credential, "--trust", &trust, "--uri", &target, "--json"];
    assert_eq!(cli(verify).ended(0).json()["verdict"], "trustworthy");
    let trace = ["trace", "--credential", credential, "--trust", &trust, "--key", key, "--json"];
    let report: Value = as_client(stage, "auditor", &trace).ended(0).json();
    for reached in ["evidence", "reference_values", "sbom", "build", "policies"] {
        assert_eq!(report["trace"][reached], true, "{reached}: {report}");
    }
    assert_eq!(report["replay"]["identical"], true, "{report}");
    as_client(stage, "ci", &trace).ended(3); // no auditor
}
