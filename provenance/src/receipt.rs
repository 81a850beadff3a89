//! Receipts: RFC 9942 over the RFC 9162 tree (vds 1), bound to origin and size.
//!
//! In scope: the seal of a tree head (what all receipts of one checkpoint share: [`seal`]), receipts of inclusion and
//! consistency, their verification. RFC 9942 signs the root alone; size and index ride in the unprotected header, and
//! the same path proves the same leaf at other positions of other sizes. Our protected, non-critical label binds
//! origin and size, and a size with a path determines the index, so a receipt cannot be restated elsewhere. Verifiers
//! that know RFC 9942 only accept these receipts too.
//! Out of scope: other verifiable data structures, and receipts without our label, but for [`Receipt::unbound_root`].

mod error;
mod seal;
mod wire;

use ciborium::Value;
use treering_tlog::{consistency, hash::Hash, inclusion};

use crate::{
    cose::{
        CLAIM_IAT, CLAIM_ISS, CLAIM_SUB, CoseError, LABEL_CWT_CLAIMS, LABEL_TREERING, Sign1, Signer,
        VerifyingKey, sig_structure,
    },
    strict,
};
pub use error::ReceiptError;
pub use seal::Seal;
use wire::{RawProof, as_u64, decode_proof, parse_head};

/// The longest path in a tree of 2^64 leaves.
pub const MAX_PATH_HASHES: usize = 64;
/// The most proofs in one receipt.
pub const MAX_PROOFS: usize = 16;
/// The longest receipt: [`MAX_PROOFS`] paths of [`MAX_PATH_HASHES`] hashes of 34 bytes and 32 bytes of framing, and a
/// protected header of less than 16 KiB.
pub const MAX_RECEIPT_BYTES: usize = MAX_PROOFS * (MAX_PATH_HASHES * 34 + 32) + (16 << 10);
/// The longest seal: a protected header and a signature.
pub const MAX_SEAL_BYTES: usize = 16 << 10;

const LABEL_ALG: i64 = 1;
const LABEL_KID: i64 = 4;
const LABEL_VDS: i64 = 395;
const LABEL_VDP: i64 = 396;
const VDS_RFC9162_SHA256: i64 = 1;
const VDP_INCLUSION: i64 = -1;
const VDP_CONSISTENCY: i64 = -2;
const LABEL_VERSION: i64 = 1;

/// A tree head to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead<'a> {
    /// The log's origin.
    pub origin: &'a str,
    /// Leaves in the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// Signs a tree head: the protected header and signature that every receipt of this head shares, as one CBOR array.
/// `issuer` is the URI of the log's role, `issued_at` Unix seconds.
pub fn seal(
    signer: &dyn Signer,
    issuer: &str,
    head: &TreeHead<'_>,
    issued_at: u64,
) -> Result<Vec<u8>, ReceiptError> {
    let text = |text: &str| Value::Text(text.to_owned());
    let claims = vec![
        (CLAIM_ISS.into(), text(issuer)),
        (CLAIM_SUB.into(), text(head.origin)),
        (CLAIM_IAT.into(), issued_at.into()),
    ];
    let label = vec![
        (text("v"), LABEL_VERSION.into()),
        (text("origin"), text(head.origin)),
        (text("size"), head.size.into()),
    ];
    let protected = strict::encode(&Value::Map(vec![
        (LABEL_ALG.into(), signer.algorithm().id().into()),
        (LABEL_KID.into(), Value::Bytes(signer.kid().to_vec())),
        (LABEL_CWT_CLAIMS.into(), Value::Map(claims)),
        (LABEL_VDS.into(), VDS_RFC9162_SHA256.into()),
        (text(LABEL_TREERING), Value::Map(label)),
    ]))?;
    let signature = signer.sign(&sig_structure(&protected, head.root.as_bytes()))?;
    Ok(strict::encode(&Value::Array(vec![Value::Bytes(protected), Value::Bytes(signature)]))?)
}

/// The place of one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// Leaves in the tree.
    pub size: u64,
    /// Position of the leaf.
    pub index: u64,
    /// Audit path, leaf side first.
    pub path: Vec<Hash>,
}

/// The proof that one tree is the beginning of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// Leaves in the older tree.
    pub old_size: u64,
    /// Leaves in the newer tree.
    pub new_size: u64,
    /// Consistency path.
    pub path: Vec<Hash>,
}

/// Puts a receipt of inclusion together from a seal and proofs at its size.
pub fn assemble(seal: &[u8], proofs: &[Inclusion]) -> Result<Vec<u8>, ReceiptError> {
    Seal::parse(seal)?.inclusion(proofs)
}

/// Puts a receipt of consistency together from a seal of the newer tree and a proof.
pub fn assemble_consistency(seal: &[u8], proof: &Consistency) -> Result<Vec<u8>, ReceiptError> {
    Seal::parse(seal)?.consistency(proof)
}

/// The position that a receipt's signature binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundHead {
    /// The log's origin.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
}

/// What a verified receipt proves: these leaves are at these places of the tree with this size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    indexes: Vec<u64>,
    size: u64,
    root: Hash,
}

impl Included {
    /// The leaves' positions, in the order asked for.
    pub fn indexes(&self) -> &[u64] {
        &self.indexes
    }

    /// The first leaf's position.
    pub fn index(&self) -> u64 {
        self.indexes.first().copied().unwrap_or_default()
    }

    /// Leaves in the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    pub const fn root(&self) -> &Hash {
        &self.root
    }
}

/// What a verified receipt of consistency proves: the log signed this size and root, and the older tree is its
/// beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extended {
    size: u64,
    root: Hash,
}

impl Extended {
    /// Leaves in the newer tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The newer tree's root.
    pub const fn root(&self) -> &Hash {
        &self.root
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Proofs {
    Inclusion(Vec<Inclusion>),
    Consistency(Vec<Consistency>),
}

/// A receipt, parsed. Nothing is verified yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    sign1: Sign1,
    head: Option<BoundHead>,
    issued_at: Option<u64>,
    proofs: Proofs,
}

impl Receipt {
    /// Parses a receipt of inclusion or consistency.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let sign1 = Sign1::parse(bytes, MAX_RECEIPT_BYTES)?;
        if sign1.payload().is_some() {
            return Err(CoseError::Payload("attached, want it detached").into());
        }
        match sign1.protected_int(LABEL_VDS) {
            Some(vds) if *vds == Value::from(VDS_RFC9162_SHA256) => {}
            other => {
                return Err(ReceiptError::Vds(other.map_or("missing".to_owned(), |vds| format!("{vds:?}"))));
            }
        }
        let head = sign1.protected_text(LABEL_TREERING).map(parse_head).transpose()?;
        if head.is_some() {
            sign1.check_sorted()?;
        }
        let claims = sign1.protected_int(LABEL_CWT_CLAIMS).and_then(Value::as_map);
        let iat = claims.and_then(|claims| claims.iter().find(|(key, _)| *key == Value::from(CLAIM_IAT)));
        let issued_at = iat.and_then(|(_, value)| as_u64(value));
        let vdp = sign1.unprotected_int(LABEL_VDP).and_then(Value::as_map).map(Vec::as_slice);
        let Some([(label, Value::Array(items))]) = vdp else {
            return Err(ReceiptError::Shape("want one kind of proof under 396"));
        };
        if items.is_empty() || items.len() > MAX_PROOFS {
            return Err(ReceiptError::Shape("want 1 to 16 proofs"));
        }
        let items = items.iter().map(decode_proof);
        let proofs = if *label == Value::from(VDP_INCLUSION) {
            let inclusion = |item: RawProof| item.map(|(size, index, path)| Inclusion { size, index, path });
            Proofs::Inclusion(items.map(inclusion).collect::<Result<_, _>>()?)
        } else if *label == Value::from(VDP_CONSISTENCY) {
            let consistency = |item: RawProof| {
                item.map(|(old_size, new_size, path)| Consistency { old_size, new_size, path })
            };
            Proofs::Consistency(items.map(consistency).collect::<Result<_, _>>()?)
        } else {
            return Err(ReceiptError::Shape("proofs are neither of inclusion nor of consistency"));
        };
        Ok(Self { sign1, head, issued_at, proofs })
    }

    /// What the signature binds, if the receipt has our label.
    pub const fn head(&self) -> Option<&BoundHead> {
        self.head.as_ref()
    }

    /// When it was signed, in Unix seconds, as the log says.
    pub const fn issued_at(&self) -> Option<u64> {
        self.issued_at
    }

    /// The key identifier.
    pub fn kid(&self) -> Option<&[u8]> {
        self.sign1.kid()
    }

    /// Its proofs of inclusion.
    pub fn inclusions(&self) -> &[Inclusion] {
        match &self.proofs {
            Proofs::Inclusion(proofs) => proofs,
            Proofs::Consistency(_) => &[],
        }
    }

    /// Its proofs of consistency.
    pub fn consistencies(&self) -> &[Consistency] {
        match &self.proofs {
            Proofs::Inclusion(_) => &[],
            Proofs::Consistency(proofs) => proofs,
        }
    }

    /// Verifies that `leaf` is in the log `origin`, by a receipt with this one proof.
    pub fn verify_inclusion(
        &self,
        key: &VerifyingKey,
        origin: &str,
        leaf: &Hash,
    ) -> Result<Included, ReceiptError> {
        self.verify_inclusions(key, origin, std::slice::from_ref(leaf))
    }

    /// Verifies that `leaves` are in the log `origin`, one proof each, in this order.
    pub fn verify_inclusions(
        &self,
        key: &VerifyingKey,
        origin: &str,
        leaves: &[Hash],
    ) -> Result<Included, ReceiptError> {
        let head = self.bound(origin)?;
        let proofs = self.inclusions();
        if proofs.is_empty() || proofs.len() != leaves.len() {
            return Err(ReceiptError::Count { got: proofs.len(), want: leaves.len() });
        }
        self.check_sizes()?;
        let root = self.common_root(leaves)?;
        self.sign1.verify_detached(key, root.as_bytes())?;
        Ok(Included { indexes: proofs.iter().map(|proof| proof.index).collect(), size: head.size, root })
    }

    /// Verifies that the tree of `old_size` leaves and `old_root`, which is known from before, is the beginning of
    /// the tree whose head is sealed here. The newer root follows from the older one and the path, so that there is
    /// none to be told, and the signature says whether it is the log's.
    pub fn verify_consistency(
        &self,
        key: &VerifyingKey,
        origin: &str,
        (old_size, old_root): (u64, &Hash),
    ) -> Result<Extended, ReceiptError> {
        let head = self.bound(origin)?;
        let [proof] = self.consistencies() else {
            return Err(ReceiptError::Shape("want one proof of consistency"));
        };
        self.check_sizes()?;
        if proof.old_size != old_size {
            return Err(ReceiptError::OldSize { proof: proof.old_size, want: old_size });
        }
        let root = consistency::new_root(old_size, head.size, old_root, &proof.path)?;
        self.sign1.verify_detached(key, root.as_bytes())?;
        Ok(Extended { size: head.size, root })
    }

    /// What RFC 9942 alone verifies: that `key` signed the root to which the one proof leads from `leaf`. Neither the
    /// log nor the position is bound: for interoperation, never for a decision.
    pub fn unbound_root(&self, key: &VerifyingKey, leaf: &Hash) -> Result<Hash, ReceiptError> {
        if self.inclusions().len() != 1 {
            return Err(ReceiptError::Count { got: self.inclusions().len(), want: 1 });
        }
        let root = self.common_root(std::slice::from_ref(leaf))?;
        self.sign1.verify_detached(key, root.as_bytes())?;
        Ok(root)
    }

    fn bound(&self, origin: &str) -> Result<&BoundHead, ReceiptError> {
        let head = self.head.as_ref().ok_or(ReceiptError::Unbound)?;
        if head.origin != origin {
            return Err(ReceiptError::Origin { got: head.origin.clone(), want: origin.to_owned() });
        }
        Ok(head)
    }

    /// Every proof must be at the size that is signed.
    fn check_sizes(&self) -> Result<(), ReceiptError> {
        let signed = self.head.as_ref().ok_or(ReceiptError::Unbound)?.size;
        let sizes: Vec<u64> = match &self.proofs {
            Proofs::Inclusion(proofs) => proofs.iter().map(|proof| proof.size).collect(),
            Proofs::Consistency(proofs) => proofs.iter().map(|proof| proof.new_size).collect(),
        };
        match sizes.into_iter().find(|size| *size != signed) {
            Some(proof) => Err(ReceiptError::Size { proof, signed }),
            None => Ok(()),
        }
    }

    fn common_root(&self, leaves: &[Hash]) -> Result<Hash, ReceiptError> {
        let mut common = None;
        for (proof, leaf) in self.inclusions().iter().zip(leaves) {
            let root = inclusion::root_from_path(leaf, proof.index, proof.size, &proof.path)?;
            if *common.get_or_insert(root) != root {
                return Err(ReceiptError::Roots);
            }
        }
        common.ok_or(ReceiptError::Count { got: 0, want: leaves.len() })
    }
}
