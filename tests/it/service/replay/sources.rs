//! Sources that hold something back, or give something else than they gave.

use treering::audit::{Keyring, LocalSource, Scope, Source, SourceError, replay_log};
use treering::vault::{Delivery, GrantId};
use treering::verifier::Verifier;
use treering_provenance::grant::WrappedKek;
use treering_provenance::statement::Kind;
use treering_tlog::hash::Hash;

use super::{first_of, opened, replay_by, story};
use crate::support::now;

/// A source that holds something back, or gives something else than it gave.
struct Withholding {
    inner: LocalSource,
    content: Option<Hash>,
    bundles: std::sync::atomic::AtomicU32,
    changed_from: u32,
}

impl Source for Withholding {
    async fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        self.inner.checkpoint().await
    }

    async fn entry(&self, index: u64) -> Result<Vec<u8>, SourceError> {
        self.inner.entry(index).await
    }

    async fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, SourceError> {
        let mut bytes = self.inner.bundle(index, width).await?;
        let calls = self.bundles.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if calls >= self.changed_from {
            *bytes.last_mut().unwrap() ^= 1;
        }
        Ok(bytes)
    }

    async fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, SourceError> {
        self.inner.index_of(leaf).await
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, SourceError> {
        self.inner.inclusion(index, size).await
    }

    async fn content(&self, index: u64, leaf: &Hash) -> Result<Option<Vec<u8>>, SourceError> {
        if self.content == Some(*leaf) { Ok(None) } else { self.inner.content(index, leaf).await }
    }

    async fn grants(&self, thumbprint: &[u8; 32]) -> Result<Vec<(GrantId, Delivery)>, SourceError> {
        self.inner.grants(thumbprint).await
    }

    async fn granted(&self, grant: &GrantId) -> Result<Vec<WrappedKek>, SourceError> {
        self.inner.granted(grant).await
    }
}

#[tokio::test]
async fn missing_content_differs_and_other_entries_end_the_replay() {
    let story = story().await;
    let log = opened(&story.stage.dir);
    let appraised = first_of(&log, Kind::Appraisal);
    let leaf = log.leaf(appraised).unwrap().unwrap();
    drop(log);
    let source = |content, changed_from| Withholding {
        inner: LocalSource::open(story.stage.path("data").as_ref()).unwrap(),
        content,
        bundles: 0.into(),
        changed_from,
    };
    let report = replay_by(&story.stage, &source(Some(leaf), u32::MAX), Verifier::new, now()).await;
    let found: Vec<_> = report.differing.iter().map(|one| (one.entry, one.decision, &*one.what)).collect();
    let missing = "its content is missing, without a tombstone";
    assert_eq!(found[0], (appraised, "appraisal", missing), "{found:?}");
    let decided: Vec<_> = found.iter().map(|(_, decision, _)| *decision).collect();
    assert_eq!(
        decided,
        ["appraisal", "mapping", "issuance"],
        "what rests on it cannot be made again: {found:?}"
    );
    assert!(found[1].2.contains(&format!("entry {appraised}: {missing}")), "{found:?}");

    for (changed_from, reason) in [(0, "the entries give root "), (1, "other entries than a moment ago")] {
        let source = source(None, changed_from);
        let (trust, keyring) = (story.stage.trust(), Keyring::default());
        let scope = Scope::default();
        let ended = replay_log(&source, &trust, &keyring, &scope, (Verifier::new, now()), &mut |_| ()).await;
        let error = ended.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
