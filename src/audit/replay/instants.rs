//! When an entry came into the log, as far as the log proves it.
//!
//! No entry of somebody else says when it was registered: it is that party's own octets. But the service's statements
//! around it say when they were made, each was made before it was appended, and none waits for longer than
//! [`MAX_WAIT_S`]. So what stands behind one of them was decided no more than that before it, and what stands before
//! one of them no more than that after it. Beyond the last of them there is the witnesses' time, or the reader's.

use std::ops::RangeInclusive;

use crate::clock;

/// How long a statement may have waited between its decision and its place in the log: nobody waits for an answer of
/// the service for longer than a minute.
pub const MAX_WAIT_S: u64 = 60;

/// The instants that the service named, around a point of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Around {
    /// The latest before it.
    pub(super) before: u64,
    /// The earliest after it.
    pub(super) after: u64,
}

impl Around {
    /// Between which instants the decision on the entry there was made; `None` if the service's clock contradicts
    /// itself.
    pub(super) fn interval(self) -> Option<RangeInclusive<u64>> {
        let interval = self.before.saturating_sub(MAX_WAIT_S)..=self.after.saturating_add(MAX_WAIT_S);
        (!interval.is_empty()).then_some(interval)
    }
}

/// For people.
pub(super) fn shown(interval: &RangeInclusive<u64>) -> String {
    format!("{} and {}", clock::rfc3339(*interval.start()), clock::rfc3339(*interval.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_between_its_neighbours_or_nowhere() {
        assert_eq!(Around { before: 1000, after: 1010 }.interval(), Some(940..=1070));
        // A statement may stand behind one that was made after it; not minutes after it.
        assert_eq!(Around { before: 1100, after: 1000 }.interval(), Some(1040..=1060));
        assert_eq!(Around { before: 1121, after: 1000 }.interval(), None);
        assert_eq!(Around { before: 0, after: u64::MAX }.interval(), Some(0..=u64::MAX));
    }
}
