//! Secret keys of 32 bytes, and wrapping one under another.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use zeroize::Zeroizing;

/// Length of a 32-byte key wrapped by RFC 3394.
pub(crate) const WRAPPED_KEY_BYTES: usize = 40;

macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, ::zeroize::Zeroize, ::zeroize::ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// From 32 random bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes. They are secret.
            pub const fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}
pub(crate) use secret_key;

secret_key! {
    /// Encrypts one content, once.
    ContentKey
}
secret_key! {
    /// Wraps content keys: one per scope, class and period.
    Kek
}

/// RFC 3394 key wrap of a 32-byte key under a 32-byte key.
pub(crate) fn wrap_key(kek: &[u8; 32], key: &[u8; 32]) -> Option<[u8; WRAPPED_KEY_BYTES]> {
    let mut out = [0; WRAPPED_KEY_BYTES];
    let length = AesKek::new(&AES_256, kek).ok()?.wrap(key, &mut out).ok()?.len();
    (length == WRAPPED_KEY_BYTES).then_some(out)
}

/// Inverse of [`wrap_key`]; `None` if the integrity check fails.
pub(crate) fn unwrap_key(kek: &[u8; 32], wrapped: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if wrapped.len() != WRAPPED_KEY_BYTES {
        return None;
    }
    let mut out = Zeroizing::new([0; 32]);
    let length = AesKek::new(&AES_256, kek).ok()?.unwrap(wrapped, out.as_mut_slice()).ok()?.len();
    (length == out.len()).then_some(out)
}
