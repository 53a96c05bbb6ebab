//! Majorities: what a quorum has reached, and how a vote stands.
//!
//! A joint configuration is two of these, and both must agree (Raft §6); callers take the
//! minimum, or ask both.

use alloc::vec::Vec;

/// How a vote stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tally {
    Won,
    Lost,
    Pending,
}

impl Tally {
    /// The vote of a joint configuration: both must win, one suffices to lose.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Lost, _) | (_, Self::Lost) => Self::Lost,
            (Self::Won, Self::Won) => Self::Won,
            (Self::Pending, _) | (_, Self::Pending) => Self::Pending,
        }
    }
}

/// The highest value that a majority has reached or passed; `u64::MAX` without voters, so that an
/// absent outgoing configuration never binds.
pub(crate) fn reached(values: impl Iterator<Item = u64>) -> u64 {
    const INLINE: usize = 8;
    let mut inline = [0u64; INLINE];
    let mut spilled = Vec::new();
    let mut count = 0;
    for value in values {
        if count < INLINE {
            inline[count] = value;
        } else {
            if count == INLINE {
                spilled.extend_from_slice(&inline);
            }
            spilled.push(value);
        }
        count += 1;
    }
    let values = if count <= INLINE { &mut inline[..count] } else { &mut spilled[..] };
    if values.is_empty() {
        return u64::MAX;
    }
    values.sort_unstable();
    // A majority of n is n/2 + 1; that many values are at or above this one.
    values[(count - 1) / 2]
}

/// The highest value that voters of at least `domains_min` failure domains have reached or passed,
/// given each voter's domain and value.
///
/// Voters without a domain (zero) count for none. If there are fewer domains than asked for, all of
/// them are needed; without any, nothing binds and the result is `u64::MAX`.
pub(crate) fn reached_across(voters: impl Iterator<Item = (u64, u64)>, domains_min: u32) -> u64 {
    let mut best: Vec<(u64, u64)> = Vec::new();
    for (domain, value) in voters.filter(|(domain, _)| *domain != 0) {
        match best.iter_mut().find(|(known, _)| *known == domain) {
            Some((_, highest)) => *highest = value.max(*highest),
            None => best.push((domain, value)),
        }
    }
    best.sort_unstable_by_key(|(_, highest)| core::cmp::Reverse(*highest));
    let needed = best.len().min(domains_min as usize);
    needed.checked_sub(1).map_or(u64::MAX, |last| best[last].1)
}

/// The highest value that enough of these copies have reached or passed: all of them or, if they are
/// more, as many as make a majority of `voters`. Without copies, zero; without voters, `u64::MAX`,
/// so that an absent outgoing configuration never binds.
pub(crate) fn copied(copies: impl Iterator<Item = u64>, voters: usize) -> u64 {
    if voters == 0 {
        return u64::MAX;
    }
    let mut copies: Vec<u64> = copies.collect();
    copies.sort_unstable_by_key(|value| core::cmp::Reverse(*value));
    let needed = copies.len().min(voters / 2 + 1);
    needed.checked_sub(1).map_or(0, |last| copies[last])
}

/// How a vote stands, from each voter's answer, `None` if it did not answer yet.
pub(crate) fn tally(votes: impl Iterator<Item = Option<bool>>) -> Tally {
    let (mut voters, mut yes, mut no) = (0usize, 0usize, 0usize);
    for vote in votes {
        voters += 1;
        match vote {
            Some(true) => yes += 1,
            Some(false) => no += 1,
            None => {}
        }
    }
    let majority = voters / 2 + 1;
    if voters == 0 || yes >= majority {
        Tally::Won
    } else if no > voters - majority {
        Tally::Lost
    } else {
        Tally::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, taken literally: the highest value v such that more than half are >= v.
    fn reached_by_definition(values: &[u64]) -> u64 {
        let reached_by_majority =
            |v: &u64| values.iter().filter(|value| *value >= v).count() * 2 > values.len();
        values.iter().copied().filter(reached_by_majority).max().unwrap_or(u64::MAX)
    }

    #[test]
    fn reached_equals_its_definition() {
        let mut rng = crate::means::rng::Rng::new(1);
        for voters in 0..=20 {
            for _ in 0..2000 {
                let values: Vec<u64> = (0..voters).map(|_| rng.next() % 6).collect();
                assert_eq!(reached(values.iter().copied()), reached_by_definition(&values), "{values:?}");
            }
        }
    }

    #[test]
    fn reached_across_equals_its_definition() {
        let mut rng = crate::means::rng::Rng::new(2);
        for _ in 0..20_000 {
            let count = rng.between(0, 7);
            let voters: Vec<(u64, u64)> = (0..count).map(|_| (rng.next() % 4, rng.next() % 6)).collect();
            let domains_min = rng.between(1, 4);
            let domains_at = |v: u64| {
                let mut domains: Vec<u64> = voters
                    .iter()
                    .filter(|(domain, value)| *domain != 0 && *value >= v)
                    .map(|voter| voter.0)
                    .collect();
                domains.sort_unstable();
                domains.dedup();
                domains.len()
            };
            let needed = domains_at(0).min(domains_min as usize);
            let expected = if needed == 0 {
                u64::MAX
            } else {
                (0..6).filter(|v| domains_at(*v) >= needed).max().unwrap_or(0)
            };
            assert_eq!(
                reached_across(voters.iter().copied(), domains_min),
                expected,
                "{voters:?} {domains_min}"
            );
        }
    }

    #[test]
    fn copied_equals_its_definition() {
        let mut rng = crate::means::rng::Rng::new(3);
        for _ in 0..20_000 {
            let voters = rng.between(0, 7);
            let count = if voters == 0 { 0 } else { rng.between(0, voters) };
            let voters = voters as usize;
            let copies: Vec<u64> = (0..count).map(|_| rng.next() % 6).collect();
            let found = copied(copies.iter().copied(), voters);
            // Whoever of all the copies, or of a majority, is left alone still has it.
            let holders = |v: u64| copies.iter().filter(|copy| **copy >= v).count();
            let is_safe = |v: u64| holders(v) == copies.len() || holders(v) * 2 > voters;
            let expected = match (voters, copies.len()) {
                (0, _) => u64::MAX,
                (_, 0) => 0,
                _ => (0..6).filter(|v| is_safe(*v)).max().unwrap_or(0),
            };
            assert_eq!(found, expected, "{copies:?} of {voters}");
        }
    }

    #[test]
    fn tally_equals_trying_every_way_the_missing_votes_can_fall() {
        for voters in 0..=6u32 {
            for code in 0..3u32.pow(voters) {
                let votes: Vec<Option<bool>> = (0..voters)
                    .map(|at| [None, Some(true), Some(false)][(code / 3u32.pow(at) % 3) as usize])
                    .collect();
                let wins = |missing: bool| {
                    let yes = votes.iter().filter(|vote| vote.unwrap_or(missing)).count();
                    voters == 0 || yes * 2 > votes.len()
                };
                let expected = match (wins(false), wins(true)) {
                    (true, _) => Tally::Won,
                    (false, false) => Tally::Lost,
                    (false, true) => Tally::Pending,
                };
                assert_eq!(tally(votes.iter().copied()), expected, "{votes:?}");
            }
        }
    }

    /// Raft §6: a joint vote is won, or lost, as soon as the missing votes cannot change that, in two
    /// halves that overlap in any way.
    #[test]
    fn a_joint_tally_equals_trying_every_way_the_missing_votes_can_fall() {
        const VOTERS: u32 = 5;
        let is_in = |half: u32, at: u32| half >> at & 1 == 1;
        for (outgoing, incoming) in (1..1 << VOTERS).flat_map(|a| (1..1 << VOTERS).map(move |b| (a, b))) {
            for code in 0..3u32.pow(VOTERS) {
                let vote = |at: u32| [None, Some(true), Some(false)][(code / 3u32.pow(at) % 3) as usize];
                let votes = |half| (0..VOTERS).filter(move |at| is_in(half, *at)).map(vote);
                let wins = |missing: bool| {
                    [outgoing, incoming].iter().all(|half| {
                        let yes = votes(*half).filter(|vote| vote.unwrap_or(missing)).count();
                        yes * 2 > votes(*half).count()
                    })
                };
                let expected = match (wins(false), wins(true)) {
                    (true, _) => Tally::Won,
                    (false, false) => Tally::Lost,
                    (false, true) => Tally::Pending,
                };
                let found = tally(votes(incoming)).and(tally(votes(outgoing)));
                assert_eq!(found, expected, "{outgoing:b}, {incoming:b}, votes {code}");
            }
        }
    }
}
