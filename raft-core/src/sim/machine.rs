//! The state machine under test: tells the checker what it applies, and proves by its snapshots that
//! it has applied the same as everybody else.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

use super::checker::{command_digest, digest};
use super::world::Shared;
use crate::doors::state_machine::{InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};
use crate::words::entries::{Entry, EntryKind};
use crate::words::ids::LogIndex;

/// A state that is nothing but a digest of all commands.
#[derive(Debug)]
pub(super) struct Watched {
    world: Shared,
    /// The last command.
    pub(super) applied: LogIndex,
    digest: u64,
    restoring: Vec<u8>,
}

impl Watched {
    pub(super) fn new(world: &Shared) -> Self {
        Self { world: Rc::clone(world), applied: LogIndex::ZERO, digest: 0, restoring: Vec::new() }
    }
}

impl StateMachine for Watched {
    type Output = LogIndex;

    fn apply(&mut self, entry: &Entry<'_>) -> LogIndex {
        self.world.borrow_mut().checker.on_apply(entry);
        self.applied = entry.index;
        self.digest = command_digest(self.digest, entry.term, digest(EntryKind::Command, entry.payload));
        entry.index
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        let mut bytes = self.applied.get().to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.digest.to_le_bytes());
        // Of some length, so that it takes several chunks to send.
        let filler = self.digest.to_le_bytes()[0];
        bytes.resize(bytes.len() + 2 * usize::from(filler), filler);
        Some(Box::new(Bytes::from(bytes)))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            self.restoring.clear();
        }
        if self.restoring.len() as u64 != piece.offset {
            return Err(InvalidSnapshot);
        }
        self.restoring.extend_from_slice(piece.bytes);
        if piece.is_last {
            let (applied, rest) = self.restoring.split_first_chunk().ok_or(InvalidSnapshot)?;
            let digest = rest.first_chunk().ok_or(InvalidSnapshot)?;
            self.applied = LogIndex::new(u64::from_le_bytes(*applied));
            self.digest = u64::from_le_bytes(*digest);
            self.world.borrow_mut().checker.on_restore(self.applied, self.digest);
        }
        Ok(())
    }
}
