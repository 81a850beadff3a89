//! What the policy and the reference values ask, key by key.

use data_encoding::{BASE64, HEXLOWER};
use treering::attester::simulated::cca::{self, CcaPlatform};
use treering::verifier::{self, AppraisalPolicy, Assurance, HardwareRoots, ReferenceValue, ReferenceValues};

use super::{LENIENT, REALM, digest, example, key_of, policy, with_key};
use crate::verifier::{Case, assert_affirming, assert_refused, failed, main, policy_of};

#[test]
fn implementations_machines_and_keys_are_those_that_the_policy_names() {
    let with = |rules: &str| Case { policy: policy(rules), ..example() }.appraise();
    let ours = HEXLOWER.encode(&cca::IMPLEMENTATION_ID);
    assert_eq!(with(&format!("implementation_ids = [\"{ours}\"]")).refusal(), None);
    let other = with(&format!("implementation_ids = [\"{}\"]", "00".repeat(32)));
    assert_eq!(failed(&other), ["implementation"]);
    assert_eq!(main(&other).vector().hardware, 96);

    let machine =
        |id: &[u8]| format!("[[cca.machine]]\nname = \"rack 7\"\ninstance_id = \"{}\"", HEXLOWER.encode(id));
    let instance = REALM.platform().instance_id();
    let named = with(&machine(&instance));
    assert_eq!((named.refusal(), main(&named).vector().instance_identity), (None, 2));
    let unnamed = with(&machine(&[1; 33]));
    assert_eq!(failed(&unnamed), ["machine"]);
    assert_eq!(main(&unnamed).vector().instance_identity, 97);

    // A key counts for the platforms that it is named for; among several, the one that signed.
    let key = |id: &str| {
        let key = key_of(REALM.platform());
        let policy = with_key(&format!("{id}\n{key}"));
        Case { policy, ..example() }.appraise()
    };
    assert_eq!(key(&format!("instance_id = \"{}\"", HEXLOWER.encode(&instance))).refusal(), None);
    assert_eq!(key(&format!("implementation_id = \"{ours}\"")).refusal(), None);
    assert_refused(&key(&format!("instance_id = \"{}\"", "01".repeat(33))), "platform-key");
    assert_refused(&key(&format!("implementation_id = \"{}\"", "00".repeat(32))), "platform-key");
    let stranger = CcaPlatform::generate().unwrap();
    let both = with(&format!("[[cca.platform_key]]\nname = \"stranger\"\n{}", key_of(&stranger)));
    assert_eq!((both.refusal(), main(&both).assurance()), (None, Some(Assurance::Simulated)));
    let roots = HardwareRoots::with_simulated([stranger.key_fingerprint()]);
    let only = Case { policy: with_key(&key_of(&stranger)), roots, ..example() }.appraise();
    assert_eq!(failed(&only), ["platform-signature"]);
}

#[test]
fn platform_keys_have_three_forms() {
    let spki = REALM.platform().key();
    let (x, y) = spki[spki.len() - 96..].split_at(48);
    let base64url = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
    let jwk = format!("kty = \"EC\", crv = \"P-384\", x = \"{}\", y = \"{}\"", base64url(x), base64url(y));
    let cose = [&[0xa4, 1, 2, 0x20, 2, 0x21, 0x58, 48], x, &[0x22, 0x58, 48], y].concat();
    let forms = [
        key_of(REALM.platform()),
        format!(
            "spki = \"\"\"-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n\"\"\"",
            BASE64.encode(&spki)
        ),
        format!("cose_key = \"{}\"", HEXLOWER.encode(&cose)),
        format!("jwk = {{ {jwk} }}"),
        format!("jwk = {{ {jwk}, kid = \"a\", alg = \"ES384\", use = \"sig\" }}"),
    ];
    for form in &forms {
        let case = Case { policy: with_key(form), ..example() };
        assert_eq!(case.appraise().refusal(), None, "{form}");
    }
    let refused = [
        String::new(),
        format!("{}\n{}", forms[0], forms[2]),
        "spki = \"AAAA\"".to_owned(),
        "spki = \"!\"".to_owned(),
        "cose_key = \"a0\"".to_owned(),
        "cose_key = \"x\"".to_owned(),
        format!("jwk = {{ {jwk}, d = \"AA\" }}"),
        format!("jwk = {{ {} }}", jwk.replace("P-384", "P-521")),
        format!("jwk = {{ {} }}", jwk.replace("P-384", "P-256")),
        format!("{}\ninstance_id = \"01\"", forms[0]),
        // Ed25519.
        "spki = \"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"".to_owned(),
    ];
    for form in refused {
        let text = format!("version = 1\nname = \"t\"\n[[cca.platform_key]]\nname = \"k\"\n{form}");
        AppraisalPolicy::parse(text.as_bytes()).unwrap_err();
    }
}

fn reference(registers: &[(&str, &[u8])]) -> ReferenceValue {
    let registers = registers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    ReferenceValue {
        name: "image 7".to_owned(),
        tee: verifier::SUBMOD_CCA.to_owned(),
        registers,
        source: [9; 32],
    }
}

#[test]
fn reference_values_of_realms_and_of_platforms_are_told_apart() {
    let rim = digest(b"image 7");
    let zero = [0; 32];
    let of_realm: &[(&str, &[u8])] = &[("rim", &rim)];
    let all: &[(&str, &[u8])] = &[
        ("rim", &rim),
        ("rem0", &zero),
        ("rem1", &zero),
        ("rem2", &zero),
        ("rem3", &zero),
        ("rpv", &[0; 64]),
    ];
    let (first, second, signer) = ([0xb1; 32], [0xb2; 32], [0xee; 32]);
    let of_platform: &[(&str, &[u8])] = &[
        ("sw0", &first),
        ("sw0-signer", &signer),
        ("sw1", &second),
        ("implementation", &cca::IMPLEMENTATION_ID),
        ("config", &[0xcf; 4]),
    ];
    let strict = format!("[[cca.platform_key]]\nname = \"ours\"\n{}", key_of(REALM.platform()));
    let with = |rules: &str, values: &[&[(&str, &[u8])]]| {
        let values = values.iter().map(|registers| reference(registers)).collect();
        let references = ReferenceValues::new(values).unwrap();
        Case { policy: policy_of(rules), references, ..example() }.appraise()
    };
    let both = with(&strict, &[of_platform, of_realm]);
    assert_affirming("both", &both);
    assert_eq!(main(&both).vector().executables, 3);
    assert_eq!(both.into_appraised().unwrap().reference().unwrap().source, [9; 32]);
    assert_eq!(main(&with(&strict, &[of_platform, all])).vector().executables, 2);
    assert_eq!(failed(&with(&strict, &[of_platform, &all[5..]])), ["reference-value"], "of its owner alone");
    assert_eq!(failed(&with(&strict, &[of_platform, &all[1..5]])), ["reference-value"]);
    // Whose platform it is, how it is set up, and one of two components are not what runs there.
    for part in
        [&of_platform[3..4], &of_platform[4..], &of_platform[3..], &of_platform[..1], &of_platform[1..]]
    {
        assert_eq!(failed(&with(&strict, &[part, of_realm])), ["platform-reference"], "{part:?}");
    }
    let components: &[(&str, &[u8])] = &[("sw0", &first), ("sw1", &second)];
    assert_affirming("components", &with(&strict, &[components, of_realm]));
    assert_eq!(failed(&with(&strict, &[of_realm])), ["platform-reference"]);
    assert_eq!(main(&with(&strict, &[of_realm])).vector().hardware, 32);
    let no_realm = with(&strict, &[of_platform]);
    assert_eq!(failed(&no_realm), ["reference-value"]);
    assert_eq!(main(&no_realm).vector().executables, 33);
    assert_eq!(failed(&with(&strict, &[])), ["platform-reference", "reference-value"]);
    // One value of both is one of neither.
    let mixed = [of_platform, of_realm].concat();
    assert_eq!(failed(&with(&strict, &[&mixed])), ["platform-reference", "reference-value"]);
    // Not required, but given: then they count.
    let lenient = format!("{LENIENT}{strict}");
    assert_eq!(failed(&with(&lenient, &[&[("sw0", &second)]])), ["platform-reference"]);
    assert_eq!(failed(&with(&lenient, &[&[("rim", &zero)]])), ["reference-value"]);
    assert_eq!(with(&lenient, &[]).refusal(), None);
    for odd in [("rim", 31), ("rem4", 32), ("rpv", 32), ("sw32", 32), ("implementation", 33), ("config", 65)]
    {
        ReferenceValues::new(vec![reference(&[(odd.0, &vec![0; odd.1])])]).unwrap_err();
    }
}
