//! The decision on a request, after its evidence was appraised: bound to it or not, accepted or not, whose workload it
//! is. Pure, so that the service decides by it and an auditor decides again by the same lines.

use crate::binding::binding_value;
use crate::mapper::{self, Manifest, WorkloadClaims};
use crate::verifier::Appraisal;

use super::{BindingError, BoundKey};

/// What a workload asked for, as it is logged.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The challenge. That it is ours, the caller has found out.
    pub freshness: &'a [u8],
    /// The workload identifier that it asked for.
    pub target: &'a str,
    /// The name of the service in the binding.
    pub rp_id: &'a str,
    /// The certification request.
    pub csr: &'a [u8],
}

impl Asked<'_> {
    /// The value that the evidence must carry.
    pub fn binding_value(&self) -> [u8; 64] {
        binding_value(self.freshness, self.target, self.rp_id, self.csr)
    }
}

/// Why a workload was refused: the step, a stable code and the detail, which only the log has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The step.
    pub step: &'static str,
    /// A stable code.
    pub code: String,
    /// For who may read it.
    pub detail: String,
}

impl Refused {
    fn unbound(error: &BindingError) -> Self {
        Self { step: "binding", code: error.code().to_owned(), detail: error.to_string() }
    }
}

/// Decides.
pub fn decide(
    appraisal: &Appraisal,
    asked: &Asked<'_>,
    manifest: &Manifest,
) -> Result<(BoundKey, WorkloadClaims), Refused> {
    // Genuine evidence that was not made for us: whether it would please our policy is not asked.
    if appraisal.is_authentic() && !appraisal.matches_binding(&asked.binding_value()) {
        return Err(Refused::unbound(&BindingError::Mismatch));
    }
    let appraised = appraisal.clone().into_appraised().map_err(|refusal| Refused {
        step: "appraisal",
        code: refusal.check().unwrap_or("evidence").to_owned(),
        detail: refusal.to_string(),
    })?;
    let key = BoundKey::check(asked, &appraised).map_err(|error| Refused::unbound(&error))?;
    let claims = mapper::map(&appraised, manifest).map_err(|error| Refused {
        step: "mapping",
        code: "no-selector".to_owned(),
        detail: error.to_string(),
    })?;
    Ok((key, claims))
}
