//! Applies records in the order of the log and so rebuilds the state of every group.

use std::collections::BTreeMap;

use raft_core::GroupId;

use super::scan::Record;
use crate::error::{Damage, OpenError};
use crate::files::segment::Segment;
use crate::format::batch::Decoded;
use crate::format::record::RecordKind;
use crate::state::group::GroupState;
use crate::state::index::{Move, RecordPlace};

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

    /// Applies a record.
    pub(crate) fn apply(&mut self, segment: &Segment, record: &Record, body: &[u8]) -> Result<(), OpenError> {
        self.try_apply(segment, record, body).map_err(|damage| OpenError::Damaged {
            path: segment.path().clone(),
            offset: u64::from(record.offset),
            damage,
        })
    }

    fn try_apply(&mut self, segment: &Segment, record: &Record, body: &[u8]) -> Result<(), Damage> {
        match record.header.kind {
            RecordKind::Link | RecordKind::Seal => return Ok(()),
            RecordKind::Batch => {}
        }
        let place =
            RecordPlace { segment: segment.seq, offset: record.offset, byte_count: record.byte_count };
        let decoded = Decoded::decode(&record.header, body).ok_or(Damage::Content)?;
        let group = GroupId::new(record.header.group);
        self.records += 1;
        self.groups.entry(group).or_default().apply(group, decoded, place, self.floating)
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
