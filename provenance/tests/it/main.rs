//! One integration binary: properties, foreign vectors, negatives and pinned bytes of `treering-provenance`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

mod cddl;
mod cose;
mod docs;
mod envelope;
mod fixture;
mod garbage;
mod grant;
mod issuer;
mod law;
mod pins;
mod receipt;
mod statement;
mod strict;
mod vectors;
mod verify;
mod x509;
