//! Step: a relying party verifies the credential offline, with nothing but the trust file.

use anyhow::{Context, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use serde_json::json;
use treering_provenance::verify::{Outcome, Possession, VerifyOptions, possession_message, verify_x509};

use crate::client::Acquired;
use crate::clock::{Clock, SystemClock};
use crate::keys;

use super::super::files;
use super::materials;
use super::stage::Stage;
use super::story::Story;

pub(super) fn run(story: &mut Story, stage: &Stage, acquired: &Acquired) -> Result<()> {
    story.begin("verify", "A relying party verifies the credential offline, with nothing but the trust file");
    let chain = files::certificates(acquired.response.credential.as_bytes());
    let challenge: [u8; 32] = keys::random()?;
    let signature = sign(&acquired.key, &possession_message(&challenge))?;
    let identifier = materials::identifier();
    let options = VerifyOptions {
        now: SystemClock.now(),
        identifier: Some(&identifier),
        possession: Some(Possession { challenge: &challenge, signature: &signature }),
    };
    let verdict = verify_x509(&chain, &stage.trust()?, &options);
    let names = |checks: &[treering_provenance::verify::Check]| -> Vec<&'static str> {
        checks.iter().map(treering_provenance::verify::Check::name).collect()
    };
    let (checked, not_checked) = (names(verdict.checked()), names(verdict.not_checked()));
    let failed =
        verdict.failed().map(|check| format!("{}: {}", check.name(), check.detail())).unwrap_or_default();
    story.detail(format!("checked: {}", checked.join(", ")));
    story.detail(format!("not checked: {}", not_checked.join(", ")));
    story.findings.verify =
        json!({ "verdict": verdict.outcome(), "checked": checked, "not_checked": not_checked });
    ensure!(verdict.outcome() == Outcome::Trustworthy, "the verdict is {:?}: {failed}", verdict.outcome());
    let size = chain.first().map_or(0, Vec::len);
    story.told(&[], &format!("trustworthy; the certificate has {size} octets with its proof"));
    Ok(())
}

/// The workload signs the relying party's challenge with the credential's key.
fn sign(key_pem: &str, message: &[u8]) -> Result<Vec<u8>> {
    let (_, pkcs8) = pem_rfc7468::decode_vec(key_pem.as_bytes())?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8)
        .ok()
        .context("the workload's key")?;
    Ok(key
        .sign(&SystemRandom::new(), message)
        .ok()
        .context("the workload's key did not sign")?
        .as_ref()
        .to_vec())
}
