//! The durable log, and the snapshots beside it, as the node needs them.

use alloc::vec::Vec;
use core::{error, fmt};

use raft_proto::bytes::Bytes;

use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, PersistId, Position};
use crate::words::message::SnapshotMeta;
use crate::words::persist::{Persist, Recovered};

/// A durable log of one group.
///
/// **Contract.** (1) [`recover`](Self::recover) is called first, and once. (2) What
/// [`persist`](Self::persist) was given takes effect at once for [`load`](Self::load), and in order
/// of the ids on the medium. (3) [`poll_persisted`](Self::poll_persisted) reports an id only when
/// that request and all before it survive a crash and a power cut. (4) After the first error every
/// later call fails: what a failed write left behind is unknown, so only reopening tells (F9).
///
/// `raft_core::conformance` (feature `sim`) tests a store against this contract.
///
/// ```
/// use raft_core::mem::MemLog;
/// use raft_core::{Entries, EntryKind, HardState, LogStore, Persist, PersistId, Position};
///
/// let mut log = MemLog::new();
/// let recovered = log.recover()?; // (1)
/// assert_eq!(recovered.last(), Position::ZERO);
/// let entries = Entries::single(Position::new(1.into(), 1.into()), EntryKind::Command, b"hello")?;
/// let hard_state = Some(HardState { term: 1.into(), ..HardState::default() });
/// let id = PersistId::new(1);
/// log.persist(Persist { id, mark: None, truncate_from: None, entries: entries.into(), hard_state })?;
/// let loaded = log.load(1.into(), 2.into(), 1 << 20)?; // (2)
/// assert_eq!(loaded[0].iter().next().expect("one entry").payload, b"hello");
/// assert_eq!(log.poll_persisted()?, Some(id)); // (3)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait LogStore {
    /// What can go wrong; carries enough for an operator to act on.
    type Error: error::Error + Send + Sync + 'static;

    /// What is there. All of it is durable when this returns (F10).
    ///
    /// # Errors
    ///
    /// If the medium fails or holds what cannot have been written so.
    fn recover(&mut self) -> Result<Recovered, Self::Error>;

    /// Takes a request and returns without waiting for the medium.
    ///
    /// # Errors
    ///
    /// If an earlier write failed.
    fn persist(&mut self, request: Persist) -> Result<(), Self::Error>;

    /// The newest request that is durable, if that is news; never waits.
    ///
    /// # Errors
    ///
    /// If a write failed: nothing after the last reported id may be relied upon.
    fn poll_persisted(&mut self) -> Result<Option<PersistId>, Self::Error>;

    /// Reads entries from `first` up to, not including, `end`: batches in order, cut so that
    /// they hold at most `bytes_max` bytes, but at least one entry.
    ///
    /// Durable or not, what was given to `persist` can be read. The range is within the log.
    ///
    /// # Errors
    ///
    /// If the entries cannot be read back exactly as they were written (F13).
    fn load(&mut self, first: LogIndex, end: LogIndex, bytes_max: usize)
    -> Result<Vec<Entries>, Self::Error>;
}

/// Keeps snapshots beside the log of one group.
///
/// **Contract.** (1) [`recover_snapshot`](Self::recover_snapshot) is called before
/// [`recover`](LogStore::recover), and once. (2) One snapshot is written at a time, front to back:
/// [`begin_snapshot`](Self::begin_snapshot), [`write_snapshot`](Self::write_snapshot) for each piece,
/// [`finish_snapshot`](Self::finish_snapshot). None of these waits for the medium; beginning another
/// one drops what is unfinished. (3) [`poll_snapshot`](Self::poll_snapshot) reports a finished one when
/// all of it survives a crash; from then on older ones may go, but one that reaches further never
/// gives way to it.
/// (4) A snapshot that could not be written leaves nothing behind and does not fail the log (F12).
///
/// ```
/// use raft_core::bytes::Bytes;
/// use raft_core::mem::MemLog;
/// use raft_core::{Membership, Position, SnapshotMeta, SnapshotStore, crc32c};
///
/// let mut store = MemLog::new();
/// assert_eq!(store.recover_snapshot()?, None); // (1)
/// let (last, membership) = (Position::new(1.into(), 9.into()), Membership::of_voters([1.into()])?);
/// store.begin_snapshot(last); // (2)
/// store.write_snapshot(Bytes::from_static(b"state"));
/// let meta = SnapshotMeta { last, membership, size: 5, crc32c: crc32c(b"state"), is_hollow: false };
/// store.finish_snapshot(meta.clone());
/// assert_eq!(store.poll_snapshot(), Some(Ok(meta))); // (3)
/// assert_eq!(store.read_snapshot(last, 2, 100)?.as_deref(), Some(&b"ate"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SnapshotStore: LogStore {
    /// The newest snapshot that is whole; `None` if there never was one.
    ///
    /// # Errors
    ///
    /// If a snapshot is damaged and no older one and the log together make up for it (F6).
    fn recover_snapshot(&mut self) -> Result<Option<SnapshotMeta>, Self::Error>;

    /// Begins to write the snapshot of everything up to `last`.
    fn begin_snapshot(&mut self, last: Position);

    /// Adds bytes behind those written so far.
    fn write_snapshot(&mut self, piece: Bytes);

    /// How many more bytes should be written before the next [`poll_snapshot`](Self::poll_snapshot);
    /// so a slow medium bounds what waits in memory.
    fn snapshot_room(&self) -> usize;

    /// All bytes were written: `meta` names them, their length and their checksum.
    fn finish_snapshot(&mut self, meta: SnapshotMeta);

    /// Drops the snapshot that is being written, if any.
    fn abort_snapshot(&mut self);

    /// What became of a snapshot, if that is news; never waits. `Err` if it could not be written;
    /// that is no failure of the log.
    fn poll_snapshot(&mut self) -> Option<Result<SnapshotMeta, SnapshotFailure<Self::Error>>>;

    /// Reads up to `bytes_max` bytes of the snapshot of everything up to `last`, from `offset` on;
    /// `None` if there is no such snapshot (any more). Fewer bytes than asked for may come, but none
    /// only at the end.
    ///
    /// # Errors
    ///
    /// If the bytes cannot be read exactly as they were written (S47). That is no failure of the log.
    fn read_snapshot(
        &mut self,
        last: Position,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, Self::Error>;
}

/// A snapshot that could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotFailure<E> {
    /// Which one: that of everything up to here.
    pub last: Position,
    /// Why.
    pub error: E,
}

impl<E: fmt::Display> fmt::Display for SnapshotFailure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no snapshot up to entry {}: {}", self.last.index, self.error)
    }
}

impl<E: error::Error + 'static> error::Error for SnapshotFailure<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}
