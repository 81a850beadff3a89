//! Intel Trust Authority: a JWT about a TDX guest. Version 2 of its profile has the claims of a guest in a member `tdx`,
//! version 1 beside the others.
//!
//! The service verifies that REPORT_DATA is the hash of what the guest held (`attester_held_data`), with its own nonce
//! before it where one was asked for: so what the guest held is what carries the binding.

use serde_json::Value;

use super::{Issued, Vouched, genuine, register, text};
use crate::verifier::appraisal::Status;
use crate::verifier::binding::Carriage;
use crate::verifier::kinds::Assurance;
use crate::verifier::reference::Registers;

pub(super) const TDX_REGISTERS: [(&str, &str); 5] = [
    ("mrtd", "tdx_mrtd"),
    ("rtmr0", "tdx_rtmr0"),
    ("rtmr1", "tdx_rtmr1"),
    ("rtmr2", "tdx_rtmr2"),
    ("rtmr3", "tdx_rtmr3"),
];

pub(super) fn read(claims: &Value) -> Result<Vouched, String> {
    let issued = Issued::ending(claims)?;
    let tdx = claims.get("tdx").unwrap_or(claims);
    let attester = text(tdx, "attester_type")?;
    if attester != "TDX" {
        return Err(format!("attester_type is {attester:?}, want TDX"));
    }
    let mut registers = Registers::new();
    for (name, claim) in TDX_REGISTERS {
        register(&mut registers, name, tdx, claim)?;
    }
    let held = tdx.get("attester_held_data").and_then(Value::as_str);
    let held = held.and_then(|held| data_encoding::BASE64.decode(held.as_bytes()).ok());
    // A policy of the customer's there that did not match is a verdict of theirs.
    let unmatched = claims.get("policy_ids_unmatched").and_then(Value::as_array).map_or(0, Vec::len);
    let (status, reason) = match unmatched {
        0 => (Status::Affirming, "no policy was left unmatched".to_owned()),
        count => (Status::Contraindicated, format!("{count} policies did not match")),
    };
    Ok(Vouched {
        issuer: issued.issuer,
        audiences: issued.audiences,
        times: issued.times,
        tee: "tdx".to_owned(),
        reference_tee: "tdx".to_owned(),
        status,
        reason,
        vector: genuine(2),
        tcb_status: Some(text(tdx, "attester_tcb_status")?.to_owned()),
        debug: Some(
            tdx.get("tdx_is_debuggable").and_then(Value::as_bool).ok_or("tdx_is_debuggable is missing")?,
        ),
        registers,
        carriage: held.and_then(|held| held.try_into().ok()).map(Carriage::Whole),
        generation: None,
        assurance: Some(Assurance::Hardware),
    })
}
