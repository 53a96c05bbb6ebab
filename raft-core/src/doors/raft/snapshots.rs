//! Snapshots of the bare state machine: asked for, taken, stored, sent.

use raft_proto::bytes::Bytes;

use super::Raft;
use crate::words::error::SnapshotError;
use crate::words::ids::{LoadId, Position};
use crate::words::message::SnapshotMeta;

impl Raft {
    /// Takes a snapshot of the state as soon as may be, whatever the policy says;
    /// [`Action::TakeSnapshot`] follows.
    ///
    /// # Errors
    ///
    /// If one is under way already, or there is nothing new to take one of.
    pub fn take_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.input().take_snapshot()
    }

    /// Asks the leader for a snapshot because the state of this node is lost, though its log is not.
    /// Until [`Action::RestoreSnapshot`] brings it, nothing is applied here, and this node does not
    /// campaign. If the group can elect nobody else, start this node anew instead: it then begins
    /// with its own last snapshot.
    ///
    /// # Errors
    ///
    /// If this node leads, or a snapshot is being restored already.
    pub fn request_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.input().request_snapshot()
    }

    /// A snapshot that was taken, or came from the leader, is durable.
    pub fn snapshot_stored(&mut self, meta: &SnapshotMeta) {
        self.input().snapshot_stored(meta);
    }

    /// The snapshot of everything up to `last` could not be taken or stored, or what came from the
    /// leader is not what its meta says.
    pub fn snapshot_failed(&mut self, last: Position) {
        self.input().snapshot_failed(last);
    }

    /// The store has taken so many bytes of the snapshot from the leader, counted from its beginning,
    /// and has room for more.
    pub fn snapshot_written(&mut self, last: Position, bytes: u64) {
        self.input().snapshot_written(last, bytes);
    }

    /// The bytes that [`Action::LoadChunk`] asked for.
    pub fn chunk_loaded(&mut self, id: LoadId, chunk: Bytes) {
        self.input().chunk_loaded(id, Some(chunk));
    }

    /// The bytes that [`Action::LoadChunk`] asked for cannot be read (any more).
    pub fn chunk_unavailable(&mut self, id: LoadId) {
        self.input().chunk_loaded(id, None);
    }
}
