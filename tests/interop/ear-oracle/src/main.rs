//! Reads the claims of an EAR by the crate that the Veraison project publishes, and prints what it read.
//!
//!     ear-oracle FILE        claims in JSON, or in CBOR: what is inside a JWT or a CWT
//!     ear-oracle --write     claims that the crate writes itself: JSON on one line, CBOR in hex on the next
//!
//! Signatures are checked by who calls: the crate does that with features that take long to build.

use std::process::ExitCode;

use ear::{Appraisal, EAR_PROFILE, Ear, TrustTier, VerifierID};

/// The label of `exp` in CBOR.
const EXP: i64 = 4;

fn main() -> ExitCode {
    let Some(argument) = std::env::args().nth(1) else {
        eprintln!("usage: ear-oracle FILE | --write");
        return ExitCode::FAILURE;
    };
    let done = if argument == "--write" { write() } else { read(&argument) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    // Without the end, which the crate compares with this machine's clock when it reads.
    let ear: Ear = if bytes.first() == Some(&b'{') {
        let mut claims: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        claims.as_object_mut().ok_or("not an object")?.remove("exp");
        serde_json::from_str(&claims.to_string()).map_err(|error| error.to_string())?
    } else {
        let claims: ciborium::Value =
            ciborium::from_reader(bytes.as_slice()).map_err(|error| error.to_string())?;
        let mut claims = claims.into_map().map_err(|_| "not a map")?;
        claims.retain(|(label, _)| label.as_integer() != Some(EXP.into()));
        let mut timeless = Vec::new();
        ciborium::into_writer(&ciborium::Value::Map(claims), &mut timeless)
            .map_err(|error| error.to_string())?;
        ciborium::from_reader(timeless.as_slice()).map_err(|error| error.to_string())?
    };
    ear.validate().map_err(|error| error.to_string())?;
    println!("{}", serde_json::to_string(&ear).map_err(|error| error.to_string())?);
    Ok(())
}

fn write() -> Result<(), String> {
    let mut appraisal = Appraisal::new();
    appraisal.status = TrustTier::Affirming;
    appraisal.trust_vector.hardware.set(2);
    appraisal.trust_vector.configuration.set(2);
    appraisal.trust_vector.runtime_opaque.set(2);
    appraisal.policy_ids = vec!["policy:one".to_owned()];
    let mut ear = Ear::new();
    ear.profile = EAR_PROFILE.to_owned();
    ear.iat = 1_800_000_000;
    ear.vid =
        VerifierID { build: "vsts 0.0.1".to_owned(), developer: "https://veraison-project.org".to_owned() };
    ear.submods.insert("sev-snp".to_owned(), appraisal);
    println!("{}", serde_json::to_string(&ear).map_err(|error| error.to_string())?);
    let mut cbor = Vec::new();
    ciborium::into_writer(&ear, &mut cbor).map_err(|error| error.to_string())?;
    println!("{}", cbor.iter().map(|octet| format!("{octet:02x}")).collect::<String>());
    Ok(())
}
