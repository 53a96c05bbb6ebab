//! The example's store: batches from the log, snapshots from peers and disks.

use raft_core::bytes::Bytes;
use raft_core::{InvalidSnapshot, SnapshotPiece, StateMachine};
use raft_kv::kv::{Machine, Replies};

use crate::bytes::Choices;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.byte() % 3 {
        0 => apply(choices),
        1 => arrive(choices),
        _ => with_header(choices),
    }
}

/// Batches one after the other; then the state goes through a snapshot, and nothing changes.
fn apply(mut choices: Choices<'_>) {
    let mut machine = Machine::new(0);
    while !choices.is_done() {
        let length = choices.below(256);
        let batch = choices.bytes(length);
        // Reads see no faults, and change nothing.
        let before = state(&mut machine);
        machine.read_batch(batch, &mut Replies::default());
        assert_eq!(state(&mut machine), before);
        let _ = machine.apply_batch(batch);
    }
    let Some(state_bytes) = state(&mut machine) else { return assert!(machine.fault().is_some()) };
    assert_restores(&state_bytes);
}

/// Arbitrary bytes as a snapshot, in pieces.
fn arrive(mut choices: Choices<'_>) {
    let size = 1 + choices.below(40);
    let bytes = choices.rest();
    if restore(&mut Machine::new(0), bytes, size).is_ok() {
        assert_restores(bytes);
    }
}

/// The same behind a sound header, so that records are reached. What is taken for a state is one.
fn with_header(mut choices: Choices<'_>) {
    let size = 1 + choices.below(40);
    let mut bytes = state(&mut Machine::new(0)).expect("an empty store is sound");
    let records = bytes.len() - 8;
    bytes[records] = choices.byte();
    bytes.extend_from_slice(choices.rest());
    if restore(&mut Machine::new(0), &bytes, size).is_ok() {
        assert_restores(&bytes);
    }
}

/// A state that can be restored is written again byte for byte.
fn assert_restores(bytes: &[u8]) {
    let mut machine = Machine::new(0);
    restore(&mut machine, bytes, 7).expect("a state");
    assert_eq!(state(&mut machine).as_deref(), Some(bytes));
}

fn restore(machine: &mut Machine, bytes: &[u8], size: usize) -> Result<(), InvalidSnapshot> {
    let mut offset = 0usize;
    loop {
        let end = offset.saturating_add(size).min(bytes.len());
        let is_last = end == bytes.len();
        machine.restore(SnapshotPiece { offset: offset as u64, bytes: &bytes[offset..end], is_last })?;
        if is_last {
            return Ok(());
        }
        offset = end;
    }
}

/// All of a machine's state; nothing if it has none to give.
fn state(machine: &mut Machine) -> Option<Vec<u8>> {
    let mut picture = machine.snapshot()?;
    let pieces: Vec<Bytes> = std::iter::from_fn(|| picture.next_piece(1000)).collect();
    Some(pieces.concat())
}
