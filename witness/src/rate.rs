//! A token bucket: how often one log may ask, or one peer of the service. Pure: time is an argument.

use std::time::{Duration, Instant};

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once after a pause.
    pub burst: u32,
}

/// A bucket, full at first.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Rate,
    /// In millionths of a request, so that nothing is lost between two requests a microsecond apart.
    level: u64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, level: u64::from(rate.burst) * ONE, filled: now }
    }

    /// Takes one request's worth, or says how long until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        if let Some(left) = self.level.checked_sub(ONE) {
            self.level = left;
            return Ok(());
        }
        let missing = ONE - self.level;
        Err(Duration::from_micros(missing.div_ceil(u64::from(self.rate.per_second).max(1))))
    }

    /// Gives back what one request took: it does not count after all.
    pub fn give_back(&mut self) {
        self.level = self.level.saturating_add(ONE).min(u64::from(self.rate.burst) * ONE);
    }

    /// Whether it holds all that it can, as a new one does.
    pub fn is_full(&self, now: Instant) -> bool {
        let mut filled = *self;
        filled.fill(now);
        filled.level == u64::from(self.rate.burst) * ONE
    }

    fn fill(&mut self, now: Instant) {
        // A microsecond brings as many millionths as a second brings requests.
        let micros =
            u64::try_from(now.saturating_duration_since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let brought = micros.saturating_mul(u64::from(self.rate.per_second));
        self.level = self.level.saturating_add(brought).min(u64::from(self.rate.burst) * ONE);
        self.filled = self.filled.max(now);
    }
}

/// One request.
const ONE: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = crate::clock::monotonic();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket::new(Rate { per_second: 10, burst: 3 }, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(at(0)), Ok(()));
        }
        assert_eq!(bucket.take(at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(at(40)), Err(Duration::from_millis(60)));
        assert_eq!(bucket.take(at(100)), Ok(()));
        assert_eq!(bucket.take(at(50)), Err(Duration::from_millis(100)), "time does not go back");
        // In the long run the rate, whatever the steps in which time passes.
        let taken = (0..10_000).filter(|step| bucket.take(at(1_000 + step * 7)).is_ok()).count();
        assert_eq!(taken, 3 + 699);
        // And never more than the burst at once.
        assert_eq!((0..10).filter(|_| bucket.take(at(10_000_000)).is_ok()).count(), 3);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let start = crate::clock::monotonic();
        let mut bucket = Bucket::new(Rate { per_second: 10, burst: 1 }, start);
        assert!(bucket.is_full(start));
        assert_eq!(bucket.take(start), Ok(()));
        assert!(!bucket.is_full(start) && bucket.is_full(start + Duration::from_millis(100)));
        bucket.give_back();
        bucket.give_back();
        assert_eq!(bucket.take(start), Ok(()));
        assert!(bucket.take(start).is_err());
    }
}
