//! The store keeps the contract that raft-core states, whoever flushes and on whatever disk.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use raft_core::conformance::{Bench, check_all, check_snapshots};
use raft_core::{GroupId, NodeId};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::Kept;
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

/// A simulated disk. A crash here is a power cut that keeps some of what was not synced.
struct SimBench {
    fs: SimFs,
    wal: Option<Wal>,
    seed: u64,
}

impl Bench for SimBench {
    type Store = GroupLog;

    fn open(&mut self) -> GroupLog {
        self.wal = None;
        self.seed += 1;
        let options = WalOptions::new("/data/log", IDENTITY)
            .start(Start::InitialiseIfMissing)
            .flushing(Flushing::Manual)
            .segment_bytes(WalOptions::SEGMENT_BYTES_MIN)
            .seed(self.seed)
            .fs(Arc::new(self.fs.clone()));
        self.wal.insert(Wal::open(&options, || ()).unwrap()).group(GroupId::new(7)).unwrap()
    }

    fn settle(&mut self, store: &mut GroupLog) {
        store.flush_now().unwrap();
    }

    fn crash(&mut self, mut store: GroupLog) {
        // Half of the crashes come in the middle of a flush.
        self.fs.stop_after(self.seed % 2);
        let _ = store.flush_now();
        drop(store);
        self.wal = None;
        let seed = self.seed;
        let keep = |at: usize, _: &_| Kept::Sectors(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (at % 40));
        self.fs = self.fs.after_power_cut(keep);
    }
}

#[test]
fn a_store_whose_power_is_cut_conforms() {
    let new_bench = || SimBench { fs: SimFs::new(), wal: None, seed: 0 };
    check_all(new_bench);
    check_snapshots(new_bench);
}

#[test]
fn a_store_that_flushes_on_persist_conforms() {
    check_all(|| RealBench::new(Flushing::OnPersist));
    check_snapshots(|| RealBench::new(Flushing::OnPersist));
}

#[test]
fn a_store_that_is_flushed_by_hand_conforms() {
    check_all(|| RealBench::new(Flushing::Manual));
    check_snapshots(|| RealBench::new(Flushing::Manual));
}

#[test]
fn a_store_with_a_flusher_thread_conforms() {
    check_all(|| RealBench::new(Flushing::Thread));
    check_snapshots(|| RealBench::new(Flushing::Thread));
}
