//! Literal bytes of every format. These are published, stored and signed by others: a change that breaks one of these
//! tests makes existing logs, witnesses, key files or proofs unreadable, and needs a new format instead.

use treering_tlog::add_checkpoint::{self, AddCheckpoint};
use treering_tlog::bundle;
use treering_tlog::checkpoint::{Checkpoint, CheckpointError};
use treering_tlog::cosignature::{self, CosignSigner, CosignatureError};
use treering_tlog::hash::{EMPTY_ROOT, Hash, leaf_hash};
use treering_tlog::note::{KeyError, KeyType, Note, NoteError, NoteSigner, VerifiedSignature, VerifierKey};
use treering_tlog::proof::TlogProof;
use treering_tlog::tile::{
    TileId, entries_path, parse_entries_path, parse_tile_path, partial_width, tiles_at,
};
use treering_tlog::tree::NodeCoord;

/// The note of Go's `golang.org/x/mod/sumdb/note` documentation, with its keys.
const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n\
    \u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

const LOG_SEED: [u8; 32] = [1; 32];
const WITNESS_SEED: [u8; 32] = [2; 32];

const LOG_VKEY: &str = "log.example/1+f5f18825+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
const WITNESS_VKEY: &str = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";

/// A checkpoint of a tree of one leaf ("one"), signed and cosigned at time 1767139200 with the seeds above.
const COSIGNED: &str = "log.example/1
1
0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=

\u{2014} log.example/1 9fGIJSVjOFKunxCnkxM3iB1/tnuRJ1vOZkK0ovI4N/mlOJKbCBHAk+ROOczWYToRWtCjTLfzDfYlmw1+7kU8pgFxXAc=
\u{2014} witness.example/w1 3xwKNQAAAABpVGeAskco+IxI5VAn0hWceiiafl4LcbLUVfq2vqkMk76V8Qc7sah40lhjBn2nBh/ivwWKVbRy2aUDCv+nPCYyNlq/Bg==
";

fn log() -> NoteSigner {
    NoteSigner::from_seed("log.example/1", &LOG_SEED).unwrap()
}

fn witness() -> CosignSigner {
    CosignSigner::from_seed("witness.example/w1", &WITNESS_SEED).unwrap()
}

fn cosigned() -> Note {
    let body = Checkpoint::new("log.example/1", 1, leaf_hash(b"one")).unwrap().body();
    let cosignature = witness().cosign(&body, 1_767_139_200).unwrap();
    Note::new(body.clone(), vec![log().sign(&body).unwrap(), cosignature]).unwrap()
}

#[test]
fn the_note_of_go_is_ours() {
    let key = VerifierKey::parse(GO_VKEY).unwrap();
    assert_eq!(key.to_string(), GO_VKEY);
    let note = Note::parse(GO_NOTE.as_bytes()).unwrap();
    assert_eq!(note.to_string(), GO_NOTE);
    let verified = note.verify(std::slice::from_ref(&key)).unwrap();
    assert_eq!(verified.len(), 1);
    assert_eq!(verified[0].time(), None);
    let signer = NoteSigner::parse(GO_SKEY).unwrap();
    assert_eq!(signer.to_private_text().as_str(), GO_SKEY);
    assert_eq!(signer.verifier(), &key);
    assert_eq!(signer.sign(note.text()).unwrap(), note.signatures()[0]);
}

/// Key files and configurations hold these texts.
#[test]
fn keys_are_written_as_ever() {
    assert_eq!(log().verifier().to_string(), LOG_VKEY);
    assert_eq!(witness().verifier().to_string(), WITNESS_VKEY);
    assert_eq!(witness().verifier().kind(), KeyType::CosignatureV1);
    let text = witness().to_private_text();
    assert_eq!(
        text.as_str(),
        format!(
            "PRIVATE+KEY+witness.example/w1+{:08x}+BAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC",
            witness().verifier().id()
        )
    );
    assert_eq!(CosignSigner::parse(&text).unwrap().verifier(), witness().verifier());
    // A key of one purpose is not taken for the other.
    assert_eq!(
        NoteSigner::parse(&text).err(),
        Some(KeyError::WrongType { actual: KeyType::CosignatureV1, wanted: KeyType::Ed25519 })
    );
    assert!(!format!("{:?} {:?}", log(), witness()).contains("PRIVATE"));
}

/// Every log, witness and proof holds such a note.
#[test]
fn cosigned_checkpoints_are_written_as_ever() {
    assert_eq!(cosigned().to_string(), COSIGNED);
    let note = Note::parse(COSIGNED.as_bytes()).unwrap();
    let keys = [log().verifier().clone(), witness().verifier().clone()];
    let verified = note.verify(&keys).unwrap();
    assert_eq!(verified.iter().map(VerifiedSignature::time).collect::<Vec<_>>(), [None, Some(1_767_139_200)]);
    let line = &note.signatures()[1];
    assert_eq!(line.blob().len(), 4 + 8 + 64);
    assert_eq!(cosignature::verify(&keys[1], note.text(), line), Ok(1_767_139_200));
    assert!(cosignature::verify(&keys[0], note.text(), line).is_err());
}

#[test]
fn a_bad_line_of_a_known_key_refuses_the_note_and_others_are_ignored() {
    let keys = [log().verifier().clone(), witness().verifier().clone()];
    // The witness's line over another text.
    let other = Checkpoint::new("log.example/1", 1, leaf_hash(b"two")).unwrap().body();
    let witness_line = cosigned().signatures()[1].clone();
    let note = Note::new(other.clone(), vec![log().sign(&other).unwrap(), witness_line.clone()]).unwrap();
    assert!(matches!(
        note.verify(&keys),
        Err(NoteError::BadSignature { name, source: KeyError::Signature, .. }) if name == "witness.example/w1"
    ));
    // To one who does not know the witness it is a stranger's line.
    assert_eq!(note.verify(&keys[..1]).unwrap().len(), 1);
    // And a note that only strangers signed is nothing.
    let note = Note::new(other, vec![witness_line]).unwrap();
    assert_eq!(note.verify(&keys[..1]), Err(NoteError::NoKnownKey));
}

#[test]
fn a_note_takes_at_least_16_signatures_and_not_without_end() {
    let body = cosigned().text().to_owned();
    let mut note = cosigned();
    for seed in 3u8..=16 {
        let signer = CosignSigner::from_seed(format!("w{seed}"), &[seed; 32]).unwrap();
        note.add_signatures([signer.cosign(&body, 5).unwrap()]).unwrap();
    }
    assert_eq!(note.signatures().len(), 16);
    assert_eq!(Note::parse(&note.to_bytes()).unwrap(), note);
    let signer = witness();
    let many = (1..=100).map(|time| signer.cosign(&body, time).unwrap());
    assert_eq!(note.add_signatures(many), Err(NoteError::TooManySignatures { actual: 101 }));
}

#[test]
fn malformed_notes_are_refused() {
    let good = cosigned().to_string();
    assert!(Note::parse(good.as_bytes()).is_ok());
    for (why, bad) in [
        ("empty", String::new()),
        ("no empty line", good.replace("\n\n", "\n")),
        ("no newline at the end", good.trim_end().to_owned()),
        ("hyphen for the dash", good.replace('\u{2014}', "-")),
        ("two spaces", good.replace("\u{2014} ", "\u{2014}  ")),
        ("tab", good.replacen("log.example", "log\texample", 1)),
        ("carriage return", good.replacen('\n', "\r\n", 1)),
        ("plus in a name", good.replace("\u{2014} log.example/1", "\u{2014} log+1")),
        ("text after the base64", good.replacen("=\n", "= x\n", 2)),
        ("base64 without padding", good.trim_end().trim_end_matches('=').to_owned() + "\n"),
        ("signature shorter than a key id", good.clone() + "\u{2014} x AAAA\n"),
        ("key id and no signature", good.clone() + "\u{2014} x AAAAAA==\n"),
        ("empty line after the signatures", good.clone() + "\n"),
    ] {
        assert!(Note::parse(bad.as_bytes()).is_err(), "{why}");
    }
    assert_eq!(Note::parse(&[good.as_bytes(), b"\xff"].concat()), Err(NoteError::NotUtf8));
    assert!(matches!(Note::parse(&vec![b'a'; 1_000_001]), Err(NoteError::TooLong { actual: 1_000_001 })));
}

#[test]
fn malformed_keys_are_refused() {
    for (bad, wanted) in [
        ("", KeyError::Vkey),
        ("name", KeyError::Vkey),
        ("name+00000000", KeyError::Vkey),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Name),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Name),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Vkey),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T", KeyError::Vkey),
        (
            "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            KeyError::UnsupportedType { actual: 2 },
        ),
        // A key of ML-DSA-44 is longer.
        ("PeterNeumann+c74f20a3+Bhpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::PublicKey),
        // The point of order 1: every signature verifies under a verifier that is not strict.
        ("PeterNeumann+c74f20a3+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", KeyError::PublicKey),
    ] {
        assert_eq!(VerifierKey::parse(bad), Err(wanted), "{bad}");
    }
    assert!(matches!(
        VerifierKey::parse(&GO_VKEY.replace("PeterNeumann", "PeterNewmann")),
        Err(KeyError::IdMismatch { actual, .. }) if actual == "c74f20a3"
    ));
    for bad in ["", GO_VKEY, &GO_SKEY.replace("PRIVATE+KEY", "PRIVATE-KEY"), &GO_SKEY[..60]] {
        assert!(NoteSigner::parse(bad).is_err(), "{bad}");
    }
    assert!(matches!(
        NoteSigner::parse(&GO_SKEY.replace("c74f20a3", "c74f20a4")),
        Err(KeyError::IdMismatch { .. })
    ));
}

#[test]
fn checkpoints_are_strict() {
    let root = EMPTY_ROOT.to_base64();
    let good = format!("o\n0\n{root}\n");
    assert_eq!(Checkpoint::parse(&good), Checkpoint::new("o", 0, EMPTY_ROOT));
    let extended = format!("{good}extension one\nextension two\n");
    let parsed = Checkpoint::parse(&extended).unwrap();
    assert_eq!(parsed.extensions(), ["extension one", "extension two"]);
    assert_eq!(parsed.body(), extended);
    for (bad, wanted) in [
        (String::new(), CheckpointError::Unterminated),
        (good.trim_end().to_owned(), CheckpointError::Unterminated),
        ("o\n0\n".to_owned(), CheckpointError::TooShort),
        (good.replace("o\n", "\n"), CheckpointError::Origin),
        (good.replace("\n0\n", "\n00\n"), CheckpointError::Size),
        (good.replace("\n0\n", "\n+1\n"), CheckpointError::Size),
        (good.replace("\n0\n", "\n18446744073709551616\n"), CheckpointError::Size),
        (format!("{good}\n"), CheckpointError::Extension),
    ] {
        assert_eq!(Checkpoint::parse(&bad), Err(wanted), "{bad:?}");
    }
    assert!(matches!(Checkpoint::parse(&good.replace("U=\n", "V=\n")), Err(CheckpointError::Root(_))));
    assert!(matches!(witness().cosign(&good, 0), Err(CosignatureError::Time { actual: 0 })));
    assert!(matches!(witness().cosign(&good, 1 << 63), Err(CosignatureError::Time { .. })));
    assert!(matches!(witness().cosign("not a checkpoint\n", 1), Err(CosignatureError::Checkpoint(_))));
}

/// The figures of the tlog-tiles text, and its paths.
#[test]
fn tiles_are_named_and_counted_as_ever() {
    let full_tiles = tiles_at(70_000).filter(|(id, width)| id.level == 0 && *width == 256).count();
    assert_eq!(full_tiles, 273);
    let rest: Vec<String> = tiles_at(70_000).skip(273).map(|(id, width)| id.path(width)).collect();
    assert_eq!(rest, ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]);
    let paths: Vec<String> = tiles_at(256).map(|(id, width)| id.path(width)).collect();
    assert_eq!(paths, ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(tiles_at(0).count(), 0);
    assert_eq!(partial_width(0, 256), 0);
    assert_eq!(TileId::new(0, 1).width(256), 0);
    assert_eq!(TileId::new(7, 0).width(u64::MAX), 255);
    assert_eq!(TileId::new(8, 0).width(u64::MAX), 0);
    assert_eq!(TileId::new(0, u64::MAX).width(u64::MAX), 0);

    assert_eq!(TileId::new(0, 1_234_067).path(256), "tile/0/x001/x234/067");
    assert_eq!(TileId::new(63, 0).path(1), "tile/63/000.p/1");
    assert_eq!(entries_path(1_000, 255), "tile/entries/x001/000.p/255");
    assert_eq!(parse_tile_path("tile/0/x001/x234/067"), Ok((TileId::new(0, 1_234_067), 256)));
    assert_eq!(parse_entries_path("tile/entries/x001/000.p/255"), Ok((1_000, 255)));
    let last = TileId::new(0, u64::MAX).path(256);
    assert_eq!(last, "tile/0/x018/x446/x744/x073/x709/x551/615");
    assert_eq!(parse_tile_path(&last), Ok((TileId::new(0, u64::MAX), 256)));
    for bad in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/00/000",
        "tile/64/000",
        "tile/256/000",
        "tile/+1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/x001/",
        "tile/0/000/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1.p/1",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/-01",
        "tile/entries/000",
        "tile/0/\u{661}\u{661}\u{661}",
    ] {
        assert!(parse_tile_path(bad).is_err(), "{bad}");
    }
    assert!(parse_entries_path("tile/0/000").is_err());
}

#[test]
fn nodes_are_found_in_tiles_as_ever() {
    for (coord, tile, range) in [
        (NodeCoord::new(0, 0), TileId::new(0, 0), 0..1),
        (NodeCoord::new(0, 300), TileId::new(0, 1), 44..45),
        (NodeCoord::new(7, 1), TileId::new(0, 0), 128..256),
        (NodeCoord::new(7, 3), TileId::new(0, 1), 128..256),
        (NodeCoord::new(8, 0), TileId::new(1, 0), 0..1),
        (NodeCoord::new(9, 1), TileId::new(1, 0), 2..4),
        (NodeCoord::new(63, 1), TileId::new(7, 0), 128..256),
    ] {
        assert_eq!(TileId::of_node(coord), Ok((tile, range)), "{coord:?}");
    }
}

/// Entry bundles are stored and served in these bytes.
#[test]
fn bundles_are_written_as_ever() {
    let bytes = b"\x00\x03one\x00\x00\x00\x03two";
    assert_eq!(bundle::encode([b"one".as_slice(), b"", b"two"]).unwrap(), bytes);
    assert_eq!(bundle::decode(bytes).unwrap(), [b"one".as_slice(), b"", b"two"]);
    assert_eq!(bundle::decode(b"").unwrap(), Vec::<&[u8]>::new());
    assert!(bundle::decode(b"\x00").is_err());
    assert!(bundle::decode(b"\x00\x02x").is_err());
    assert!(bundle::entry_at(bytes, 3).is_err());
    assert!(bundle::decode(&[0, 0].repeat(257)).is_err());
    assert_eq!(bundle::decode(&[0, 0].repeat(256)).unwrap().len(), 256);
    assert!(bundle::encode([vec![0; 65_536].as_slice()]).is_err());
    assert!(bundle::encode([vec![0; 65_535].as_slice()]).is_ok());
}

/// Witnesses of others read these bytes.
#[test]
fn add_checkpoint_is_written_as_ever() {
    let hash = Hash::from_bytes([7; 32]);
    let request = AddCheckpoint::new(1, vec![hash, hash], COSIGNED.as_bytes()).unwrap();
    let body = format!("old 1\n{hash}\n{hash}\n\n{COSIGNED}");
    assert_eq!(String::from_utf8(add_checkpoint::serialize_request(&request)).unwrap(), body);
    assert_eq!(add_checkpoint::parse_request(body.as_bytes()).unwrap(), request);
    assert_eq!(add_checkpoint::serialize_size(20_852_014), b"20852014\n");
    assert_eq!(add_checkpoint::parse_size(b"20852014\n"), Ok(20_852_014));
    assert!(add_checkpoint::parse_size(b"20852014").is_err());
    assert!(add_checkpoint::parse_size(b"020\n").is_err());
    let lines = cosigned().signatures()[1..].to_vec();
    let answer = add_checkpoint::serialize_response(&lines);
    assert_eq!(add_checkpoint::parse_response(&answer).unwrap(), lines);

    let proof_lines = |count: usize| format!("old 1\n{}\n{COSIGNED}", format!("{hash}\n").repeat(count));
    assert!(add_checkpoint::parse_request(proof_lines(63).as_bytes()).is_ok());
    assert!(add_checkpoint::parse_request(proof_lines(64).as_bytes()).is_err());
    for bad in [
        body.replace("old 1", "old  1"),
        body.replace("old 1", "old 01"),
        body.replace("old 1", "old -1"),
        body.replace("old 1", "size 1"),
        body.replace("old 1\n", ""),
        body.replacen("\n\n", "\n", 1),
        body.replacen(&hash.to_base64(), "AAAA", 1),
        body.replacen('\n', "\r\n", 1),
        body[..40].to_owned(),
        format!("old 1\n\n{}", "x".repeat(add_checkpoint::MAX_REQUEST_LEN)),
    ] {
        assert!(add_checkpoint::parse_request(bad.as_bytes()).is_err(), "{bad:.60}");
    }
}

/// Stored beside credentials and artifacts.
#[test]
fn proofs_are_written_as_ever() {
    let hash = Hash::from_bytes([7; 32]);
    let proof = TlogProof::new(0, vec![hash], cosigned()).unwrap();
    let text = format!("c2sp.org/tlog-proof@v1\nindex 0\n{hash}\n\n{COSIGNED}");
    assert_eq!(proof.to_string(), text);
    assert_eq!(TlogProof::parse(text.as_bytes()).unwrap(), proof);
    let proof = proof.with_extra(b"extra".to_vec()).unwrap();
    let text = text.replace("index 0", "extra ZXh0cmE=\nindex 0");
    assert_eq!(proof.to_string(), text);
    assert_eq!(TlogProof::parse(text.as_bytes()).unwrap(), proof);
    for bad in [
        text.replace("@v1", "@v2"),
        text.replace("extra ZXh0cmE=\n", "extra ZXh0cmE\n"),
        text.replace("index 0", "index 00"),
        text.replace("index 0\n", ""),
        text.replace("extra ZXh0cmE=\nindex 0", "index 0\nextra ZXh0cmE="),
        text.replacen("\n\n", "\n", 1),
        text.replace(&hash.to_base64(), &format!("{hash}\n").repeat(65)),
    ] {
        assert!(TlogProof::parse(bad.as_bytes()).is_err(), "{bad:.60}");
    }
}
