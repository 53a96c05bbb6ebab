//! The terms of the whole retained log, as runs: a few words per election, not per entry.

use alloc::collections::VecDeque;

use crate::words::ids::{LogIndex, Position, Term};

/// Which term each retained entry has.
#[derive(Clone, Debug, Hash)]
pub(super) struct Runs {
    /// First index and term of each run; terms rise, indexes rise.
    runs: VecDeque<(LogIndex, Term)>,
    last: LogIndex,
}

impl Runs {
    /// A log that begins behind `mark`. The mark itself is kept as the first run.
    pub(super) fn new(mark: Position) -> Self {
        Self { runs: VecDeque::from([(mark.index, mark.term)]), last: mark.index }
    }

    /// Adds entries up to `last` of one term.
    pub(super) fn extend(&mut self, last: LogIndex, term: Term) {
        assert!(last > self.last, "run up to {last} behind {}", self.last);
        if self.last_term() != term {
            assert!(term >= self.last_term(), "term {term} behind {}", self.last_term());
            self.runs.push_back((self.last.next(), term));
        }
        self.last = last;
    }

    /// Drops entries from `from` on; the mark stays.
    pub(super) fn truncate(&mut self, from: LogIndex) {
        while self.runs.len() > 1 && self.runs.back().is_some_and(|run| run.0 >= from) {
            self.runs.pop_back();
        }
        self.last = from.prev();
    }

    /// The log begins behind `mark`, which it holds, from now on.
    pub(super) fn compact(&mut self, mark: Position) {
        while self.runs.get(1).is_some_and(|run| run.0 <= mark.index) {
            self.runs.pop_front();
        }
        self.runs[0] = (mark.index, mark.term);
    }

    /// The last index that is noted.
    pub(super) fn last(&self) -> LogIndex {
        self.last
    }

    pub(super) fn last_term(&self) -> Term {
        self.runs.back().expect("the mark's run is never dropped").1
    }

    /// The term at `index`, the mark's included.
    #[inline]
    pub(super) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index > self.last {
            return None;
        }
        let (first, term) = *self.runs.back().expect("the mark's run is never dropped");
        if index >= first {
            return Some(term);
        }
        self.run_at(index).map(|at| self.runs[at].1)
    }

    /// The first index from `first` to `last` whose term is not `term`, or that does not exist.
    pub(super) fn first_mismatch(&self, first: LogIndex, last: LogIndex, term: Term) -> Option<LogIndex> {
        if self.term_at(first) != Some(term) {
            return Some(first);
        }
        let at = self.run_at(first)?;
        let end = self.runs.get(at + 1).map_or(self.last.next(), |run| run.0);
        (end <= last).then_some(end)
    }

    /// The highest position not above `bound.index` whose term is not above `bound.term`.
    ///
    /// Raft §5.3 calls for one step per term when logs differ: whatever the other log holds above
    /// this position cannot match.
    pub(super) fn highest_within(&self, bound: Position) -> Position {
        let index = bound.index.min(self.last);
        let mut at = self.run_at(index).unwrap_or(0);
        if self.runs[at].1 <= bound.term {
            return Position::new(self.runs[at].1, index.max(self.runs[0].0));
        }
        while at > 0 {
            let end = self.runs[at].0.prev();
            at -= 1;
            if self.runs[at].1 <= bound.term {
                return Position::new(self.runs[at].1, end);
            }
        }
        Position::new(self.runs[0].1, self.runs[0].0)
    }

    /// Which run holds `index`.
    fn run_at(&self, index: LogIndex) -> Option<usize> {
        self.runs.partition_point(|run| run.0 <= index).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn log(mark: (u64, u64), terms: &[u64]) -> (Runs, Vec<(u64, u64)>) {
        let mark_position = Position::new(Term::new(mark.1), LogIndex::new(mark.0));
        let mut runs = Runs::new(mark_position);
        let mut plain = alloc::vec![mark];
        for (at, term) in terms.iter().enumerate() {
            let index = mark.0 + 1 + at as u64;
            runs.extend(LogIndex::new(index), Term::new(*term));
            plain.push((index, *term));
        }
        (runs, plain)
    }

    #[test]
    fn runs_answer_like_a_plain_list_of_terms() {
        let mut rng = crate::means::rng::Rng::new(7);
        for _ in 0..2000 {
            let mark = (u64::from(rng.between(0, 3)), 1);
            let mut term = 1;
            let terms: Vec<u64> = (0..rng.between(0, 12))
                .map(|_| {
                    term += u64::from(rng.between(0, 3) / 2);
                    term
                })
                .collect();
            let (mut runs, mut plain) = log(mark, &terms);
            if rng.between(0, 1) == 1 {
                let from = mark.0 + 1 + u64::from(rng.between(0, 12));
                if from <= plain.last().expect("mark").0 {
                    runs.truncate(LogIndex::new(from));
                    plain.retain(|(index, _)| *index < from);
                }
            }
            if rng.between(0, 1) == 1 {
                let at = rng.between(0, u32::try_from(plain.len() - 1).expect("short")) as usize;
                runs.compact(Position::new(Term::new(plain[at].1), LogIndex::new(plain[at].0)));
                plain.drain(..at);
            }
            let mark = plain[0];
            for index in mark.0..mark.0 + 15 {
                let expected = plain.iter().find(|entry| entry.0 == index).map(|entry| entry.1);
                assert_eq!(runs.term_at(LogIndex::new(index)).map(Term::get), expected);
                for bound in 1..=term {
                    let within = plain.iter().rev().find(|entry| entry.0 <= index && entry.1 <= bound);
                    let found = runs.highest_within(Position::new(Term::new(bound), LogIndex::new(index)));
                    let expected = within.unwrap_or(&plain[0]);
                    assert_eq!((found.index.get(), found.term.get()), *expected, "{plain:?}");
                    let mismatch = (index..index + 4).find(|at| {
                        plain.iter().find(|entry| entry.0 == *at).map(|entry| entry.1) != Some(bound)
                    });
                    let found =
                        runs.first_mismatch(LogIndex::new(index), LogIndex::new(index + 3), Term::new(bound));
                    assert_eq!(found.map(LogIndex::get), mismatch, "{plain:?}");
                }
            }
        }
    }
}
