//! Following logs: the whole tree recomputed from the entries, and held against every checkpoint that the log signs.
//!
//! In scope: one pass over one log, what it remembers, and following with back-off. Out of scope: keeping entries or
//! tiles (they are hashed and forgotten), and cosigning: a mirror has no key.
//!
//! A pass fetches the checkpoint and, where it is new, checks in this order: the tree begins with the one that was verified
//! last; each entry bundle hashes to its level-0 tile; all entries together hash to the signed root; the hash tiles of
//! the right edge lead to the same root. Only then it is remembered as verified.

mod progress;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use treering_tlog::{
    note::VerifierKey,
    tile::{TILE_WIDTH, TileId},
};

pub use self::progress::Progress;
use crate::{
    clock::Clock,
    evidence::{Contradiction, Evidence, EvidenceDir},
    store::origin_hash,
    tiles::{LogClient, SignedCheckpoint, TilesError},
};

/// The mirror of one log.
pub struct Mirror {
    log: LogClient,
    origin: String,
    keys: Vec<VerifierKey>,
    file: PathBuf,
    evidence: EvidenceDir,
    progress: Progress,
}

/// What a pass found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The tree grew, and all of it is what the log signed.
    Advanced {
        /// Size verified before.
        from: u64,
        /// Size verified now.
        to: u64,
    },
    /// The log shows the checkpoint that was verified last, or an older one of the same tree.
    Unchanged {
        /// Size that it shows.
        size: u64,
    },
    /// The log has signed two trees.
    Forked {
        /// Where the evidence was put; `None` if it is kept already.
        kept: Option<PathBuf>,
    },
}

impl Mirror {
    /// Goes on from what the folder remembers of this log.
    pub fn open(
        folder: &Path,
        log: LogClient,
        origin: &str,
        keys: Vec<VerifierKey>,
        evidence: EvidenceDir,
    ) -> Result<Self, MirrorError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| MirrorError::Io { path: folder.to_owned(), source })?;
        let file = folder.join(format!("{}.progress", origin_hash(origin)));
        let progress = Progress::read(&file, origin, &keys)?;
        Ok(Self { log, origin: origin.to_owned(), keys, file, evidence, progress })
    }

    /// The log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves whose tree was verified.
    pub fn verified(&self) -> u64 {
        self.progress.tree.size()
    }

    /// One pass. An error leaves what was verified as it was.
    pub async fn pass(&mut self) -> Result<Outcome, MirrorError> {
        let seen = self.log.checkpoint(&self.origin, &self.keys).await?;
        metrics::gauge!(SIGNED_SIZE, "origin" => self.origin.clone()).set(as_gauge(seen.checkpoint().size()));
        let Some(verified) = self.progress.verified.clone() else { return self.advance(seen).await };
        let (old, new) = (verified.checkpoint(), seen.checkpoint());
        if old.size() == new.size() {
            return if old.root() == new.root() {
                Ok(Outcome::Unchanged { size: new.size() })
            } else {
                self.fork(Contradiction::SameSize, &verified, &seen)
            };
        }
        let (smaller, larger) = if old.size() < new.size() { (&verified, &seen) } else { (&seen, &verified) };
        let prefix = self.log.prefix(smaller.checkpoint().size(), larger.checkpoint()).await?;
        if prefix.root != *smaller.checkpoint().root() {
            let contradiction = Contradiction::Prefix { root: prefix.root, path: prefix.path };
            return self.fork(contradiction, smaller, larger);
        }
        if old.size() > new.size() {
            return Ok(Outcome::Unchanged { size: new.size() });
        }
        self.advance(seen).await
    }

    /// Reads the entries up to a checkpoint, and holds their tree against it.
    async fn advance(&mut self, seen: SignedCheckpoint) -> Result<Outcome, MirrorError> {
        let (from, to) = (self.progress.tree.size(), seen.checkpoint().size());
        if self.progress.ahead.size() > to {
            // Read for a larger checkpoint that is not shown any more.
            self.progress.ahead = self.progress.tree.clone();
        }
        let mut bundles = 0u64;
        while self.progress.ahead.size() < to {
            self.read_bundle(to).await?;
            bundles += 1;
            if bundles.is_multiple_of(BUNDLES_BETWEEN_WRITES) {
                self.progress.write(&self.file)?;
            }
        }
        if self.progress.ahead.root() != *seen.checkpoint().root() {
            self.progress.ahead = self.progress.tree.clone();
            self.progress.write(&self.file)?;
            return Err(MirrorError::Entries { from, to });
        }
        // What clients are given proofs from must be this tree, too.
        self.log.prefix(to, seen.checkpoint()).await?;
        self.progress.tree = self.progress.ahead.clone();
        self.progress.verified = Some(seen);
        self.progress.write(&self.file)?;
        Ok(Outcome::Advanced { from, to })
    }

    async fn read_bundle(&mut self, to: u64) -> Result<(), MirrorError> {
        let width = u64::from(TILE_WIDTH);
        let index = self.progress.ahead.size() / width;
        let id = TileId::new(0, index);
        let entries = id.width(to);
        let (leaves, tile) = tokio::try_join!(self.log.leaves(index, entries), self.log.tile(id, entries))?;
        if leaves != tile {
            return Err(MirrorError::Tile { index });
        }
        let known = usize::try_from(self.progress.ahead.size() % width).unwrap_or(0);
        leaves.into_iter().skip(known).for_each(|leaf| self.progress.ahead.push(leaf));
        Ok(())
    }

    fn fork(
        &self,
        contradiction: Contradiction,
        first: &SignedCheckpoint,
        second: &SignedCheckpoint,
    ) -> Result<Outcome, MirrorError> {
        let evidence = Evidence::new(contradiction, first.note().clone(), second.note().clone());
        let kept = self.evidence.keep(&evidence);
        let folder = self.evidence.path();
        Ok(Outcome::Forked {
            kept: kept.map_err(|source| MirrorError::Io { path: folder.to_owned(), source })?,
        })
    }
}

/// Follows a log for ever: a pass, then a pause, which doubles with each failure in a row.
pub async fn follow(mut mirror: Mirror, every: Duration, clock: Clock) {
    let origin = mirror.origin().to_owned();
    let mut failures = 0u32;
    record(&mirror);
    loop {
        let what = match mirror.pass().await {
            Ok(Outcome::Advanced { from, to }) => {
                tracing::info!(origin, from, to, "verified");
                "ok"
            }
            Ok(Outcome::Unchanged { .. }) => "ok",
            Ok(Outcome::Forked { kept }) => {
                let path = kept.as_ref().map(|path| path.display().to_string());
                tracing::error!(origin, path, "THE LOG HAS FORKED");
                "fork"
            }
            Err(error) => {
                tracing::warn!(origin, %error, "not verified");
                if error.is_finding() { "finding" } else { "unreachable" }
            }
        };
        record(&mirror);
        metrics::counter!(PASSES, "origin" => origin.clone(), "outcome" => what).increment(1);
        if what == "ok" {
            failures = 0;
            metrics::gauge!(LAST_GOOD, "origin" => origin.clone()).set(as_gauge((clock)()));
        } else {
            failures += 1;
        }
        tokio::time::sleep(pause(every, failures)).await;
    }
}

/// Twice as long with each failure in a row, up to five minutes or the usual pause if that is longer.
fn pause(every: Duration, failures: u32) -> Duration {
    every.saturating_mul(2u32.saturating_pow(failures.min(16))).min(every.max(MAX_PAUSE))
}

fn record(mirror: &Mirror) {
    metrics::gauge!(VERIFIED_SIZE, "origin" => mirror.origin.clone()).set(as_gauge(mirror.verified()));
}

fn as_gauge(value: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats; sizes are exact to 2^53")]
    let value = value as f64;
    value
}

/// Why a pass did not verify.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The entries are not those of the signed tree, which does begin with what was verified before.
    #[error("the entries from {from} to {to} do not hash to the root that was signed")]
    Entries {
        /// Size verified before.
        from: u64,
        /// Size of the checkpoint.
        to: u64,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file that remembers does not prove itself.
    #[error("progress file {} is damaged, or its checkpoint is not signed by a configured key", path.display())]
    Progress {
        /// The file.
        path: PathBuf,
    },
    /// A bundle and its tile differ.
    #[error("bundle {index} does not hash to its tile")]
    Tile {
        /// Index of both.
        index: u64,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Tiles(#[from] TilesError),
}

impl MirrorError {
    /// Whether the log serves what it did not sign, or signed what is malformed; otherwise it, or this machine, could not
    /// be asked.
    pub fn is_finding(&self) -> bool {
        match self {
            Self::Entries { .. } | Self::Tile { .. } => true,
            Self::Io { .. } | Self::Progress { .. } => false,
            Self::Tiles(error) => error.is_finding(),
        }
    }
}

/// 16,384 entries: what a crash makes it read again.
const BUNDLES_BETWEEN_WRITES: u64 = 64;
const MAX_PAUSE: Duration = Duration::from_mins(5);

const SIGNED_SIZE: &str = "treering_mirror_signed_size";
const VERIFIED_SIZE: &str = "treering_mirror_verified_size";
const LAST_GOOD: &str = "treering_mirror_last_verified_seconds";
const PASSES: &str = "treering_mirror_passes_total";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let pauses: Vec<u64> =
            (0..8).map(|failures| pause(Duration::from_secs(5), failures).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(pause(Duration::from_mins(15), u32::MAX), Duration::from_mins(15));
    }
}
