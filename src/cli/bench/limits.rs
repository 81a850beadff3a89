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

/// How long each limit is measured.
const EACH: Duration = Duration::from_millis(700);
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
    /// Measures the disk under `dir` and one core.
    pub(super) fn measure(dir: &Path, entry_bytes: usize) -> Result<Self> {
        let syncs = fdatasync(&dir.join("fdatasync"))?;
        let entry = vec![0x5a; entry_bytes];
        let key = SigningKey::from_bytes(&[7; 32]);
        let signature = key.sign(&entry);
        Ok(Self {
            fdatasync_p50_ms: syncs.ms(0.50),
            fdatasync_p99_ms: syncs.ms(0.99),
            sha256_per_s: rate(|| leaf_hash(&entry).to_bytes().first().copied()),
            ed25519_sign_per_s: rate(|| key.sign(&entry).to_bytes().first().copied()),
            ed25519_verify_per_s: rate(|| {
                verify_strict(&key.verifying_key(), &entry, &signature).then_some(1)
            }),
        })
    }
}

/// Appends and syncs for a while.
fn fdatasync(path: &Path) -> Result<Latencies> {
    let mut file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    let mut latencies = Latencies::new()?;
    let block = [0x5a; WRITE_BYTES];
    let begin = Instant::now();
    while begin.elapsed() < EACH * 3 {
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
fn rate(mut work: impl FnMut() -> Option<u8>) -> f64 {
    let (begin, mut done) = (Instant::now(), 0u32);
    while begin.elapsed() < EACH {
        for _ in 0..64 {
            std::hint::black_box(work());
        }
        done += 64;
    }
    f64::from(done) / begin.elapsed().as_secs_f64()
}
