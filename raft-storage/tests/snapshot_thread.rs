//! A snapshot whose sync takes its time delays nobody but itself, and whoever closes the log (D11, F22, F25).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use common::faulty::GROUP;
use common::slow::{Signal, SlowFs};
use common::snapshots::Snapshot;
use common::{IDENTITY, entries, hard_state, open, options_of, request};
use raft_core::{GroupId, LogStore, Persist, PersistId, SnapshotStore};
use raft_storage::fs::SimFs;
use raft_storage::{Flushing, OpenError, Start, Wal};

#[test]
fn a_slow_sync_of_a_snapshot_delays_neither_the_log_nor_the_caller_f25() {
    let fs = SlowFs::new(SimFs::new(), ".snap.new");
    let woken = Arc::new(Signal::default());
    let options = options_of(&fs.disk, Start::Initialise, IDENTITY).flushing(Flushing::Thread).fs(fs.fs());
    let wake = Arc::clone(&woken);
    let wal = Wal::open(&options, move || wake.give()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    assert_eq!(log.recover_snapshot().unwrap(), None);
    log.recover().unwrap();
    let snapshot = Snapshot::new(1, 3, 100_000);
    snapshot.hand_over(&mut log);
    fs.reached.wait();
    for id in 1..=20 {
        let request =
            Persist { entries: entries(1, id, 1, 20), hard_state: hard_state(1, 1, 0), ..request(id) };
        log.persist(request).unwrap();
        while log.poll_persisted().unwrap() != Some(PersistId::new(id)) {
            woken.wait_for_next();
        }
        assert!(log.poll_snapshot().is_none(), "its sync is still held up");
    }
    fs.released.give();
    let outcome = loop {
        match log.poll_snapshot() {
            Some(outcome) => break outcome,
            None => woken.wait_for_next(),
        }
    };
    assert_eq!(outcome.unwrap(), snapshot.meta);
    snapshot.assert_readable(&mut log, "read back");
    wal.close().unwrap();
}

/// Whoever has filled the room for a snapshot sleeps until there is some again.
#[test]
fn a_group_is_woken_when_there_is_room_for_more_of_its_snapshot() {
    let fs = SlowFs::new(SimFs::new(), ".snap.new");
    let (ring, rung) = channel();
    let ring = Mutex::new(ring);
    let options = options_of(&fs.disk, Start::Initialise, IDENTITY)
        .flushing(Flushing::Thread)
        .snapshot_room_bytes(1000)
        .fs(fs.fs());
    let wake = move || {
        // After the test there is nobody to wake.
        let _ = ring.lock().unwrap().send(());
    };
    let wal = Wal::open(&options, wake).unwrap();
    let [mut slow, mut log] = [GROUP, GroupId::new(2)].map(|id| wal.group(id).unwrap());
    Snapshot::new(1, 3, 10).hand_over(&mut slow);
    fs.reached.wait();
    let snapshot = Snapshot::new(1, 3, 1000);
    log.begin_snapshot(snapshot.meta.last);
    log.write_snapshot(snapshot.state);
    assert_eq!(log.snapshot_room(), 0);
    fs.released.give();
    // One is for the slow one, which is done.
    rung.recv().unwrap();
    assert!(slow.poll_snapshot().unwrap().is_ok());
    rung.recv().unwrap();
    assert_eq!(log.snapshot_room(), 1000);
}

/// F22: what a log that is being closed still writes, nobody else may find half-written.
#[test]
fn a_log_that_closes_holds_the_directory_until_its_snapshots_are_written_f22() {
    let fs = SlowFs::new(SimFs::new(), ".snap.new");
    let options = options_of(&fs.disk, Start::Initialise, IDENTITY).fs(fs.fs());
    let wal = Wal::open(&options, || ()).unwrap();
    let snapshot = Snapshot::new(1, 3, 1000);
    let mut log = wal.group(GROUP).unwrap();
    snapshot.hand_over(&mut log);
    thread::scope(|scope| {
        let closing = scope.spawn(|| wal.close());
        fs.reached.wait();
        assert!(matches!(open(&fs.disk), Err(OpenError::Locked { .. })));
        fs.released.give();
        closing.join().unwrap().unwrap();
    });
    assert_eq!(open(&fs.disk).unwrap().recovery().snapshots, 1);
}
