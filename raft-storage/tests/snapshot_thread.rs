//! A snapshot's sync that takes its time delays nobody but the snapshot (D11, F25).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use common::faulty::GROUP;
use common::slow::{Signal, SlowFs};
use common::snapshots::Snapshot;
use common::{IDENTITY, entries, hard_state, options_of, request};
use raft_core::{LogStore, Persist, PersistId, SnapshotStore};
use raft_storage::fs::SimFs;
use raft_storage::{Flushing, Start, Wal};

#[test]
fn a_slow_sync_of_a_snapshot_delays_neither_the_log_nor_the_caller_f25() {
    let fs = SlowFs::new(SimFs::new(), ".snap.new");
    let woken = Arc::new(Signal::default());
    let options =
        options_of(&fs.disk, Start::Initialise, IDENTITY).flushing(Flushing::Thread).fs(Arc::new(fs.clone()));
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
