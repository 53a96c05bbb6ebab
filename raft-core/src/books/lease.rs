//! When a leader's rounds began: what a read lease is reckoned from (diss. §6.4.1).
//!
//! Does not know which round a quorum confirmed. That is counted anew for each read, in the
//! configurations that are in force then.

use alloc::collections::VecDeque;

/// The rounds that may still vouch for a leader.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Lease {
    /// Ticks since this leadership began.
    now: u64,
    /// The first round of each tick in which one began, and that tick, oldest first. Later rounds
    /// of the same tick vouch for no longer, and those that are too old vouch for nothing, so there
    /// is at most one for each tick of the lease.
    begun: VecDeque<(u64, u64)>,
}

impl Lease {
    /// Time passes.
    pub(crate) fn advance(&mut self, ticks: u32) {
        self.now += u64::from(ticks);
    }

    /// A round begins, which vouches for `lease_ticks`.
    pub(crate) fn begin(&mut self, round: u64, lease_ticks: u32) {
        let oldest = self.now.saturating_sub(u64::from(lease_ticks));
        while self.begun.pop_front_if(|(_, tick)| *tick < oldest).is_some() {}
        if lease_ticks > 0 && self.begun.back().is_none_or(|(_, tick)| *tick < self.now) {
            self.begun.push_back((round, self.now));
        }
    }

    /// No round that began so far vouches for anything any more.
    pub(crate) fn revoke(&mut self) {
        self.begun.clear();
    }

    /// Whether the newest round up to `confirmed` began at most `lease_ticks` ago.
    pub(crate) fn covers(&self, confirmed: u64, lease_ticks: u32) -> bool {
        let newest = self.begun.iter().rev().find(|(round, _)| *round <= confirmed);
        newest.is_some_and(|(_, tick)| self.now - tick <= u64::from(lease_ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N13: however many rounds begin, and however late one is confirmed, little is remembered.
    #[test]
    fn no_more_rounds_are_remembered_than_the_lease_has_ticks() {
        let mut lease = Lease::default();
        for round in 1..=10_000 {
            if round % 3 == 0 {
                lease.advance(1);
            }
            lease.begin(round, 5);
            assert!(lease.begun.len() <= 6, "{lease:?}");
        }
        assert!(lease.covers(10_000, 5) && !lease.covers(9_900, 5));
    }
}
