//! Applies records in the order of the log and so rebuilds the state of every group.

use std::collections::BTreeMap;

use raft_core::GroupId;

use super::reader::{Piece, Request};
use super::scan::Record;
use crate::error::{Damage, OpenError};
use crate::files::segment::Segment;
use crate::state::group::GroupState;
use crate::state::index::Move;

/// The groups as far as records have been applied.
#[derive(Debug)]
pub(crate) struct Replay {
    groups: BTreeMap<GroupId, GroupState>,
    /// Whether the log's beginning is gone.
    floating: bool,
    records: u64,
}

impl Replay {
    pub(crate) fn new(floating: bool) -> Self {
        Self { groups: BTreeMap::new(), floating, records: 0 }
    }

    /// Applies requests.
    pub(crate) fn apply(&mut self, segment: &Segment, piece: Piece) -> Result<(), OpenError> {
        piece.show(|Request { group, offset, decoded, last, .. }, extents| {
            self.records += 1;
            let state = self.groups.entry(group).or_default();
            let applied = state.apply(group, segment.seq, decoded, extents, last, self.floating);
            applied.map_err(|damage| OpenError::damaged(segment.path(), offset.into(), damage))
        })
    }

    /// Applies one record.
    pub(crate) fn apply_record(
        &mut self,
        segment: &Segment,
        record: &Record,
        body: &[u8],
    ) -> Result<(), OpenError> {
        let mut piece = Piece::default();
        piece.push(segment, record, body)?;
        self.apply(segment, piece)
    }

    /// Notes that records will be found elsewhere.
    pub(crate) fn relocate(&mut self, how: Move) {
        for state in self.groups.values_mut() {
            state.index.relocate(how);
        }
    }

    /// Checks every group once all records are applied.
    pub(crate) fn check(&self) -> Result<(), Damage> {
        self.groups.iter().try_for_each(|(id, state)| state.check(*id))
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    pub(crate) fn into_groups(self) -> BTreeMap<GroupId, GroupState> {
        self.groups
    }
}
