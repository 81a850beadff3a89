//! Governance: which policies are in force, and how they came to be.
//!
//! In scope: the genesis of a log, registration of third parties' statements under the registration policy, k-of-n
//! approval and activation, and the question "what is in force?", which is asked of the log, never of a file.
//! Out of scope: what a policy says (`verifier`, `mapper`).
//!
//! A policy's way: an author registers it (`policy`), approvers register their consent to exactly it (`approval`), an
//! operator activates it (`activation`): from that entry on it is in force. Every activation moves the governance
//! head, which each decision names as its precondition, so none slips past one.

mod activation;
mod genesis;
mod grants;
mod in_force;
mod registration;
mod staging;

pub use activation::{ActivationError, activate, objection};
pub use genesis::{Genesis, GenesisError, create, trust_anchors};
pub use grants::{GrantError, GrantTerms, Granted, RegistrantKey, content_key, grant};
pub use in_force::{InForce, PoliciesInForce, appraisal_references, head, head_register};
pub use registration::{Registrar, RegistrationError, rules};
pub use staging::{Staging, StagingError};
