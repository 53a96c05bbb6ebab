//! Where a group's entries are on the medium: one extent per batch, or several of a large one.

use std::collections::VecDeque;

use raft_core::{LogIndex, Run, Term};

use crate::format::extent::Extent;
use crate::format::segment::SegmentSeq;

/// Says that the records of a segment from an offset on go to another one, in the same order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) from: SegmentSeq,
    pub(crate) from_offset: u32,
    pub(crate) to: SegmentSeq,
    pub(crate) to_offset: u32,
}

/// The entries of a group in the order of the log, without a gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    extents: VecDeque<Extent>,
    last: LogIndex,
}

impl Index {
    /// Adds entries behind the last one, from `first` to `last`; `false`, and nothing changes, if that
    /// leaves a gap.
    pub(crate) fn push(&mut self, first: LogIndex, last: LogIndex, extents: &[Extent]) -> bool {
        let follows = self.extents.is_empty() || first == self.last.next();
        if !follows || extents.first().is_none_or(|extent| extent.first > first) {
            return false;
        }
        self.extents.extend(extents);
        self.last = last;
        true
    }

    /// Drops entries from this one on.
    pub(crate) fn truncate_from(&mut self, from: LogIndex) {
        while self.extents.back().is_some_and(|extent| extent.first >= from) {
            self.extents.pop_back();
        }
        if self.last >= from {
            self.last = from.prev();
        }
    }

    /// Drops extents that end at or before this one.
    pub(crate) fn drop_to(&mut self, index: LogIndex) {
        while self.extents.get(1).is_some_and(|second| second.first <= index.next()) {
            self.extents.pop_front();
        }
        if self.last <= index {
            self.extents.clear();
        }
    }

    /// Changes the place of records that move.
    pub(crate) fn relocate(&mut self, how: Move) {
        let moves = |extent: &&mut Extent| extent.segment == how.from && extent.offset >= how.from_offset;
        for extent in self.extents.iter_mut().rev().take_while(moves) {
            extent.segment = how.to;
            extent.offset = extent.offset - how.from_offset + how.to_offset;
        }
    }

    /// A copy of the part that has the entries from `first` on and before `end`, or the first `bytes_max`
    /// bytes of them; and whether that is all of them that are here.
    pub(crate) fn stretch(&self, first: LogIndex, end: LogIndex, bytes_max: usize) -> (Self, bool) {
        let from = self.extent_of(first).filter(|_| first <= self.last).unwrap_or(self.extents.len());
        let is_wanted = |at: usize| self.extents.get(at).is_some_and(|extent| extent.first < end);
        let (mut to, mut bytes) = (from, 0);
        while is_wanted(to) && bytes <= bytes_max {
            // What comes before `first` counts for nothing.
            bytes += if to == from { 0 } else { self.extents[to].byte_count as usize };
            to += 1;
        }
        let last = self.extents.get(to).map_or(self.last, |next| next.first.prev());
        let extents = self.extents.range(from..to).copied().collect();
        (Self { extents, last }, !is_wanted(to))
    }

    /// Changes the place of all entries.
    pub(crate) fn replace(&mut self, extents: impl Iterator<Item = Extent>) {
        self.extents.clear();
        self.extents.extend(extents);
    }

    pub(crate) fn clear(&mut self) {
        self.extents.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    pub(crate) fn first_extent(&self) -> Option<&Extent> {
        self.extents.front()
    }

    pub(crate) fn last_extent(&self) -> Option<&Extent> {
        self.extents.back()
    }

    /// The last entry; only meaningful if there is one.
    pub(crate) fn last(&self) -> LogIndex {
        self.last
    }

    /// The term of an entry, if it is here.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index > self.last {
            return None;
        }
        self.extents.get(self.extent_of(index)?).map(|extent| extent.term)
    }

    /// Which extent holds an entry of the index, counted from the first.
    pub(crate) fn position_of(&self, index: LogIndex) -> usize {
        self.extent_of(index).unwrap_or(0)
    }

    pub(crate) fn extents(&self) -> impl Iterator<Item = &Extent> {
        self.extents.iter()
    }

    pub(crate) fn extent(&self, at: usize) -> Option<&Extent> {
        self.extents.get(at)
    }

    /// Entries behind `mark` as runs of one term and kind.
    pub(crate) fn runs_behind(&self, mark: LogIndex) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (at, extent) in self.extents.iter().enumerate() {
            let last = self.extents.get(at + 1).map_or(self.last, |next| next.first.prev());
            let Extent { first, term, kind, .. } = *extent;
            match runs.last_mut() {
                Some(run) if run.term == term && run.kind == kind => run.last = last,
                _ => runs.push(Run { first, last, term, kind }),
            }
        }
        runs.retain_mut(|run| {
            run.first = run.first.max(mark.next());
            run.first <= run.last
        });
        runs
    }

    /// Which extent holds an entry that is not past the end.
    ///
    /// Extents mostly are of much the same size, so the place where it would be if all were is near.
    /// From there the search widens; each step that it is spared is a miss of the processor's cache.
    fn extent_of(&self, index: LogIndex) -> Option<usize> {
        let begin = self.extents.front().filter(|first| first.first <= index)?.first.get();
        let (count, entries) = (self.extents.len() as u64, (self.last.get() + 1).saturating_sub(begin));
        let before = u128::from(index.get() - begin) * u128::from(count) / u128::from(entries.max(1));
        let guess = usize::try_from(before).unwrap_or(usize::MAX).min(self.extents.len() - 1);
        let is_at_or_behind = |at: usize| self.extents[at].first <= index;
        let (mut low, mut high, mut step) = (guess, guess + 1, 1);
        while !is_at_or_behind(low) {
            (low, high, step) = (low.saturating_sub(step), low, step * 2);
        }
        while high < self.extents.len() && is_at_or_behind(high) {
            (low, high, step) = (high, high.saturating_add(step).min(self.extents.len()), step * 2);
        }
        // The extent is at `low` or behind it, and before `high`.
        while high - low > 1 {
            let middle = low.midpoint(high);
            if is_at_or_behind(middle) { low = middle } else { high = middle }
        }
        Some(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(first: LogIndex) -> Extent {
        let (segment, term, kind) = (1, Term::new(1), raft_core::EntryKind::Command);
        Extent { first, term, segment, offset: 0, byte_count: 1, crc_before: 0, crc_behind: 0, kind }
    }

    /// Every search gives what looking at every extent gives.
    #[test]
    fn the_extent_of_an_entry_is_found_whatever_the_sizes_of_batches() {
        for sizes in [vec![1; 40], vec![1000, 1, 1, 1, 1, 1], vec![1, 1, 1, 1, 5000], (1..60).collect()] {
            let (mut index, mut next) = (Index::default(), 7);
            for size in sizes {
                let (first, last) = (LogIndex::new(next), LogIndex::new(next + size - 1));
                assert!(index.push(first, last, &[extent(first)]));
                next += size;
            }
            for at in (0..next).map(LogIndex::new) {
                let expected = index.extents.iter().rposition(|extent| extent.first <= at);
                assert_eq!(index.extent_of(at), expected, "{at}");
            }
        }
    }
}
