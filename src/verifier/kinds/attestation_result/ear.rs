//! EARs: of the draft (and of this product), of Veraison, of Trustee. They differ in names and in where the evidence's
//! own nonce stands.

use serde_json::Value;

use super::{External, Format, Issued, Vouched, octets};
use crate::verifier::binding::Carriage;
use crate::verifier::ear::{AttestationResult, EarProfile, EarSubmod, TrustVector};
use crate::verifier::kinds::{self, Assurance};
use crate::verifier::reference::Registers;

pub(super) fn read(external: &External, claims: &Value) -> Result<Vouched, String> {
    let ear = AttestationResult::read(claims)?;
    let wanted = match external.format {
        Format::EarVeraison => EarProfile::Veraison,
        Format::EarTrustee => EarProfile::Trustee,
        _ => EarProfile::Draft04,
    };
    if ear.profile != wanted {
        return Err(format!("the profile is {}, want {}", ear.profile.uri(), wanted.uri()));
    }
    let (name, submod) = choose(external, &ear)?;
    let issued = Issued::of(claims)?;
    let platform = match ear.profile {
        EarProfile::Trustee => trustee(submod)?,
        EarProfile::Draft04 | EarProfile::Veraison => plain(external, name, &ear, submod)?,
    };
    Ok(Vouched {
        // A token of the draft names no issuer; it must name who made the Verifier.
        issuer: issued.issuer.or_else(|| Some(ear.developer.clone())),
        audiences: issued.audiences,
        times: issued.times,
        reference_tee: platform.tee.clone(),
        tee: platform.tee,
        // The whole must be as good as the part that is looked at: the parts are one workload.
        status: ear.status,
        reason: format!("submodule {name:?}, build {:?}", ear.build),
        vector: vector(submod),
        tcb_status: platform.tcb_status,
        debug: platform.debug,
        registers: platform.registers,
        carriage: platform.carriage,
        generation: submod
            .attester_claims
            .get("generation")
            .and_then(Value::as_str)
            .map(str::to_ascii_lowercase),
        assurance: assurance(submod),
    })
}

/// The submodule that the policy names, or the only one.
fn choose<'a>(external: &External, ear: &'a AttestationResult) -> Result<(&'a str, &'a EarSubmod), String> {
    let mut all = ear.submods.iter().map(|(name, submod)| (name.as_str(), submod));
    match (&external.submod, ear.submods.len()) {
        (Some(wanted), _) => {
            all.find(|(name, _)| name == wanted).ok_or_else(|| format!("it has no submodule {wanted:?}"))
        }
        (None, 1) => all.next().ok_or_else(|| "it has no submodule".to_owned()),
        (None, count) => {
            Err(format!("it has {count} submodules, and the policy does not say which one counts"))
        }
    }
}

/// What the evidence says, as this profile puts it.
struct Platform {
    tee: String,
    tcb_status: Option<String>,
    debug: Option<bool>,
    registers: Registers,
    carriage: Option<Carriage>,
}

/// The draft's and Veraison's: measurements are claims that are called as our registers are, in hex.
fn plain(
    external: &External,
    name: &str,
    ear: &AttestationResult,
    submod: &EarSubmod,
) -> Result<Platform, String> {
    let tee = match external.tees.iter().next() {
        // What is called as one of our kinds is one; any other name must leave no doubt.
        _ if kinds::by_name(name).is_some() => name,
        Some(only) if external.tees.len() == 1 => only,
        _ => {
            return Err(format!(
                "submodule {name:?} is the name of none of our kinds, and the policy names several"
            ));
        }
    };
    let mut registers = Registers::new();
    for (claim, value) in submod.attester_claims.as_object().into_iter().flatten() {
        let octets =
            value.as_str().and_then(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
        let fits = |octets: &Vec<u8>| {
            kinds::by_name(tee).is_some_and(|kind| (kind.about().has_register)(claim, octets.len()))
        };
        if let Some(octets) = octets.filter(fits) {
            registers.insert(claim.clone(), octets);
        }
    }
    // The draft says in the submodule what was in the evidence; Veraison hands the session's nonce to the Attester.
    let nonces = if ear.profile == EarProfile::Draft04 { &submod.nonces } else { &ear.nonces };
    let carriage = match nonces.as_slice() {
        [nonce] => <[u8; 64]>::try_from(nonce.as_slice()).ok().map(Carriage::Whole),
        _ => None,
    };
    Ok(Platform { tee: tee.to_owned(), tcb_status: None, debug: None, registers, carriage })
}

/// Trustee's: annotated evidence has a member that is called as the TEE, with its parsed fields.
fn trustee(submod: &EarSubmod) -> Result<Platform, String> {
    let evidence = &submod.attester_claims;
    let mut registers = Registers::new();
    let mut measured =
        |name: &str, claims: &Value, claim: &str| super::register(&mut registers, name, claims, claim);
    let (tee, tcb_status, debug, carried) = if let Some(snp) = evidence.get("snp") {
        measured("measurement", snp, "measurement")?;
        let debug = snp.get("policy_debug_allowed").map(|allowed| allowed != false && allowed != 0);
        ("sev-snp", None, debug, snp.get("report_data"))
    } else if let Some(tdx) = evidence.get("tdx") {
        let body = tdx.pointer("/quote/body").ok_or("tdx has no quote")?;
        for (register, claim) in [
            ("mrtd", "mr_td"),
            ("rtmr0", "rtmr_0"),
            ("rtmr1", "rtmr_1"),
            ("rtmr2", "rtmr_2"),
            ("rtmr3", "rtmr_3"),
        ] {
            measured(register, body, claim)?;
        }
        let tcb = tdx.get("tcb_status").and_then(Value::as_str).map(str::to_owned);
        let debug = tdx.pointer("/td_attributes/debug").and_then(Value::as_bool);
        ("tdx", tcb, debug, body.get("report_data"))
    } else {
        let names: Vec<&str> =
            evidence.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        return Err(format!("annotated evidence is of neither snp nor tdx, but {names:?}"));
    };
    let carried = carried.and_then(Value::as_str).and_then(|text| octets(text, 64));
    let carriage = carried.and_then(|octets| octets.try_into().ok()).map(Carriage::Whole);
    Ok(Platform { tee: tee.to_owned(), tcb_status, debug, registers, carriage })
}

/// Of the eight claims those that we make; a bad one of the others is in the status.
fn vector(submod: &EarSubmod) -> TrustVector {
    let [instance_identity, configuration, executables, _, hardware, runtime_opaque, _, _] = submod.vector;
    TrustVector { instance_identity, configuration, executables, hardware, runtime_opaque }
}

/// A Verifier that knows simulated platforms says so, as this one does. One that says nothing vouches for hardware.
fn assurance(submod: &EarSubmod) -> Option<Assurance> {
    match submod.verifier_claims.get("assurance") {
        None => Some(Assurance::Hardware),
        Some(word) => [Assurance::Hardware, Assurance::Simulated, Assurance::Software]
            .into_iter()
            .find(|assurance| word.as_str() == Some(assurance.as_str())),
    }
}
