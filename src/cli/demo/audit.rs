//! Steps: an auditor traces and replays; a changed byte is found.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use treering_provenance::grant::AuditorKey;
use treering_provenance::statement::{Kind, Statement};
use treering_tlog::bundle;
use treering_tlog::tile::{TILE_WIDTH, entries_path, partial_width};

use crate::audit::{self, Keyring, Scope, Verdict};
use crate::client::RemoteSource;
use crate::clock::{Clock, SystemClock};
use crate::verifier::Verifier;

use super::super::files;
use super::super::trace::{auditor_key, follow};
use super::stage::Stage;
use super::story::Story;

/// The auditor traces the credential to everything that it rests on, and makes the decision again.
pub(super) async fn trace(story: &mut Story, stage: &Stage) -> Result<()> {
    story.begin("trace", "An auditor traces the credential back, and makes the appraisal again");
    let credential = files::certificates(&files::read(&stage.dir.join("credential.pem"))?);
    let credential = credential.first().context("no credential")?;
    let auditor = auditor_key(&stage.dir.join("auditor.key"))?;
    let source = RemoteSource(stage.client("auditor")?);
    let (trace, replay) = follow(credential, &source, &stage.trust()?, &auditor).await?;
    for step in &trace.steps {
        story.detail(format!("entry {:>2} {}: {}", step.index, step.kind, step.says));
    }
    let found = trace.found;
    story.findings.trace = json!({
        "evidence": found.evidence, "reference_values": found.reference_values, "sbom": found.sbom,
        "build": found.build, "policies": found.policies,
    });
    story.findings.replay = json!({ "identical": replay.identical });
    ensure!(
        found.evidence && found.reference_values && found.sbom && found.build && found.policies,
        "the trace did not reach everything: {found:?}"
    );
    ensure!(replay.identical, "the replay differs: {}", replay.notes.join("; "));
    let count = replay_all(&source, stage, &auditor).await?;
    story.detail(format!("all {count} decisions in the log were made again, and came out the same"));
    let entries: Vec<u64> = trace.steps.iter().map(|step| step.index).collect();
    story.told(&entries, "down to SBOM and build; the attestation result came out the same to the octet");
    Ok(())
}

/// Makes every decision in the log again; how many there are.
async fn replay_all(source: &RemoteSource, stage: &Stage, auditor: &AuditorKey) -> Result<u64> {
    let trust = stage.trust()?;
    let keyring = Keyring::unlock(source, auditor, trust.origin()).await?;
    let judged = (Verifier::new, SystemClock.now());
    let report = audit::replay_log(source, &trust, &keyring, &Scope::default(), judged, &mut |_| ()).await?;
    ensure!(report.verdict == Verdict::Identical, "not every decision came out the same: {report:?}");
    Ok(report.decisions.values().map(|tally| tally.identical).sum())
}

/// One octet of a copy of the log is changed, and the check says in which entry.
pub(super) async fn tamper(story: &mut Story, stage: &Stage) -> Result<()> {
    story.begin("tamper", "One octet of a copy of the log is changed");
    let copy = stage.dir.join("mirror");
    let checkpoint = stage.client("auditor")?.mirror(&copy).await?;
    story.findings.log = json!({
        "origin": checkpoint.origin(), "size": checkpoint.size(), "root": checkpoint.root().to_base64(),
    });
    let clean = stage.fsck_mirror(&copy)?;
    ensure!(clean.is_clean(), "the copy is not clean: {:?}", clean.findings);
    check_kinds(story, &copy, checkpoint.size())?;

    let changed = change_an_octet(&copy, checkpoint.size())?;
    let report = stage.fsck_mirror(&copy)?;
    let found = report.findings.iter().find_map(|finding| finding.entry);
    story.findings.tamper = json!({ "entry": changed, "found": found });
    ensure!(found == Some(changed), "changed entry {changed}, found {found:?}: {:?}", report.findings);
    let what = report.findings.first().map(|finding| finding.what.clone()).unwrap_or_default();
    story.detail(format!("finding: {what}"));
    story
        .told(&[changed], &format!("an octet of entry {changed} was changed, and entry {changed} was found"));
    Ok(())
}

/// What the story says was issued and refused is what the log says.
fn check_kinds(story: &Story, copy: &Path, size: u64) -> Result<()> {
    let (mut issued, mut refused) = (0, 0);
    for entry in entries(&fs::read(bundle_file(copy, size))?)? {
        match Statement::parse(&entry)?.kind() {
            Some(Kind::Issuance) => issued += 1,
            Some(Kind::Refusal) => refused += 1,
            _ => {}
        }
    }
    let told = (story.findings.issued, story.findings.refused);
    ensure!(
        (issued, refused) == told,
        "the log has {issued} issued and {refused} refused, the story {told:?}"
    );
    Ok(())
}

/// The demo's log fits into one bundle.
fn bundle_file(copy: &Path, size: u64) -> std::path::PathBuf {
    let width = if size == u64::from(TILE_WIDTH) { TILE_WIDTH } else { partial_width(0, size) };
    copy.join(entries_path(0, width))
}

fn entries(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    Ok(bundle::decode(bytes)?.into_iter().map(<[u8]>::to_vec).collect())
}

/// Changes one octet in the middle of an entry in the middle of the copy; returns which entry.
fn change_an_octet(copy: &Path, size: u64) -> Result<u64> {
    let file = bundle_file(copy, size);
    let mut all = entries(&fs::read(&file)?)?;
    let place = all.len() / 2;
    let entry = all.get_mut(place).context("an empty log")?;
    let middle = entry.len() / 2;
    let octet = entry.get_mut(middle).context("an empty entry")?;
    *octet ^= 1;
    fs::write(&file, bundle::encode(all.iter().map(Vec::as_slice))?)?;
    Ok(place as u64)
}
