//! The one place that reads the time. Everything else takes `now` as an argument, so that a decision can be
//! made again, years later, from what was logged.
//!
//! Times are Unix seconds (UTC) in `u64`; RFC 3339 is for people and files only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, UNIX_EPOCH};

/// A source of the present time.
pub trait Clock: Send + Sync {
    /// Seconds since the Unix epoch.
    fn now(&self) -> u64;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system clock")]
    fn now(&self) -> u64 {
        // A clock before 1970 is a broken host; zero makes every validity check fail closed.
        std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `now`.
    pub const fn at(now: u64) -> Self {
        Self(AtomicU64::new(now))
    }

    /// Moves the clock forward.
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A reading of the clock that only goes forward, for limits on what peers may do.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Measures how long something took, for people and metrics; no decision rests on it.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start.
    pub fn ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since the start, for histograms.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// A time that was given as text and is none.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a time of RFC 3339, such as 2026-03-01T00:00:00Z, after 1970")]
pub struct BadTime(String);

/// Reads an RFC 3339 time.
pub fn parse_rfc3339(text: &str) -> Result<u64, BadTime> {
    let time: jiff::Timestamp = text.parse().map_err(|_| BadTime(text.to_owned()))?;
    u64::try_from(time.as_second()).map_err(|_| BadTime(text.to_owned()))
}

/// Writes a time for people: `2026-03-01T00:00:00Z`.
pub fn rfc3339(unix: u64) -> String {
    i64::try_from(unix)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("@{unix}"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        assert_eq!(parse_rfc3339("2026-03-01T00:00:00Z").unwrap(), 1_772_323_200);
        assert_eq!(rfc3339(1_772_323_200), "2026-03-01T00:00:00Z");
        assert!(parse_rfc3339("yesterday").is_err());
        assert!(parse_rfc3339("1969-12-31T23:59:59Z").is_err());
    }
}
