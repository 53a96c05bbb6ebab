//! The newest segment loses what was acknowledged: the sync mark tells, although the log was never quiet
//! (F5, F14, F23).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::faulty::{GROUP, append, killed_after, refused};
use common::slow::{Signal, SlowFs};
use common::{entries, hard_state, initialise, open, options, request, segment};
use raft_core::{LogStore, Persist, PersistId};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::Call;
use raft_storage::{Flushing, OpenError, Start, Wal, WalOptions};

/// The newest segment of a directory.
fn newest(fs: &SimFs) -> PathBuf {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "wal");
    fs.paths().into_iter().filter(is_segment).max().unwrap()
}

#[track_caller]
fn assert_refused(fs: &SimFs, path: &PathBuf, what: &str) {
    let OpenError::Damaged { path: named, damage, .. } = refused(fs) else { panic!("{what} opens") };
    assert_eq!(named, *path, "{what}: {damage:?}");
}

/// F14: no crash makes a segment shorter, nor takes back what was acknowledged in it.
#[test]
fn a_newest_segment_that_is_cut_or_emptied_is_refused_f14() {
    let (dead, _) = killed_after(30, 1500);
    let path = newest(&dead);
    assert!(path > segment(3), "{path:?}");
    let whole = dead.content(&path).unwrap();
    for length in
        (0..whole.len()).step_by(61).chain([60, 4095, 4096, 4097, 4127, 4128, 4136, whole.len() - 1])
    {
        let image = dead.after_process_death();
        image.edit(&path, |bytes| bytes.truncate(length));
        assert_refused(&image, &path, &format!("cut to {length} bytes"));
    }
    dead.edit(&path, |bytes| bytes[4096..].fill(0));
    assert_refused(&dead, &path, "emptied");
}

/// F14, F23: the newest segment is put back as it was before the log had gone on to it.
#[test]
fn a_newest_segment_as_it_was_before_it_was_used_is_refused_f14_f23() {
    let fs = SimFs::new();
    let ahead = u64::from(WalOptions::SEGMENT_BYTES_MIN);
    let wal = Wal::open(&options(&fs, Start::Initialise).reserved_bytes(ahead), || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let early = fs.after_process_death();
    let path = newest(&early);
    let mut id = 0;
    while fs.content(&path) == early.content(&path) {
        id += 1;
        append(&mut log, id, (id - 1) * 10 + 1, 10, 300);
    }
    append(&mut log, id + 1, id * 10 + 1, 10, 300);
    // A close would note all of it.
    fs.stop_after(0);
    drop((log, wal));
    let dead = fs.after_process_death();
    dead.put(&path, &early.content(&path).unwrap());
    assert_refused(&dead, &path, "put back");
}

/// A log that is never quiet notes now and then how far it is durable.
#[test]
fn a_busy_log_that_lost_its_end_is_refused_f5_f14() {
    let fs = SimFs::new();
    let wal = Wal::open(&options(&fs, Start::Initialise).segment_bytes(1 << 20), || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let syncs = fs.calls(Call::Sync);
    for id in 1..=2500 {
        append(&mut log, id, id, 1, 10);
    }
    assert_eq!(fs.calls(Call::Sync) - syncs, 2500 + 3, "once on entering the segment, every thousand then");
    // A close would note all of it.
    fs.stop_after(0);
    drop((log, wal));
    let dead = fs.after_process_death();
    let path = segment(1);
    let used = dead.content(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    dead.edit(&path, |bytes| bytes[used / 2..].fill(0));
    assert_refused(&dead, &path, "half of it");
    assert!(open(&fs.after_process_death()).is_ok());
}

/// F14, F27: without a sync mark, the length that the segment before calls for still tells.
#[test]
fn a_newest_segment_that_is_cut_is_refused_without_a_mark_too_f14() {
    let (dead, _) = killed_after(30, 1500);
    let path = newest(&dead);
    dead.edit(path.with_file_name("sync-mark"), |bytes| bytes.fill(0));
    let image = dead.after_process_death();
    assert!(open(&image).is_ok(), "whole");
    dead.edit(&path, |bytes| bytes.truncate(4096));
    assert_refused(&dead, &path, "cut");
}

/// F6, F27: zeros where the newest link was, and no mark: the records behind it tell that there was one.
#[test]
fn a_newest_segment_that_lost_its_link_is_refused_without_a_mark_too_f6() {
    let (dead, _) = killed_after(33, 1500);
    let path = newest(&dead);
    let used = dead.content(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    assert!(used > 4152 + 2 * 3000, "more than one flush");
    dead.edit(path.with_file_name("sync-mark"), |bytes| bytes.fill(0));
    dead.edit(&path, |bytes| bytes[4096..4152].fill(0));
    assert_refused(&dead, &path, "without its link");
}

/// A log with threads whose mark names no segment yet, on a disk that holds up syncs of the mark; and what its
/// wake-ups give.
fn with_slow_mark() -> (SlowFs, Wal, Arc<Signal>) {
    let disk = SimFs::new();
    let new = initialise(&disk).unwrap();
    // A close would note the first segment.
    disk.stop_after(0);
    drop(new);
    let fs = SlowFs::new(disk.after_process_death(), "sync-mark");
    let settings = options(&fs.disk, Start::Existing)
        .flushing(Flushing::Thread)
        .sync_mark_idle(Duration::from_millis(1))
        .fs(fs.fs());
    let woken = Arc::new(Signal::default());
    let wake = Arc::clone(&woken);
    let wal = Wal::open(&settings, move || wake.give()).unwrap();
    (fs, wal, woken)
}

/// F14: whoever is told of something in a segment can count on the mark to miss it.
#[test]
fn nothing_in_a_segment_is_reported_before_the_mark_names_the_segment_f14() {
    let (fs, wal, woken) = with_slow_mark();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let first = Persist { entries: entries(1, 1, 1, 20), hard_state: hard_state(1, 1, 0), ..request(1) };
    log.persist(first).unwrap();
    fs.reached.wait();
    assert_eq!(log.poll_persisted().unwrap(), None, "the mark's sync is held up");
    fs.released.give();
    while log.poll_persisted().unwrap() != Some(PersistId::new(1)) {
        woken.wait_for_next();
    }
}

/// F5: a log that comes to rest notes how far it is durable.
#[test]
fn a_log_that_is_quiet_for_a_while_writes_its_mark_f5() {
    let (fs, wal, woken) = with_slow_mark();
    fs.released.give();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    for id in 1..=2 {
        let hard_state = hard_state(1, 1, 0);
        log.persist(Persist { entries: entries(1, id, 1, 20), hard_state, ..request(id) }).unwrap();
        while log.poll_persisted().unwrap() != Some(PersistId::new(id)) {
            woken.wait_for_next();
        }
        // First as the log enters the segment, then in a quiet moment.
        fs.reached.wait_for_next();
    }
}
