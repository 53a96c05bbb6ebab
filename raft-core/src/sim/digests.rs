//! The built-in subject: a state that is nothing but a digest of all commands, on the model of a disk,
//! under clients that never propose the same twice.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

use super::checker::{command_digest, digest};
use super::dice::Dice;
use super::model::ModelMedium;
use super::report::Situations;
use super::subject::{Answer, RequestId, Subject};
use super::violation::Violation;
use crate::doors::state_machine::{InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};
use crate::words::entries::{Entry, EntryKind};
use crate::words::ids::NodeId;

/// Runs Raft itself, with as little else as possible: the fastest subject.
#[derive(Debug, Default)]
pub struct Digests {
    /// Payloads whose outcome is not known yet.
    waiting: BTreeMap<RequestId, Vec<u8>>,
    /// Payloads whose proposers were told that they are applied, or never will be.
    applied: Vec<Vec<u8>>,
    refused: Vec<Vec<u8>>,
}

impl Subject for Digests {
    type Machine = DigestMachine;
    type Medium = ModelMedium;

    fn machine(&mut self) -> DigestMachine {
        DigestMachine::default()
    }

    fn medium(&mut self, _node: NodeId, dice: Dice, situations: &Situations) -> ModelMedium {
        ModelMedium::new(dice, situations)
    }

    /// A payload that nobody proposed before; longer ones now and then.
    fn propose(&mut self, request: RequestId, _now: u64, dice: &mut Dice) -> Option<Vec<u8>> {
        let random = dice.next();
        let mut payload = vec![random.to_le_bytes()[1]; 8 + (random % 40) as usize];
        payload[..8].copy_from_slice(&request.0.to_le_bytes());
        self.waiting.insert(request, payload.clone());
        Some(payload)
    }

    fn read(&mut self, _request: RequestId, _now: u64, _dice: &mut Dice) -> bool {
        true
    }

    fn on_answer(
        &mut self,
        request: RequestId,
        _now: u64,
        answer: Answer<'_, DigestMachine>,
    ) -> Result<(), Violation> {
        let payload = self.waiting.remove(&request);
        match answer {
            Answer::Applied(()) => self.applied.extend(payload),
            Answer::Never => self.refused.extend(payload),
            Answer::Unknown | Answer::Read(_) | Answer::Unread => {}
        }
        Ok(())
    }

    /// What was acknowledged is there once, what was refused is not.
    fn finish(&mut self, committed_count: &dyn Fn(&[u8]) -> usize) -> Result<(), Violation> {
        for payload in &self.applied {
            let count = committed_count(payload);
            if count != 1 {
                let details = format!("{payload:?} {count} times");
                return Err(Violation::new("acknowledged once, applied once", details));
            }
        }
        match self.refused.iter().find(|payload| committed_count(payload) != 0) {
            Some(payload) => {
                Err(Violation::new("refused is never applied", format!("{payload:?} was applied")))
            }
            None => Ok(()),
        }
    }

    fn digest(machine: &mut DigestMachine) -> Option<u64> {
        Some(machine.digest)
    }
}

/// A digest of all commands.
#[derive(Debug, Default)]
pub struct DigestMachine {
    digest: u64,
    restoring: Vec<u8>,
}

impl StateMachine for DigestMachine {
    type Output = ();

    fn apply(&mut self, entry: &Entry<'_>) {
        self.digest = command_digest(self.digest, entry.term, digest(EntryKind::Command, entry.payload));
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        let mut bytes = self.digest.to_le_bytes().to_vec();
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
            self.digest = u64::from_le_bytes(*self.restoring.first_chunk().ok_or(InvalidSnapshot)?);
        }
        Ok(())
    }
}
