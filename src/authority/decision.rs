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
    if appraisal.is_authentic() {
        BoundKey::bound(appraisal, asked).map_err(|error| Refused::unbound(&error))?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::attester::Attester;
    use crate::attester::simulated::nvidia::{Device, Model};
    use crate::attester::simulated::{Launch, Platform, Processor};
    use crate::verifier::{AppraisalPolicy, Collateral, Evidence, HardwareRoots, ReferenceValues, appraise};

    const NOW: u64 = 1_782_864_000;
    const POLICY: &str = "version = 1\nname = \"t\"\n[sev_snp]\nrequire_reference_value = false\n\
        require_tcb_floor = false\n[nvidia_gpu]\nrequire_reference_value = false\nrequire_revocation = false\n\
        [composite.components]\nsev-snp = 1\nnvidia-gpu = 1\n";

    /// What is logged says which component is not ours: the processor's evidence is, the GPU's was made for another.
    #[test]
    fn the_component_that_is_not_bound_is_named() {
        let asked = Asked { freshness: &[1; 32], target: "spiffe://a.example/b", rp_id: "r", csr: b"csr" };
        let processor = Processor::Milan;
        let platform = Arc::new(Platform::generate(processor, processor.ordinary_tcb(), NOW).unwrap());
        let gpu = Device::generate(Model::Gh100, NOW).unwrap();
        let guest = platform.guest(Launch::of_image(b"image")).unwrap();
        let mut items: Vec<_> = guest.report(&asked.binding_value()).unwrap().items().collect();
        items.extend(Attester::report(&gpu, &[9; 64]).unwrap().items());
        let appraisal = appraise(
            &Evidence::new(items).unwrap(),
            &Collateral::from_der(platform.certificates().to_vec()).unwrap(),
            &AppraisalPolicy::parse(POLICY.as_bytes()).unwrap(),
            &ReferenceValues::none(),
            &HardwareRoots::with_simulated([platform.root_fingerprint(), gpu.root_fingerprint()]),
            NOW,
        );
        assert!(appraisal.is_authentic());
        let manifest = Manifest::parse(include_bytes!("../../docs/samples/mapping-manifest.toml")).unwrap();
        let refused = decide(&appraisal, &asked, &manifest).unwrap_err();
        assert_eq!((refused.step, refused.code.as_str()), ("binding", "not-bound"));
        assert!(refused.detail.starts_with("the evidence of nvidia-gpu is not bound"), "{}", refused.detail);
    }
}
