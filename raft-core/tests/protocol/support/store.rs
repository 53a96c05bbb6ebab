//! A store under a whole node: keeps everything in memory, and fails or dawdles when it is told to.

use raft_core::bytes::Bytes;
use raft_core::mem::{MemLog, MemLogError};
use raft_core::{
    Entries, LogIndex, LogStore, Persist, PersistId, Position, Recovered, SnapshotFailure, SnapshotMeta,
    SnapshotStore,
};

use super::make::{batch, index};

/// A store that fails, lies, or takes its time, when it is told to.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) log: MemLog,
    /// Requests fail.
    pub(crate) fails: bool,
    /// Entries are made up, and snapshots gone.
    pub(crate) lies: bool,
    /// There is no space for a snapshot.
    pub(crate) is_full: bool,
    /// Nothing more of a snapshot should be written for now.
    pub(crate) is_busy: bool,
    /// A snapshot failed and nobody asked yet.
    pub(crate) failed: Option<Position>,
}

impl Shelf {
    pub(crate) fn of(log: MemLog) -> Self {
        Self { log, ..Self::default() }
    }
}

impl LogStore for Shelf {
    type Error = MemLogError;

    fn recover(&mut self) -> Result<Recovered, MemLogError> {
        self.log.recover()
    }

    fn persist(&mut self, request: Persist) -> Result<(), MemLogError> {
        if self.fails { Err(MemLogError::Gap { first: index(0) }) } else { self.log.persist(request) }
    }

    fn poll_persisted(&mut self) -> Result<Option<PersistId>, MemLogError> {
        self.log.poll_persisted()
    }

    fn load(&mut self, first: LogIndex, end: LogIndex, max: usize) -> Result<Vec<Entries>, MemLogError> {
        if self.lies { Ok(vec![batch(9, first.get(), 1)]) } else { self.log.load(first, end, max) }
    }
}

impl SnapshotStore for Shelf {
    fn recover_snapshot(&mut self) -> Result<Option<SnapshotMeta>, MemLogError> {
        self.log.recover_snapshot()
    }

    fn begin_snapshot(&mut self, last: Position) {
        self.log.begin_snapshot(last);
    }

    fn write_snapshot(&mut self, piece: Bytes) {
        self.log.write_snapshot(piece);
    }

    fn snapshot_room(&self) -> usize {
        if self.is_busy { 0 } else { self.log.snapshot_room() }
    }

    fn finish_snapshot(&mut self, meta: SnapshotMeta) {
        if self.is_full {
            self.log.abort_snapshot();
            self.failed = Some(meta.last);
        } else {
            self.log.finish_snapshot(meta);
        }
    }

    fn abort_snapshot(&mut self) {
        self.log.abort_snapshot();
    }

    fn poll_snapshot(&mut self) -> Option<Result<SnapshotMeta, SnapshotFailure<MemLogError>>> {
        if let Some(last) = self.failed.take() {
            return Some(Err(SnapshotFailure { last, error: MemLogError::Missing { first: index(0) } }));
        }
        self.log.poll_snapshot()
    }

    fn read_snapshot(
        &mut self,
        last: Position,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, MemLogError> {
        if self.lies { Ok(None) } else { self.log.read_snapshot(last, offset, bytes_max) }
    }
}
