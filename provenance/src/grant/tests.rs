//! The COSE-HPKE vectors of the COSE working group for the suite that grants use.

use std::io::Write as _;
use std::path::PathBuf;

use ciborium::Value;

use super::{ALG_HPKE_3, AuditorKey, LABEL_EK, decrypt};
use crate::envelope::enc_structure;

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).unwrap()
}

/// Key, title and ciphertext of each HPKE-3 Encrypt0 entry in base mode.
fn entries() -> Option<Vec<(AuditorKey, String, Vec<u8>)>> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/cose/hpke/testvectors.txt");
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must have the vectors");
        // Past the capture of what tests print.
        std::io::stderr()
            .write_all(format!("skipped: no vectors at {}\n", path.display()).as_bytes())
            .unwrap();
        return None;
    };
    let (mut key, mut title, mut entries) = (None, None, Vec::new());
    for line in text.lines() {
        if let Some((name, value)) = line.split_once("COSE_Key:") {
            key = (name.trim() == "HPKE-3").then(|| hex(value.trim_start_matches(':')));
            title = None;
        } else if line.starts_with("HPKE-") {
            title = line.strip_prefix("HPKE-3 Encrypt0 with ").map(str::to_owned);
        } else if let Some(ciphertext) = line.strip_prefix("Ciphertext:")
            && let (Some(key), Some(title)) = (&key, title.take())
        {
            entries.push((private_key(key), title, hex(ciphertext)));
        }
    }
    Some(entries)
}

fn private_key(cose_key: &[u8]) -> AuditorKey {
    let key: Value = ciborium::from_reader(cose_key).unwrap();
    let field = |label: i64| {
        let (_, value) = key.as_map().unwrap().iter().find(|(key, _)| *key == Value::from(label)).unwrap();
        value.as_bytes().unwrap().as_slice().try_into().unwrap()
    };
    let private = AuditorKey::from_bytes(field(-4)).unwrap();
    assert_eq!(*private.public().as_bytes(), field(-2));
    private
}

#[test]
fn cose_hpke_vectors_decrypt() {
    let Some(entries) = entries() else { return };
    assert_eq!(entries.len(), 3, "the vectors have three HPKE-3 Encrypt0 entries in base mode");
    for (key, title, ciphertext) in entries {
        let Value::Tag(16, message) = ciborium::from_reader(ciphertext.as_slice()).unwrap() else {
            panic!("tag 16")
        };
        let [Value::Bytes(protected), Value::Map(unprotected), Value::Bytes(sealed)] =
            message.as_array().unwrap().as_slice()
        else {
            panic!("three parts")
        };
        let header: Value = ciborium::from_reader(protected.as_slice()).unwrap();
        assert!(header.as_map().unwrap().contains(&(1.into(), ALG_HPKE_3.into())));
        let (_, encapsulated) =
            unprotected.iter().find(|(label, _)| *label == Value::from(LABEL_EK)).unwrap();
        let external = |input: &str, value: &'static [u8]| -> &'static [u8] {
            if title.contains(&format!("external {input}")) { value } else { b"" }
        };
        let aad = enc_structure("Encrypt0", protected, external("aad", b"external-aad")).unwrap();
        let info = external("info", b"external-info");
        let opened = decrypt(&key, encapsulated.as_bytes().unwrap(), info, &aad, sealed).unwrap();
        assert_eq!(opened.as_slice(), b"hpke test payload", "{title}");
        assert!(decrypt(&key, encapsulated.as_bytes().unwrap(), b"other", &aad, sealed).is_err());
    }
}
