//! One group's log as others read it, beside its owner.

use std::ops::RangeInclusive;
use std::sync::Arc;

use raft_core::{Entries, GroupId, LogIndex};

use crate::error::LogError;
use crate::state::registry::GroupLink;
use crate::writer::shared::Shared;

/// Reads a group's log beside its owner and beside any number of others: neither the owner nor the writer
/// waits while the medium is read.
///
/// It sees what the owner has asked for. Of that, entries that are not committed may be replaced later,
/// and those behind the newest [`PersistId`](raft_core::PersistId) reported may be lost in a crash.
#[derive(Clone, Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
    link: Arc<GroupLink>,
}

impl LogReader {
    pub(crate) fn new(shared: Arc<Shared>, link: Arc<GroupLink>) -> Self {
        Self { shared, link }
    }

    /// Which group this is.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.link.id
    }

    /// The entries that there are now; none if there are none behind the mark.
    ///
    /// # Errors
    ///
    /// If the log was closed or has failed.
    pub fn range(&self) -> Result<Option<RangeInclusive<LogIndex>>, LogError> {
        self.shared.check()?;
        Ok(self.link.view().range())
    }

    /// Reads the entries from `first` on and before `end`, as many as fit into `bytes_max` bytes of
    /// payloads with their lengths, but at least one; each is checked against its checksum.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](LogError::OutOfRange) if not all of them are there, also because they have just been
    /// compacted; if they cannot be read or verified (F13), or the log was closed or has failed.
    pub fn load(&self, first: LogIndex, end: LogIndex, bytes_max: usize) -> Result<Vec<Entries>, LogError> {
        self.shared.load(&self.link, first, end, bytes_max)
    }
}
