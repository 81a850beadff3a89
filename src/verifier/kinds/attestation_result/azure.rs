//! Microsoft Azure Attestation: a JWT about a SEV-SNP or TDX guest, or about a confidential VM of Azure, whose claims
//! about the hardware are in `x-ms-isolation-tee`.
//!
//! A guest's own REPORT_DATA carries the binding. That of a confidential VM holds the hash of its vTPM's keys instead:
//! there the nonce of the client (`x-ms-runtime`, `client-payload`), which the vTPM signed, carries it.

use serde_json::Value;

use super::intel::TDX_REGISTERS;
use super::{Issued, Vouched, genuine, octets, register, text};
use crate::verifier::appraisal::Status;
use crate::verifier::binding::Carriage;
use crate::verifier::kinds::Assurance;
use crate::verifier::reference::Registers;

const COMPLIANT: &str = "azure-compliant-cvm";

pub(super) fn read(claims: &Value) -> Result<Vouched, String> {
    let issued = Issued::ending(claims)?;
    let kind = text(claims, "x-ms-attestation-type")?;
    let vm = kind == "azurevm";
    let hardware =
        if vm { claims.get("x-ms-isolation-tee").ok_or("x-ms-isolation-tee is missing")? } else { claims };
    let mut registers = Registers::new();
    let bool = |name: &str| {
        hardware.get(name).and_then(Value::as_bool).ok_or_else(|| format!("{name} is neither true nor false"))
    };
    let (tee, debug, tcb_status, report_data) = match text(hardware, "x-ms-attestation-type")? {
        "sevsnpvm" => {
            register(&mut registers, "measurement", hardware, "x-ms-sevsnpvm-launchmeasurement")?;
            let exposed = bool("x-ms-sevsnpvm-is-debuggable")? || bool("x-ms-sevsnpvm-migration-allowed")?;
            ("sev-snp", exposed, None, text(hardware, "x-ms-sevsnpvm-reportdata")?)
        }
        "tdxvm" => {
            for (name, claim) in TDX_REGISTERS {
                register(&mut registers, name, hardware, claim)?;
            }
            let tcb = text(hardware, "attester_tcb_status")?.to_owned();
            ("tdx", bool("tdx_td_attributes_debug")?, Some(tcb), text(hardware, "tdx_report_data")?)
        }
        other => return Err(format!("x-ms-attestation-type is {other:?}, want sevsnpvm or tdxvm")),
    };
    let nonce = claims.pointer("/x-ms-runtime/client-payload/nonce").and_then(Value::as_str);
    let carried = if vm {
        nonce.and_then(|nonce| data_encoding::BASE64.decode(nonce.as_bytes()).ok())
    } else {
        octets(report_data, 64)
    };
    let compliance = hardware.get("x-ms-compliance-status").and_then(Value::as_str);
    let (status, reason) = match compliance {
        Some(COMPLIANT) => (Status::Affirming, COMPLIANT.to_owned()),
        // Only of its own VMs does Azure say whether they comply.
        None if !vm => (Status::Affirming, format!("attested as {kind}")),
        other => (Status::Contraindicated, format!("x-ms-compliance-status is {other:?}")),
    };
    Ok(Vouched {
        issuer: issued.issuer,
        audiences: issued.audiences,
        times: issued.times,
        tee: tee.to_owned(),
        reference_tee: tee.to_owned(),
        status,
        reason,
        vector: genuine(2),
        tcb_status,
        debug: Some(debug),
        registers,
        carriage: carried.and_then(|carried| carried.try_into().ok()).map(Carriage::Whole),
        generation: None,
        assurance: Some(Assurance::Hardware),
    })
}
