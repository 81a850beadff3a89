//! A quote of hardware, and the tokens of other schemes.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use treering::attester::simulated::tpm::Quote;
use treering::verifier::{self, AppraisalPolicy, Assurance, Collateral, open_vtpm_json};

use super::{BINDING, LENIENT, NOW, TPM, case};
use crate::verifier::{Case, assert_affirming, assert_refused, failed, main, policy_of, read, vectors};

/// A quote of an Intel firmware TPM as Trustee recorded it, and the policy that names its key.
fn recorded() -> Option<Case> {
    let json = read(vectors()?.join("evidence/tpm/trustee/tpm_evidence.json"));
    let opened = open_vtpm_json(&json).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let key = crate::verifier::base64url(document["ak_public"].as_str().unwrap());
    let (media_type, octets) = opened.items[0].clone();
    let case = Case::of("trustee", &media_type, octets, Collateral::default(), NOW);
    Some(Case { policy: naming(&key), ..case })
}

fn naming(key: &[u8]) -> AppraisalPolicy {
    let key = HEXLOWER.encode(&Sha256::digest(key));
    policy_of(&format!("{LENIENT}[[tpm.attestation_key]]\nname = \"host 1\"\nspki_sha256 = \"{key}\"\n"))
}

#[test]
fn a_recorded_quote_is_genuine_where_the_policy_names_its_key() {
    let Some(case) = recorded() else { return };
    let appraisal = case.appraise();
    assert_affirming("trustee", &appraisal);
    assert_eq!(main(&appraisal).assurance(), Some(Assurance::Software));
    assert_eq!(main(&appraisal).vector().runtime_opaque, 0, "a TPM keeps nobody from reading memory");
    assert_eq!(main(&appraisal).vector().hardware, 0, "nobody but the policy vouches for the key");
    assert!(!appraisal.matches_binding(&BINDING), "its qualifying data are 64 octets of somebody else's");
    let unknown = Case { policy: policy_of(LENIENT), ..case };
    assert_refused(&unknown.appraise(), "endorsement");
}

/// Of every seventh octet; the whole below.
#[test]
fn flipped_bits_of_a_recorded_quote_are_refused() {
    let Some(case) = recorded() else { return };
    crate::verifier::no_flipped_bit_of_every_nth_octet_is_accepted(&case, 0..case.octets().len(), 7);
}

#[test]
#[ignore = "soak: every bit of a quote, half a minute"]
fn every_flipped_bit_of_a_recorded_quote_is_refused() {
    let Some(case) = recorded() else { return };
    crate::verifier::no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

#[test]
fn the_octets_of_a_result_for_a_quote_are_pinned() {
    let Some(case) = recorded() else { return };
    let text = String::from_utf8(case.appraise().ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    assert_eq!(
        HEXLOWER.encode(&verifier::fingerprint(text.as_bytes())),
        "e6a34046a7cd0fe2c21eff2508169b5d229add69cc1fc7ede95a5411e50a36c2"
    );
}

/// What Veraison's schemes carry is not enough: neither token has the registers, nor the key that signed.
#[test]
fn quotes_without_their_key_are_refused() {
    let Some(vectors) = vectors() else { return };
    let enacttrust = read(vectors.join("evidence/tpm/veraison-services/enacttrust-basic.token"));
    // UUID of the node, length of the attestation, attestation, signature.
    let (attest, signature) = enacttrust[18..].split_at(79);
    let quote = Quote {
        attest: attest.to_vec(),
        signature: signature.to_vec(),
        pcrs: [1, 2, 3, 4].map(|index| (index, vec![0; 32])).into(),
        key: Some(TPM.spki()),
        public: None,
        parent: None,
    };
    let appraisal = case(&quote).appraise();
    assert_refused(&appraisal, "quote-signature");
    assert!(failed(&appraisal).contains(&"pcr-digest"));

    let parsec = read(vectors.join("evidence/tpm/veraison-services/parsec-tpm-evidence.cbor"));
    let token: ciborium::Value = ciborium::from_reader(parsec.as_slice()).unwrap();
    let part = |of: &str, name: &str| {
        let field = |map: &ciborium::Value, name: &str| {
            let pairs = map.as_map().unwrap();
            pairs.iter().find(|(key, _)| key.as_text() == Some(name)).unwrap().1.clone()
        };
        field(&field(&token, of), name).into_bytes().unwrap()
    };
    let quote = Quote {
        attest: part("pat", "attestInfo"),
        signature: part("pat", "sig"),
        pcrs: [0, 1, 2].map(|index| (index, vec![0; 32])).into(),
        key: None,
        public: Some(part("kat", "pubArea")),
        parent: Some(vec![0x40, 0, 0, 0x0b]),
    };
    // Signed by the platform's key, which is named in it and not in it; the key beside it is the one that was certified.
    let appraisal = case(&quote).appraise();
    assert_refused(&appraisal, "quote-signature");
    assert_eq!(failed(&appraisal), ["quote-signature", "endorsement", "key-attributes"]);
    let certify = Quote { attest: part("kat", "certInfo"), ..quote };
    assert_refused(&case(&certify).appraise(), "quote-type");
}
