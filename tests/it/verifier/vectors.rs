//! The vectors that others recorded or made: docs/verifier.md tells of every file, and files that are the same thing in
//! another form are held to that.

use std::collections::BTreeSet;
use std::path::Path;

use treering::verifier::{self, Collateral, fingerprint};

use super::{Case, assert_affirming, base64url, collateral, read, vectors};

/// 2026-07-01T00:00:00Z, 2025-06-01T00:00:00Z: VCEKs, and the VLEK, of the vectors are valid.
const MID_2026: u64 = 1_782_864_000;
const MID_2025: u64 = 1_748_736_000;

/// `a/{b,c}.d` is two names.
fn expanded(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (choices, after) = rest.split_once('}').unwrap();
    choices.split(',').flat_map(|choice| expanded(&format!("{before}{choice}{after}"))).collect()
}

/// The names in backticks in the columns `vector` and `with` of the tables under this heading.
fn told() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verifier.md");
    let text = String::from_utf8(read(path)).unwrap();
    let (_, section) = text.split_once("\n## Vectors\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.flat_map(|row| row.split(" | ").take(3).collect::<Vec<_>>());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).collect::<Vec<_>>());
    names.filter(|name| name.contains('/')).flat_map(expanded).collect()
}

fn files(folder: &Path, root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: std::path::PathBuf| {
        if path.is_dir() {
            files(&path, root)
        } else {
            vec![path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()]
        }
    };
    entries.flat_map(below).collect()
}

#[test]
fn the_document_tells_of_every_vector_and_no_other() {
    let Some(vectors) = vectors() else { return };
    let root = vectors.join("evidence");
    let there = files(&root, &root).into_iter();
    let there: BTreeSet<String> =
        there.filter(|name| !name.starts_with("LICENSES/") && name != "MANIFEST.md").collect();
    let told = told();
    assert_eq!(there.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "not told of");
    assert_eq!(told.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new(), "not there");
}

#[test]
fn the_vendors_roots_that_others_keep_are_the_pinned_ones() {
    let Some(vectors) = vectors() else { return };
    let pins: Vec<[u8; 32]> = verifier::vendor_roots().map(|(_, pin)| pin).collect();
    let roots = [
        "snp/attestation-rs/certs/milan/ark.der",
        "snp/attestation-rs/certs/genoa/ark.der",
        "snp/attestation-rs/certs/turin/ark.der",
        "snp/ms-tav/milan_ark.pem",
        "snp/ms-tav/genoa_ark.pem",
        "snp/virtee-sev/builtin/milan/ark.pem",
        "snp/virtee-sev/builtin/genoa/ark.pem",
        "snp/virtee-sev/builtin/turin/ark.pem",
        "tdx/dcap-qvl/TrustedRootCA.der",
        "nitro/attestation-doc-validation/aws-nitro-root-G1.pem",
        "nvidia/trustee/nvidia_device_root.pem",
    ];
    for name in roots {
        let root = collateral(&[read(vectors.join("evidence").join(name))]);
        let [der] = root.certificates() else { panic!("{name}") };
        assert!(pins.contains(&fingerprint(der)), "{name}");
    }
    // By the hash that AWS publishes in its user guide ("Verifying the root of trust").
    let archive = read(vectors.join("evidence/nitro/nitro_attest/AWS_NitroEnclaves_Root-G1.zip"));
    let published = "8cf60e2b2efca96c6a9e71e851d00c1b6991cc09eadbe64a6a1d1b1eb9faff7c";
    assert_eq!(data_encoding::HEXLOWER.encode(&fingerprint(&archive)), published);
}

/// AMD's issuers, as many projects keep them: none of them changes anything beside what is built in.
#[test]
fn the_issuers_of_amd_that_others_keep_are_the_built_in_ones() {
    let Some(vectors) = vectors() else { return };
    let snp = vectors.join("evidence/snp");
    let given = |report: &str, files: &[&str], now: u64| {
        let collateral = collateral(&files.iter().map(|file| read(snp.join(file))).collect::<Vec<_>>());
        let case = Case::of(report, verifier::SNP_REPORT, read(snp.join(report)), collateral, now);
        case.appraise()
    };
    let (milan, genoa) = ("ms-tav/milan_attestation_report.bin", "ms-tav/genoa_attestation_report.bin");
    for (report, vcek, issuers) in [
        (milan, "ms-tav/milan_vcek.pem", &["ms-tav/milan_ask.pem", "ms-tav/milan_ark.pem"][..]),
        (milan, "ms-tav/milan_vcek.pem", &["virtee-sev/cert_chain_milan.pem"]),
        (milan, "ms-tav/milan_vcek.pem", &["go-sev-guest/milan.testcer"]),
        (milan, "ms-tav/milan_vcek.pem", &["virtee-sev/builtin/milan/ask.pem"]),
        (milan, "ms-tav/milan_vcek.pem", &["attestation-rs/certs/milan/ask.der"]),
        (genoa, "ms-tav/genoa_vcek.pem", &["ms-tav/genoa_ask.pem", "ms-tav/genoa_ark.pem"]),
        (genoa, "ms-tav/genoa_vcek.pem", &["virtee-sev/builtin/genoa/ask.pem"]),
        (genoa, "ms-tav/genoa_vcek.pem", &["attestation-rs/certs/genoa/ask.der"]),
    ] {
        let alone = given(report, &[vcek], MID_2026);
        assert_affirming(report, &alone);
        assert_eq!(given(report, &[&[vcek], issuers].concat(), MID_2026).ear(), alone.ear(), "{issuers:?}");
    }
    // A VLEK's issuer is not built in: each of these will do.
    for issuer in ["go-sev-guest/milanvlek.testcer", "attestation-rs/certs/milan/asvk.der"] {
        let vlek = ["trustee/test-vlek.der", issuer];
        assert_affirming(issuer, &given("trustee/test-vlek-report.bin", &vlek, MID_2025));
    }
    // Of a Turin there is no report: under another's, its chain holds.
    for issuer in [
        "virtee-sev/cert_chain_turin.pem",
        "go-sev-guest/ask_ark_turin_vcek.pem",
        "virtee-sev/builtin/turin/ask.pem",
        "attestation-rs/certs/turin/ask.der",
    ] {
        let appraisal =
            given("virtee-sev/report_milan.bin", &["virtee-sev/vcek_turin.der", issuer], MID_2026);
        for name in ["chain", "root", "validity"] {
            assert!(super::intel::check(&appraisal, name).ok(), "{issuer}: {name}");
        }
    }
    // The issuers of VLEKs of the other generations lead to those generations' roots.
    for generation in ["genoa", "turin"] {
        let issuer = read(snp.join(format!("attestation-rs/certs/{generation}/asvk.der")));
        let whole = read(snp.join(format!("trustee/{generation}_ask_ark_asvk.pem")));
        assert!(Collateral::read(&whole).unwrap().certificates().contains(&issuer), "{generation}");
    }
}

/// Whether octets stand somewhere in others.
fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

/// One piece of evidence, in the envelopes of several projects.
#[test]
fn the_same_evidence_in_another_form_is_the_same() {
    let Some(vectors) = vectors() else { return };
    let file = |name: &str| read(vectors.join("evidence").join(name));
    let json = |name: &str| serde_json::from_slice::<serde_json::Value>(&file(name)).unwrap();
    let hex = |value: &serde_json::Value| {
        data_encoding::HEXLOWER_PERMISSIVE.decode(value.as_str().unwrap().as_bytes()).unwrap()
    };
    let report = file("snp/dstack/extracted_report_milan.bin");
    assert!(contains(&file("snp/dstack/sev_snp_attestation.bin"), &report));
    assert!(contains(&hex(&json("snp/dstack/sev-snp-attestation.json")["attestation"]), &report));

    let hex_report = String::from_utf8(file("snp/virtee-sev/report_milan.hex")).unwrap();
    assert_eq!(hex(&hex_report.trim().into()), file("snp/virtee-sev/report_milan.bin"));

    let tsm = json("snp/veraison-services/sevsnp-tsm-report.json");
    let report = base64url(tsm["outblob"].as_str().unwrap());
    assert!(contains(&file("snp/veraison-services/sevsnp-tsm-report.cbor"), &report));
    let token = json("snp/veraison-services/sevsnp-ratsd-token");
    let collection: serde_json::Value =
        serde_json::from_slice(&base64url(token["cmw"].as_str().unwrap())).unwrap();
    let inner: serde_json::Value =
        serde_json::from_slice(&base64url(collection["tsm-report"][1].as_str().unwrap())).unwrap();
    assert_eq!(base64url(inner["outblob"].as_str().unwrap()), report);

    let quote = hex(&json("tdx/dstack/tdx-lite-getquote.json")["quote"]);
    let quote = super::intel::cut(&quote);
    assert!(contains(&hex(&json("tdx/dstack/tdx-lite-attestation.json")["attestation"]), &quote));

    let document = file("nitro/dstack/dstack-attest_nitro_attestation.extracted.cose");
    assert!(contains(&file("nitro/dstack/dstack-attest_nitro_attestation.bin"), &document));
    // The certificates in the other document, one by one.
    let document = file("nitro/nitro_attest/attestation.cose");
    for number in 0..5 {
        assert!(contains(&document, &file(&format!("nitro/nitro_attest/{number}.der"))), "{number}");
    }
    let leaf = collateral(&[file("nvidia/trustee/hopper_signing_cert.pem")]);
    let chain = collateral(&[file("nvidia/trustee/hopper_cert_chain_case1.txt")]);
    assert!(leaf.certificates().iter().all(|one| chain.certificates().contains(one)));
    // The claims of NVIDIA's bundle, as its device's token has them.
    let bundle = json("nvidia/attestation-sdk/hopperClaimsv3_detached_eat.json");
    let payload = bundle[1]["GPU-0"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&base64url(payload)).unwrap();
    assert_eq!(claims, json("nvidia/attestation-sdk/hopperClaimsv3_decoded.json")["GPU-0"]);
}

/// What stands beside evidence, and is none that any kind takes.
#[test]
fn what_is_no_evidence_of_a_kind_is_taken_by_none() {
    let Some(vectors) = vectors() else { return };
    for name in [
        "snp/veraison-services/corim-sevsnp-valid.cbor",
        "snp/veraison-services/sevsnp-ratsd-claims.json",
        "snp/veraison-services/sevsnp-ratsd-env.json",
        "tdx/attestation-rs/tdx_tdreport_live.bin",
        "tdx/go-tdx-guest/ccel/ccel_table.dat",
        "cca/veraison-services/cca-realm-endorsements.cbor",
        "cca/veraison-services/corim-cca-realm-valid.cbor",
        "cca/veraison-services/psa-endorsements.cbor",
        "cca/veraison-services/psa-evidence.cbor",
    ] {
        let octets = read(vectors.join("evidence").join(name));
        for (kind, media_type) in verifier::kinds() {
            let case = Case::of(name, media_type, octets.clone(), Collateral::default(), MID_2026);
            assert!(case.appraise().refusal().is_some(), "{name} as {kind}");
        }
    }
}

/// Diagnostic notation (RFC 8949 section 8), as far as the vectors use it.
struct Notation<'a>(&'a str);

impl Notation<'_> {
    /// Skips blanks and comments.
    fn skip(&mut self) {
        loop {
            self.0 = self.0.trim_start();
            let Some(comment) = self.0.strip_prefix('/') else { return };
            self.0 = comment.split_once('/').unwrap().1;
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn until(&mut self, end: char) -> String {
        let (text, rest) = self.0.split_once(end).unwrap();
        self.0 = rest;
        text.to_owned()
    }

    fn list<T>(&mut self, end: &str, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut all = Vec::new();
        while !self.take(end) {
            all.push(one(self));
            self.take(",");
        }
        all
    }

    fn value(&mut self) -> ciborium::Value {
        use ciborium::Value;
        if self.take("{") {
            return Value::Map(self.list("}", |inner| {
                let key = inner.value();
                assert!(inner.take(":"));
                (key, inner.value())
            }));
        }
        if self.take("[") {
            return Value::Array(self.list("]", Self::value));
        }
        if self.take("h'") {
            let hex: String = self.until('\'').split_whitespace().collect();
            return Value::Bytes(data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap());
        }
        if self.take("\"") {
            return Value::Text(self.until('"'));
        }
        let digits = self.0.trim_start_matches(|one: char| one.is_ascii_digit() || one == '-');
        let number = self.0[..self.0.len() - digits.len()].to_owned();
        self.0 = digits;
        if !self.take("(") {
            return Value::Integer(number.parse::<i64>().unwrap_or_else(|_| panic!("{}", self.0)).into());
        }
        let inner = self.value();
        assert!(self.take(")"));
        Value::Tag(number.parse().unwrap(), Box::new(inner))
    }
}

/// Beside the octets of tokens and collections lies what they are, for people: it is what is read from the octets.
#[test]
fn the_diagnostic_notations_say_what_the_octets_are() {
    let Some(vectors) = vectors() else { return };
    let root = vectors.join("evidence");
    let mut compared = 0;
    for name in files(&root, &root).iter().filter_map(|name| name.strip_suffix(".diag")) {
        let text = String::from_utf8(read(root.join(format!("{name}.diag")))).unwrap();
        let mut notation = Notation(&text);
        let said = notation.value();
        notation.skip();
        assert_eq!(notation.0, "", "{name}");
        let octets = read(root.join(format!("{name}.cbor")));
        let value: ciborium::Value = ciborium::from_reader(octets.as_slice()).unwrap();
        assert_eq!(said, value, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 10);
}
