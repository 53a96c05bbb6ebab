//! Faults of one log on a simulated disk that several test files inject.

use std::path::PathBuf;

use raft_core::{GroupId, LogStore, Persist, PersistId};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Kept, Unsynced};
use raft_storage::{Damage, GroupLog, LostEntries, OpenError, Wal};

use super::{Models, entries, hard_state, initialise, open, read_all, request, segment};

pub(crate) const GROUP: GroupId = GroupId::new(1);

/// Opens a new log with one group.
pub(crate) fn new_log(fs: &SimFs) -> (Wal, GroupLog) {
    let wal = initialise(fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    (wal, log)
}

/// Appends entries and waits for the disk.
pub(crate) fn append(log: &mut GroupLog, id: u64, first: u64, count: u64, bytes: usize) {
    let hard_state = hard_state(1, 1, first - 1);
    log.persist(Persist { entries: entries(1, first, count, bytes), hard_state, ..request(id) }).unwrap();
    log.flush_now().unwrap();
    assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(id)));
}

/// A disk with a log of so many flushed requests, whose process was killed.
pub(crate) fn killed_after(requests: u64, bytes: usize) -> (SimFs, Models) {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    for id in 1..=requests {
        append(&mut log, id, (id - 1) * 2 + 1, 2, bytes);
    }
    fs.stop_after(0);
    drop((log, wal));
    let dead = fs.after_power_cut(|_, _| Kept::Nothing);
    let models = read_all(&open(&dead.after_process_death()).unwrap()).unwrap();
    (dead, models)
}

/// A disk with a log of several segments that was closed.
pub(crate) fn closed_with_segments() -> (SimFs, Models) {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    for id in 1..=8 {
        append(&mut log, id, (id - 1) * 10 + 1, 10, 1200);
    }
    drop(log);
    let models = {
        wal.close().unwrap();
        read_all(&open(&fs.after_process_death()).unwrap()).unwrap()
    };
    assert!(fs.content(segment(3)).is_some(), "several segments");
    (fs, models)
}

pub(crate) fn refused(fs: &SimFs) -> OpenError {
    match open(fs) {
        Ok(wal) => panic!("opened, recovery: {:?}", wal.recovery()),
        Err(error) => error,
    }
}

pub(crate) fn damage(error: &OpenError) -> (PathBuf, u64, Damage) {
    match error {
        OpenError::Damaged { path, offset, damage, .. } => (path.clone(), *offset, *damage),
        other => panic!("{other}"),
    }
}

/// Which entries a refusal says are lost.
pub(crate) fn lost(error: &OpenError) -> Option<LostEntries> {
    match error {
        OpenError::Damaged { lost, .. } => *lost,
        other => panic!("{other}"),
    }
}

/// Where the last record of the first segment begins, by its place in the file.
pub(crate) fn last_byte(fs: &SimFs, seq: u32) -> usize {
    fs.content(segment(seq)).unwrap().iter().rposition(|byte| *byte != 0).unwrap()
}

/// How many bytes of the last write, which is not durable, say only what was there before.
pub(crate) fn rewritten_bytes(fs: &SimFs, seq: u32) -> usize {
    let Some(Unsynced::Write { offset, .. }) = fs.unsynced().pop() else { panic!("no write") };
    let content = |kept| fs.after_power_cut(|_, _| kept).content(segment(seq)).unwrap();
    let (before, after) = (content(Kept::Nothing), content(Kept::Everything));
    let new = before.iter().zip(&after).position(|(before, after)| before != after).unwrap();
    new - usize::try_from(offset).unwrap()
}
