//! Counts ticks by a clock that never goes back, and that goes on while the machine sleeps: what others
//! do meanwhile counts in their time (N18).

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// When the next tick is due.
#[derive(Debug)]
pub(super) struct Ticks {
    tick: Duration,
    next: Duration,
}

impl Ticks {
    /// The first tick is due when it has passed once.
    pub(super) fn new(tick: Duration) -> Self {
        Self { tick, next: now() + tick }
    }

    /// How many ticks have passed since they were taken last, however long ago that was.
    pub(super) fn take(&mut self) -> u32 {
        let Some(late) = now().checked_sub(self.next) else { return 0 };
        let ticks = late.as_nanos() / self.tick.as_nanos().max(1) + 1;
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        self.next += self.tick.saturating_mul(ticks);
        ticks
    }

    /// How long it takes until the next one.
    pub(super) fn until_next(&self) -> Duration {
        self.next.saturating_sub(now())
    }
}

fn now() -> Duration {
    let time = clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).expect("the time since the machine's start is not negative");
    let nanoseconds = u32::try_from(time.tv_nsec).expect("less than a second");
    Duration::new(seconds, nanoseconds)
}

/// Linux stops its monotonic clock while it sleeps, and has another one that goes on.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tick_is_taken_once_however_late() {
        let mut ticks = Ticks::new(Duration::from_secs(1));
        assert_eq!(ticks.take(), 0);
        assert!(ticks.until_next() <= Duration::from_secs(1));
        // As if the process had slept; the machine has been up for that long.
        ticks.next -= Duration::from_millis(5500);
        let missed = ticks.take();
        assert!(missed >= 5, "{missed}");
        assert_eq!(ticks.take(), 0);
        assert!(ticks.until_next() <= Duration::from_secs(1));
    }
}
