//! How many octets of evidence that costs nothing to present are logged with refusals in a minute.
//!
//! Anybody may ask for a challenge, and garbage costs nothing to make; each refusal costs two entries and the evidence
//! that it keeps. Genuine evidence that was made for us takes a platform, and is never under this quota.

use std::sync::{Mutex, PoisonError};

const INTERVAL_S: u64 = 60;

/// What two statements, their envelopes and index keys take beside the evidence.
const STATEMENT_BYTES: u64 = 4096;

/// A budget of octets that starts again every minute.
pub(super) struct Quota {
    per_interval: u64,
    // Which minute, and how many octets in it.
    state: Mutex<(u64, u64)>,
}

impl Quota {
    pub(super) fn new(per_interval: u64) -> Self {
        Self { per_interval, state: Mutex::default() }
    }

    /// Takes what logging this much evidence costs; `false` if this minute's budget does not have it.
    pub(super) fn take(&self, evidence_bytes: u64, now: u64) -> bool {
        let cost = evidence_bytes.saturating_add(STATEMENT_BYTES);
        let interval = now / INTERVAL_S;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 != interval {
            *state = (interval, 0);
        }
        let spent = state.1.saturating_add(cost);
        let affordable = spent <= self.per_interval;
        if affordable {
            state.1 = spent;
        }
        affordable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_has_its_own_budget() {
        let quota = Quota::new(2 * STATEMENT_BYTES + 10);
        let taken =
            [(5, 60), (6, 61), (5, 119), (0, 119), (5, 120)].map(|(bytes, now)| quota.take(bytes, now));
        assert_eq!(taken, [true, false, true, false, true]);
    }
}
