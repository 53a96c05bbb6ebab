//! What the core wants done.

use alloc::boxed::Box;

use super::batches::Batches;
use super::ids::{ForwardId, LoadId, LogIndex, Position, ReadId};
use super::message::{InstallSnapshot, Message, Refusal, SnapshotMeta};
use super::notice::Notice;
use super::persist::{Persist, SnapshotMark};

/// One thing to do. Carry actions out in the order they come; nothing needs to be waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Action {
    /// Send this; it may leave at once.
    Send(Message),
    /// Make this durable, then call `persisted`.
    Persist(Persist),
    /// Apply these committed entries in order, then call `applied`.
    Apply(Batches),
    /// Read these entries from the log, then call `loaded`.
    Load(Load),
    /// Take a snapshot of the state as it is when everything before in this order is applied; once
    /// it is durable, call `snapshot_stored`, or `snapshot_failed`. A witness has no state, and takes
    /// a hollow one.
    TakeSnapshot(SnapshotMark),
    /// Read these bytes of a snapshot of this node's, then call `chunk_loaded`, or
    /// `chunk_unavailable`.
    LoadChunk(ChunkLoad),
    /// Write this chunk of the leader's snapshot behind those before, then call `snapshot_written`.
    /// The chunk at offset zero begins the snapshot anew, and takes the place of one that is being
    /// taken. When the last one is written and the whole state has the checksum that its meta names,
    /// make it durable and call `snapshot_stored`; if not, `snapshot_failed`.
    StoreChunk(Box<InstallSnapshot>),
    /// Replace the state by this snapshot, which is stored, then call `applied` with its index. A
    /// hollow one replaces nothing.
    RestoreSnapshot(SnapshotMeta),
    /// Reads up to `up_to` may be served as soon as everything up to `index` is applied.
    ReadReady {
        /// The last read this covers.
        up_to: ReadId,
        /// What they must see.
        index: LogIndex,
    },
    /// Reads up to `up_to` that are not ready yet will not be; ask again.
    ReadRefused {
        /// The last read this covers.
        up_to: ReadId,
    },
    /// What became of proposals sent on to the leader.
    Forwarded {
        /// The first of them.
        first: ForwardId,
        /// How many, consecutive.
        count: u32,
        /// What became of them.
        result: ForwardResult,
    },
    /// For logs, metrics and tests.
    Notice(Notice),
}

/// What became of forwarded proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardResult {
    /// The leader appended them, the first one here, the others right behind.
    Appended(Position),
    /// The leader did not take them: they will never be applied.
    Refused(Refusal),
    /// No answer will come: they may or may not be applied.
    Unknown,
}

/// A range of the log to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Load {
    /// Names the request.
    pub id: LoadId,
    /// The first entry wanted.
    pub first: LogIndex,
    /// Behind the last entry wanted.
    pub end: LogIndex,
    /// Stop before the payloads pass this many bytes, but give at least one entry.
    pub bytes_max: usize,
}

/// A part of a snapshot to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkLoad {
    /// Names the request.
    pub id: LoadId,
    /// Which snapshot: that of everything up to here.
    pub last: Position,
    /// Where to begin, in bytes.
    pub offset: u64,
    /// How many bytes at most; at least one is there.
    pub bytes_max: usize,
}
