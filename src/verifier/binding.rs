//! Where evidence carries the binding value: one place per kind and no other.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How the 64 octets of the binding value are carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carriage {
    /// As they are, in a field of 64 octets.
    Whole([u8; 64]),
    /// As SHA-256(tag || value), in a field of 32 octets. The tag keeps one kind's digest from being another's.
    Digest { tag: &'static str, digest: [u8; 32] },
}

impl Carriage {
    /// The octets as they are carried.
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Self::Whole(octets) => octets,
            Self::Digest { digest, .. } => digest,
        }
    }

    /// Whether this is what would be carried for the value, compared in constant time.
    pub(super) fn carries(&self, value: &[u8; 64]) -> bool {
        match self {
            Self::Whole(carried) => carried.ct_eq(value).into(),
            Self::Digest { tag, digest } => digest.ct_eq(&digest_of(tag, value)).into(),
        }
    }
}

/// Comparing two, without knowing the value.
impl Carriage {
    /// Whether both carry one value; `None` where nobody can tell who does not know it.
    pub(super) fn agrees(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Whole(one), other) | (other, Self::Whole(one)) => Some(other.carries(one)),
            (Self::Digest { tag: one_tag, digest: one }, Self::Digest { tag, digest }) => {
                (one_tag == tag).then(|| one.ct_eq(digest).into())
            }
        }
    }
}

/// SHA-256(tag || value): what goes into a field of 32 octets.
pub fn digest_of(tag: &str, value: &[u8; 64]) -> [u8; 32] {
    Sha256::new().chain_update(tag.as_bytes()).chain_update(value).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_carriage_carries_one_value() {
        let whole = Carriage::Whole([1; 64]);
        assert!(whole.carries(&[1; 64]) && !whole.carries(&[2; 64]));
        let digest = Carriage::Digest { tag: "one", digest: digest_of("one", &[1; 64]) };
        assert!(digest.carries(&[1; 64]) && !digest.carries(&[2; 64]));
        let other = Carriage::Digest { tag: "two", digest: digest_of("one", &[1; 64]) };
        assert!(!other.carries(&[1; 64]), "a digest under another tag");
    }

    #[test]
    fn two_carriages_agree_where_they_can_be_compared() {
        let whole = |octet| Carriage::Whole([octet; 64]);
        let digest = |tag, octet| Carriage::Digest { tag, digest: digest_of(tag, &[octet; 64]) };
        assert_eq!(whole(1).agrees(&whole(1)), Some(true));
        assert_eq!(whole(1).agrees(&whole(2)), Some(false));
        assert_eq!(whole(1).agrees(&digest("one", 1)), Some(true));
        assert_eq!(digest("one", 2).agrees(&whole(1)), Some(false));
        assert_eq!(digest("one", 1).agrees(&digest("one", 1)), Some(true));
        assert_eq!(digest("one", 1).agrees(&digest("one", 2)), Some(false));
        assert_eq!(digest("one", 1).agrees(&digest("two", 1)), None);
    }
}
