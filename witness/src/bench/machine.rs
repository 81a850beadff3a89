//! What the machine can give at most, measured in the same run: syncs of the disk, signatures of one core.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use treering_tlog::{checkpoint::Checkpoint, hash::leaf_hash, note::Note, note::NoteSigner};

use super::{ms, quantile};
use crate::clock;

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Load average of the last minute before the run: what else was running.
    pub load_before: String,
    /// Median of an append of 512 bytes with fdatasync, one after the other, in milliseconds.
    pub fdatasync_p50_ms: f64,
    /// The time that one in a hundred exceeds.
    pub fdatasync_p99_ms: f64,
    /// Leaf hashes (SHA-256) of 400 octets that one core makes in a second.
    pub sha256_per_s: u32,
    /// Ed25519 note signatures that one core makes in a second.
    pub ed25519_sign_per_s: u32,
    /// Ed25519 note signatures that one core verifies in a second.
    pub ed25519_verify_per_s: u32,
}

impl Machine {
    /// Measures for about a second and a half, and the disk of the folder for as long as 400 syncs take.
    pub(super) fn measure(folder: &Path) -> Result<Self, super::BenchError> {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let syncs = syncs(folder)?;
        let error = |error: &dyn ToString| super::BenchError::Log(error.to_string());
        let signer = NoteSigner::from_seed("bench.example/machine", &[7; 32])?;
        let checkpoint = Checkpoint::new("bench.example/machine", 7, leaf_hash(b"7"));
        let body = checkpoint.map_err(|e| error(&e))?.body();
        let line = signer.sign(&body).map_err(|e| error(&e))?;
        let note = Note::new(body.as_str(), vec![line]).map_err(|e| error(&e))?;
        let keys = [signer.verifier().clone()];
        let (entry, leaf) = ([7; 400], leaf_hash(b"7"));
        Ok(Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            load_before: load.split(' ').next().unwrap_or_default().to_owned(),
            fdatasync_p50_ms: ms(quantile(&syncs, 500)),
            fdatasync_p99_ms: ms(quantile(&syncs, 990)),
            sha256_per_s: rate(|| leaf_hash(std::hint::black_box(&entry)) != leaf),
            ed25519_sign_per_s: rate(|| signer.sign(&body).is_ok()),
            ed25519_verify_per_s: rate(|| note.verify(&keys).is_ok()),
        })
    }
}

fn syncs(folder: &Path) -> io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().append(true).create(true).open(folder.join("syncs"))?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = clock::monotonic();
        file.write_all(&[7; 512])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn rate(mut once: impl FnMut() -> bool) -> u32 {
    let begun: Instant = clock::monotonic();
    let mut done = 0;
    while begun.elapsed() < MEASURE {
        // What fails would be fast: it counts for nothing.
        done += u32::from(once());
    }
    done * (1000 / MEASURE_MS)
}

const SYNCS: usize = 400;
const MEASURE_MS: u32 = 500;
const MEASURE: Duration = Duration::from_millis(MEASURE_MS as u64);
