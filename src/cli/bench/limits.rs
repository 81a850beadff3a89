//! What this machine can do at most, measured in the same run as the figures beside it, so that each is a ratio.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use treering_tlog::ed25519::verify_strict;
use treering_tlog::hash::leaf_hash;

use super::meter::Latencies;

/// How long each limit is measured, at most and at least: a tenth of a load's time within these.
const EACH_MAX: Duration = Duration::from_millis(700);
const EACH_MIN: Duration = Duration::from_millis(100);
/// Octets of one write: a small batch.
const WRITE_BYTES: usize = 4096;

/// The limits of the machine: what one core or the disk can do.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Limits {
    /// A write of 4 KiB at the end of a file and its `fdatasync`, the half of them within, ms.
    pub(super) fdatasync_p50_ms: f64,
    /// The same, 99 of 100 within, ms.
    pub(super) fdatasync_p99_ms: f64,
    /// Leaf hashes (SHA-256) of an entry of this run's length, one core.
    pub(super) sha256_per_s: f64,
    /// Ed25519 signatures made, one core.
    pub(super) ed25519_sign_per_s: f64,
    /// Ed25519 signatures verified strictly, one core.
    pub(super) ed25519_verify_per_s: f64,
}

impl Limits {
    /// Measures the disk under `dir` and one core, for about as long in all as a load of this time is.
    pub(super) fn measure(dir: &Path, entry_bytes: usize, load: Duration) -> Result<Self> {
        let each = (load / 10).clamp(EACH_MIN, EACH_MAX);
        let syncs = fdatasync(&dir.join("fdatasync"), each * 3)?;
        let entry = vec![0x5a; entry_bytes];
        let key = SigningKey::from_bytes(&[7; 32]);
        let signature = key.sign(&entry);
        Ok(Self {
            fdatasync_p50_ms: syncs.ms(0.50),
            fdatasync_p99_ms: syncs.ms(0.99),
            sha256_per_s: rate(each, || leaf_hash(&entry).to_bytes().first().copied()),
            ed25519_sign_per_s: rate(each, || key.sign(&entry).to_bytes().first().copied()),
            ed25519_verify_per_s: rate(each, || {
                verify_strict(&key.verifying_key(), &entry, &signature).then_some(1)
            }),
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        format!(
            "this machine: fdatasync p50 {:.2} ms, p99 {:.2} ms; leaf hash {:.0}/s, Ed25519 sign {:.0}/s, verify {:.0}/s",
            self.fdatasync_p50_ms,
            self.fdatasync_p99_ms,
            self.sha256_per_s,
            self.ed25519_sign_per_s,
            self.ed25519_verify_per_s
        )
    }
}

/// Appends and syncs for a while.
fn fdatasync(path: &Path, length: Duration) -> Result<Latencies> {
    let mut file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    let mut latencies = Latencies::new()?;
    let block = [0x5a; WRITE_BYTES];
    let begin = Instant::now();
    while begin.elapsed() < length {
        let one = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latencies.record(one.elapsed());
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(latencies)
}

/// How often a piece of work can be done in a second.
fn rate(each: Duration, mut work: impl FnMut() -> Option<u8>) -> f64 {
    let (begin, mut done) = (Instant::now(), 0u32);
    while begin.elapsed() < each {
        for _ in 0..64 {
            std::hint::black_box(work());
        }
        done += 64;
    }
    f64::from(done) / begin.elapsed().as_secs_f64()
}
