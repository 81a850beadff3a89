//! NVIDIA Remote Attestation Service: an overall token, and one about the GPU, which it names by SHA-256 of its octets.
//!
//! The service compares with NVIDIA's own reference values (RIMs), so the token carries no measurement of ours. The nonce
//! of the GPU's report has 32 octets: a digest of the binding carries it, the same as in the report itself.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::Value;

use super::presented::Presented;
use super::{Issued, Vouched, text};
use crate::verifier::appraisal::Status;
use crate::verifier::binding::Carriage;
use crate::verifier::ear::TrustVector;
use crate::verifier::kinds::Assurance;
use crate::verifier::reference::Registers;

const TEE: &str = "nvidia-gpu";
const BINDING_TAG: &str = "treering-binding-nvidia-gpu-v1";
/// What the service must have found of the device's report and of the reference values that it was compared with. Its
/// overall result follows a policy of the service's own, under which a certificate on hold may pass: so each is asked.
const FOUND: [&str; 17] = [
    "secboot",
    "x-nvidia-gpu-arch-check",
    "x-nvidia-gpu-attestation-report-parsed",
    "x-nvidia-gpu-attestation-report-nonce-match",
    "x-nvidia-gpu-attestation-report-signature-verified",
    "x-nvidia-gpu-attestation-report-cert-chain-fwid-match",
    "x-nvidia-gpu-driver-rim-fetched",
    "x-nvidia-gpu-driver-rim-schema-validated",
    "x-nvidia-gpu-driver-rim-signature-verified",
    "x-nvidia-gpu-driver-rim-version-match",
    "x-nvidia-gpu-driver-rim-measurements-available",
    "x-nvidia-gpu-vbios-rim-fetched",
    "x-nvidia-gpu-vbios-rim-schema-validated",
    "x-nvidia-gpu-vbios-rim-signature-verified",
    "x-nvidia-gpu-vbios-rim-version-match",
    "x-nvidia-gpu-vbios-rim-measurements-available",
    "x-nvidia-gpu-vbios-index-no-conflict",
];
/// What it says of the certificates of the device and of those who signed the reference values.
const CHAINS: [&str; 3] = [
    "x-nvidia-gpu-attestation-report-cert-chain",
    "x-nvidia-gpu-driver-rim-cert-chain",
    "x-nvidia-gpu-vbios-rim-cert-chain",
];
/// What each chain must be, and that nothing in it is revoked, on hold included.
const SOUND: [(&str, &str); 2] = [("x-nvidia-cert-status", "valid"), ("x-nvidia-cert-ocsp-status", "good")];
const REVOKED_FOR: &str = "x-nvidia-cert-revocation-reason";
const WARNING: &str = "x-nvidia-attestation-warning";

pub(super) fn read(overall: &Value, presented: &Presented) -> Result<Vouched, String> {
    let issued = Issued::ending(overall)?;
    let detached = presented.detached().ok_or("there is no detached token")?;
    let submods = overall.get("submods").and_then(Value::as_object).ok_or("there are no submodules")?;
    let named = submods.get(&detached.name).and_then(|submod| submod.pointer("/1/1")).and_then(Value::as_str);
    let kind = submods.get(&detached.name).and_then(|submod| submod.pointer("/1/0")).and_then(Value::as_str);
    if submods.len() != 1 || kind != Some("SHA-256") || named != Some(&detached.sha256) {
        return Err("the overall token does not name the one about the device by its SHA-256".to_owned());
    }
    let device = detached.claims()?;
    let about = Issued::ending(&device)?;
    let nonce = text(overall, "eat_nonce")?;
    if about.issuer != issued.issuer || text(&device, "eat_nonce")? != nonce {
        return Err("the two tokens have another issuer or another nonce".to_owned());
    }
    let mut times = issued.times;
    times.expires = times.expires.min(about.times.expires);
    times.issued = times.issued.min(about.times.issued);
    times.not_before = times.not_before.max(about.times.not_before);
    let (status, reason) = verdict(overall, &device);
    let nonce = HEXLOWER_PERMISSIVE.decode(nonce.as_bytes()).ok().and_then(|nonce| nonce.try_into().ok());
    Ok(Vouched {
        issuer: issued.issuer,
        audiences: issued.audiences,
        times,
        tee: TEE.to_owned(),
        reference_tee: TEE.to_owned(),
        status,
        reason,
        // Measured against NVIDIA's reference values; of its memory the token says nothing.
        vector: TrustVector {
            instance_identity: 0,
            configuration: 2,
            executables: 2,
            hardware: 2,
            runtime_opaque: 0,
        },
        tcb_status: None,
        debug: Some(text(&device, "dbgstat")? != "disabled"),
        registers: Registers::new(),
        carriage: nonce.map(|digest| Carriage::Digest { tag: BINDING_TAG, digest }),
        generation: text(&device, "hwmodel")?.split(' ').next().map(str::to_ascii_lowercase),
        assurance: Some(Assurance::Hardware),
    })
}

/// What the service found: all of it, and not its overall result alone.
fn verdict(overall: &Value, device: &Value) -> (Status, String) {
    let measured = device.get("measres").and_then(Value::as_str);
    if !holds(overall, "x-nvidia-overall-att-result") || measured != Some("success") {
        let reason = format!("the overall result is not true, or measres is {measured:?}");
        return (Status::Contraindicated, reason);
    }
    if let Some(name) = FOUND.into_iter().find(|name| !holds(device, name)) {
        return (Status::Contraindicated, format!("{name} does not hold"));
    }
    if let Some(reason) = CHAINS.into_iter().find_map(|name| unsound(name, device.get(name))) {
        return (Status::Contraindicated, reason);
    }
    match device.get(WARNING) {
        None | Some(Value::Null) => {
            (Status::Affirming, "the measurements are those of NVIDIA's reference values".to_owned())
        }
        Some(warning) => (Status::Warning, format!("{WARNING} is {warning}")),
    }
}

fn holds(claims: &Value, name: &str) -> bool {
    claims.get(name) == Some(&Value::Bool(true))
}

/// Why a chain of certificates is not to be relied on.
fn unsound(name: &str, chain: Option<&Value>) -> Option<String> {
    let Some(chain) = chain else { return Some(format!("{name} is missing")) };
    let said = |claim: &str| chain.get(claim).and_then(Value::as_str);
    for (claim, wanted) in SOUND {
        if said(claim) != Some(wanted) {
            return Some(format!("{name}: {claim} is {:?}, want {wanted:?}", said(claim)));
        }
    }
    let reason = chain.get(REVOKED_FOR).filter(|reason| !reason.is_null())?;
    Some(format!("{name}: {REVOKED_FOR} is {reason}"))
}
