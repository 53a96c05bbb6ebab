//! What a node does for snapshots between its store and its state machine: a piece at a time, so that
//! neither a large state nor a slow disk holds up ticks and messages.

use alloc::boxed::Box;
use core::fmt;

use raft_proto::bytes::Bytes;
use raft_proto::crc32c_append;

use super::outcome::NodeError;
use super::raft::Raft;
use super::state_machine::{SnapshotPiece, SnapshotSource, StateMachine};
use super::store::{SnapshotFailure, SnapshotStore};
use crate::words::action::ChunkLoad;
use crate::words::ids::Position;
use crate::words::message::{InstallSnapshot, SnapshotMeta};
use crate::words::persist::SnapshotMark;

/// The snapshots that are being written and restored.
#[derive(Debug, Default)]
pub(super) struct SnapshotDesk {
    writing: Option<Writing>,
    /// Bytes of an incoming snapshot that the store took without having room for more; to be
    /// acknowledged when it has.
    owed: Option<(Position, u64)>,
    restoring: Option<Restoring>,
}

/// A snapshot on its way into the store. Only one is written at a time.
#[derive(Debug)]
struct Writing {
    mark: SnapshotMark,
    from: Source,
    size: u64,
    crc32c: u32,
}

enum Source {
    /// This node's own state machine.
    Machine(Box<dyn SnapshotSource>),
    /// This node is a witness.
    Nothing,
    /// The leader; so large and with this checksum in the end.
    Leader { size: u64, crc32c: u32, is_hollow: bool },
}

#[derive(Debug)]
struct Restoring {
    meta: SnapshotMeta,
    offset: u64,
}

/// Whether a piece of work was the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    Done,
}

impl SnapshotDesk {
    /// Begins to write a picture of the state machine; `None` says that it has none.
    pub(super) fn take<L: SnapshotStore>(
        &mut self,
        mark: SnapshotMark,
        source: Option<Box<dyn SnapshotSource>>,
        store: &mut L,
        raft: &mut Raft,
    ) {
        let source = if raft.is_witness() { Some(Source::Nothing) } else { source.map(Source::Machine) };
        match source {
            Some(source) => self.begin(mark, source, store),
            None => raft.snapshot_failed(mark.last),
        }
    }

    /// Gives the store a chunk from the leader.
    pub(super) fn store_chunk<L: SnapshotStore>(
        &mut self,
        install: InstallSnapshot,
        store: &mut L,
        raft: &mut Raft,
    ) {
        let InstallSnapshot {
            meta: SnapshotMeta { last, membership, size, crc32c, is_hollow },
            offset,
            chunk,
            ..
        } = install;
        if offset == 0 {
            let from = Source::Leader { size, crc32c, is_hollow };
            self.begin(SnapshotMark { last, membership }, from, store);
        }
        let Some(writing) = self.writing.as_mut().filter(|writing| writing.mark.last == last) else {
            // The beginning is gone; the leader is to send all of it again.
            return raft.snapshot_failed(last);
        };
        writing.push(chunk, store);
        let written = writing.size;
        if written == size {
            self.finish(store, raft);
        }
        if store.snapshot_room() > 0 {
            raft.snapshot_written(last, written);
        } else {
            self.owed = Some((last, written));
        }
    }

    /// Reads a chunk for a member.
    pub(super) fn load_chunk<L: SnapshotStore>(&mut self, load: ChunkLoad, store: &mut L, raft: &mut Raft) {
        match store.read_snapshot(load.last, load.offset, load.bytes_max) {
            Ok(Some(chunk)) => raft.chunk_loaded(load.id, chunk),
            // The core takes another snapshot and says so; why it could not be read, the store says.
            Ok(None) | Err(_) => raft.chunk_unavailable(load.id),
        }
    }

    /// The store tells what became of a snapshot.
    pub(super) fn on_stored<E>(&mut self, stored: Result<SnapshotMeta, SnapshotFailure<E>>, raft: &mut Raft) {
        match stored {
            Ok(meta) => raft.snapshot_stored(&meta),
            Err(SnapshotFailure { last, .. }) => {
                self.writing.take_if(|writing| writing.mark.last == last);
                raft.snapshot_failed(last);
            }
        }
    }

    /// Writes the next piece of this node's own snapshot, if there is room for it.
    pub(super) fn write_step<L: SnapshotStore>(&mut self, store: &mut L, raft: &mut Raft) {
        if store.snapshot_room() == 0 {
            return;
        }
        if let Some((last, written)) = self.owed.take() {
            raft.snapshot_written(last, written);
        }
        let Some(writing) = &mut self.writing else { return };
        let piece = match &mut writing.from {
            Source::Machine(source) => source.next_piece(PIECE_BYTES),
            Source::Nothing => None,
            Source::Leader { .. } => return,
        };
        match piece {
            Some(piece) => writing.push(piece, store),
            None => self.finish(store, raft),
        }
    }

    /// Begins to restore the state machine from a snapshot that the store has.
    pub(super) fn restore(&mut self, meta: SnapshotMeta) {
        self.restoring = Some(Restoring { meta, offset: 0 });
    }

    /// What is being restored.
    pub(super) fn restoring(&self) -> Option<Position> {
        self.restoring.as_ref().map(|restoring| restoring.meta.last)
    }

    /// Restores the next piece.
    pub(super) fn restore_step<L: SnapshotStore, S: StateMachine>(
        &mut self,
        store: &mut L,
        machine: &mut S,
    ) -> Result<Step, NodeError<L::Error>> {
        let Some(Restoring { meta, offset }) = &mut self.restoring else { return Ok(Step::Done) };
        if meta.is_hollow {
            self.restoring = None;
            return Ok(Step::Done);
        }
        let read = store.read_snapshot(meta.last, *offset, PIECE_BYTES).map_err(NodeError::Store)?;
        let piece = read.filter(|piece| !piece.is_empty() || meta.size == 0);
        let Some(bytes) = piece else { return Err(NodeError::SnapshotLost(meta.last)) };
        let end = *offset + bytes.len() as u64;
        let is_last = end >= meta.size;
        machine
            .restore(SnapshotPiece { offset: *offset, bytes: &bytes, is_last })
            .map_err(NodeError::Snapshot)?;
        *offset = end;
        if !is_last {
            return Ok(Step::More);
        }
        self.restoring = None;
        Ok(Step::Done)
    }

    /// Whether there is a piece to write or to restore now.
    pub(super) fn has_work<L: SnapshotStore>(&self, store: &L) -> bool {
        let is_taking =
            self.writing.as_ref().is_some_and(|writing| !matches!(writing.from, Source::Leader { .. }));
        self.restoring.is_some() || ((is_taking || self.owed.is_some()) && store.snapshot_room() > 0)
    }

    fn begin<L: SnapshotStore>(&mut self, mark: SnapshotMark, from: Source, store: &mut L) {
        store.begin_snapshot(mark.last);
        self.owed = None;
        self.writing = Some(Writing { mark, from, size: 0, crc32c: 0 });
    }

    /// All bytes are written: hands the snapshot over, if it is what it should be (S47).
    fn finish<L: SnapshotStore>(&mut self, store: &mut L, raft: &mut Raft) {
        let Some(Writing { mark: SnapshotMark { last, membership }, from, size, crc32c }) =
            self.writing.take()
        else {
            return;
        };
        let (is_whole, is_hollow) = match from {
            Source::Machine(_) => (true, false),
            Source::Nothing => (true, true),
            Source::Leader { size: expected_size, crc32c: expected, is_hollow } => {
                ((size, crc32c) == (expected_size, expected), is_hollow)
            }
        };
        if is_whole {
            store.finish_snapshot(SnapshotMeta { last, membership, size, crc32c, is_hollow });
        } else {
            store.abort_snapshot();
            raft.snapshot_failed(last);
        }
    }
}

impl Writing {
    fn push<L: SnapshotStore>(&mut self, piece: Bytes, store: &mut L) {
        self.crc32c = crc32c_append(self.crc32c, &piece);
        self.size += piece.len() as u64;
        store.write_snapshot(piece);
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine(_) => "Machine",
            Self::Nothing => "Nothing",
            Self::Leader { .. } => "Leader",
        })
    }
}

/// How much is written or restored at once: a few hundred microseconds of work.
const PIECE_BYTES: usize = 256 << 10;
