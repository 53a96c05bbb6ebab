//! Payloads for a state machine with sessions, and snapshots of one.

use raft_core::bytes::Bytes;
use raft_core::sessions::{SessionCommand, SessionLimits, Sessions};
use raft_core::{
    Entry, EntryKind, InvalidSnapshot, LogIndex, SnapshotPiece, SnapshotSource, StateMachine, Term,
};

use crate::bytes::Choices;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.byte() % 2 {
        0 => apply(choices),
        _ => {
            let piece = SnapshotPiece { offset: 0, bytes: choices.rest(), is_last: true };
            let mut sessions = new();
            if sessions.restore(piece).is_ok() {
                assert_state_survives(&mut sessions);
            }
        }
    }
}

/// Applies payloads. Somewhere on the way a snapshot is restored elsewhere, and both go on.
fn apply(mut choices: Choices<'_>) {
    let mut sessions = new();
    let mut restored = None;
    let mut index = 0;
    while !choices.is_done() {
        let ahead = u64::from(choices.byte());
        if ahead == u64::from(u8::MAX) {
            restored = assert_state_survives(&mut sessions);
            continue;
        }
        index += 1 + ahead % 8;
        let payload = payload(&mut choices);
        let entry = Entry {
            index: LogIndex::new(index),
            term: Term::new(1),
            kind: EntryKind::Command,
            payload: &payload,
        };
        let output = sessions.apply(&entry);
        if let Some(restored) = &mut restored {
            assert_eq!(restored.apply(&entry), output);
        }
    }
    assert_state_survives(&mut sessions);
}

/// The bytes as they are, or a call of one of the first sessions.
fn payload(choices: &mut Choices<'_>) -> Vec<u8> {
    let code = choices.byte();
    let length = usize::from(code % 64);
    if code < 128 {
        let payload = choices.bytes(length).to_vec();
        if let Ok(command) = SessionCommand::decode(&payload) {
            assert_eq!(command.to_payload(), payload, "one command has one spelling");
        }
        return payload;
    }
    let mut number = || u64::from(choices.byte() % 16);
    let (session, sequence, first_unanswered) = (number().into(), number().into(), number().into());
    let command = choices.bytes(length % 8);
    SessionCommand::Call { session, sequence, first_unanswered, command }.to_payload()
}

/// What is written is read back, and writes the same again. A machine that left out an entry has
/// nothing to write.
fn assert_state_survives(sessions: &mut Sessions<Tape>) -> Option<Sessions<Tape>> {
    let Some(bytes) = state(sessions) else {
        assert!(sessions.fault().is_some(), "a sound machine has a state");
        return None;
    };
    let mut restored = new();
    let half = bytes.len() / 2;
    for (offset, end) in [(0, half), (half, bytes.len())] {
        let is_last = end == bytes.len();
        let piece = SnapshotPiece { offset: offset as u64, bytes: &bytes[offset..end], is_last };
        restored.restore(piece).expect("a state");
    }
    assert_eq!(state(&mut restored), Some(bytes));
    Some(restored)
}

fn state(sessions: &mut Sessions<Tape>) -> Option<Vec<u8>> {
    let mut picture = sessions.snapshot()?;
    Some(std::iter::from_fn(|| picture.next_piece(100)).flatten().collect())
}

/// Limits so low that they are met.
fn new() -> Sessions<Tape> {
    let limits = SessionLimits {
        sessions_max: 3,
        idle_entries_max: 40,
        calls_max: 4,
        session_bytes_max: 300,
        table_bytes_max: 500,
    };
    Sessions::new(Tape::default(), limits)
}

/// Remembers every command; gives all of them so far, so that a call applied twice shows.
#[derive(Clone, Debug, Default)]
struct Tape {
    commands: Vec<u8>,
    incoming: Vec<u8>,
}

impl StateMachine for Tape {
    type Output = Bytes;

    fn apply(&mut self, entry: &Entry<'_>) -> Bytes {
        self.commands.extend_from_slice(entry.payload);
        self.commands.push(u8::MAX);
        Bytes::copy_from_slice(&self.commands)
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        Some(Box::new(Bytes::copy_from_slice(&self.commands)))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            self.incoming.clear();
        }
        self.incoming.extend_from_slice(piece.bytes);
        if piece.is_last {
            self.commands = std::mem::take(&mut self.incoming);
        }
        Ok(())
    }
}
