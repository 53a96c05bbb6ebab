//! What appending allocates: nothing per entry, and nothing at all once the log has its memory.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::faulty::GROUP;
use common::{IDENTITY, entries, hard_state, request};
use raft_core::{LogStore, Persist, PersistId};
use raft_storage::{Flushing, Start, Wal, WalOptions};

#[test]
fn appending_allocates_nothing_per_entry() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions::new(dir.path().join("log"), IDENTITY)
        .start(Start::Initialise)
        .flushing(Flushing::Manual)
        .reserved_bytes(32 << 20);
    let wal = Wal::open(&options, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    let mut next = 1;
    let mut counts = Vec::new();
    for (id, entry_count) in (1..).zip([256; 16].into_iter().chain([1, 16, 256, 1, 16, 256])) {
        let request = Persist {
            entries: entries(1, next, entry_count, 256),
            hard_state: hard_state(1, 1, 0),
            ..request(id)
        };
        next += entry_count;
        let counted = allocation_counter::measure(|| {
            log.persist(request).unwrap();
            log.flush_now().unwrap();
            assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(id)));
        });
        counts.push((entry_count, counted.count_total));
    }
    // The index grows by an extent per 2 KiB, and doubles its memory when that is used up.
    let grown: Vec<_> = counts[16..].iter().filter(|(_, count)| *count > 0).collect();
    assert!(grown.len() <= 1 && grown.iter().all(|(_, count)| *count == 1), "{counts:?}");
}
