//! The in-memory log keeps the contract of every store.
#![cfg(feature = "sim")]

use raft_core::conformance::{Bench, check_all, check_snapshots};
use raft_core::mem::MemLog;

/// What the last store held when it crashed: all of it is durable at once.
#[derive(Default)]
struct MemBench(MemLog);

impl Bench for MemBench {
    type Store = MemLog;

    fn open(&mut self) -> MemLog {
        self.0.clone()
    }

    fn settle(&mut self, _store: &mut MemLog) {}

    fn crash(&mut self, mut store: MemLog) {
        // A report that nobody fetched dies with the process.
        raft_core::LogStore::poll_persisted(&mut store).expect("memory does not fail");
        raft_core::SnapshotStore::poll_snapshot(&mut store);
        self.0 = store;
    }
}

#[test]
fn the_log_in_memory_keeps_the_contract() {
    check_all(MemBench::default);
}

#[test]
fn snapshots_in_memory_keep_the_contract() {
    check_snapshots(MemBench::default);
}
