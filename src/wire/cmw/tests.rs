use std::io::Write as _;
use std::path::{Path, PathBuf};

use ciborium::Value as Cbor;
use proptest::prelude::*;
use treering_provenance::strict;

use super::cbor::{CMW_CBOR, CMW_JSON};
use super::*;

fn vectors() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/evidence/cmw/rust-cmw");
    let here = dir.is_dir();
    assert!(here || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is missing", dir.display());
    if !here {
        // Past the capture of what tests print.
        std::io::stderr()
            .write_all(format!("skipped: no vectors at {}\n", dir.display()).as_bytes())
            .unwrap();
    }
    here.then_some(dir)
}

fn media(text: &str, value: &[u8], ind: Option<u64>) -> Cmw {
    Cmw::Record(Record { kind: Kind::Media(text.to_owned()), value: value.to_vec(), ind })
}

fn format(number: u16, value: &[u8]) -> Cmw {
    Cmw::Record(Record { kind: Kind::Format(number), value: value.to_vec(), ind: None })
}

fn entries(cmw: Cmw) -> Vec<(Label, Cmw)> {
    match cmw {
        Cmw::Collection(collection) => collection.entries,
        Cmw::Record(record) => panic!("{record:?}"),
    }
}

#[test]
fn the_vectors_are_read() {
    let Some(dir) = vectors() else { return };
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let text = |text: &str| Label::Text(text.to_owned());
    let deadly = [0x23, 0x47, 0xda, 0x55];
    let corim = [0xd2, 0x84, 0x43, 0xa1, 0x01, 0x26, 0xa1];
    assert_eq!(
        entries(Cmw::read(&read("collection-cbor-ok.cbor")).unwrap()),
        [
            (Label::Number(1), media("application/signed-corim+cbor", &corim, Some(3))),
            (Label::Number(2), format(29884, &deadly)),
            (text("s"), format(30001, &deadly)),
        ]
    );
    assert_eq!(
        entries(Cmw::read(&read("collection-cbor-ok-2.cbor")).unwrap()),
        [(Label::Number(1), media("application/vnd.1", &[0xde, 0xad, 0xbe, 0xef], None))]
    );
    assert_eq!(
        entries(Cmw::read(&read("collection-cbor-mixed-keys.cbor")).unwrap()),
        [(Label::Number(1024), format(0, &[0xaa])), (text("string"), format(0, &[0xff]))]
    );
    let json = Cmw::read(&read("collection-ok.json")).unwrap();
    let two = [
        (text("a"), media("application/vnd.a", b"a", None)),
        (text("b"), media("application/vnd.b", b"b", None)),
    ];
    assert_eq!(entries(json.clone()), two);
    assert_eq!(Cmw::in_certificate(&read("x509-cert+json-cmw.der")).unwrap(), Some(json));
    let cbor = entries(Cmw::in_certificate(&read("x509-cert+cbor-cmw.der")).unwrap().unwrap());
    assert_eq!(cbor.len(), 3);
    assert_eq!(cbor[1], (Label::Number(2), format(29884, &deadly)));
    Cmw::in_certificate(b"none").unwrap_err();
}

/// RFC 9277 section 4.3 and the tags of the CMW formats themselves.
#[test]
fn tags_are_those_of_their_formats() {
    for (format, tag) in [
        (0, 1_668_546_817),
        (254, 1_668_547_071),
        (255, 1_668_547_073),
        (273, 1_668_547_091),
        (65535, 1_668_612_609),
    ] {
        assert_eq!((tag_of_format(format), format_of_tag(tag)), (tag, Some(format)));
    }
    for tag in [0, 1_668_546_816, 1_668_547_072, 1_668_612_610, u64::MAX] {
        assert_eq!(format_of_tag(tag), None, "{tag}");
    }
    for format in 0..=u16::MAX {
        assert_eq!(format_of_tag(tag_of_format(format)), Some(format));
    }
}

#[test]
fn signed_ones_are_refused_by_name() {
    let sign1 = [0xd2, 0x84, 0x43, 0xa1, 0x01, 0x26, 0xa0, 0x41, 0, 0x41, 0];
    assert_eq!(Cmw::read(&sign1), Err(CmwError::Signed("COSE_Sign1")));
    assert_eq!(Cmw::read(&sign1[1..]), Err(CmwError::Signed("COSE_Sign1")));
    assert_eq!(Cmw::read(b"eyJhbGciOiJFUzI1NiJ9.e30.AA"), Err(CmwError::Signed("JWS")));
    let general = br#"{"payload":"e30","signatures":[{"protected":"","signature":""}]}"#;
    assert_eq!(Cmw::read(general), Err(CmwError::Signed("JWS")));
    let tagged = |format: u16| {
        strict::encode(&Cbor::Tag(tag_of_format(format), Box::new(Cbor::Bytes(vec![1])))).unwrap()
    };
    assert_eq!(Cmw::read(&tagged(274)), Err(CmwError::Signed("COSE_Sign1")));
    assert_eq!(Cmw::read(&tagged(276)), Err(CmwError::Signed("JWS")));
}

#[test]
fn what_is_no_cmw_is_refused() {
    for text in [
        "",
        " ",
        "x",
        "1",
        "[]",
        "{}",
        r#"["a/b"]"#,
        r#"["a/b","AA",4,5]"#,
        r#"["a/b","AA==",4]"#,
        r#"["ab","AA"]"#,
        r#"["a/b","AA",0]"#,
        r#"["a/b","AA",32]"#,
        r#"["a/b","AA",-1]"#,
        r#"[30001,"AA"]"#,
        r#"{"a":"b"}"#,
        r#"{"a":1}"#,
        r#"{"__cmwc_t":"tag:x"}"#,
        r#"{"__cmwc_t":"no uri","a":["a/b","AA"]}"#,
        r#"{"__cmwc_t":["a/b","AA"],"a":["a/b","AA"]}"#,
        r#"{"a":["a/b","AA"],"a":["a/b","AA"]}"#,
        r#"{"__cmwc_t":"a:b","__cmwc_t":"a:b","a":["a/b","AA"]}"#,
        r#"["a/b","AA"] 1"#,
    ] {
        assert!(Cmw::read(text.as_bytes()).is_err(), "{text}");
    }
    for hex in [
        "a0",
        "80",
        "820041ff00",
        "9f0041ffff",
        "bf01820041ffff",
        "82190000 41ff",
        "820041ff00",
        "a201820041ff01820041ff",
        "8200f6",
        "83004100f6",
        "a1f6820041ff",
    ] {
        let octets = data_encoding::HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap();
        assert!(Cmw::read(&octets).is_err(), "{hex}");
    }
    assert_eq!(Cmw::read(&vec![b'['; MAX_CMW_BYTES + 1]), Err(CmwError::TooLarge(MAX_CMW_BYTES + 1)));
    assert_eq!(Cmw::read(&[0x60]), Err(CmwError::Unknown(0x60)));
}

#[test]
fn depth_and_number_are_limited() {
    let nested = |depth: usize| format!("{}[\"a/b\",\"AA\"]{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let good = Cmw::read(nested(MAX_NESTING).as_bytes()).unwrap();
    Cmw::read(nested(MAX_NESTING + 1).as_bytes()).unwrap_err();
    Cmw::read(nested(100_000).as_bytes()).unwrap_err();
    Cmw::read(&good.to_cbor().unwrap()).unwrap();
    let deeper = Cmw::Collection(Collection { kind: None, entries: vec![(Label::Number(1), good)] });
    Cmw::read(&deeper.to_cbor().unwrap()).unwrap_err();
    let many = |count: usize| {
        let members: Vec<String> =
            (0..count).map(|number| format!("\"{number}\":[\"a/b\",\"AA\"]")).collect();
        format!("{{{}}}", members.join(","))
    };
    Cmw::read(many(MAX_ENTRIES).as_bytes()).unwrap();
    Cmw::read(many(MAX_ENTRIES + 1).as_bytes()).unwrap_err();
    // Collections in tags count as collections.
    let mut inner = many(1).into_bytes();
    for _ in 0..MAX_NESTING {
        let format = if inner.first() == Some(&b'{') { CMW_JSON } else { CMW_CBOR };
        inner = strict::encode(&Cbor::Tag(tag_of_format(format), Box::new(Cbor::Bytes(inner)))).unwrap();
    }
    Cmw::read(&inner).unwrap_err();
    // However many there are.
    for _ in 0..10_000 {
        inner = strict::encode(&Cbor::Tag(tag_of_format(CMW_CBOR), Box::new(Cbor::Bytes(inner)))).unwrap();
    }
    Cmw::read(&inner).unwrap_err();
}

fn any_record() -> impl Strategy<Value = Cmw> {
    let kind =
        prop_oneof!["[a-z]{1,9}/[a-z.+]{1,9}".prop_map(Kind::Media), any::<u16>().prop_map(Kind::Format)];
    let value = prop::collection::vec(any::<u8>(), 0..40);
    let ind = prop::option::of(1_u64..32);
    (kind, value, ind).prop_map(|(kind, value, ind)| Cmw::Record(Record { kind, value, ind }))
}

fn any_cmw() -> impl Strategy<Value = Cmw> {
    let label = prop_oneof!["[a-z]{1,12}".prop_map(Label::Text), any::<i64>().prop_map(Label::Number)];
    let kind = prop::option::of(prop_oneof![Just("tag:x,2026:y".to_owned()), Just("1.2.3".to_owned())]);
    any_record().prop_recursive(3, 24, 4, move |inner| {
        let entries = prop::collection::vec((label.clone(), inner), 1..4);
        (kind.clone(), entries).prop_filter_map("labels differ", |(kind, entries)| {
            collection(kind, entries).ok().map(Cmw::Collection)
        })
    })
}

proptest! {
    #[test]
    fn cbor_round_trips(cmw in any_cmw()) {
        let octets = cmw.to_cbor().unwrap();
        prop_assert_eq!(&Cmw::read(&octets).unwrap(), &cmw);
        strict::check(&octets, octets.len()).unwrap();
    }

    #[test]
    fn json_round_trips(cmw in any_cmw()) {
        if let Some(json) = cmw.to_json() {
            prop_assert_eq!(&Cmw::read(json.to_string().as_bytes()).unwrap(), &cmw);
        }
    }

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        for first in [0x82, 0x83, 0xa1, 0xda, 0xd2, b'[', b'{'] {
            drop(Cmw::read(&[&[first][..], &octets].concat()));
        }
        drop(Cmw::in_certificate(&octets));
    }
}
