//! The strict decoder: what it refuses, and that what it accepts has one spelling.

use ciborium::Value;
use proptest::prelude::*;
use treering_provenance::strict::{self, StrictError};

fn refused(hex: &str) -> StrictError {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.replace(' ', "").as_bytes()).unwrap();
    strict::check(&bytes, 1 << 16).expect_err(hex)
}

#[test]
fn other_spellings_are_refused() {
    use StrictError as E;
    // Long forms of 0, 23, 24, 255, 65535 and of lengths.
    for hex in
        ["1800", "1817", "190018", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3800", "5800", "780161"]
    {
        assert!(matches!(refused(hex), E::LongForm(_)), "{hex}");
    }
    for hex in ["9800", "b800", "d80000", "9a00000000"] {
        assert!(matches!(refused(hex), E::LongForm(_)), "{hex}");
    }
    // Indefinite lengths.
    for hex in ["5fff", "7fff", "9fff", "bfff", "5f4101ff"] {
        assert!(matches!(refused(hex), E::Indefinite(_)), "{hex}");
    }
    // Keys out of bytewise order, and twice. (RFC 7049's length-first order is another: 24 before -1.)
    for hex in ["a2 02 00 01 00", "a2 01 00 01 01", "a2 6162 00 6161 00", "a2 20 00 1818 00"] {
        assert!(matches!(refused(hex), E::KeyOrder(_)), "{hex}");
    }
    // Floats, undefined, unassigned simple values, a stray break, reserved lengths.
    for hex in ["f90000", "fa47c35000", "fb3ff199999999999a", "f7", "e0", "f820", "ff", "1c", "3d", "fc"] {
        assert!(matches!(refused(hex), E::Refused { .. }), "{hex}");
    }
    for hex in ["c24101", "c349010000000000000000"] {
        assert!(matches!(refused(hex), E::Bignum(_)), "{hex}");
    }
    for hex in ["", "18", "4201", "82 00", "a1 00", "c6", "5bffffffffffffffff00", "9bffffffffffffffff"] {
        assert!(matches!(refused(hex), E::Truncated(_)), "{hex}");
    }
    assert_eq!(refused("0000"), E::Trailing(1));
    assert!(matches!(refused("61ff"), E::Utf8(_)));
    assert!(matches!(refused(&"81".repeat(20)), E::Depth(_)));
    assert_eq!(strict::check(&[0x41, 0], 1), Err(E::TooLong { got: 2, max: 1 }));
}

#[test]
fn foreign_maps_may_be_unsorted_and_nothing_more() {
    let check =
        |hex: &str| strict::check_unsorted(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap(), 64);
    check("a202000100").unwrap();
    assert_eq!(check("a201000101"), Err(StrictError::DuplicateKey));
    assert_eq!(check("a3010002000100"), Err(StrictError::DuplicateKey));
    assert!(matches!(check("a118010 0".replace(' ', "").as_str()), Err(StrictError::LongForm(_))));
    assert!(matches!(check("bf0100ff"), Err(StrictError::Indefinite(_))));
    assert_eq!(check("a001"), Err(StrictError::Trailing(1)));
}

#[test]
fn deterministic_forms_are_accepted() {
    for hex in
        ["00", "17", "1818", "20", "1b0000000100000000", "40", "60", "80", "a0", "f4", "f5", "f6", "c101"]
    {
        strict::check(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap(), 64).expect(hex);
    }
}

#[test]
fn the_encoder_refuses_what_has_no_deterministic_form() {
    let twice = Value::Map(vec![(1.into(), 2.into()), (1.into(), 3.into())]);
    assert_eq!(strict::encode(&twice), Err(StrictError::DuplicateKey));
    assert!(strict::encode(&Value::Float(1.0)).is_err());
    assert!(strict::encode(&Value::Tag(2, Box::new(Value::Bytes(vec![1])))).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ".{0,30}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::vec((inner.clone(), inner.clone()), 0..8).prop_map(Value::Map),
            (4u64..1000, inner).prop_map(|(tag, inner)| Value::Tag(tag, Box::new(inner))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What is accepted, ciborium decodes to a value that encodes to the same bytes by ciborium's writer, which keeps
    /// the order it reads, and by ours, which sorts.
    #[test]
    fn accepted_bytes_are_the_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if strict::check(&bytes, 64).is_ok() {
            let decoded: Value = ciborium::from_reader(bytes.as_slice()).unwrap();
            let mut again = Vec::new();
            ciborium::into_writer(&decoded, &mut again).unwrap();
            prop_assert_eq!(&again, &bytes);
            prop_assert_eq!(strict::encode(&decoded).unwrap(), bytes);
        }
    }

    #[test]
    fn encoded_values_are_accepted(value in value()) {
        if let Ok(bytes) = strict::encode(&value) {
            strict::check(&bytes, 1 << 20).unwrap();
            let again = strict::decode(&bytes, 1 << 20).unwrap();
            prop_assert_eq!(strict::encode(&again).unwrap(), bytes);
        }
    }

    /// A changed byte is either refused or another value: never a second spelling.
    #[test]
    fn no_byte_can_change_without_changing_the_value(value in value(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        if let Ok(bytes) = strict::encode(&value) {
            let mut changed = bytes.clone();
            let at = at.index(changed.len());
            changed[at] = to;
            if changed != bytes && strict::check(&changed, 1 << 20).is_ok() {
                prop_assert_ne!(strict::decode(&changed, 1 << 20).unwrap(), strict::decode(&bytes, 1 << 20).unwrap());
            }
        }
    }
}
