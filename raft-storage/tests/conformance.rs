//! The store keeps the contract that raft-core states, whoever flushes and on whatever disk.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use raft_core::conformance::{Bench, check_all};
use raft_core::{GroupId, NodeId};
use raft_storage::{Flushing, GroupLog, Identity, Start, Wal, WalOptions};

const IDENTITY: Identity = Identity { cluster: 0xc1, node: NodeId::new(1) };

/// A real directory. A crash here is a process that vanishes: what it wrote is still there.
struct RealBench {
    flushing: Flushing,
    root: tempfile::TempDir,
    wal: Option<Wal>,
    woken: Arc<(Mutex<u64>, Condvar)>,
}

impl RealBench {
    fn new(flushing: Flushing) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { flushing, root, wal: None, woken: Arc::default() }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("data")
    }
}

impl Bench for RealBench {
    type Store = GroupLog;

    fn open(&mut self) -> GroupLog {
        self.wal = None;
        let options = WalOptions::new(self.dir(), IDENTITY)
            .start(Start::InitialiseIfMissing)
            .flushing(self.flushing)
            .segment_bytes(WalOptions::SEGMENT_BYTES_MIN);
        let woken = Arc::clone(&self.woken);
        let wal = Wal::open(&options, move || {
            *woken.0.lock() += 1;
            woken.1.notify_all();
        });
        self.wal.insert(wal.unwrap()).group(GroupId::new(7)).unwrap()
    }

    fn settle(&mut self, store: &mut GroupLog) {
        store.flush_now().unwrap();
    }

    fn crash(&mut self, store: GroupLog) {
        drop(store);
        self.wal = None;
    }
}

#[test]
fn a_store_that_flushes_on_persist_conforms() {
    check_all(|| RealBench::new(Flushing::OnPersist));
}

#[test]
fn a_store_that_is_flushed_by_hand_conforms() {
    check_all(|| RealBench::new(Flushing::Manual));
}

#[test]
fn a_store_with_a_flusher_thread_conforms() {
    check_all(|| RealBench::new(Flushing::Thread));
}
