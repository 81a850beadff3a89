//! Envelopes: round trip, binding to their statement, and the key commitment.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ciborium::Value;
use treering_provenance::{
    bytes::Fixed,
    content::{Content as _, Refusal, V1},
    envelope::{self, ContentKey, Context, EnvelopeError, Kek, KekId, Plaintext},
    statement::{Draft, Kind, Payload, Statement},
    strict,
};

use crate::fixture::{NOW, ORIGIN, VERIFIER, confidential, signer};

const KEK_ID: KekId = Fixed([5; 16]);

fn kek() -> Kek {
    Kek::from_bytes([6; 32])
}

pub(crate) fn refusal() -> Refusal {
    Refusal {
        v: V1,
        step: "appraise".to_owned(),
        reason: "measurement-unknown".to_owned(),
        detail: "launch digest is not among 2 reference values".to_owned(),
        target: "x509".to_owned(),
        appraisal: None,
    }
}

pub(crate) fn context() -> Context<'static> {
    Context { origin: ORIGIN, issuer: VERIFIER, subject: "handle", kind: Kind::Refusal }
}

fn statement(payload: Payload) -> Statement {
    let Context { origin, issuer, subject, kind } = context();
    let draft = Draft {
        kind,
        issuer,
        subject,
        audience: origin,
        issued_at: NOW,
        parents: vec![],
        cred: None,
        payload,
    };
    draft.sign(&signer(1)).unwrap()
}

pub(crate) fn sealed() -> (Statement, Vec<u8>) {
    let plaintext = Plaintext::of(&refusal(), [3; 32]).unwrap();
    let key = ContentKey::from_bytes([4; 32]);
    let bytes = envelope::seal(&plaintext, &context(), &key, (&KEK_ID, &kek())).unwrap();
    (statement(plaintext.payload(Kind::Refusal, &bytes).unwrap()), bytes)
}

#[test]
fn a_content_comes_back() {
    let (statement, bytes) = sealed();
    let opened = envelope::open(&statement, &bytes, |id| (*id == KEK_ID).then(kek)).unwrap();
    assert_eq!(opened.content::<Refusal>().unwrap(), refusal());
    assert_eq!(opened.media_type(), Refusal::MEDIA_TYPE);
    let opened = envelope::open_with_key(&statement, &bytes, &ContentKey::from_bytes([4; 32])).unwrap();
    assert_eq!(opened.content::<Refusal>().unwrap(), refusal());
    assert_eq!(envelope::kek_id(&bytes).unwrap(), KEK_ID);
}

#[test]
fn the_wrong_key_and_no_key_are_told_apart() {
    let (statement, bytes) = sealed();
    assert_eq!(envelope::open(&statement, &bytes, |_| None), Err(EnvelopeError::NoKey(KEK_ID)));
    let wrong = envelope::open(&statement, &bytes, |_| Some(Kek::from_bytes([7; 32])));
    assert_eq!(wrong, Err(EnvelopeError::Decrypt));
    let wrong = envelope::open_with_key(&statement, &bytes, &ContentKey::from_bytes([7; 32]));
    assert_eq!(wrong, Err(EnvelopeError::Decrypt));
}

#[test]
fn a_copied_envelope_does_not_open_under_another_statement() {
    let (_, bytes) = sealed();
    let commit = Plaintext::of(&refusal(), [3; 32]).unwrap().commitment(Kind::Refusal).unwrap();
    let payload = Payload::Confidential { envelope: envelope::digest(&bytes), commit };
    // Another issuer, subject, log or kind: the context differs, so nothing authenticates.
    let base = confidential(Kind::Refusal, VERIFIER, vec![], None);
    let copies = [
        Draft {
            issuer: "spiffe://test.example/thief",
            subject: "handle",
            payload: payload.clone(),
            ..base.clone()
        },
        Draft { subject: "other", payload: payload.clone(), ..base.clone() },
        Draft { subject: "handle", audience: "other.example", payload: payload.clone(), ..base.clone() },
        Draft { subject: "handle", kind: Kind::Appraisal, payload, ..base },
    ];
    for copy in copies {
        let statement = copy.sign(&signer(1)).unwrap();
        assert_eq!(envelope::open(&statement, &bytes, |_| Some(kek())), Err(EnvelopeError::Decrypt));
    }
}

#[test]
fn every_changed_byte_is_refused() {
    let (statement, bytes) = sealed();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let result = envelope::open(&statement, &changed, |_| Some(kek()));
        assert_eq!(result.unwrap_err(), EnvelopeError::Statement, "byte {at}");
        // Also where a statement names the changed bytes.
        let commit = *statement.commit().unwrap();
        let names_it =
            self::statement(Payload::Confidential { envelope: envelope::digest(&changed), commit });
        let kek = |id: &KekId| (*id == KEK_ID).then(kek);
        assert!(envelope::open(&names_it, &changed, kek).is_err(), "byte {at}");
    }
}

/// AES-GCM is not key-committing: a dishonest writer can seal one ciphertext that authenticates under two keys. The
/// commitment is what refuses the second text. Here the writer controls everything but the commitment: the envelope is
/// honest in every way, the plaintext is simply another.
#[test]
fn a_second_text_under_another_key_is_refused() {
    let plaintext = Plaintext::of(&refusal(), [3; 32]).unwrap();
    let honest_commit = plaintext.commitment(Kind::Refusal).unwrap();
    let mut other = refusal();
    other.reason = "another-story".to_owned();
    let other = Plaintext::of(&other, [3; 32]).unwrap();
    let key = ContentKey::from_bytes([8; 32]);
    let bytes = envelope::seal(&other, &context(), &key, (&KEK_ID, &kek())).unwrap();
    let statement =
        statement(Payload::Confidential { envelope: envelope::digest(&bytes), commit: honest_commit });
    assert_eq!(envelope::open(&statement, &bytes, |_| Some(kek())), Err(EnvelopeError::Commitment));
    assert_eq!(envelope::open_with_key(&statement, &bytes, &key), Err(EnvelopeError::Commitment));
}

/// The attack itself: one ciphertext and tag that open under two keys. With free choice of one block the two GHASH
/// polynomials can be made to agree; here the second key opens the same bytes to garbage that is no plaintext.
#[test]
fn one_ciphertext_under_two_keys_opens_for_one_only() {
    let (first, second) = ([0x11; 32], [0x22; 32]);
    let nonce = [0; 12];
    let aad = {
        let parts = [envelope::CONTENT_TAG, ORIGIN, VERIFIER, "handle", Kind::Refusal.as_str()];
        let context = strict::encode(&Value::Array(parts.map(Value::from).to_vec())).unwrap();
        let protected = strict::encode(&Value::Map(vec![(1.into(), 3.into())])).unwrap();
        strict::encode(&Value::Array(vec!["Encrypt".into(), Value::Bytes(protected), Value::Bytes(context)]))
            .unwrap()
    };
    let plaintext = Plaintext::of(&refusal(), [3; 32]).unwrap();
    let text = strict::to_vec(&plaintext).unwrap();
    let ciphertext = gcm::collide(&first, &second, &nonce, &aad, &text);
    for key in [first, second] {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
        let mut buffer = ciphertext.clone();
        let nonce = Nonce::assume_unique_for_key(nonce);
        cipher
            .open_in_place(nonce, Aad::from(&aad), &mut buffer)
            .expect("the ciphertext opens under both keys");
    }
    let bytes = gcm::envelope(&ciphertext, &nonce, KEK_ID.as_bytes());
    let commit = plaintext.commitment(Kind::Refusal).unwrap();
    let statement = statement(Payload::Confidential { envelope: envelope::digest(&bytes), commit });
    for key in [first, second] {
        let opened = envelope::open_with_key(&statement, &bytes, &ContentKey::from_bytes(key));
        // Neither is accepted: the first text has the extra block that makes the collision, the second is garbage.
        assert!(opened.is_err());
    }
}

#[test]
fn the_media_type_must_be_the_contents() {
    let plaintext = Plaintext::new("text/plain", refusal().to_cbor().unwrap(), [3; 32]);
    assert!(matches!(plaintext.content::<Refusal>(), Err(EnvelopeError::Content(_))));
}

#[test]
fn secrets_do_not_show() {
    let plaintext = Plaintext::of(&refusal(), [3; 32]).unwrap();
    let shown = format!("{plaintext:?} {:?} {:?}", kek(), ContentKey::from_bytes([4; 32]));
    assert!(
        !shown.contains("measurement") && shown.contains("Kek(..)") && shown.contains("ContentKey(..)"),
        "{shown}"
    );
}

/// Just enough of GCM to build the collision: GHASH in GF(2^128), and AES-CTR by the library.
mod gcm {
    use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
    use ciborium::Value;
    use treering_provenance::{envelope::Kek, grant, strict};

    /// A ciphertext with tag that authenticates under both keys; it decrypts under `first` to `text`, padded, and one
    /// block that makes it so.
    pub(super) fn collide(
        first: &[u8; 32],
        second: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        text: &[u8],
    ) -> Vec<u8> {
        let mut padded = text.to_vec();
        padded.resize(text.len().div_ceil(16) * 16, 0);
        let mut ciphertext = padded.clone();
        for (number, block) in ciphertext.chunks_mut(16).enumerate() {
            let counter = u32::try_from(number).unwrap() + 2;
            xor(block, &keystream(first, nonce, counter));
        }
        // Tag = E(J0) + sum over blocks; the last block is free: solve for it so that both tags are equal.
        let blocks = ciphertext.len() / 16 + 1;
        let lengths = ((aad.len() as u128 * 8) << 64) | (blocks as u128 * 128);
        let part = |key: &[u8; 32]| {
            let h = block(key, &[0; 16]);
            let mut y = 0u128;
            for chunk in aad.chunks(16).chain(ciphertext.chunks(16)) {
                let mut whole = [0; 16];
                whole[..chunk.len()].copy_from_slice(chunk);
                y = mul(y ^ u128::from_be_bytes(whole), h);
            }
            // The free block X contributes (y + X) * h^2, the lengths L * h.
            let h2 = mul(h, h);
            let constant = mul(y, h2) ^ mul(lengths, h) ^ u128::from_be_bytes(keystream(key, nonce, 1));
            (h2, constant)
        };
        let ((h2_first, c_first), (h2_second, c_second)) = (part(first), part(second));
        let x = mul(c_first ^ c_second, inverse(h2_first ^ h2_second));
        let tag = mul(x, h2_first) ^ c_first;
        ciphertext.extend(x.to_be_bytes());
        ciphertext.extend(tag.to_be_bytes());
        ciphertext
    }

    /// An envelope in our form around a ciphertext.
    pub(super) fn envelope(ciphertext: &[u8], nonce: &[u8; 12], kek_id: &[u8; 16]) -> Vec<u8> {
        let wrapped =
            grant::wrap(&grant::GrantKey::from_bytes([6; 32]), &Kek::from_bytes([0x11; 32])).unwrap();
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let recipient = vec![
            bytes(&[]),
            Value::Map(vec![(1.into(), (-5).into()), (4.into(), bytes(kek_id))]),
            bytes(&wrapped),
        ];
        let protected = strict::encode(&Value::Map(vec![(1.into(), 3.into())])).unwrap();
        let message = vec![
            bytes(&protected),
            Value::Map(vec![(5.into(), bytes(nonce))]),
            bytes(ciphertext),
            Value::Array(vec![Value::Array(recipient)]),
        ];
        strict::encode(&Value::Tag(96, Box::new(Value::Array(message)))).unwrap()
    }

    fn keystream(key: &[u8; 32], nonce: &[u8; 12], counter: u32) -> [u8; 16] {
        let mut input = [0; 16];
        input[..12].copy_from_slice(nonce);
        input[12..].copy_from_slice(&counter.to_be_bytes());
        block(key, &input).to_be_bytes()
    }

    /// One block of AES-256: the first block of CTR with the input as counter, over zeros.
    fn block(key: &[u8; 32], input: &[u8; 16]) -> u128 {
        let key = UnboundCipherKey::new(&AES_256, key).unwrap();
        let context = DecryptionContext::Iv128(input.into());
        let mut zeros = [0; 16];
        let out = DecryptingKey::ctr(key).unwrap().decrypt(&mut zeros, context).unwrap();
        u128::from_be_bytes((&*out).try_into().unwrap())
    }

    fn xor(block: &mut [u8], with: &[u8; 16]) {
        block.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
    }

    /// Multiplication in GCM's field: bit 0 is the most significant.
    fn mul(left: u128, right: u128) -> u128 {
        let (mut product, mut shifted) = (0u128, right);
        for bit in (0..128).rev() {
            if (left >> bit) & 1 == 1 {
                product ^= shifted;
            }
            let carry = shifted & 1;
            shifted >>= 1;
            if carry == 1 {
                shifted ^= 0xe1 << 120;
            }
        }
        product
    }

    /// x^(2^128 - 2).
    fn inverse(x: u128) -> u128 {
        let (mut result, mut power) = (1u128 << 127, x);
        for _ in 0..127 {
            power = mul(power, power);
            result = mul(result, power);
        }
        result
    }
}
