//! The two spellings of an ECDSA signature: (r, s) and (r, n - s) verify alike, and anybody makes one from the other.
//!
//! In scope: which of the two a signature is, and the other one. Out of scope: who accepts which.

/// The order of P-256.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// The order of P-384.
const P384_ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a,
    0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// r || n - s for r || s, by the curve that has signatures of this length; `None` where no curve of ours has.
pub(super) fn twin(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(signature.len() / 2)?;
    let order: &[u8] = match signature.len() {
        64 => &P256_ORDER,
        96 => &P384_ORDER,
        _ => return None,
    };
    let mut negated = vec![0; s.len()];
    let mut borrow = 0i16;
    for ((out, order), digit) in negated.iter_mut().zip(order).zip(s).rev() {
        let difference = i16::from(*order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *out = u8::try_from(difference.rem_euclid(256)).ok()?;
    }
    Some([r, &negated].concat())
}

/// Whether S is in the lower half of the order: the one of the two spellings that is always accepted.
pub(super) fn has_low_s(signature: &[u8]) -> bool {
    // r is the same in both.
    twin(signature).is_some_and(|twin| signature <= twin.as_slice())
}
