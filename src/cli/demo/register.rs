//! Step: a workload is registered, its policies proposed, approved and activated; an auditor is granted access.

use anyhow::Result;
use treering_provenance::bytes::{Bytes, Fixed, Leaf};
use treering_provenance::content::{
    Approval, Content, Policy, PolicyType, ProvenanceType, ReferenceValue, ReferenceValues, V1,
    WorkloadProvenance,
};
use treering_tlog::hash::Hash;

use crate::client::{Registered, Registrant};
use crate::clock::{Clock, SystemClock};
use crate::keys;
use crate::verifier::{MEASUREMENT, SUBMOD_SNP};
use crate::wire::{GrantRequest, GrantResponse};

use super::super::init::issuer_uri;
use super::super::trace::auditor_key;
use super::materials;
use super::stage::{Stage, TRUST_DOMAIN};
use super::story::Story;

const DAY_S: u64 = 24 * 60 * 60;

pub(super) async fn run(story: &mut Story, stage: &Stage) -> Result<()> {
    story.begin("register", "CI registers how payments-api was built, what is in it, and its measurement");
    let image = materials::image();
    let ci_key = keys::read_ed25519(&stage.ledger("issuers/ci.pem"))?;
    let document = |provenance_type, media_type: &str, body| WorkloadProvenance {
        v: V1,
        workload: materials::WORKLOAD.to_owned(),
        provenance_type,
        media_type: media_type.to_owned(),
        body: Bytes(body),
        subjects: vec![Bytes(materials::digest(&image))],
    };
    let build =
        document(ProvenanceType::Build, materials::DSSE, materials::build_provenance(&image, &ci_key)?);
    let build = register(stage, "ci", &build).await?;
    story.detail(format!("entry {}: SLSA build provenance (in-toto v1, signed by CI)", build.index));
    let sbom = document(ProvenanceType::Sbom, materials::CYCLONEDX, materials::sbom(&image)?);
    let sbom = register(stage, "ci", &sbom).await?;
    story.detail(format!("entry {}: CycloneDX SBOM", sbom.index));
    let references = ReferenceValues {
        v: V1,
        workload: materials::WORKLOAD.to_owned(),
        values: vec![ReferenceValue::single(
            SUBMOD_SNP,
            materials::RELEASE,
            MEASUREMENT,
            materials::measurement(&image),
        )],
        provenance: vec![build.leaf.into(), sbom.leaf.into()],
    };
    let references = register(stage, "ci", &references).await?;
    story.detail(format!("entry {}: reference values, which name both", references.index));
    story.told(
        &[build.index, sbom.index, references.index],
        "registered through SCRAPI, encrypted before they left CI",
    );

    story.begin("govern", "Policies are proposed, approved by somebody else, and activated");
    let appraisal = policy(PolicyType::Appraisal, materials::APPRAISAL_POLICY, materials::appraisal_policy());
    let appraisal = register(stage, "author", &appraisal).await?;
    let manifest = policy(PolicyType::Mapping, &materials::identifier(), materials::manifest());
    let manifest = register(stage, "author", &manifest).await?;
    let mut entries = vec![appraisal.index, manifest.index];
    for (name, proposed) in
        [("reference values", &references), ("appraisal policy", &appraisal), ("mapping manifest", &manifest)]
    {
        let (approved, activated) = bring_into_force(stage, proposed.leaf).await?;
        story.detail(format!(
            "{name}: entry {}, approved in {approved}, in force from {activated}",
            proposed.index
        ));
        entries.extend([approved, activated]);
    }
    let granted = grant(stage).await?;
    story.detail(format!(
        "entry {granted}: an auditor's key is granted all content of the next 30 days, and what is there"
    ));
    entries.push(granted);
    entries.sort_unstable();
    story.told(&entries, "nothing is in force but by an activation in the log");
    Ok(())
}

/// A policy's content.
pub(super) fn policy(policy_type: PolicyType, name: &str, body: String) -> Policy {
    Policy {
        v: V1,
        policy_type,
        name: name.to_owned(),
        media_type: "application/toml".to_owned(),
        body: Bytes(body.into_bytes()),
        predecessor: None,
    }
}

/// Registers content as one of the issuers.
pub(super) async fn register<C: Content>(stage: &Stage, who: &str, content: &C) -> Result<Registered> {
    let signer = stage.signer(who)?;
    let issuer = issuer_uri(TRUST_DOMAIN, who);
    let registrant = Registrant { issuer: &issuer, signer: &signer, origin: &stage.origin };
    Ok(stage.client(who)?.register_content(&registrant, content, SystemClock.now()).await?)
}

/// Has a statement approved and activated; where both are in the log.
pub(super) async fn bring_into_force(stage: &Stage, policy: Hash) -> Result<(u64, u64)> {
    let now = SystemClock.now();
    let approval = Approval {
        v: V1,
        policy: Leaf::from(policy),
        predecessor: None,
        not_before: now,
        not_after: now + DAY_S,
    };
    let approved = register(stage, "approver", &approval).await?;
    let activated = stage.client("operator")?.activate(&policy).await?;
    Ok((approved.index, activated.index))
}

async fn grant(stage: &Stage) -> Result<u64> {
    let auditor = auditor_key(&stage.dir.join("auditor.key"))?;
    let request = GrantRequest {
        grantee: "Demo Audit Ltd".to_owned(),
        public_key: Fixed(*auditor.public().as_bytes()),
        scopes: vec!["*".to_owned()],
        classes: vec!["*".to_owned()],
        from: 0,
        to: SystemClock.now() + 30 * DAY_S,
    };
    let made: GrantResponse = stage.client("operator")?.post_json("/v1/grants", &request).await?;
    Ok(made.index)
}
