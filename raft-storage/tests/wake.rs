//! Who is told when something has happened to a log with threads of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::faulty::GROUP;
use common::{entries, hard_state, options, request};
use raft_core::{LogStore, Persist, PersistId};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault};
use raft_storage::{Flushing, LogError, Start, Wal, WalOptions};

/// F9, W6: a log fails while nobody waits for it, as it notes how far it is durable. Whoever sleeps until
/// the next message comes has to hear of it.
#[test]
fn groups_are_woken_when_the_log_fails_in_a_quiet_moment_f9_w6() {
    for (by_hand, idle) in [(false, Duration::from_millis(1)), (true, Duration::from_secs(3600))] {
        let fs = SimFs::new();
        let (ring, rung) = channel();
        let (ring, seen) = (Mutex::new(ring), fs.clone());
        // With the next segment ready, no other thread syncs anything.
        let settings = options(&fs, Start::Initialise)
            .reserved_bytes(u64::from(WalOptions::SEGMENT_BYTES_MIN))
            .flushing(Flushing::Thread)
            .sync_mark_idle(idle);
        let wake = move || {
            // After the test there is nobody to wake.
            let _ = ring.lock().unwrap().send(seen.calls(Call::Sync));
        };
        let wal = Wal::open(&settings, wake).unwrap();
        let mut log = wal.group(GROUP).unwrap();
        log.recover().unwrap();
        // The first request, the mark on entering the segment, the second request, the mark in between.
        let syncs = fs.calls(Call::Sync) + 4;
        fs.inject(Fault { call: Call::Sync, skip: 3, count: 1, error: ErrorKind::Other });
        for id in 1..=2 {
            let hard_state = hard_state(1, 1, 0);
            log.persist(Persist { entries: entries(1, id, 1, 20), hard_state, ..request(id) }).unwrap();
            while log.poll_persisted().unwrap() != Some(PersistId::new(id)) {
                rung.recv().unwrap();
            }
        }
        if by_hand {
            assert!(matches!(wal.write_sync_mark(), Err(LogError::Failed(_))));
        }
        rung.iter().find(|found| *found == syncs).unwrap();
        assert!(matches!(log.poll_persisted(), Err(LogError::Failed(_))));
    }
}
