//! HMAC-SHA-256 and HKDF of one block, with results of a fixed size, so that no caller has a failure to handle that
//! cannot occur.

use aws_lc_rs::hmac;

/// HMAC-SHA-256 over the concatenation of `parts`. Callers frame the parts.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        mac.update(part);
    }
    let mut out = [0; 32];
    // Both have 32 bytes: the digest length of SHA-256.
    out.iter_mut().zip(mac.sign().as_ref()).for_each(|(out, byte)| *out = *byte);
    out
}

/// HKDF-SHA-256 (RFC 5869) with an output of one block.
pub(crate) fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; 32] {
    let prk = zeroize::Zeroizing::new(hmac_sha256(salt, &[secret]));
    hmac_sha256(prk.as_slice(), &[info, &[1]])
}
