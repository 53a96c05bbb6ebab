//! A log of many groups whose segments have been filled several times.

use raft_core::{GroupId, LogStore, Persist};
use raft_storage::fs::SimFs;
use raft_storage::{Start, Wal, WalOptions};

use super::snapshots::Snapshot;
use super::{compact, entries, hard_state, initialise, options, request};

/// How many groups the log has.
pub(crate) const GROUPS: u64 = 12;
/// How many entries each group appends per flush.
const COUNT: u64 = 3;
/// How many flushes a compaction leaves.
const KEPT: u64 = 3;

/// A closed log whose groups have compacted often, each behind a snapshot. Its last segment and one that
/// is made ahead of need were filled before, and have records of those lives behind what they hold now.
pub(crate) fn with_former_lives() -> SimFs {
    let fs = SimFs::new();
    let wal = initialise(&fs).unwrap();
    let mut logs: Vec<_> = (1..=GROUPS).map(|id| wal.group(GroupId::new(id)).unwrap()).collect();
    for round in 1..=40 {
        let last = round * COUNT;
        for log in &mut logs {
            let new = entries(1, last + 1 - COUNT, COUNT, 300);
            let hard_state = hard_state(1, 1, last - COUNT);
            log.persist(Persist { entries: new, hard_state, ..request(2 * round) }).unwrap();
            if round > KEPT {
                let snapshot = Snapshot::new(1, last - KEPT * COUNT, 2000);
                snapshot.write(log);
                let mark = Some(compact(1, snapshot.meta.last.index.get()));
                log.persist(Persist { mark, ..request(2 * round + 1) }).unwrap();
            }
        }
        wal.flush_now().unwrap();
        logs.iter_mut().for_each(|log| assert!(log.poll_persisted().unwrap().is_some()));
    }
    drop(logs);
    wal.close().unwrap();
    let ahead = options(&fs, Start::Existing).reserved_bytes(u64::from(WalOptions::SEGMENT_BYTES_MIN));
    Wal::open(&ahead, || ()).unwrap().close().unwrap();
    fs
}
