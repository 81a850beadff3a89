//! Latencies of a closed loop, and what a process used.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Clock ticks of /proc in a second: what Linux tells programs on every architecture.
const TICKS_PER_S: f64 = 100.0;

/// How long operations took, in microseconds, to two digits.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 600_000_000, 2).context("make a histogram")?))
    }

    /// One operation.
    pub(super) fn record(&mut self, took: Duration) {
        // Above ten minutes it counts as ten minutes.
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds what another client measured.
    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("add histograms")
    }

    /// Operations.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time within which this share of the operations ended.
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53")]
    pub(super) fn ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }
}

/// When to measure: after a warm-up, for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    from: Instant,
    to: Instant,
}

impl Window {
    pub(super) fn of(warm_up: Duration, length: Duration) -> Self {
        let from = Instant::now() + warm_up;
        Self { from, to: from + length }
    }

    /// Whether clients go on.
    pub(super) fn is_open(&self) -> bool {
        Instant::now() < self.to
    }

    /// Whether an operation that began and ends at these instants counts.
    pub(super) fn counts(&self, begin: Instant, end: Instant) -> bool {
        begin >= self.from && end <= self.to
    }

    /// The instant at which measuring begins.
    pub(super) fn begin(&self) -> Instant {
        self.from
    }

    pub(super) fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64()
    }
}

/// What a process has used so far, by /proc.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Usage {
    /// CPU seconds, user and system.
    pub(super) cpu_s: f64,
    /// The most memory that was resident.
    pub(super) rss_peak_bytes: u64,
}

impl Usage {
    /// Of a process by its id, or of this one.
    pub(super) fn of(id: Option<u32>) -> Result<Self> {
        let dir = id.map_or_else(|| "/proc/self".to_owned(), |id| format!("/proc/{id}"));
        let stat = fs::read_to_string(format!("{dir}/stat")).context("read /proc")?;
        // The name, in parentheses, may hold anything: fields are counted behind it. utime and stime are 14 and 15.
        let (_, fields) = stat.rsplit_once(')').context("/proc stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        let status = fs::read_to_string(format!("{dir}/status")).context("read /proc")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap_or(0);
        Ok(Self { cpu_s: ticks / TICKS_PER_S, rss_peak_bytes: kib * 1024 })
    }
}
