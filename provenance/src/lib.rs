//! SCITT statements, COSE receipts, credential proofs and their offline verification.
//!
//! # In scope
//! Strict deterministic CBOR ([`strict`]), COSE_Sign1 with Ed25519 and ECDSA ([`cose`]), signed statements
//! ([`statement`]), whose they are ([`issuer`]) and their typed contents ([`content`]), encrypted content with a key commitment ([`envelope`]),
//! grants of keys to auditors ([`grant`]), receipts bound to origin and size ([`receipt`]), the proof inside a
//! credential ([`proof`], [`x509`]), the trust file of a relying party ([`trust`]) and its verdict ([`verify`]).
//!
//! # Out of scope
//! I/O, clocks, randomness, async and storage: a relying party links this crate without any of them. Time and
//! random bytes come in as arguments. Merkle trees, notes and witnesses are `treering-tlog`'s.

pub mod bytes;
pub mod content;
pub mod cose;
pub mod envelope;
pub mod grant;
pub mod issuer;
mod mac;
pub mod proof;
pub mod receipt;
pub mod statement;
pub mod strict;
pub mod subject;
pub mod trust;
pub mod verify;
pub mod x509;
