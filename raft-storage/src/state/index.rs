//! Where a group's entries are on the medium: one small slot per batch.

use std::collections::VecDeque;

use raft_core::{EntryKind, LogIndex, Run, Term};

use crate::format::batch::BatchPlace;
use crate::format::segment::SegmentSeq;

/// Where one record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordPlace {
    pub(crate) segment: SegmentSeq,
    pub(crate) offset: u32,
    pub(crate) byte_count: u32,
}

/// Says that the records of a segment from an offset on go to another one, in the same order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) from: SegmentSeq,
    pub(crate) from_offset: u32,
    pub(crate) to: SegmentSeq,
    pub(crate) to_offset: u32,
}

/// One batch. It reaches to the next slot's first entry, or to the end of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) first: LogIndex,
    pub(crate) term: Term,
    pub(crate) place: RecordPlace,
    /// Which of the record's batches.
    pub(crate) part: u16,
    pub(crate) kind: EntryKind,
}

/// The batches of a group in the order of the log, without a gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    slots: VecDeque<Slot>,
    last: LogIndex,
}

impl Index {
    /// Adds a batch behind the last one; `false`, and nothing changes, if that leaves a gap.
    pub(crate) fn push(&mut self, first: LogIndex, last: LogIndex, slot: Slot) -> bool {
        if !self.slots.is_empty() && first != self.last.next() {
            return false;
        }
        self.slots.push_back(slot);
        self.last = last;
        true
    }

    /// Adds a batch that recovery found.
    pub(crate) fn push_found(&mut self, batch: &BatchPlace, place: RecordPlace, part: u16) -> bool {
        let slot = Slot { first: batch.first, term: batch.term, place, part, kind: batch.kind };
        self.push(batch.first, batch.last, slot)
    }

    /// Drops entries from this one on.
    pub(crate) fn truncate_from(&mut self, from: LogIndex) {
        while self.slots.back().is_some_and(|slot| slot.first >= from) {
            self.slots.pop_back();
        }
        if self.last >= from {
            self.last = from.prev();
        }
    }

    /// Drops batches that end at or before this one.
    pub(crate) fn drop_to(&mut self, index: LogIndex) {
        while self.slots.get(1).is_some_and(|second| second.first <= index.next()) {
            self.slots.pop_front();
        }
        if self.last <= index {
            self.slots.clear();
        }
    }

    /// Changes the place of batches that move.
    pub(crate) fn relocate(&mut self, how: Move) {
        let moves = |slot: &&mut Slot| slot.place.segment == how.from && slot.place.offset >= how.from_offset;
        for slot in self.slots.iter_mut().rev().take_while(moves) {
            slot.place.segment = how.to;
            slot.place.offset = slot.place.offset - how.from_offset + how.to_offset;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn first_slot(&self) -> Option<&Slot> {
        self.slots.front()
    }

    pub(crate) fn last_slot(&self) -> Option<&Slot> {
        self.slots.back()
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
        self.slots.get(self.slot_of(index)?).map(|slot| slot.term)
    }

    /// Where the slot stands that holds an entry of the index.
    pub(crate) fn position_of(&self, index: LogIndex) -> usize {
        self.slot_of(index).unwrap_or(0)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    pub(crate) fn slot(&self, at: usize) -> Option<&Slot> {
        self.slots.get(at)
    }

    /// Entries behind `mark` as runs of one term and kind.
    pub(crate) fn runs_behind(&self, mark: LogIndex) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (at, slot) in self.slots.iter().enumerate() {
            let last = self.slots.get(at + 1).map_or(self.last, |next| next.first.prev());
            match runs.last_mut() {
                Some(run) if run.term == slot.term && run.kind == slot.kind => run.last = last,
                _ => runs.push(Run { first: slot.first, last, term: slot.term, kind: slot.kind }),
            }
        }
        runs.retain_mut(|run| {
            run.first = run.first.max(mark.next());
            run.first <= run.last
        });
        runs
    }

    /// Which slot holds an entry that is not past the end.
    ///
    /// Batches mostly are of much the same size, so the place where it would be if all were is near.
    /// From there the search widens; each step that it is spared is a miss of the processor's cache.
    fn slot_of(&self, index: LogIndex) -> Option<usize> {
        let begin = self.slots.front().filter(|first| first.first <= index)?.first.get();
        let (count, entries) = (self.slots.len() as u64, (self.last.get() + 1).saturating_sub(begin));
        let before = u128::from(index.get() - begin) * u128::from(count) / u128::from(entries.max(1));
        let guess = usize::try_from(before).unwrap_or(usize::MAX).min(self.slots.len() - 1);
        let is_at_or_behind = |at: usize| self.slots[at].first <= index;
        let (mut low, mut high, mut step) = (guess, guess + 1, 1);
        while !is_at_or_behind(low) {
            (low, high, step) = (low.saturating_sub(step), low, step * 2);
        }
        while high < self.slots.len() && is_at_or_behind(high) {
            (low, high, step) = (high, high.saturating_add(step).min(self.slots.len()), step * 2);
        }
        // The slot is at `low` or behind it, and before `high`.
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

    /// Every search gives what looking at every slot gives.
    #[test]
    fn the_slot_of_an_entry_is_found_whatever_the_sizes_of_batches() {
        for sizes in [vec![1; 40], vec![1000, 1, 1, 1, 1, 1], vec![1, 1, 1, 1, 5000], (1..60).collect()] {
            let (mut index, mut next) = (Index::default(), 7);
            for size in sizes {
                let (first, last) = (LogIndex::new(next), LogIndex::new(next + size - 1));
                let place = RecordPlace { segment: 1, offset: 0, byte_count: 0 };
                let slot = Slot { first, term: Term::new(1), place, part: 0, kind: EntryKind::Command };
                assert!(index.push(first, last, slot));
                next += size;
            }
            for at in (0..next).map(LogIndex::new) {
                let expected = index.slots.iter().rposition(|slot| slot.first <= at);
                assert_eq!(index.slot_of(at), expected, "{at}");
            }
        }
    }
}
