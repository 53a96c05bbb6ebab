//! What a store of snapshots must do besides.

use alloc::vec::Vec;

use raft_proto::bytes::Bytes;
use raft_proto::crc32c;

use super::Bench;
use super::model::{batch, compact, hard_state, mark, persist, poll, recover, request, reset};
use crate::doors::store::SnapshotStore;
use crate::words::ids::{PersistId, Position};
use crate::words::message::SnapshotMeta;
use crate::words::persist::Persist;

/// A snapshot as the checks compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Snapshot {
    meta: SnapshotMeta,
    state: Bytes,
}

impl Snapshot {
    /// Up to an index, with a state of so many bytes, no two of which are alike nearby.
    fn new(index: u64, bytes: usize) -> Self {
        let word = |at: u64| (at ^ index << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let state: Vec<u8> = (0..).flat_map(word).take(bytes).collect();
        let mark = mark(1, index);
        let (size, crc32c) = (state.len() as u64, crc32c(&state));
        let meta =
            SnapshotMeta { last: mark.last, membership: mark.membership, size, crc32c, is_hollow: false };
        Self { meta, state: state.into() }
    }

    fn last(&self) -> Position {
        self.meta.last
    }

    /// Hands over all of it, within the room that there is.
    fn write<B: Bench>(&self, bench: &mut B, store: &mut B::Store, piece_bytes: usize)
    where
        B::Store: SnapshotStore,
    {
        store.begin_snapshot(self.last());
        for piece in self.state.chunks(piece_bytes) {
            if store.snapshot_room() < piece.len() {
                bench.settle(store);
            }
            store.write_snapshot(Bytes::copy_from_slice(piece));
        }
        store.finish_snapshot(self.meta.clone());
    }

    /// Compares it with what can be read, whole and from every kind of place; the end of the state
    /// is the end of what can be read.
    fn check<S: SnapshotStore>(&self, store: &mut S) {
        for piece_bytes in [usize::MAX, 70_001, 4096] {
            let mut found = Vec::new();
            while found.len() < self.state.len() {
                let piece = read(store, self.last(), found.len() as u64, piece_bytes).expect("it is there");
                assert!((1..=piece_bytes).contains(&piece.len()), "{} of {piece_bytes}", piece.len());
                found.extend_from_slice(&piece);
            }
            assert!(found == self.state, "{} is not what was written", self.last());
        }
        for at in [0, 1, 65_535, 65_536, self.state.len().saturating_sub(1)] {
            let Some(expected) = self.state.get(at..) else { continue };
            let piece = read(store, self.last(), at as u64, 3).expect("it is there");
            assert!(expected.starts_with(&piece) && piece.is_empty() == expected.is_empty(), "at {at}");
        }
        assert_eq!(read(store, self.last(), self.meta.size, 10), Some(Bytes::new()), "behind the end");
    }
}

fn read<S: SnapshotStore>(store: &mut S, last: Position, offset: u64, bytes_max: usize) -> Option<Bytes> {
    let read = store.read_snapshot(last, offset, bytes_max);
    read.unwrap_or_else(|error| panic!("read_snapshot failed: {error}"))
}

fn recover_snapshot<S: SnapshotStore>(store: &mut S) -> Option<SnapshotMeta> {
    store.recover_snapshot().unwrap_or_else(|error| panic!("recover_snapshot failed: {error}"))
}

fn poll_snapshot<S: SnapshotStore>(store: &mut S) -> Option<SnapshotMeta> {
    let outcome = store.poll_snapshot();
    outcome.map(|outcome| outcome.unwrap_or_else(|failure| panic!("a snapshot failed: {}", failure.error)))
}

/// A store that was never written to has no snapshot, at every opening.
///
/// # Panics
///
/// If it has.
pub fn new_store_has_no_snapshot<B: Bench<Store: SnapshotStore>>(bench: &mut B) {
    for _ in 0..2 {
        let mut store = bench.open();
        assert_eq!(recover_snapshot(&mut store), None);
        recover(&mut store);
        assert_eq!(poll_snapshot(&mut store), None);
        assert_eq!(read(&mut store, Position::ZERO, 0, 10), None);
        assert_eq!(read(&mut store, Snapshot::new(5, 0).last(), 0, 10), None);
        bench.crash(store);
    }
}

/// What was reported is there after a crash, byte for byte, whatever its size, and is the newest.
///
/// # Panics
///
/// If it is not so.
pub fn reported_snapshots_survive_a_crash<B: Bench<Store: SnapshotStore>>(bench: &mut B) {
    let mut newest: Option<Snapshot> = None;
    let sizes = [(0, 1), (1, 1), (100, 7), (65_536, 65_536), (65_537, 1000), (200_000, 70_000)];
    for (index, (bytes, piece_bytes)) in (1..).zip(sizes) {
        let mut store = bench.open();
        assert_eq!(recover_snapshot(&mut store), newest.as_ref().map(|newest| newest.meta.clone()));
        recover(&mut store);
        if let Some(newest) = &newest {
            newest.check(&mut store);
        }
        let new = Snapshot::new(index, bytes);
        new.write(bench, &mut store, piece_bytes);
        bench.settle(&mut store);
        assert_eq!(poll_snapshot(&mut store), Some(new.meta.clone()));
        assert_eq!(poll_snapshot(&mut store), None, "reported once");
        new.check(&mut store);
        newest = Some(new);
        bench.crash(store);
    }
    let mut store = bench.open();
    assert_eq!(recover_snapshot(&mut store), newest.map(|newest| newest.meta));
}

/// A snapshot that is dropped, replaced or never finished is not there, and the one before is.
///
/// # Panics
///
/// If it is not so.
pub fn unfinished_snapshots_leave_nothing_behind<B: Bench<Store: SnapshotStore>>(bench: &mut B) {
    let first = Snapshot::new(3, 1000);
    let mut store = bench.open();
    recover_snapshot(&mut store);
    recover(&mut store);
    first.write(bench, &mut store, 100);
    bench.settle(&mut store);
    assert_eq!(poll_snapshot(&mut store), Some(first.meta.clone()));
    let (dropped, replaced, last) = (Snapshot::new(4, 500), Snapshot::new(5, 0), Snapshot::new(6, 90_000));
    store.begin_snapshot(dropped.last());
    store.write_snapshot(dropped.state.clone());
    store.abort_snapshot();
    store.begin_snapshot(replaced.last());
    store.write_snapshot(last.state.clone());
    last.write(bench, &mut store, 10_000);
    bench.settle(&mut store);
    assert_eq!(poll_snapshot(&mut store), Some(last.meta.clone()));
    last.check(&mut store);
    store.begin_snapshot(Snapshot::new(7, 0).last());
    store.write_snapshot(first.state.clone());
    bench.settle(&mut store);
    assert_eq!(poll_snapshot(&mut store), None);
    for absent in [dropped.last(), replaced.last(), Snapshot::new(7, 0).last()] {
        assert_eq!(read(&mut store, absent, 0, 10), None);
    }
    bench.crash(store);
    let mut store = bench.open();
    assert_eq!(recover_snapshot(&mut store), Some(last.meta.clone()));
    last.check(&mut store);
}

/// A finished snapshot is reported, though another one has been begun meanwhile.
///
/// # Panics
///
/// If it is not.
pub fn finished_snapshots_are_reported_in_order<B: Bench<Store: SnapshotStore>>(bench: &mut B) {
    let mut store = bench.open();
    recover_snapshot(&mut store);
    recover(&mut store);
    let (first, second) = (Snapshot::new(1, 70_000), Snapshot::new(2, 10));
    first.write(bench, &mut store, 70_000);
    store.begin_snapshot(second.last());
    bench.settle(&mut store);
    assert_eq!(poll_snapshot(&mut store), Some(first.meta.clone()));
    assert_eq!(poll_snapshot(&mut store), None);
    first.check(&mut store);
    store.write_snapshot(second.state.clone());
    store.finish_snapshot(second.meta.clone());
    bench.settle(&mut store);
    assert_eq!(poll_snapshot(&mut store), Some(second.meta.clone()));
    second.check(&mut store);
}

/// A snapshot never gives way to one that reaches less far, whenever that is finished.
///
/// # Panics
///
/// If it does.
pub fn older_snapshots_never_replace_newer_ones<B: Bench<Store: SnapshotStore>>(bench: &mut B) {
    let mut store = bench.open();
    recover_snapshot(&mut store);
    recover(&mut store);
    let (newer, older) = (Snapshot::new(9, 10), Snapshot::new(4, 70_000));
    newer.write(bench, &mut store, 70_000);
    older.write(bench, &mut store, 70_000);
    bench.settle(&mut store);
    while poll_snapshot(&mut store).is_some() {}
    newer.check(&mut store);
    bench.crash(store);
    let mut store = bench.open();
    assert_eq!(recover_snapshot(&mut store), Some(newer.meta.clone()));
    newer.check(&mut store);
}

/// A snapshot that was finished and not reported is there whole after a crash, or not at all.
///
/// # Panics
///
/// If it is not so.
pub fn unreported_snapshots_are_whole_or_not_there<B: Bench<Store: SnapshotStore>>(bench: &mut B) {
    let mut possible: Vec<Option<Snapshot>> = alloc::vec![None];
    for index in 1..=12 {
        let mut store = bench.open();
        let found = recover_snapshot(&mut store);
        let is_found =
            |snapshot: &&Option<Snapshot>| snapshot.as_ref().map(|one| &one.meta) == found.as_ref();
        let Some(survived) = possible.iter().find(is_found).cloned() else {
            panic!("found {found:?}, which was never written")
        };
        if let Some(snapshot) = &survived {
            snapshot.check(&mut store);
        }
        recover(&mut store);
        let new = Snapshot::new(index, 40_000);
        new.write(bench, &mut store, 9000);
        possible = alloc::vec![survived, Some(new)];
        bench.crash(store);
    }
}

/// While a newer snapshot replaces it, an older one can be read on exactly, or is gone.
///
/// # Panics
///
/// If it is not so.
pub fn replaced_snapshots_are_exact_or_gone<B: Bench<Store: SnapshotStore>>(bench: &mut B) {
    let mut store = bench.open();
    recover_snapshot(&mut store);
    recover(&mut store);
    let first = Snapshot::new(1, 300_000);
    first.write(bench, &mut store, 65_536);
    bench.settle(&mut store);
    poll_snapshot(&mut store);
    let (mut offset, mut index) = (0, 1);
    while offset < first.state.len() {
        let Some(piece) = read(&mut store, first.last(), offset as u64, 50_000) else { break };
        assert!(!piece.is_empty() && first.state[offset..].starts_with(&piece), "at {offset}");
        offset += piece.len();
        index += 1;
        let new = Snapshot::new(index, 300_000);
        new.write(bench, &mut store, 65_536);
        bench.settle(&mut store);
        assert_eq!(poll_snapshot(&mut store), Some(new.meta.clone()));
        new.check(&mut store);
    }
}

/// Whatever a crash leaves, the log begins at or before the end of the newest snapshot (F19).
///
/// # Panics
///
/// If it does not.
pub fn log_and_snapshot_fit_after_a_crash<B: Bench<Store: SnapshotStore>>(bench: &mut B) {
    let mut id = 0;
    for round in 0..24u64 {
        let mut store = bench.open();
        let found = recover_snapshot(&mut store);
        let recovered = recover(&mut store);
        let snapshot_index = found.map_or(0, |meta| meta.last.index.get());
        let mark_index = recovered.mark.as_ref().map_or(0, |mark| mark.last.index.get());
        let mut last = recovered.last().index.get();
        assert!(mark_index <= snapshot_index, "the log begins behind {mark_index}, not {snapshot_index}");
        if snapshot_index > last {
            // The crash came between the snapshot and the new beginning of the log.
            id += 1;
            let hard_state = Some(hard_state(1, 1, snapshot_index));
            persist(&mut store, Persist { mark: Some(reset(1, snapshot_index)), hard_state, ..request(id) });
            last = snapshot_index;
        }
        id += 1;
        let entries = batch(1, last + 1, 4).into();
        let state = Some(hard_state(1, 1, last + 4));
        persist(&mut store, Persist { entries, hard_state: state, ..request(id) });
        let installs = round % 3 == 2;
        let new = Snapshot::new(if installs { last + 9 } else { last + 2 }, 30_000);
        new.write(bench, &mut store, 10_000);
        if round % 4 != 3 {
            bench.settle(&mut store);
            assert_eq!(poll(&mut store), Some(PersistId::new(id)));
            assert_eq!(poll_snapshot(&mut store), Some(new.meta.clone()));
            id += 1;
            let index = new.last().index.get();
            let mark = Some(if installs { reset(1, index) } else { compact(1, index) });
            let hard_state = Some(hard_state(1, 1, index.max(last + 4)));
            persist(&mut store, Persist { mark, hard_state, ..request(id) });
            if round % 2 == 0 {
                bench.settle(&mut store);
            }
        }
        bench.crash(store);
    }
}
