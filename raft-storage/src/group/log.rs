//! One group's log as its owner uses it.

use std::sync::Arc;

use raft_core::bytes::Bytes;
use raft_core::{
    Entries, GroupId, LogIndex, LogStore, Persist, PersistId, Position, Recovered, SnapshotFailure,
    SnapshotMeta, SnapshotStore,
};

use super::reader::LogReader;
use crate::error::LogError;
use crate::format::batch::Request;
use crate::report::SnapshotLoss;
use crate::snapshot::shelf::Shelf;
use crate::state::registry::GroupLink;
use crate::writer::queue::Queued;
use crate::writer::shared::Shared;

/// The durable log of one group, and its snapshots; a [`LogStore`] and [`SnapshotStore`].
///
/// It belongs to one thread at a time; others read beside it with a [`LogReader`]. The
/// [`Wal`](crate::Wal) it comes from may be dropped or closed first; every call fails from then on.
#[derive(Debug)]
pub struct GroupLog {
    shared: Arc<Shared>,
    link: Arc<GroupLink>,
    failed: Option<LogError>,
    shelf: Shelf,
}

impl GroupLog {
    pub(crate) fn new(shared: Arc<Shared>, link: Arc<GroupLink>, shelf: Shelf) -> Self {
        Self { shared, link, failed: None, shelf }
    }

    /// Which group this is.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.link.id
    }

    /// A handle with which other threads read this log.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.shared), Arc::clone(&self.link))
    }

    /// Writes all that waits, of all groups, on this thread, and returns when it is durable.
    ///
    /// # Errors
    ///
    /// If a write or sync of the log fails or has failed; [`NoRoom`](LogError::NoRoom) if the medium is
    /// full, after which the log goes on. What becomes of snapshots,
    /// [`poll_snapshot`](SnapshotStore::poll_snapshot) tells.
    pub fn flush_now(&mut self) -> Result<(), LogError> {
        let flushed = self.sticky(|log| log.shared.flush_now());
        self.shelf.work();
        flushed
    }

    /// The snapshots that [`recover_snapshot`](SnapshotStore::recover_snapshot) found damaged and
    /// passed over, because another one or the log makes up for them (F6). Worth an operator's look.
    #[must_use]
    pub fn snapshot_losses(&self) -> &[SnapshotLoss] {
        self.shelf.losses()
    }

    /// Does what may fail; the first error is every later call's answer, but for a lack of room.
    fn sticky<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let outcome = work(self);
        match &outcome {
            Ok(_) | Err(LogError::NoRoom(_)) => {}
            Err(error) => self.failed = Some(error.clone()),
        }
        outcome
    }
}

impl LogStore for GroupLog {
    type Error = LogError;

    fn recover(&mut self) -> Result<Recovered, LogError> {
        self.sticky(|log| {
            log.shared.check()?;
            Ok(log.link.view().recovered())
        })
    }

    fn persist(&mut self, request: Persist) -> Result<(), LogError> {
        self.sticky(|log| {
            log.shared.check()?;
            let Persist { id, mark, truncate_from, entries, hard_state } = request;
            let request = Request { mark, truncate_from, entries, hard_state };
            let limits = &log.shared.limits;
            let admitted = log.link.view().admit(log.link.id, id, request, limits.record_bytes_max);
            let (request, record_bytes) = admitted?;
            log.shared.submit(Queued { group: Arc::clone(&log.link), request, record_bytes })?;
            if limits.flushes_on_persist { log.shared.flush() } else { Ok(()) }
        })
    }

    fn poll_persisted(&mut self) -> Result<Option<PersistId>, LogError> {
        self.sticky(|log| {
            if log.shared.limits.flushes_on_persist && log.shared.queue.is_held() {
                // Nobody else tries whether there is room by now.
                log.shared.flush()?;
            }
            // What became durable before a failure is still worth knowing, so look first.
            let news = log.link.view().take_news();
            match news {
                Some(id) => Ok(Some(id)),
                None => log.shared.check().map(|()| None),
            }
        })
    }

    fn load(&mut self, first: LogIndex, end: LogIndex, bytes_max: usize) -> Result<Vec<Entries>, LogError> {
        self.sticky(|log| log.shared.load(&log.link, first, end, bytes_max))
    }
}

impl SnapshotStore for GroupLog {
    fn recover_snapshot(&mut self) -> Result<Option<SnapshotMeta>, LogError> {
        self.sticky(|log| {
            log.shared.check()?;
            let mark = log.link.view().mark_position();
            log.shelf.recover(mark)
        })
    }

    fn begin_snapshot(&mut self, last: Position) {
        self.shelf.begin(last);
    }

    fn write_snapshot(&mut self, piece: Bytes) {
        self.shelf.write(piece);
    }

    fn snapshot_room(&self) -> usize {
        self.shelf.room()
    }

    fn finish_snapshot(&mut self, meta: SnapshotMeta) {
        self.shelf.finish(meta);
    }

    fn abort_snapshot(&mut self) {
        self.shelf.abort();
    }

    fn poll_snapshot(&mut self) -> Option<Result<SnapshotMeta, SnapshotFailure<LogError>>> {
        self.shelf.poll()
    }

    fn read_snapshot(
        &mut self,
        last: Position,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, LogError> {
        self.shared.check()?;
        self.shelf.read(last, offset, bytes_max)
    }
}
