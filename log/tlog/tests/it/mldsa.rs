//! ML-DSA-44 cosignatures of whole trees: the library against accumulated vectors, the message byte for byte, keys, notes
//! and policies with them.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use ml_dsa::{Keypair as _, MlDsa44, Signer as _, SigningKey, Verifier as _};
use shake::{ExtendableOutput as _, Shake128, Update as _, XofReader as _};
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::cosignature::{self, CosignSigner, CosignatureError};
use treering_tlog::hash::leaf_hash;
use treering_tlog::note::{
    KeyError, KeyType, Note, NoteError, NoteSignature, NoteSigner, VerifierKey, mldsa_cosignature_message,
};
use treering_tlog::policy::{Policy, PolicyError};

const NOW: u64 = 1_767_139_200;

fn signer() -> CosignSigner {
    CosignSigner::mldsa_from_seed("witness.example/w1", &[7; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new("log.example/1", 7, leaf_hash(b"7")).unwrap()
}

/// The accumulated test of C2SP CCTV: keys and deterministic signatures of seeds out of SHAKE128, hashed together.
fn accumulated(iterations: usize) -> String {
    let mut seeds = Shake128::default().finalize_xof();
    let mut all = Shake128::default();
    for _ in 0..iterations {
        let mut seed = [0; 32];
        seeds.read(&mut seed);
        let key = SigningKey::<MlDsa44>::from_seed(&seed.into());
        let signature = key.sign(b"");
        assert!(key.verifying_key().verify(b"", &signature).is_ok());
        all.update(&key.verifying_key().encode());
        all.update(&signature.encode());
    }
    let mut digest = [0; 32];
    all.finalize_xof().read(&mut digest);
    HEXLOWER.encode(&digest)
}

#[test]
fn the_library_is_fips_204_over_a_hundred_keys() {
    assert_eq!(accumulated(100), "d51148e1f9f4fa1a723a6cf42e25f2a99eb5c1b378b3d2dbbd561b1203beeae4");
}

#[test]
#[ignore = "long: ten thousand keys and signatures"]
fn the_library_is_fips_204_over_ten_thousand_keys() {
    assert_eq!(accumulated(10_000), "e7fd21f6a59bcba60d65adc44404bb29a7c00e5d8d3ec06a732c00a306a7d143");
}

/// Written out by hand from the specification: another byte, and no other verifier accepts our cosignatures.
#[test]
fn the_message_is_that_of_the_specification() {
    let message = mldsa_cosignature_message("w.example", 0x0102_0304, &checkpoint()).unwrap();
    let wanted = [
        b"subtree/v1\n\0".as_slice(),
        b"\x09w.example",
        b"\0\0\0\0\x01\x02\x03\x04",
        b"\x0dlog.example/1",
        &[0; 8],
        b"\0\0\0\0\0\0\0\x07",
        leaf_hash(b"7").as_bytes(),
    ]
    .concat();
    assert_eq!(message, wanted);
    let long = Checkpoint::new("o".repeat(256), 7, leaf_hash(b"7")).unwrap();
    assert_eq!(mldsa_cosignature_message("w.example", 1, &long), None);
    let refused = signer().cosign(&long.body(), NOW);
    assert_eq!(refused, Err(CosignatureError::Key(KeyError::NotACheckpoint)));
}

#[test]
fn what_is_signed_verifies_and_nothing_else() {
    let signer = signer();
    let body = checkpoint().body();
    let line = signer.cosign(&body, NOW).unwrap();
    assert_eq!(line.signature().len(), 8 + 2420);
    assert_eq!(signer.cosign(&body, NOW).unwrap(), line, "deterministic");
    let key = signer.verifier();
    assert_eq!(cosignature::verify(key, &body, &line), Ok(NOW));
    let mut note = Note::new(body.clone(), vec![line.clone()]).unwrap();
    assert_eq!(note.verify(std::slice::from_ref(key)).unwrap()[0].time(), Some(NOW));
    note.add_signatures([line.clone()]).unwrap();
    assert_eq!(Note::parse(&note.to_bytes()).unwrap(), note);

    let verify = |body: &str, line: &NoteSignature| cosignature::verify(key, body, line);
    let bad = Err(CosignatureError::Key(KeyError::Signature));
    for other in [
        Checkpoint::new("log.example/2", 7, leaf_hash(b"7")),
        Checkpoint::new("log.example/1", 8, leaf_hash(b"7")),
        Checkpoint::new("log.example/1", 7, leaf_hash(b"8")),
    ] {
        assert_eq!(verify(&other.unwrap().body(), &line), bad);
    }
    let change = |place: usize| {
        let mut signature = line.signature().to_vec();
        signature[place] ^= 1;
        NoteSignature::new(line.name(), line.key_id(), signature).unwrap()
    };
    for place in [7, 8, 100, 8 + 2419] {
        assert!(verify(&body, &change(place)).is_err(), "byte {place}");
    }
    let cut = NoteSignature::new(line.name(), line.key_id(), line.signature()[..2427].to_vec()).unwrap();
    assert_eq!(
        verify(&body, &cut),
        Err(CosignatureError::Key(KeyError::SignatureLength { actual: 2419, wanted: 2420 }))
    );
    // Without a time it is of a subtree, and says nothing about when.
    let timeless = [[0; 8].as_slice(), &line.signature()[8..]].concat();
    let timeless = NoteSignature::new(line.name(), line.key_id(), timeless).unwrap();
    assert_eq!(verify(&body, &timeless), Err(CosignatureError::Key(KeyError::Time { actual: 0 })));
    assert!(matches!(signer.cosign(&body, 0), Err(CosignatureError::Time { actual: 0 })));
    assert!(matches!(signer.cosign("no checkpoint\n", NOW), Err(CosignatureError::Checkpoint(_))));
    // Only checkpoints can be signed so: a line over another text is refused, not ignored.
    let note = Note::new("no checkpoint\n", vec![line.clone()]).unwrap();
    assert!(matches!(
        note.verify(std::slice::from_ref(key)),
        Err(NoteError::BadSignature { source: KeyError::NotACheckpoint, .. })
    ));
    // Extension lines are not covered, as the specification says: who relies on them needs an Ed25519 line.
    let extended = checkpoint().with_extensions(vec!["more".to_owned()]).unwrap().body();
    assert_eq!(verify(&extended, &line), Ok(NOW));
}

#[test]
fn keys_have_texts() {
    let signer = signer();
    let vkey = signer.verifier().to_string();
    let parsed = VerifierKey::parse(&vkey).unwrap();
    assert_eq!(
        (&parsed, parsed.kind(), parsed.public_key().len()),
        (signer.verifier(), KeyType::MlDsa44, 1312)
    );
    assert!(vkey.starts_with("witness.example/w1+") && vkey.contains("+B"), "{vkey}");
    let private = signer.to_private_text();
    let again = CosignSigner::parse(&private).unwrap();
    assert_eq!(again.verifier(), signer.verifier());
    assert!(!format!("{signer:?}").contains(&private[40..]));
    assert!(matches!(
        NoteSigner::parse(&private),
        Err(KeyError::WrongType { actual: KeyType::MlDsa44, wanted: KeyType::Ed25519 })
    ));
    // The same seed and name, another type: another key, with another id.
    let other = CosignSigner::from_seed("witness.example/w1", &[7; 32]).unwrap();
    assert_ne!(other.verifier().id(), signer.verifier().id());
    assert_eq!(VerifierKey::new("w", KeyType::MlDsa44, &[0; 32]), Err(KeyError::PublicKey));
    assert_eq!(VerifierKey::new("w", KeyType::CosignatureV1, &[0; 1312]), Err(KeyError::PublicKey));
}

#[test]
fn quorums_count_either_type() {
    let log = NoteSigner::from_seed("log.example/1", &[1; 32]).unwrap();
    let (old, new) = (CosignSigner::from_seed("w.example", &[2; 32]).unwrap(), signer());
    let text = format!(
        "log {}\nwitness old {}\nwitness new {}\ngroup both all old new\nquorum both\n",
        log.verifier(),
        old.verifier(),
        new.verifier()
    );
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let body = checkpoint().body();
    let lines =
        [log.sign(&body).unwrap(), old.cosign(&body, NOW).unwrap(), new.cosign(&body, NOW + 1).unwrap()];
    let note = Note::new(body.clone(), lines.to_vec()).unwrap();
    let witnessed = policy.verify(&note).unwrap();
    assert_eq!(witnessed.cosigners(), [("old".to_owned(), NOW), ("new".to_owned(), NOW + 1)]);
    let note = Note::new(body, lines[..2].to_vec()).unwrap();
    assert!(matches!(policy.verify(&note), Err(PolicyError::BelowQuorum { .. })));
    assert!(policy.is_quorum(&BTreeSet::from(["old", "new"])));
    // A log's own key stays Ed25519.
    let text = format!("log {}\nquorum none\n", new.verifier());
    assert!(matches!(Policy::parse(text.as_bytes()), Err(PolicyError::KeyType { line: 1, .. })));
    let twice = format!("witness a {0}\nwitness b {0}\nquorum none\n", new.verifier());
    assert!(matches!(Policy::parse(twice.as_bytes()), Err(PolicyError::Duplicate { line: 2, .. })));
}
