//! Google Cloud Attestation for Confidential Space: an OpenID Connect token about a container in a hardened VM.
//!
//! It names the container's image and not what the hardware measured: reference values of its results are those of this
//! kind, with the register `image-digest`. The nonce that the workload gave carries the binding, base64url of 64 octets.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::Value;

use super::{IMAGE_DIGEST, Issued, NAME, Vouched, genuine, text};
use crate::verifier::appraisal::Status;
use crate::verifier::binding::Carriage;
use crate::verifier::ear::TrustVector;
use crate::verifier::jose::texts;
use crate::verifier::kinds::Assurance;
use crate::verifier::reference::Registers;

pub(super) fn read(claims: &Value) -> Result<Vouched, String> {
    let issued = Issued::ending(claims)?;
    let (tee, assurance, vector) = match text(claims, "hwmodel")? {
        "GCP_INTEL_TDX" => ("tdx", Assurance::Hardware, genuine(2)),
        "GCP_AMD_SEV" => ("sev", Assurance::Hardware, genuine(2)),
        "GCP_AMD_SEV_ES" => ("sev-es", Assurance::Hardware, genuine(2)),
        // A vTPM of the platform's own, and no TEE.
        "GCP_SHIELDED_VM" => (
            "gcp-shielded-vm",
            Assurance::Software,
            TrustVector { hardware: 0, runtime_opaque: 0, ..genuine(0) },
        ),
        other => return Err(format!("hwmodel is {other:?}")),
    };
    let image = claims.pointer("/submods/container/image_digest").and_then(Value::as_str);
    let image = image.and_then(|image| image.strip_prefix("sha256:")).ok_or("there is no image_digest")?;
    let image = HEXLOWER.decode(image.as_bytes()).map_err(|_| "image_digest is not hex")?;
    let registers = Registers::from([(IMAGE_DIGEST.to_owned(), image)]);
    let (status, reason) = standing(claims)?;
    let nonces = texts(claims, "eat_nonce")?;
    let carriage = match nonces.as_slice() {
        [nonce] => BASE64URL_NOPAD.decode(nonce.as_bytes()).ok().and_then(|nonce| nonce.try_into().ok()),
        _ => None,
    };
    Ok(Vouched {
        issuer: issued.issuer,
        audiences: issued.audiences,
        times: issued.times,
        tee: tee.to_owned(),
        reference_tee: NAME.to_owned(),
        status,
        reason,
        vector,
        tcb_status: None,
        debug: Some(text(claims, "dbgstat")? != "disabled-since-boot"),
        registers,
        carriage: carriage.map(Carriage::Whole),
        generation: None,
        assurance: Some(assurance),
    })
}

/// Whether the image of the VM is Google's hardened one, booted securely, and how well it is supported.
fn standing(claims: &Value) -> Result<(Status, String), String> {
    if text(claims, "swname")? != "CONFIDENTIAL_SPACE" || claims.get("secboot") != Some(&Value::Bool(true)) {
        return Ok((Status::Contraindicated, "not Confidential Space, or not booted securely".to_owned()));
    }
    let none = Value::Null;
    let space = claims.pointer("/submods/confidential_space").unwrap_or(&none);
    let support = texts(space, "support_attributes")?;
    let status = match support.as_slice() {
        support if support.contains(&"STABLE") => Status::Affirming,
        support if support.contains(&"USABLE") => Status::Warning,
        _ => Status::Contraindicated,
    };
    Ok((status, format!("the image's support is {support:?}")))
}
