//! The Credential Authority: keys proved to be a workload's, and credentials that cannot leave unlogged.
//!
//! In scope: proof of possession and binding ([`BoundKey`]), the decision ([`decide`]), the X.509 credential ([`Minted`]) and its release.
//! Out of scope: what a workload is called (`mapper`), writing statements (`ledger`), the order of steps (`issuance`).
//!
//! # The release gate is a type
//!
//! [`Minted`] is a credential that is decided and not signed. It can be neither printed nor serialised, its bytes
//! are private, and the only way on is [`Minted::release`], which takes a [`Receipt`]: proof, as a value, that the
//! issuance statement that commits to this very credential is in the log (and witnessed, where that is configured).
//! Only then is the CA's key used. So "no credential without its log entries" is not a rule that code follows:
//!
//! ```compile_fail
//! # use treering::authority::Minted;
//! fn leak(minted: Minted) -> Vec<u8> {
//!     minted.tbs // private: a credential has no bytes before it is logged
//! }
//! ```
//!
//! ```compile_fail
//! # use treering::authority::{Minted, Released};
//! fn forge(minted: Minted) -> Released {
//!     minted.release() // nothing to release it with
//! }
//! ```
//!
//! ```compile_fail
//! # use treering::authority::Minted;
//! fn print(minted: &Minted) -> String {
//!     serde_json::to_string(minted).unwrap() // not serialisable
//! }
//! ```

mod binding;
mod decision;
mod x509;

pub use binding::{BindingError, BoundKey, MAX_CSR_BYTES};
pub use decision::{Asked, Refused, decide};
pub use x509::{
    Authority, AuthorityError, BACKDATE_S, CaFiles, Minted, Released, Terms, commitment, create_ca,
};

use crate::ledger::Receipt;

/// Named here for the documentation of the gate.
#[doc(hidden)]
pub type Gate = fn(Minted, &Authority, &Receipt) -> Result<Released, AuthorityError>;
