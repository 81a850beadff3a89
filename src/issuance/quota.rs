//! How many refusals of evidence that costs nothing to present are logged in a minute.
//!
//! Anybody may ask for a challenge, and garbage costs nothing to make; each refusal costs two entries and the evidence
//! that it keeps. Genuine evidence that was made for us takes a platform, and is never under this quota.

use std::sync::{Mutex, PoisonError};

const INTERVAL_S: u64 = 60;

/// A count that starts again every minute.
pub(super) struct Quota {
    per_interval: u32,
    // Which minute, and how many in it.
    state: Mutex<(u64, u32)>,
}

impl Quota {
    pub(super) fn new(per_interval: u32) -> Self {
        Self { per_interval, state: Mutex::default() }
    }

    /// Takes one; `false` if this minute's are used up.
    pub(super) fn take(&self, now: u64) -> bool {
        let interval = now / INTERVAL_S;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 != interval {
            *state = (interval, 0);
        }
        let free = state.1 < self.per_interval;
        state.1 += u32::from(free);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_has_its_own_count() {
        let quota = Quota::new(2);
        assert_eq!(
            [60, 61, 119, 120, 121, 122].map(|now| quota.take(now)),
            [true, true, false, true, true, false]
        );
    }
}
