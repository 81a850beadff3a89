//! Step: a second workload on other hardware, a TDX guest with a GPU, whose evidence must be of both.

use anyhow::{Result, ensure};
use treering_provenance::content::{PolicyType, ReferenceValue, ReferenceValues, V1};
use treering_provenance::verify::{Outcome, VerifyOptions, verify_x509};

use crate::attester::composite::Composite;
use crate::attester::simulated::intel::{IntelGuest, Td, measure};
use crate::clock::{Clock, SystemClock};
use crate::verifier::SUBMOD_TDX;

use super::super::files;
use super::issue::refused;
use super::materials;
use super::register::{bring_into_force, policy, register};
use super::stage::Stage;
use super::story::Story;

/// The register of a TDX guest that measures its firmware.
const MRTD: &str = "mrtd";

pub(super) async fn run(story: &mut Story, stage: &Stage) -> Result<()> {
    story.begin(
        "issue-gpu",
        "A second workload, in a simulated TDX guest with a GPU, whose policy wants evidence of both",
    );
    let first = govern(story, stage).await?;
    let (client, target) = (stage.stranger()?, materials::model_identifier());
    let outcome = client.acquire(&guest(stage), &target, &stage.rp_id).await;
    let index = refused(story, &client, outcome.map(drop)).await?;
    story.detail(format!("entry {index}: without evidence of its GPU it is refused"));

    let both =
        Composite::new(vec![Box::new(guest(stage)), Box::new(std::sync::Arc::clone(&stage.machine.gpu))]);
    let acquired = client.acquire(&both, &target, &stage.rp_id).await?;
    std::fs::write(stage.dir.join("credential-gpu.pem"), &acquired.response.credential)?;
    story.findings.issued += 1;
    let chain = files::certificates(acquired.response.credential.as_bytes());
    let options = VerifyOptions { now: SystemClock.now(), identifier: Some(&target), possession: None };
    let verdict = verify_x509(&chain, &stage.trust()?, &options);
    ensure!(verdict.outcome() == Outcome::Trustworthy, "the verdict is {:?}", verdict.outcome());
    story.detail(
        "evidence of both, bound to one challenge and one key: a quote of Intel's form, a report of NVIDIA's",
    );
    let entries: Vec<u64> = (first..=acquired.response.index).collect();
    story.told(&entries, &format!("{target} issued, trustworthy by the same trust file"));
    Ok(())
}

/// The guest alone.
fn guest(stage: &Stage) -> IntelGuest {
    stage.machine.host.guest(Td::of(measure(&materials::model_image())))
}

/// Reference values, appraisal policy and manifest come into force; the first entry of them.
async fn govern(story: &Story, stage: &Stage) -> Result<u64> {
    let values = ReferenceValues {
        v: V1,
        workload: materials::MODEL.to_owned(),
        values: vec![ReferenceValue::single(
            SUBMOD_TDX,
            materials::MODEL,
            MRTD,
            measure(&materials::model_image()).to_vec(),
        )],
        provenance: Vec::new(),
    };
    let values = register(stage, "ci", &values).await?;
    let (name, text) = materials::model_policy();
    let appraisal = register(stage, "author", &policy(PolicyType::Appraisal, name, text)).await?;
    let manifest = policy(PolicyType::Mapping, &materials::model_identifier(), materials::model_manifest());
    let manifest = register(stage, "author", &manifest).await?;
    let mut last = 0;
    for proposed in [&values, &appraisal, &manifest] {
        (_, last) = bring_into_force(stage, proposed.leaf).await?;
    }
    story.detail(format!(
        "entries {} to {last}: reference values, appraisal policy and manifest, approved and in force",
        values.index
    ));
    Ok(values.index)
}
