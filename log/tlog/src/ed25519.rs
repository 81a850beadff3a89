//! What it means here that an Ed25519 signature verifies: strictly (RFC 8032, and neither key nor nonce of small order).
//!
//! In scope: the one check that notes and statements share; two that differ on one signature would differ on which
//! history is believed. Out of scope: keys, and what is signed.
//!
//! It accepts exactly what `VerifyingKey::verify_strict` of ed25519-dalek accepts, in three quarters of the time. That
//! function first decompresses R, a square root, only to see whether R is of small order. But its last step, which is
//! `VerifyingKey::verify`, computes R anew as S·B - k·A and compares encodings: an R that passes it is in the canonical
//! encoding of a point, and the points of small order have eight of those, which are known.

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

/// The y of the eight points of small order, little-endian. Each but the second and third, which have x = 0, is of two
/// points, told apart by the highest bit of the encoding.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Whether `key` made `signature` over `message`, by the strict check.
pub fn verify_strict(key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
    !key.is_weak() && !has_small_order(*signature.r_bytes()) && key.verify(message, signature).is_ok()
}

/// Whether this is the canonical encoding of a point of small order. (Some others are taken for one, too: none of them
/// is canonical, so no signature with them verifies.)
fn has_small_order(mut r: [u8; 32]) -> bool {
    r[31] &= 0x7f;
    SMALL_ORDER.contains(&r)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::{EdwardsPoint, Scalar, constants::EIGHT_TORSION};
    use ed25519_dalek::{Signer as _, SigningKey};
    use sha2::{Digest as _, Sha512};

    use super::*;

    /// The hash that binds R, A and the message.
    fn challenge(r: &[u8; 32], key: &VerifyingKey, message: &[u8]) -> Scalar {
        let mut hash = Sha512::new();
        hash.update(r);
        hash.update(key.as_bytes());
        hash.update(message);
        Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
    }

    /// A signature whose R is a point of small order, for a key with a part of small order: it satisfies the equation.
    fn forged(r: &EdwardsPoint) -> (VerifyingKey, [u8; 4], Signature) {
        let (secret, [_, eighth, ..]) = (SigningKey::from_bytes(&[7; 32]).to_scalar(), EIGHT_TORSION);
        let key = VerifyingKey::from(EdwardsPoint::mul_base(&secret) + eighth);
        let encoded = r.compress().to_bytes();
        let found = (0u32..).map(u32::to_be_bytes).find_map(|message| {
            let k = challenge(&encoded, &key, &message);
            // S·B - k·A = k·a·B - k·(a·B + T) = -k·T, which is R for one message in eight.
            (-(k * eighth) == *r)
                .then(|| (message, Signature::from_components(encoded, (k * secret).to_bytes())))
        });
        let (message, signature) = found.unwrap();
        (key, message, signature)
    }

    #[test]
    fn r_of_small_order_is_refused_where_the_equation_holds() {
        for point in EIGHT_TORSION {
            let (key, message, signature) = forged(&point);
            assert!(key.verify(&message, &signature).is_ok(), "so that there is something to refuse");
            assert!(key.verify_strict(&message, &signature).is_err());
            assert!(!verify_strict(&key, &message, &signature), "{:?}", point.compress());
        }
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let secret = SigningKey::from_bytes(&[9; 32]).to_scalar();
        let r = EdwardsPoint::mul_base(&secret).compress().to_bytes();
        let signature = Signature::from_components(r, secret.to_bytes());
        // Of the identity any message is signed by S·B = R.
        let key = VerifyingKey::from_bytes(&EIGHT_TORSION[0].compress().to_bytes()).unwrap();
        assert!(key.verify(b"any", &signature).is_ok());
        assert!(!verify_strict(&key, b"any", &signature));
    }

    /// The arithmetic is of the backend that this processor gets, and every bit counts.
    #[test]
    fn every_bit_of_signature_and_message_counts() {
        let secret = SigningKey::from_bytes(&[3; 32]);
        let (key, mut message) = (secret.verifying_key(), [0x5a; 40]);
        let signature = secret.sign(&message);
        assert!(verify_strict(&key, &message, &signature));
        for bit in 0..512 {
            let mut octets = signature.to_bytes();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify_strict(&key, &message, &Signature::from_bytes(&octets)), "{bit}");
        }
        for bit in 0..8 * message.len() {
            message[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify_strict(&key, &message, &signature), "{bit}");
            message[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
