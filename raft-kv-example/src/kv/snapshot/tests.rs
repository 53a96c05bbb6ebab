//! Snapshots against the store they were taken of, cut anywhere, and damaged anywhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};

use super::*;
use crate::kv::{Batch, Machine, SetCondition, SetReply, Store};

const SEED: u64 = 7;

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn bytes(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.below(len_max + 1);
        (0..len).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }

    /// One change to a machine: mostly sets, some of them large, sometimes all is cleared.
    fn change(&mut self, machine: &mut Machine, keys: usize) {
        let mut batch = Batch::new();
        let key = format!("key:{}", self.below(keys)).into_bytes();
        match self.below(1000) {
            0 => batch.clear_all(),
            1..200 => batch.delete([key.as_slice()].into_iter()),
            200..300 => batch.append(&key, &self.bytes(20)),
            300..310 => batch.set(&key, &self.bytes(5000), SetCondition::Always, SetReply::Done),
            _ => batch.set(&key, &self.bytes(30), SetCondition::Always, SetReply::Done),
        }
        let _ = machine.apply_batch(batch.as_bytes());
    }
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn contents(store: &Store) -> Map {
    let pairs: Map = store.keys().map(|key| (key.to_vec(), store.value(key).unwrap().to_vec())).collect();
    assert_eq!(pairs.len(), store.len());
    pairs
}

fn all_bytes(mut source: Box<dyn SnapshotSource>, mut hint: impl FnMut() -> usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = source.next_piece(hint()) {
        assert!(!piece.is_empty());
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// Restores pieces of the sizes that `size` says.
fn restore(
    machine: &mut Machine,
    bytes: &[u8],
    mut size: impl FnMut() -> usize,
) -> Result<(), InvalidSnapshot> {
    let mut offset = 0;
    loop {
        let end = bytes.len().min(offset + size());
        let piece =
            SnapshotPiece { offset: offset as u64, bytes: &bytes[offset..end], is_last: end == bytes.len() };
        machine.restore(piece)?;
        offset = end;
        if offset == bytes.len() {
            return Ok(());
        }
    }
}

fn filled(keys: usize) -> Machine {
    let mut machine = Machine::new(SEED);
    for number in 0..keys {
        let mut batch = Batch::new();
        batch.set(
            format!("key:{number}").as_bytes(),
            &number.to_le_bytes(),
            SetCondition::Always,
            SetReply::Done,
        );
        let _ = machine.apply_batch(batch.as_bytes());
    }
    machine
}

fn snapshot_of(machine: &mut Machine) -> Vec<u8> {
    all_bytes(machine.snapshot().unwrap(), || 1 << 20)
}

/// Many rounds: a picture, then writes between its pieces, another picture while the first is still
/// looked at; each is restored over whatever is there, in pieces of any size.
#[test]
fn restored_store_is_the_store_at_the_moment_of_the_picture() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let keys = [3, 50, 3000][dice.below(3)];
        let (mut machine, mut restored) = (Machine::new(SEED), Machine::new(SEED));
        for _ in 0..6 {
            (0..dice.below(2 * keys)).for_each(|_| dice.change(&mut machine, keys));
            let expected = (contents(machine.store()), machine.applied_operations());
            let mut source = machine.snapshot().unwrap();
            let mut bytes = Vec::new();
            while let Some(piece) = source.next_piece(1 + dice.below(3000)) {
                bytes.extend_from_slice(&piece);
                (0..dice.below(20)).for_each(|_| dice.change(&mut machine, keys));
                if dice.below(50) == 0 {
                    drop(machine.snapshot());
                }
            }
            if dice.below(2) == 0 {
                // Another snapshot was begun and never ended.
                let half = &bytes[..bytes.len() / 2];
                restored.restore(SnapshotPiece { offset: 0, bytes: half, is_last: false }).unwrap();
            }
            restore(&mut restored, &bytes, || 1 + dice.below(5000)).unwrap();
            assert_eq!((contents(restored.store()), restored.applied_operations()), expected);
            // The same state, written anew, gives the same bytes in whatever pieces.
            let again = all_bytes(restored.snapshot().unwrap(), || 1 + dice.below(2000));
            assert!(again == bytes, "the bytes depend on more than the state");
        }
    }
}

#[test]
fn order_of_arrival_leaves_no_trace_in_the_bytes() {
    let set = |machine: &mut Machine, number: u32| {
        let mut batch = Batch::new();
        batch.set(&number.to_be_bytes(), b"v", SetCondition::Always, SetReply::Done);
        let _ = machine.apply_batch(batch.as_bytes());
    };
    let (mut up, mut down) = (Machine::new(SEED), Machine::new(SEED));
    (0..20_000).for_each(|number| set(&mut up, number));
    (0..20_000).rev().for_each(|number| set(&mut down, number));
    assert!(snapshot_of(&mut up) == snapshot_of(&mut down));
}

#[test]
fn empty_store_and_empty_strings_survive() {
    let mut machine = Machine::new(SEED);
    let bytes = snapshot_of(&mut machine);
    assert_eq!(bytes.len(), HEADER_BYTES);
    let mut batch = Batch::new();
    batch.set(b"", b"", SetCondition::Always, SetReply::Done);
    let _ = machine.apply_batch(batch.as_bytes());
    let with_empty = snapshot_of(&mut machine);
    for size in [1, 7, 100] {
        let mut restored = filled(100);
        restore(&mut restored, &with_empty, || size).unwrap();
        assert_eq!(contents(restored.store()), Map::from([(Vec::new(), Vec::new())]));
        restore(&mut restored, &bytes, || size).unwrap();
        assert!(restored.store().is_empty());
    }
}

#[test]
fn snapshot_of_another_kind_version_or_cluster_is_refused() {
    let bytes = snapshot_of(&mut filled(10));
    let refused = |bytes: &[u8]| assert_eq!(restore(&mut filled(3), bytes, || 11), Err(InvalidSnapshot));
    for at in [0, 7, 8, 12] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        refused(&changed);
    }
    refused(&[]);
    assert_eq!(restore(&mut Machine::new(SEED + 1), &bytes, || 11), Err(InvalidSnapshot));
}

#[test]
fn records_that_are_missing_too_many_or_out_of_order_are_refused() {
    let mut machine = filled(10);
    let bytes = snapshot_of(&mut machine);
    let record = LENGTHS_BYTES + "key:0".len() + 8;
    let refused = |bytes: &[u8]| assert_eq!(restore(&mut filled(3), bytes, || 11), Err(InvalidSnapshot));
    for end in 0..bytes.len() {
        refused(&bytes[..end]);
    }
    refused(&[&bytes[..], &bytes[bytes.len() - record..]].concat());
    refused(&[&bytes[..], b"\0"].concat());
    let (head, records) = bytes.split_at(HEADER_BYTES);
    let (first, rest) = records.split_at(record);
    refused(&[head, &rest[..record], first, &rest[record..]].concat());
    // The same record twice, in the place of another.
    refused(&[head, first, first, &rest[record..]].concat());
    let mut long = bytes.clone();
    long[HEADER_BYTES + 3] = 0xff;
    refused(&long);
}

#[test]
fn pieces_that_leave_a_gap_are_refused() {
    let bytes = snapshot_of(&mut filled(10));
    let mut machine = Machine::new(SEED);
    machine.restore(SnapshotPiece { offset: 0, bytes: &bytes[..40], is_last: false }).unwrap();
    let late = SnapshotPiece { offset: 41, bytes: &bytes[41..], is_last: true };
    assert_eq!(machine.restore(late), Err(InvalidSnapshot));
}

#[test]
fn bytes_changed_anywhere_never_panic() {
    let bytes = snapshot_of(&mut filled(5));
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            // A changed value is none of the format's business: the store of snapshots has a checksum.
            let _ = restore(&mut Machine::new(SEED), &changed, || 9);
        }
    }
}

#[test]
fn machine_that_left_out_an_entry_has_no_snapshot() {
    let mut machine = filled(5);
    let _ = machine.apply_batch(b"nonsense");
    assert!(machine.snapshot().is_none());
}

#[test]
fn piece_is_as_long_as_asked_for_even_in_the_middle_of_a_record() {
    let mut machine = Machine::new(SEED);
    let mut batch = Batch::new();
    batch.set(b"large", &[1; 100_000], SetCondition::Always, SetReply::Done);
    let _ = machine.apply_batch(batch.as_bytes());
    let mut source = machine.snapshot().unwrap();
    let pieces: Vec<Bytes> = std::iter::from_fn(|| source.next_piece(1000)).collect();
    assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.len() == 1000));
}
