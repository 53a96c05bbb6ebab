//! A group's durable state as recovery builds it, record by record.

use raft_core::{GroupId, HardState, LogIndex, NewMark, NodeId, Position, Recovered, SnapshotMark, Term};

use super::index::Index;
use crate::error::Damage;
use crate::format::batch::Decoded;
use crate::format::extent::Extent;
use crate::format::segment::SegmentSeq;

/// One group's state and where it is on the medium.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupState {
    pub(crate) mark: Option<SnapshotMark>,
    pub(crate) hard_state: HardState,
    pub(crate) index: Index,
    /// The oldest segment that the mark and the hard state need.
    mark_segment: Option<SegmentSeq>,
    hard_state_segment: Option<SegmentSeq>,
}

impl GroupState {
    /// Applies one record, whose entries, if it has any, end with `last`.
    ///
    /// With `floating`, older segments are gone: the first records left may build on ones that no
    /// longer matter, so entries may begin anywhere. [`check`](Self::check) then tells whether the
    /// result is whole.
    pub(crate) fn apply(
        &mut self,
        group: GroupId,
        segment: SegmentSeq,
        record: Decoded,
        extents: &[Extent],
        last: LogIndex,
        floating: bool,
    ) -> Result<(), Damage> {
        if let Some(new) = record.mark {
            self.apply_mark(new);
            self.mark_segment = Some(segment);
        }
        if let Some(from) = record.truncate_from {
            self.index.truncate_from(from);
        }
        if let Some(Extent { first, .. }) = extents.first().copied() {
            let expected = self.last().index.next();
            let follows = first == expected || (floating && self.index.is_empty());
            if !follows || !self.index.push(first, last, extents) {
                return Err(Damage::Gap { group, expected, found: first });
            }
        }
        if let Some(state) = record.hard_state {
            if state.term < self.hard_state.term {
                return Err(Damage::StaleTerm { group, hard_state: state.term, last: self.hard_state.term });
            }
            if let Some(first) = vote_broken_by(self.hard_state, state) {
                return Err(Damage::VoteChanged { group, term: state.term, first, second: state.vote });
            }
            self.hard_state = state;
            self.hard_state_segment = Some(segment);
        }
        Ok(())
    }

    fn apply_mark(&mut self, new: NewMark) {
        if new.keeps_entries {
            self.index.drop_to(new.mark.last.index);
        } else {
            self.index.clear();
        }
        self.mark = Some(new.mark);
    }

    /// Checks what must hold once all records are applied.
    pub(crate) fn check(&self, group: GroupId) -> Result<(), Damage> {
        if let Some(first) = self.index.first_extent() {
            let expected = self.mark_position().index.next();
            if first.first > expected {
                return Err(Damage::Gap { group, expected, found: first.first });
            }
        }
        let last = self.last();
        if last.term > self.hard_state.term {
            return Err(Damage::StaleTerm { group, hard_state: self.hard_state.term, last: last.term });
        }
        if self.hard_state.commit > last.index {
            return Err(Damage::CommitPastEnd { group, commit: self.hard_state.commit, last: last.index });
        }
        Ok(())
    }

    /// The oldest segment with something that still matters.
    pub(crate) fn live_from(&self) -> Option<SegmentSeq> {
        let entries = self.index.first_extent().map(|extent| extent.segment);
        [self.mark_segment, self.hard_state_segment, entries].into_iter().flatten().min()
    }

    pub(crate) fn mark_position(&self) -> Position {
        self.mark.as_ref().map_or(Position::ZERO, |mark| mark.last)
    }

    /// The last entry, or the mark.
    pub(crate) fn last(&self) -> Position {
        match self.index.last_extent() {
            Some(extent) => Position::new(extent.term, self.index.last()),
            None => self.mark_position(),
        }
    }

    /// The term at a position that is in the log or is the mark.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        let mark = self.mark_position();
        if index == mark.index { Some(mark.term) } else { self.index.term_at(index) }
    }

    pub(crate) fn recovered(&self) -> Recovered {
        Recovered {
            hard_state: self.hard_state,
            mark: self.mark.clone(),
            runs: self.index.runs_behind(self.mark_position().index),
        }
    }
}

/// The vote that a later hard state takes back within its term, if it does (F17).
pub(crate) fn vote_broken_by(before: HardState, after: HardState) -> Option<NodeId> {
    before.vote.filter(|vote| after.term == before.term && after.vote != Some(*vote))
}
