//! How long to wait before the next connection attempt.

use std::time::Duration;

/// Waits that double up to a cap, each drawn from the upper half of its range, so that nodes that
/// lost the same peer do not return in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max, next: min, random: seed }
    }

    /// The next wait.
    pub(crate) fn advance(&mut self) -> Duration {
        let full = self.next;
        self.next = full.saturating_mul(2).min(self.max);
        let half = u64::try_from(full.as_nanos() / 2).unwrap_or(u64::MAX);
        let jitter = self.draw() % half.saturating_add(1).max(1);
        full - Duration::from_nanos(jitter)
    }

    /// Begins again with the shortest wait.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    /// SplitMix64: enough to spread nodes in time, and reproducible.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(20);
    const MAX: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_cap_and_stay_in_the_upper_half() {
        let mut backoff = Backoff::new(MIN, MAX, 7);
        for attempt in 0..40 {
            let full = MIN.saturating_mul(1 << attempt.min(20)).min(MAX);
            let wait = backoff.advance();
            assert!(wait >= full / 2 && wait <= full, "attempt {attempt}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.advance() <= MIN);
    }

    #[test]
    fn same_seed_same_waits_other_seed_other_waits() {
        let waits = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            (0..8).map(|_| backoff.advance()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX, 0);
        assert!(backoff.advance() >= Duration::MAX / 2 - Duration::from_secs(u64::MAX / 1_000_000_000));
        let mut backoff = Backoff::new(Duration::from_nanos(1), Duration::from_nanos(1), 0);
        assert_eq!(backoff.advance(), Duration::from_nanos(1));
    }
}
