//! `treering appraise` on files as platforms and tools write them: kind given or guessed, collateral as files.

use crate::support::cli;
use crate::verifier::vectors;

/// Evidence, further arguments (paths begin with `./`), the instant, and what comes of it: nothing for affirming or a
/// warning that the policy allows, else the check that refuses.
type Row = (&'static str, &'static [&'static str], &'static str, Option<&'static str>);

const FILES: &[Row] = &[
    (
        "snp/ms-tav/milan_attestation_report.bin",
        &["--kind", "snp", "--endorsements", "./snp/ms-tav/milan_vcek.pem"],
        "2026-07-01T00:00:00Z",
        None,
    ),
    (
        "tdx/dcap-qvl/tdx_quote",
        &["--kind", "tdx", "--collateral", "./tdx/dcap-qvl/tdx_quote_collateral.json"],
        "2025-06-25T00:00:00Z",
        None,
    ),
    (
        "tdx/go-tdx-guest/quote_v5_sample.dat",
        &["--collateral", "./tdx/assembled/collateral_fmspc_90c06f_2026-03.json"],
        "2026-03-21T00:00:00Z",
        None,
    ),
    (
        "tdx/trustee/tdx_quote_4.dat",
        &["--collateral", "./tdx/assembled/collateral_fmspc_50806f_2026-03.json"],
        "2026-03-21T00:00:00Z",
        Some("debug"),
    ),
    (
        "tdx/go-tdx-guest/ccel/cos-113-tdx-quote.dat",
        &["--event-log", "./tdx/go-tdx-guest/ccel/ccel_data.dat"],
        "2026-03-21T00:00:00Z",
        Some("collateral"),
    ),
    (
        "sgx/dcap-qvl/sgx_quote",
        &["--kind", "sgx", "--collateral", "./sgx/dcap-qvl/sgx_quote_collateral.json"],
        "2025-06-25T00:00:00Z",
        None,
    ),
    ("nitro/nitro_attest/attestation.cose", &["--kind", "nitro"], "2025-01-06T16:08:20Z", None),
    ("nitro/nitro_attest/attestation.cose", &[], "2025-01-07T16:08:20Z", Some("validity")),
    ("nvidia/attestation-sdk/hopper_evidence.json", &[], "2025-06-25T00:00:00Z", None),
    (
        "nvidia/attestation-sdk/multi_gpu_hopper.json",
        &["--kind", "nvidia"],
        "2025-06-25T00:00:00Z",
        Some("components"),
    ),
    ("az-snp-vtpm/trustee/evidence-v1.json", &["--kind", "az-snp"], "2026-07-01T00:00:00Z", None),
    ("az-snp-vtpm/attestation-rs/milan-v3-attestation.json", &[], "2026-07-01T00:00:00Z", None),
    ("az-tdx-vtpm/trustee/evidence-v1.json", &[], "2026-03-21T00:00:00Z", Some("collateral")),
    ("tpm/trustee/tpm_evidence.json", &["--kind", "tpm"], "2026-07-01T00:00:00Z", Some("endorsement")),
    ("cca/rust-ccatoken/cca-token-01.cbor", &["--kind", "cca"], "2026-07-01T00:00:00Z", Some("platform-key")),
];

#[test]
fn evidence_is_read_as_platforms_and_tools_write_it() {
    let Some(vectors) = vectors() else { return };
    let folder = vectors.join("evidence");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for (evidence, more, at, check) in FILES {
        let mut arguments: Vec<String> =
            ["appraise", "--json", "--at", at, "--evidence"].map(str::to_owned).into();
        arguments.push(path(evidence));
        arguments.extend(more.iter().map(|word| word.strip_prefix("./").map_or((*word).to_owned(), path)));
        let run = cli(&arguments).ended(i32::from(check.is_some()));
        assert_eq!(run.json()["refused"]["check"].as_str(), *check, "{evidence}: {}", run.stdout);
    }
}
