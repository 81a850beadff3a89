//! `treering appraise` on files as platforms and tools write them: kind given or guessed, collateral as files.

use std::path::Path;
use std::sync::Arc;

use treering::attester::Attester as _;
use treering::attester::simulated::{Launch, Platform, Processor};
use treering::client::evidence_of;
use treering::verifier::{self, Collateral, Evidence};
use treering::wire::collection;

use crate::support::{cli, folder};
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
    // A log area of a MiB, nearly all of it filling.
    (
        "tdx/go-tdx-guest/quote_v5_sample.dat",
        &[
            "--collateral",
            "./tdx/assembled/collateral_fmspc_90c06f_2026-03.json",
            "--event-log",
            "./tdx/trustee/CCEL_data",
        ],
        "2026-03-21T00:00:00Z",
        Some("event-log"),
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
    ("nvidia/attestation-sdk/switch_evidence_ls10.json", &["--kind", "nvidia"], "2025-06-25T00:00:00Z", None),
    ("nvidia/attestation-sdk/switch_evidence_ls10.json", &[], "2025-06-25T00:00:00Z", None),
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

/// Evidence, what `--kind` says of it, and what it is: no kind is appraised as another.
const MISMATCHES: &[(&str, &str, &str)] = &[
    ("az-snp-vtpm/trustee/evidence-v1.json", "snp", "az-snp"),
    ("az-tdx-vtpm/trustee/evidence-v1.json", "tdx", "az-tdx"),
    ("tpm/trustee/tpm_evidence.json", "az-snp", "tpm"),
    ("nvidia/attestation-sdk/switch_evidence_ls10.json", "nvidia-gpu", "nvidia-switch"),
    ("nvidia/attestation-sdk/hopper_evidence.json", "nitro", "nvidia-gpu"),
    ("snp/ms-tav/milan_attestation_report.bin", "tdx", "sev-snp"),
    ("tdx/dcap-qvl/tdx_quote", "sgx", "tdx"),
    ("sgx/dcap-qvl/sgx_quote", "nvidia", "sgx"),
    ("nitro/nitro_attest/attestation.cose", "cca", "nitro"),
];

#[test]
fn evidence_of_another_kind_than_asked_for_is_not_appraised() {
    let Some(vectors) = vectors() else { return };
    for (evidence, asked, is) in MISMATCHES {
        let path = vectors.join("evidence").join(evidence);
        let run = cli(["appraise", "--json", "--kind", asked, "--evidence", path.to_str().unwrap()]).ended(2);
        let told = format!("this is evidence of kind {is}, and --kind says {asked}");
        assert!(run.stderr.contains(&told), "{evidence}: {}", run.stderr);
        assert_eq!(run.json()["status"], "cannot-evaluate");
    }
}

const NOW: u64 = 1_782_864_000;
const INSTANT: &str = "2026-07-01T00:00:00Z";

/// A report of a simulated platform in a collection as this program writes it, and the platform's root.
fn collection_of_a_report(dir: &Path) -> (String, String) {
    let platform = Platform::generate(Processor::Milan, Processor::Milan.ordinary_tcb(), NOW).unwrap();
    let platform = Arc::new(platform);
    let attestation = platform.guest(Launch::of_image(b"image")).unwrap().report(&[0x5a; 64]).unwrap();
    let (evidence, collateral) = evidence_of(attestation).unwrap();
    let root = dir.join("root.der");
    std::fs::write(&root, &platform.certificates()[0]).unwrap();
    (collection_in(dir, "report.json", &evidence, &collateral), root.to_str().unwrap().to_owned())
}

fn collection_in(dir: &Path, name: &str, evidence: &Evidence, collateral: &Collateral) -> String {
    let file = dir.join(name);
    std::fs::write(&file, serde_json::to_vec(&collection(evidence, collateral)).unwrap()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_collection_is_of_the_kinds_that_are_in_it() {
    let dir = folder("appraise-cmw");
    let (file, root) = collection_of_a_report(&dir);
    let appraise = |more: &[&str]| {
        let base = ["appraise", "--evidence", &file, "--simulated-root", &root, "--at", INSTANT, "--json"];
        cli(base.iter().chain(more))
    };
    for kind in [&[][..], &["--kind", "cmw"], &["--kind", "snp"], &["--kind", "sev-snp"]] {
        assert_eq!(appraise(kind).ended(0).json()["status"], "affirming", "{kind:?}");
    }
    for kind in ["tdx", "az-snp", "nvidia"] {
        let run = appraise(&["--kind", kind]).ended(2);
        assert!(run.stderr.contains(&format!("of kind sev-snp, and --kind says {kind}")), "{}", run.stderr);
    }
    // A log that nothing takes is not dropped.
    let log = dir.join("log");
    std::fs::write(&log, b"a log").unwrap();
    for kind in [&[][..], &["--kind", "cmw"]] {
        let run = appraise(&[kind, &["--event-log", log.to_str().unwrap()]].concat()).ended(2);
        assert!(run.stderr.contains("nothing comes along with evidence of this kind"), "{}", run.stderr);
    }
    let plain = cli(["appraise", "--kind", "cmw", "--evidence", &root]).ended(2);
    assert!(plain.stderr.contains("root.der"), "{}", plain.stderr);
}

#[test]
fn a_log_is_put_behind_what_takes_it_in_a_collection() {
    let Some(vectors) = vectors() else { return };
    let dir = folder("appraise-cmw-log");
    let folder = vectors.join("evidence/tdx");
    let quote = |name: &str| {
        let octets = crate::verifier::read(folder.join(name));
        let length = verifier::intel_quote_length(&octets).unwrap();
        (verifier::TDX_QUOTE, octets[..length].to_vec())
    };
    let own = quote("go-tdx-guest/ccel/cos-113-tdx-quote.dat");
    let one = Evidence::new([own.clone()]).unwrap();
    let file = collection_in(&dir, "one.json", &one, &Collateral::default());
    let log = folder.join("go-tdx-guest/ccel/ccel_data.dat");
    let appraise = |file: &str| {
        cli(["appraise", "--json", "--kind", "cmw", "--evidence", file, "--event-log", log.to_str().unwrap()])
    };
    let run = appraise(&file).ended(1).json();
    let checks = run["checks"].as_array().unwrap();
    let event_log = checks.iter().find(|check| check["name"] == "event-log").unwrap();
    assert_eq!(event_log["detail"], "it gives rtmr0, rtmr1, rtmr2");
    // Of two that take one it is nobody's.
    let two = Evidence::new([own, quote("dcap-qvl/tdx_quote")]).unwrap();
    let run = appraise(&collection_in(&dir, "two.json", &two, &Collateral::default())).ended(2);
    assert!(run.stderr.contains("several components could have this log"), "{}", run.stderr);
}

/// `--explain` says where the parts are in this very evidence, and of every check what it reads.
#[test]
fn what_is_explained_has_positions() {
    let dir = folder("appraise-explain");
    let (file, root) = collection_of_a_report(&dir);
    let base = ["appraise", "--evidence", &file, "--simulated-root", &root, "--at", INSTANT, "--explain"];
    let run = cli(base).ended(0);
    let text = std::fs::read_to_string(&file).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let octets = report["evidence-0"][1].as_str().unwrap();
    let at = text.find(octets).unwrap();
    let place = format!("octets {at:#06x}..{:#06x} of {file}, in base64url", at + octets.len());
    assert!(run.stdout.contains(&place), "{place}: {}", run.stdout);
    assert!(run.stdout.contains("reads 0x000..0x2a0, what is signed"), "{}", run.stdout);
    let Some(vectors) = vectors() else { return };
    let evidence = vectors.join("evidence");
    let explained = |name: &str, more: &[&str], code: i32| {
        let path = evidence.join(name);
        let base = ["appraise", "--json", "--explain", "--evidence", path.to_str().unwrap()];
        (crate::verifier::read(&path), cli(base.iter().chain(more)).ended(code).json())
    };
    // A quote: the certificates stand where it is said, and what is signed ends where the signature data begin.
    let (octets, quote) = explained("tdx/go-tdx-guest/quote_v5_sample.dat", &[], 1);
    let part = |run: &serde_json::Value, name: &str| {
        let parts = run["evidence"][0]["parts"].as_array().unwrap();
        let part =
            parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}: {parts:?}"));
        let place = |end: &str| usize::try_from(part[end].as_u64().unwrap()).unwrap();
        place("from")..place("to")
    };
    assert_eq!(part(&quote, "body"), 54..702);
    assert_eq!(part(&quote, "R and S"), 706..770);
    for name in ["PCK certificate, PEM", "its issuer's certificate, PEM", "the root's certificate, PEM"] {
        let text = &octets[part(&quote, name)];
        assert!(
            text.starts_with(b"-----BEGIN CERTIFICATE") && text.ends_with(b"CERTIFICATE-----\n"),
            "{name}"
        );
    }
    // CBOR: the leaf's certificate is that file of the vectors.
    let (octets, document) = explained("nitro/nitro_attest/attestation.cose", &[], 1);
    let leaf = &octets[part(&document, "certificate")];
    let files = (0..5).map(|number| evidence.join(format!("nitro/nitro_attest/{number}.der")));
    assert!(files.map(crate::verifier::read).any(|der| der == leaf));
    assert_eq!(part(&document, "signature").end, octets.len());
    assert_eq!(octets[part(&document, "pcrs[0]")].len(), 48);
    let (octets, token) = explained("cca/rust-ccatoken/cca-token-01.cbor", &[], 1);
    assert_eq!(octets[part(&token, "platform: 2396")].len(), 32, "the implementation id");
    assert_eq!(part(&token, "realm: signature").end, octets.len());
    // Several together: what is looked at then is no octets.
    let (_, devices) = explained("nvidia/attestation-sdk/multi_gpu_hopper.json", &["--kind", "nvidia"], 1);
    let checks = devices["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["reads"].is_string()), "{checks:?}");
    assert!(checks.iter().any(|check| check["reads"].as_str().unwrap().starts_with("the kind of each")));
    assert!(devices["evidence"][0]["place"].as_str().unwrap().contains("written anew from"));
    assert!(part(&devices, "chain[0]").start < part(&devices, "report").start);
}

/// A verdict under no policy says what nobody asked, and none where a policy did.
#[test]
fn what_the_baseline_does_not_ask_is_said() {
    let dir = folder("appraise-unasked");
    let (file, root) = collection_of_a_report(&dir);
    let base = ["appraise", "--evidence", &file, "--simulated-root", &root, "--at", INSTANT];
    let run = cli(base).ended(0);
    let last = run.stdout.lines().last().unwrap();
    let (_, asked) =
        last.split_once("Not asked, since there is no --policy: ").unwrap_or_else(|| panic!("{last}"));
    for words in ["what runs", "a floor of the TCB", "VMPL", "VLEK", "revocation", "for whom it was made"] {
        assert!(asked.contains(words), "{words}: {asked}");
    }
    let bound = cli(base.iter().chain(&["--report-data", &"5a".repeat(64)])).ended(0);
    assert!(!bound.stdout.contains("for whom it was made"), "{}", bound.stdout);
    let policy = dir.join("policy.toml");
    let text =
        "version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false\nrequire_tcb_floor = false\n";
    std::fs::write(&policy, text).unwrap();
    let run = cli(base.iter().chain(&["--policy", policy.to_str().unwrap()]));
    assert!(!run.stdout.contains("Not asked"), "{}", run.stdout);
    let Some(vectors) = vectors() else { return };
    for (evidence, more, at, words) in [
        (
            "nvidia/attestation-sdk/hopper_evidence_cert_hold.json",
            "",
            INSTANT,
            &["revocation", "Protected PCIe"][..],
        ),
        (
            "sgx/dcap-qvl/sgx_quote",
            "sgx/dcap-qvl/sgx_quote_collateral.json",
            "2025-06-25T00:00:00Z",
            &["an up-to-date TCB"],
        ),
        ("az-snp-vtpm/trustee/evidence-v1.json", "", INSTANT, &["secure boot", "a floor of the TCB"]),
        ("nitro/nitro_attest/attestation.cose", "", "2025-01-06T16:08:20Z", &["made just now", "revocation"]),
    ] {
        let path = |name: &str| vectors.join("evidence").join(name).to_str().unwrap().to_owned();
        let mut arguments = vec!["appraise".to_owned(), "--evidence".to_owned(), path(evidence)];
        arguments.extend(["--at", at].map(str::to_owned));
        if !more.is_empty() {
            arguments.extend(["--collateral".to_owned(), path(more)]);
        }
        let run = cli(&arguments).ended(0);
        let last = run.stdout.lines().last().unwrap();
        assert!(words.iter().all(|words| last.contains(words)), "{evidence}: {last}");
    }
}
