//! What all receipts of one tree head share, read once, and receipts put together from it.
//!
//! A busy log gives a receipt with every answer: the parts that are the same are checked once a head, and a receipt is
//! then some hundred bytes written one after the other.

use ciborium::Value;

use super::{
    BoundHead, Consistency, Inclusion, LABEL_TREERING, LABEL_VDP, LABEL_VDS, MAX_PROOFS, MAX_SEAL_BYTES,
    ReceiptError, VDP_CONSISTENCY, VDP_INCLUSION, VDS_RFC9162_SHA256,
    wire::{parse_head, put_proof},
};
use crate::{
    cose::{Sign1, TAG_SIGN1},
    strict::{self, Head},
};

/// A tree head's seal: the protected header and signature of its receipts, and the head that they bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    protected: Vec<u8>,
    signature: Vec<u8>,
    head: BoundHead,
}

impl Seal {
    /// Reads what [`seal`](super::seal) made.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let shape = || ReceiptError::Shape("a seal is two byte strings");
        let Value::Array(parts) = strict::decode(bytes, MAX_SEAL_BYTES)? else { return Err(shape()) };
        let [Value::Bytes(protected), Value::Bytes(signature)] =
            <[Value; 2]>::try_from(parts).map_err(|_| shape())?
        else {
            return Err(shape());
        };
        // Every check that a receipt's header passes, with no proof in it yet.
        let empty = Value::Map(Vec::new());
        let sign1 = Sign1::from_parts(protected.clone(), empty, Value::Null, signature.clone())?;
        sign1.check_sorted()?;
        if sign1.protected_int(LABEL_VDS) != Some(&Value::from(VDS_RFC9162_SHA256)) {
            return Err(ReceiptError::Vds("not RFC9162_SHA256".to_owned()));
        }
        let head = sign1.protected_text(LABEL_TREERING).ok_or(ReceiptError::Unbound)?;
        let head = parse_head(head)?;
        Ok(Self { protected, signature, head })
    }

    /// The head that is sealed.
    pub const fn head(&self) -> &BoundHead {
        &self.head
    }

    /// A receipt of inclusion.
    pub fn inclusion(&self, proofs: &[Inclusion]) -> Result<Vec<u8>, ReceiptError> {
        self.receipt(VDP_INCLUSION, proofs.iter().map(|one| (one.size, [one.size, one.index], &*one.path)))
    }

    /// A receipt of consistency.
    pub fn consistency(&self, proof: &Consistency) -> Result<Vec<u8>, ReceiptError> {
        let numbers = [proof.old_size, proof.new_size];
        self.receipt(VDP_CONSISTENCY, std::iter::once((proof.new_size, numbers, &*proof.path)))
    }

    /// `18([protected, {396: {label: [+ bstr]}}, nil, signature])`, each proof at the size that is sealed.
    fn receipt<'a>(
        &self,
        label: i64,
        proofs: impl ExactSizeIterator<Item = (u64, [u64; 2], &'a [treering_tlog::hash::Hash])>,
    ) -> Result<Vec<u8>, ReceiptError> {
        if proofs.len() == 0 || proofs.len() > MAX_PROOFS {
            return Err(ReceiptError::Shape("want 1 to 16 proofs"));
        }
        let mut out = Vec::with_capacity(self.protected.len() + self.signature.len() + 1024);
        Head::Tag(TAG_SIGN1).put(&mut out);
        Head::Array(4).put(&mut out);
        strict::put_bytes(&mut out, &self.protected);
        Head::Map(1).put(&mut out);
        Head::of(LABEL_VDP).put(&mut out);
        Head::Map(1).put(&mut out);
        Head::of(label).put(&mut out);
        Head::Array(proofs.len()).put(&mut out);
        for (size, numbers, path) in proofs {
            if size != self.head.size {
                return Err(ReceiptError::Size { proof: size, signed: self.head.size });
            }
            put_proof(&mut out, numbers, path)?;
        }
        Head::Null.put(&mut out);
        strict::put_bytes(&mut out, &self.signature);
        Ok(out)
    }
}
