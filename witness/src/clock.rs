//! The one place where time is read. Everything else takes it as an argument.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Gives the time in unix seconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The system's clock. Before 1970 it gives 0, which no witness signs.
pub fn system() -> Clock {
    Arc::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock of the witness, the only reader of time"
        )]
        let now = SystemTime::now();
        now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    })
}

/// A time that never goes back, for measuring: it says nothing about the date.
pub fn monotonic() -> Instant {
    Instant::now()
}
