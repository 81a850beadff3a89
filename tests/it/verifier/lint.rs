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
    // By section: reference values that are not required, and what else is let pass.
    let wanted = [
        ("sev_snp", 7),     // no CRL, no floor, a VLEK, three levels
        ("tdx", 1 + 1 + 7), // secure boot, the statuses
        ("sgx", 1 + 5),
        ("tpm", 2), // secure boot
        ("az_snp", 2),
        ("az_tdx", 2),
        ("nitro", 3),      // no CRL, documents of three hours
        ("cca", 2),        // reference values of the platform
        ("nvidia_gpu", 3), // no word on revocation, links that are not encrypted
        ("nvidia_switch", 2),
    ];
    for (section, count) in wanted {
        let of =
            |remark: &&Remark| remark.level == Level::Note && remark.at.split('.').next() == Some(section);
        assert_eq!(baseline.iter().filter(of).count(), count, "{section}: {baseline:#?}");
    }
    assert_eq!(lenient, wanted.iter().map(|(_, count)| count).sum::<usize>(), "{baseline:#?}");
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
    // First mutable code has a Turin, and no other.
    let floor = |generation: &str, fmc: &str| {
        format!(
            "{SNP}[sev_snp.tcb_floor.{generation}]\n{fmc}\nbootloader = 1\ntee = 0\nsnp = 1\nmicrocode = 1\n"
        )
    };
    let turin = |fmc: &str| floor("turin", fmc).replace(", \"turin\"", "");
    says(&turin(""), Level::Warning, "its first mutable code may be of any version");
    assert_eq!(remarks(&turin("fmc = 0")), []);
    let genoa = |fmc: &str| floor("genoa", fmc).replace("\"genoa\", ", "");
    says(&genoa("fmc = 1"), Level::Error, "a Genoa has none, so none can pass");
    says(&genoa("fmc = 0"), Level::Warning, "it has no effect");
    assert_eq!(remarks(&genoa("")), []);
    says(&SNP.replacen("[sev_snp]", "[sev_snp]\nrequire_crl = false", 1), Level::Note, "sev_snp.require_crl");
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
    says(&of("tpm = 1"), Level::Error, "names no TPM");
    // A floor that no generation has; a waiver lets it pass.
    let floorless = "[composite.components]\nsev-snp = 1\n";
    says(floorless, Level::Error, "no generation that may pass has one");
    let waived = format!("{floorless}{}", waiver("tcb-floor", "2027-06-01T00:00:00Z"));
    assert!(remarks(&waived).iter().all(|remark| remark.level != Level::Error));
    // A quote inside evidence of Azure's has no log: what its section asks of logs, nothing can meet.
    let azure =
        |rules: &str, more: &str| format!("{SNP}[tdx]\n{rules}\n[composite.components]\naz-tdx = 1\n{more}");
    says(&azure("require_event_log = true", ""), Level::Error, "tdx.require_event_log");
    let events = "required_events = [\"boot\"]";
    says(&azure(events, ""), Level::Error, "tdx.required_events");
    let waiver = waiver("events", "2027-06-01T00:00:00Z").replace("sev-snp", "az-tdx");
    for fine in [
        azure(events, &waiver),
        azure("", ""),
        format!("{SNP}[tdx]\n{events}\n[composite.components]\ntdx = 1\n"),
    ] {
        assert!(remarks(&fine).iter().all(|remark| remark.level != Level::Error), "{fine}");
    }
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
    says(&one("a", "https://a", "intel-trust-authority", ""), Level::Error, "are about none of these");
    let some =
        one("a", "https://a", "azure-attestation", "").replace("[\"sev-snp\"]", "[\"sev-snp\", \"sgx\"]");
    says(&some, Level::Warning, "no result of azure-attestation is about sgx");
    let trial = one("a", "https://a", "azure-attestation", "allow_simulated = true");
    says(&trial, Level::Warning, "is about a simulated platform");
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

/// Two of one name, and two names of one, in each table of machines.
#[test]
fn machines_that_are_there_twice_are_named() {
    for (table, key, id) in [
        ("tdx.machine", "ppid", "01".repeat(16)),
        ("sgx.machine", "ppid", "01".repeat(16)),
        ("nitro.machine", "instance_id", "i-1".to_owned()),
        ("cca.machine", "instance_id", "01".repeat(33)),
        ("nvidia_gpu.machine", "serial", "01".to_owned()),
        ("nvidia_switch.machine", "serial", "01".to_owned()),
    ] {
        let one = |name: &str| format!("[[{table}]]\nname = \"{name}\"\n{key} = \"{id}\"\n");
        says(&format!("{}{}", one("a"), one("a")), Level::Error, "\"a\" is there twice");
        says(&format!("{}{}", one("a"), one("b")), Level::Error, "has two names");
        let found = remarks(&one("a"));
        assert!(found.iter().all(|remark| !remark.at.starts_with(table)), "{table}: {found:#?}");
    }
    let key = |name: &str, octet: &str| {
        format!("[[tpm.attestation_key]]\nname = \"{name}\"\nspki_sha256 = \"{}\"\n", octet.repeat(32))
    };
    says(&format!("{}{}", key("a", "01"), key("a", "02")), Level::Error, "\"a\" is there twice");
}

#[test]
fn contradictions_of_intels_platforms_are_named() {
    for section in ["tdx", "sgx"] {
        let of = |rules: &str| format!("{SNP}[{section}]\n{rules}\n");
        assert_eq!(remarks(&of("")), [], "{section}");
        let tcb = |rules: &str| format!("{SNP}[{section}.tcb]\n{rules}\n");
        says(&tcb("statuses = []"), Level::Error, "tcb.statuses allows none");
        assert!(
            remarks(&tcb("statuses = []\nout_of_date_grace_s = 9"))
                .iter()
                .all(|one| one.level == Level::Note)
        );
        says(&tcb("statuses = [\"UpToDate\", \"SWHardeningNeeded\"]"), Level::Note, "SWHardeningNeeded");
        says(&tcb("out_of_date_grace_s = 9"), Level::Note, "9 s out of date");
        says(&tcb("require_flags = true"), Level::Warning, "no flag is forbidden");
        assert_eq!(remarks(&tcb("require_flags = true\nforbid_smt = true")), []);
        let both = of("required_attributes = 0x40\nforbidden_attributes = 0x40");
        says(
            &both,
            Level::Error,
            if section == "tdx" { "required and" } else { "are required and forbidden" },
        );
        says(&of("require_reference_value = false"), Level::Warning, "may run");
        let wanted = format!("{}[composite.components]\n{section} = 1\n", tcb("statuses = []"));
        says(&wanted, Level::Error, &format!("{section} is wanted, and can never pass"));
    }
    let tdx = |rules: &str| format!("{SNP}[tdx]\n{rules}\n");
    says(
        &tdx("forbidden_attributes = 0x10000000"),
        Level::Error,
        "0x10000000 are forbidden, and must be set",
    );
    for never in ["1", "0x10", "0x20000000"] {
        let required = tdx(&format!("required_attributes = {never}"));
        says(&required, Level::Error, "are required, and may not be set");
    }
    says(&tdx("forbidden_xfam = 1"), Level::Error, "XFAM 0x1 are forbidden");
    for text in ["", "a\\tb", "\u{e9}"] {
        let events = tdx(&format!("required_events = [\"boot\", \"{text}\"]"));
        says(&events, Level::Error, "no event is ever proven to be");
        // A waiver lets it pass, of the kind that it is of.
        let waiver = waiver("events", "2027-06-01T00:00:00Z");
        let waived = format!("{events}{}", waiver.replace("sev-snp", "tdx"));
        assert!(remarks(&waived).iter().all(|remark| remark.level != Level::Error), "{waived}");
        let wanted = format!("{events}[composite.components]\naz-tdx = 1\n");
        let other = format!("{wanted}{}", waiver.replace("sev-snp", "tdx"));
        says(&other, Level::Error, "az-tdx is wanted, and can never pass");
        let each = format!("{wanted}{}", waiver.replace("kind = \"sev-snp\"\n", ""));
        assert!(remarks(&each).iter().all(|remark| remark.level != Level::Error), "{each}");
    }
    assert_eq!(remarks(&tdx("required_events = [\"boot\"]")), []);
    says(&tdx(&format!("service_td = [\"{}\"]", "01".repeat(48))), Level::Note, "another TD");
    let sgx = |rules: &str| format!("{SNP}[sgx]\n{rules}\n");
    says(&sgx("forbidden_attributes = 1"), Level::Error, "0x1 are forbidden, and must be set");
    says(&sgx("required_attributes = 2"), Level::Error, "0x2 are required, and may not be set");
    says(&sgx("forbidden_xfrm = 2"), Level::Error, "XFRM 0x2 are forbidden");
}

#[test]
fn contradictions_of_other_kinds_are_named() {
    let of = |rules: &str| format!("{SNP}{rules}\n");
    // A TPM whose key nobody vouches for.
    let digest = "01".repeat(32);
    let machine = format!("[[tpm.machine]]\nname = \"a\"\nspki_sha256 = \"{digest}\"\n");
    says(&of(&machine), Level::Warning, "there is no root");
    let key = format!("[[tpm.attestation_key]]\nname = \"a\"\nspki_sha256 = \"{digest}\"\n");
    assert_eq!(remarks(&of(&format!("{machine}{key}"))), []);
    assert_eq!(remarks(&of(&format!("{machine}[[tpm.root]]\nname = \"a\"\nsha256 = \"{digest}\"\n"))), []);
    let wanted = "[composite.components]\ntpm = 1\n";
    let other = key.replace(&digest, &"02".repeat(32));
    says(
        &of(&format!("{machine}{other}{wanted}")),
        Level::Error,
        "no machine that is named has an attestation_key",
    );
    assert_eq!(remarks(&of(&format!("{machine}{key}{wanted}"))), []);
    says(&of("[tpm]\nrequire_secure_boot = false"), Level::Note, "tpm.require_secure_boot");
    says(&of("[tpm]\nrequire_key_purpose = false"), Level::Note, "tpm.require_key_purpose");
    says(&of("[tdx]\nrequire_secure_boot = false"), Level::Note, "tdx.require_secure_boot");
    says(&of("[nitro]\nrequire_crl = false"), Level::Note, "nitro.require_crl");
    says(&of("[tpm]\nrequire_reference_value = false"), Level::Warning, "anything may run");
    // A paravisor, and the report inside.
    for section in ["az_snp", "az_tdx"] {
        let rules = |rules: &str| of(&format!("[{section}]\n{rules}"));
        assert_eq!(remarks(&rules("")), []);
        says(&rules("require_secure_boot = false"), Level::Note, "require_secure_boot");
        says(&rules("require_reference_value = false"), Level::Warning, "any paravisor may run");
    }
    let wanted = "[composite.components]\naz-snp = 1\n";
    let level = SNP.replacen("[sev_snp]", "[sev_snp]\nvmpl = [1]", 1);
    says(&format!("{level}{wanted}"), Level::Error, "at which the paravisor asks");
    let denied = SNP.replace("\"genoa\",", "\"genoa\", \"milan\",");
    says(&format!("{denied}{wanted}"), Level::Error, "az-snp is wanted, and can never pass");
    let tdx = of("[tdx.tcb]\nstatuses = []\n[composite.components]\naz-tdx = 1");
    says(&tdx, Level::Error, "az-tdx is wanted, and can never pass");
    // Documents of enclaves.
    assert_eq!(remarks(&of("[nitro]")), []);
    says(&of("[nitro]\nmax_age_s = 0"), Level::Error, "very second");
    says(&of("[nitro]\nmax_age_s = 20000"), Level::Warning, "more has no effect");
    says(&of("[nitro]\nmax_age_s = 301"), Level::Note, "301 s");
    says(&of("[nitro]\nmax_skew_s = 61"), Level::Note, "61 s");
    says(&of("[nitro]\nrequire_reference_value = false"), Level::Warning, "any image may run");
    // Platforms of CCA, and their keys: a JWK of RFC 7517, appendix A.1.
    let jwk = "jwk = { kty = \"EC\", crv = \"P-256\", x = \"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\", y = \"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\" }";
    let key = |more: &str| format!("[[cca.platform_key]]\nname = \"a\"\n{jwk}\n{more}\n");
    assert_eq!(remarks(&of(&key(""))), []);
    says(&of(&format!("{0}{0}", key(""))), Level::Error, "\"a\" is there twice");
    let (one, other) = ("01".repeat(32), "02".repeat(32));
    let bound = key(&format!("implementation_id = \"{one}\""));
    let allowed = |id: &str| of(&format!("[cca]\nimplementation_ids = [\"{id}\"]\n{bound}"));
    assert_eq!(remarks(&allowed(&one)), []);
    says(&allowed(&other), Level::Error, "no platform key is for an implementation");
    let bound = key(&format!("instance_id = \"{}\"", "01".repeat(33)));
    let named = |octet: &str| {
        of(&format!("{bound}[[cca.machine]]\nname = \"m\"\ninstance_id = \"{}\"\n", octet.repeat(33)))
    };
    assert_eq!(remarks(&named("01")), []);
    says(&named("02"), Level::Error, "no platform key is for a machine");
    says(&of("[cca]\nrequire_platform_reference = false"), Level::Note, "require_platform_reference");
    says(&of("[cca]\nrequire_reference_value = false"), Level::Warning, "any realm may run");
    says(&of("[composite.components]\ncca = 1"), Level::Error, "names no platform key");
}

/// Versions that are named, and too low; what a switch has not.
#[test]
fn contradictions_of_nvidias_devices_are_named() {
    let of = |rules: &str| format!("{SNP}{rules}\n");
    let gpu = |rules: &str| of(&format!("[nvidia_gpu]\n{rules}"));
    let drivers =
        |versions: &str| gpu(&format!("min_driver_version = \"570\"\ndriver_versions = [{versions}]"));
    says(&drivers("\"535.86\", \"550\""), Level::Error, "every driver version that is named is below");
    assert_eq!(remarks(&drivers("\"535.86\", \"570.1\"")), []);
    let vbios = |denied: &str| {
        gpu(&format!(
            "{denied}\nvbios_versions = [\"96.00.01\"]\nmin_vbios_version = {{ hopper = \"96.00.02\" }}"
        ))
    };
    assert_eq!(remarks(&vbios("")), [], "a Blackwell may have it");
    says(
        &vbios("denied_generations = [\"blackwell\"]"),
        Level::Error,
        "every VBIOS version that is named is below",
    );
    says(&of("[nvidia_switch]\nallow_protected_pcie = true"), Level::Warning, "a switch has no such mode");
}

#[test]
fn waivers_of_what_is_not_asked_are_named() {
    let waived = |kind: &str, check: &str, rules: &str| {
        let until = "2027-06-01T00:00:00Z";
        let waiver = format!(
            "[[waiver]]\ncheck = \"{check}\"\nkind = \"{kind}\"\nreason = \"r\"\nuntil = \"{until}\"\n"
        );
        let found = remarks(&format!("{SNP}{rules}\n{waiver}"));
        found.iter().any(|remark| remark.text == format!("the policy asks nothing there of {kind}"))
    };
    for (kind, check, off, on) in [
        ("tdx", "advisories", "", "[tdx.tcb]\ndenied_advisories = [\"INTEL-SA-1\"]"),
        ("tdx", "tcb-evaluation", "", "[tdx.tcb]\nmin_evaluation_number = 1"),
        ("tdx", "platform", "", "[tdx.tcb]\nforbid_smt = true"),
        ("tdx", "xfam", "", "[tdx]\nforbidden_xfam = 4"),
        ("tdx", "events", "", "[tdx]\nrequired_events = [\"boot\"]"),
        ("sgx", "advisories", "", "[sgx.tcb]\ndenied_advisories = [\"INTEL-SA-1\"]"),
        ("sgx", "isv-svn", "", "[sgx]\nmin_isv_svn = 2"),
        ("tpm", "secure-boot", "[tpm]\nrequire_secure_boot = false", ""),
        ("az-snp", "console", "", "[az_snp]\nforbid_console = true"),
        ("az-snp", "secure-boot", "[az_snp]\nrequire_secure_boot = false", ""),
        ("az-snp", "platform", "", "[sev_snp.platform]\nrequire_ecc = true"),
        ("az-tdx", "xfam", "", "[tdx]\nforbidden_xfam = 4"),
    ] {
        assert!(waived(kind, check, off), "{kind} {check}");
        assert!(!waived(kind, check, on), "{kind} {check}: {on}");
    }
    assert!(!waived("tdx", "debug", ""), "always asked");
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
