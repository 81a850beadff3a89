//! What the appraisal policy may ask of an enclave.

use serde::Deserialize;

use super::super::intel::{Ppid, TcbRules};
use crate::verifier::policy::NamedBy;

/// The section `[sgx]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::verifier) struct Policy {
    pub(in crate::verifier) require_reference_value: bool,
    /// Least ISVSVN, the security version that the enclave's signer gave it.
    pub(super) min_isv_svn: Option<u16>,
    /// Bits of ATTRIBUTES.FLAGS that must be set, and that must not be, beyond what is never allowed.
    pub(super) required_attributes: u64,
    pub(super) forbidden_attributes: u64,
    /// Bits of XFRM that must not be set.
    pub(super) forbidden_xfrm: u64,
    pub(super) tcb: TcbRules,
    #[serde(rename = "machine")]
    pub(super) machines: NamedBy<Ppid>,
}

/// Fail closed: what a policy does not say is strict, as far as strictness needs no value of the owner's.
impl Default for Policy {
    fn default() -> Self {
        Self {
            require_reference_value: true,
            min_isv_svn: None,
            required_attributes: 0,
            forbidden_attributes: 0,
            forbidden_xfrm: 0,
            tcb: TcbRules::default(),
            machines: NamedBy::default(),
        }
    }
}
