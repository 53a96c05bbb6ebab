//! The state machine under test, watched: what it applies, what it is restored to, and that its state
//! is that of every other node that has applied the same.
//!
//! The watcher keeps its own account in front of the machine's snapshots: the index that they reach
//! to, and the digest of all commands up to there.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

use super::checker::{command_digest, digest};
use super::subject::Subject;
use super::world::Shared;
use crate::doors::state_machine::{InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};
use crate::words::entries::{Entry, EntryKind};
use crate::words::ids::{LogIndex, NodeId};

/// A machine, and an eye on it.
pub(super) struct Watched<S: Subject> {
    id: NodeId,
    world: Shared,
    pub(super) machine: S::Machine,
    /// The last command.
    pub(super) applied: LogIndex,
    digest: u64,
    /// The head of a snapshot that is being restored, as far as it has come.
    head: Vec<u8>,
}

impl<S: Subject> Watched<S> {
    pub(super) fn new(id: NodeId, world: &Shared, machine: S::Machine) -> Self {
        Self { id, world: Rc::clone(world), machine, applied: LogIndex::ZERO, digest: 0, head: Vec::new() }
    }

    /// Compares the state with that of the others after the same command.
    fn compare(&mut self) {
        let Some(digest) = S::digest(&mut self.machine) else { return };
        self.world.borrow_mut().checker.on_state(self.id, self.applied, digest);
    }
}

impl<S: Subject> StateMachine for Watched<S> {
    type Output = (LogIndex, <S::Machine as StateMachine>::Output);

    fn apply(&mut self, entry: &Entry<'_>) -> Self::Output {
        self.world.borrow_mut().checker.on_apply(entry);
        self.applied = entry.index;
        self.digest = command_digest(self.digest, entry.term, digest(EntryKind::Command, entry.payload));
        let output = self.machine.apply(entry);
        if entry.index.get().is_multiple_of(COMPARED_EVERY) {
            self.compare();
        }
        (entry.index, output)
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        let state = self.machine.snapshot()?;
        self.compare();
        let mut head = self.applied.get().to_le_bytes().to_vec();
        head.extend_from_slice(&self.digest.to_le_bytes());
        Some(Box::new(Picture { head: head.into(), state }))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            self.head.clear();
        }
        let missing = (HEAD_BYTES - self.head.len()).min(piece.bytes.len());
        let (head, rest) = piece.bytes.split_at(missing);
        self.head.extend_from_slice(head);
        if piece.is_last || !rest.is_empty() {
            let offset = (piece.offset + missing as u64).saturating_sub(HEAD_BYTES as u64);
            self.machine.restore(SnapshotPiece { offset, bytes: rest, is_last: piece.is_last })?;
        }
        if piece.is_last {
            let (applied, rest) = self.head.split_first_chunk().ok_or(InvalidSnapshot)?;
            let digest = rest.first_chunk().ok_or(InvalidSnapshot)?;
            self.applied = LogIndex::new(u64::from_le_bytes(*applied));
            self.digest = u64::from_le_bytes(*digest);
            self.world.borrow_mut().checker.on_restore(self.applied, self.digest);
            self.compare();
        }
        Ok(())
    }
}

/// The watcher's account, then the machine's own snapshot.
struct Picture {
    head: Bytes,
    state: Box<dyn SnapshotSource>,
}

impl SnapshotSource for Picture {
    fn next_piece(&mut self, bytes_hint: usize) -> Option<Bytes> {
        self.head.next_piece(bytes_hint).or_else(|| self.state.next_piece(bytes_hint))
    }
}

const HEAD_BYTES: usize = 2 * size_of::<u64>();

/// States are compared after every so many entries, and whenever a snapshot is taken or restored.
const COMPARED_EVERY: u64 = 4;
