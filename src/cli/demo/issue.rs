//! Steps: a credential is issued; two requests are refused.

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use treering_provenance::receipt::Receipt;

use crate::attester::recorded;
use crate::attester::simulated::Launch;
use crate::attester::{Attestation, Attester, AttesterError};
use crate::client::{Acquired, Client, ClientError};
use crate::keys;

use super::super::attester::simulated_guest;
use super::materials;
use super::stage::Stage;
use super::story::Story;

/// The workload attests and gets its credential.
pub(super) async fn credential(story: &mut Story, stage: &Stage) -> Result<Acquired> {
    story.begin(
        "issue",
        "The workload, in a simulated SEV-SNP guest, makes a key, attests, and asks for a credential",
    );
    let image = materials::image();
    let guest = simulated_guest(&stage.ledger("platform"), Launch::of_image(&image))?;
    let acquired = stage.stranger()?.acquire(&guest, &materials::identifier(), &stage.rp_id).await?;
    std::fs::write(stage.dir.join("credential.pem"), &acquired.response.credential)?;
    keys::write_secret(&stage.dir.join("key.pem"), acquired.key.as_bytes())?;
    story.findings.issued += 1;
    let index = acquired.response.index;
    story.detail(format!(
        "measurement {}…",
        HEXLOWER.encode(materials::measurement(&image).get(..8).unwrap_or_default())
    ));
    story.detail("evidence bound to the challenge, the purpose, this service and the key (TACRA)");
    // Collateral, appraisal, mapping, issuance: adjacent, in one append.
    let entries: Vec<u64> = (index.saturating_sub(3)..=index).collect();
    story.told(
        &entries,
        &format!(
            "{} issued, in tree size {}, witnessed",
            materials::identifier(),
            acquired.response.tree_size
        ),
    );
    Ok(acquired)
}

/// A guest whose image nobody registered.
pub(super) async fn refuse_unknown(story: &mut Story, stage: &Stage) -> Result<()> {
    story.begin(
        "refuse-unknown",
        "Another guest asks for the same identity with an image that nobody registered",
    );
    let guest = simulated_guest(&stage.ledger("platform"), Launch::of_image(&materials::other_image()))?;
    let client = stage.stranger()?;
    let outcome = client.acquire(&guest, &materials::identifier(), &stage.rp_id).await;
    let index = refused(story, &client, outcome.map(drop)).await?;
    story.told(&[index - 1, index], "refused: the caller learns no more than that; the log has the reasons");
    Ok(())
}

/// A report from AMD hardware, genuine in every octet, that was made for somebody else.
pub(super) async fn refuse_unbound(story: &mut Story, stage: &Stage) -> Result<()> {
    story.begin(
        "refuse-unbound",
        "Somebody presents a report recorded on real AMD hardware: genuine, and not made for us",
    );
    let client = stage.stranger()?;
    let outcome = client.acquire(&Replayed, &materials::identifier(), &stage.rp_id).await;
    let index = refused(story, &client, outcome.map(drop)).await?;
    story.told(&[index - 2, index - 1, index], "refused: it is bound to no challenge of ours");
    Ok(())
}

/// An attacker's attester: it answers every challenge with the same recorded report.
struct Replayed;

impl Attester for Replayed {
    fn report(&self, _: &[u8; 64]) -> Result<Attestation, AttesterError> {
        recorded::milan()
    }
}

/// The index of the refusal statement.
pub(super) async fn refused(
    story: &mut Story,
    client: &Client,
    outcome: Result<(), ClientError>,
) -> Result<u64> {
    let entry = match outcome {
        Err(ClientError::Refused { code, entry: Some(entry), .. }) if code == "refused" => entry,
        Err(error) => return Err(error).context("wanted a refusal that is in the log"),
        Ok(()) => bail!("a credential was issued, and must not have been"),
    };
    story.findings.refused += 1;
    let receipt = client.get(&format!("/entries/{entry}")).await?;
    let receipt = Receipt::parse(&receipt.body)?;
    receipt.inclusions().first().map(|inclusion| inclusion.index).context("a receipt without a place")
}
