//! What `policy lint` says: of the sample nothing, of each mistake alone what is wrong with it.

use std::path::Path;

use treering::verifier::{AppraisalPolicy, Level, Remark, lint};

use super::tokens::Issuer;
use super::{policy_of, read};

const NOW: u64 = 1_800_000_000;
/// A section that nothing is to be said of.
const SNP: &str = "[sev_snp]\ndenied_generations = [\"genoa\", \"turin\"]\n[sev_snp.tcb_floor.milan]\nbootloader = 4\ntee = 0\nsnp = 23\nmicrocode = 213\n";

fn remarks(text: &str) -> Vec<Remark> {
    lint(&policy_of(text), NOW)
}

#[track_caller]
fn says(text: &str, level: Level, word: &str) {
    let found = remarks(text);
    let hit =
        |remark: &Remark| remark.level == level && (remark.text.contains(word) || remark.at.contains(word));
    assert!(found.iter().any(hit), "want {word:?}: {found:#?}");
}

fn waiver(check: &str, until: &str) -> String {
    format!("[[waiver]]\ncheck = \"{check}\"\nkind = \"sev-snp\"\nreason = \"r\"\nuntil = \"{until}\"\n")
}

#[test]
fn the_sample_is_clean_and_the_baseline_says_where_it_is_lenient() {
    let sample = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/samples/appraisal-policy.toml"));
    assert_eq!(lint(&AppraisalPolicy::parse(&sample).unwrap(), NOW), []);
    assert_eq!(remarks(SNP), []);
    let baseline = lint(&AppraisalPolicy::baseline(), NOW);
    assert!(baseline.iter().all(|remark| remark.level != Level::Error), "{baseline:#?}");
    let lenient = baseline.iter().filter(|remark| remark.level == Level::Note).count();
    // Of SEV-SNP: no reference value, no floor, a VLEK, three levels. Of NVIDIA's: no reference value and no word on
    // revocation, twice, and links that are not encrypted.
    assert_eq!(lenient, 6 + 5, "{baseline:#?}");
}

#[test]
fn contradictions_of_sev_snp_are_named() {
    let vmpl = SNP.replacen("[sev_snp]", "[sev_snp]\nvmpl = []", 1);
    says(&vmpl, Level::Error, "vmpl allows no level");
    says(
        &SNP.replacen("[sev_snp]", "[sev_snp]\nsigning_keys = []", 1),
        Level::Error,
        "signing_keys allows none",
    );
    says(&SNP.replace("\"genoa\",", "\"genoa\", \"milan\","), Level::Error, "every generation is denied");
    says(&SNP.replace("\"genoa\",", "\"genoa\", \"milan\","), Level::Warning, "is denied, and has a floor");
    says(&SNP.replace("\"genoa\",", ""), Level::Warning, "has no floor and is not denied");
    let machine = |name: &str, octet: &str| {
        format!("[[sev_snp.machine]]\nname = \"{name}\"\nchip_id = \"{}\"\n", octet.repeat(64))
    };
    says(&format!("{SNP}{}{}", machine("a", "01"), machine("a", "02")), Level::Error, "\"a\" is there twice");
    says(&format!("{SNP}{}{}", machine("a", "01"), machine("b", "01")), Level::Error, "has two names");
    says(&format!("{SNP}{}", machine("a", "00")), Level::Error, "masked");
    let vlek = SNP.replacen("[sev_snp]", "[sev_snp]\nsigning_keys = [\"vlek\"]", 1);
    says(&format!("{vlek}{}", machine("a", "01")), Level::Error, "authenticates no machine");
    says(
        &SNP.replacen("[sev_snp]", "[sev_snp]\nrequire_reference_value = false", 1),
        Level::Warning,
        "anything may run",
    );
}

#[test]
fn waivers_without_effect_are_named() {
    says(&format!("{SNP}{}", waiver("debug", "2020-01-01T00:00:00Z")), Level::Warning, "has ended");
    let good = waiver("debug", "2027-06-01T00:00:00Z");
    says(&format!("{SNP}{good}{good}"), Level::Warning, "no effect");
    says(&format!("{SNP}{good}"), Level::Note, "it may fail, for sev-snp");
    assert!(remarks(&format!("{SNP}{good}")).iter().all(|remark| remark.level == Level::Note));
    says(
        &format!("{SNP}{}", waiver("platform", "2027-06-01T00:00:00Z")),
        Level::Warning,
        "asks nothing there",
    );
    says(
        &format!("{SNP}{}", waiver("mitigations", "2027-06-01T00:00:00Z")),
        Level::Warning,
        "asks nothing there",
    );
    says(&format!("{SNP}{}", waiver("debug", "2040-01-01T00:00:00Z")), Level::Warning, "longer than a year");
}

#[test]
fn composites_that_nothing_can_meet_are_named() {
    let of = |line: &str| format!("{SNP}[composite.components]\n{line}\n");
    says(&of("sev-snp = 0"), Level::Error, "refused anyway");
    says(&of("sev-snp = 17"), Level::Error, "at most 16");
    says(&of("attestation-result = 1"), Level::Error, "names no Verifier");
    says(&of("software = 1"), Level::Error, "names no platform");
    let denied = of("sev-snp = 1").replace("\"genoa\",", "\"genoa\", \"milan\",");
    says(&denied, Level::Error, "sev-snp is wanted, and can never pass");
}

#[test]
fn rules_about_collateral_are_looked_at() {
    says(
        &format!("{SNP}[collateral]\nmax_age_s = {{ crl = 0 }}\n"),
        Level::Error,
        "none is ever young enough",
    );
    says(&format!("{SNP}[collateral]\ngrace_s = 3600\n"), Level::Note, "3600 s");
}

#[test]
fn other_verifiers_are_looked_at_together() {
    let keys = Issuer::ed25519(1).jwks();
    let one = |name: &str, issuer: &str, format: &str, more: &str| {
        format!(
            "[[external]]\nname = \"{name}\"\nformat = \"{format}\"\nissuer = \"{issuer}\"\ntees = [\"sev-snp\"]\nkeys = '''{keys}'''\n{more}\n"
        )
    };
    let plain = one("a", "https://a", "ear-04", "");
    assert_eq!(remarks(&format!("{SNP}{plain}")), []);
    says(&format!("{plain}{plain}"), Level::Error, "that name is there twice");
    says(&format!("{plain}{}", one("b", "https://a", "ear-04", "")), Level::Error, "no effect");
    says(&format!("{plain}{}", one("b", "https://b", "ear-04", "")), Level::Error, "and another issuer");
    says(&one("a", "https://a", "ear-04", "max_age_s = 0"), Level::Error, "very second");
    says(&one("a", "https://a", "ear-04", "max_age_s = 90000"), Level::Warning, "older than a day");
    says(&one("a", "https://a", "azure-attestation", ""), Level::Warning, "issued to somebody else");
    let empty = one("a", "https://a", "intel-trust-authority", "allowed_tcb_statuses = []");
    says(&empty, Level::Error, "no platform that states one can pass");
    says(&one("a", "https://a", "nvidia-nras", ""), Level::Error, "carry no measurement");
    for key in ["allow_warning", "allow_simulated"] {
        says(&one("a", "https://a", "ear-04", &format!("{key} = true")), Level::Note, key);
    }
    says(
        &one("a", "https://a", "ear-04", "require_reference_value = false"),
        Level::Warning,
        "anything may run",
    );
}

#[test]
fn platforms_without_a_tee_are_always_remarked() {
    let keys = Issuer::ed25519(1).jwks();
    let one = |more: &str| {
        format!(
            "[[software]]\nname = \"a\"\nissuer = \"https://a\"\naudience = \"x\"\nsubjects = [\"s\"]\nkeys = '''{keys}'''\n{more}\n"
        )
    };
    says(&one("image_digest = \"/image\""), Level::Note, "workloads without a TEE");
    says(&one(""), Level::Error, "none can pass");
    says(&one("max_age_s = 0"), Level::Error, "very second");
    says(&format!("{0}{0}", one("")), Level::Error, "there twice");
}

/// The same policy in CBOR is the same rules and another policy: it is known by its octets.
#[test]
fn a_policy_may_be_cbor() {
    let text = format!("version = 1\nname = \"t\"\n{SNP}{}", waiver("debug", "2027-06-01T00:00:00Z"));
    let toml = AppraisalPolicy::parse(text.as_bytes()).unwrap();
    let model: toml::Value = toml::from_str(&text).unwrap();
    let bytes = treering_provenance::strict::to_vec(&model).unwrap();
    let cbor = AppraisalPolicy::parse(&bytes).unwrap();
    assert_eq!((cbor.name(), cbor.waivers(), cbor.bytes()), (toml.name(), toml.waivers(), bytes.as_slice()));
    assert_eq!(lint(&cbor, NOW), lint(&toml, NOW));
    assert_ne!(cbor.digest(), toml.digest());
    assert_eq!(AppraisalPolicy::media_type(&bytes), "application/cbor");
    assert_eq!(AppraisalPolicy::media_type(text.as_bytes()), "application/toml");
    AppraisalPolicy::parse(&[bytes.clone(), vec![0]].concat()).unwrap_err();
    // {"name": "t", "version": 1} with the keys in another order, and with an unknown one.
    AppraisalPolicy::parse(b"\xa2\x67version\x01\x64name\x61t").unwrap_err();
    AppraisalPolicy::parse(b"\xa2\x64name\x61t\x67version\x01").unwrap();
    AppraisalPolicy::parse(b"\xa3\x64name\x61t\x65extra\x01\x67version\x01").unwrap_err();
}
