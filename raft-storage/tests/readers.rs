//! Readers beside the owner of a log and beside the writer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use common::faulty::GROUP;
use common::hooked::{Hook, HookedFs};
use common::{compact, entries, hard_state, initialise, options, request, segment};
use raft_core::{Batches, Entries, GroupId, LogIndex, LogStore, Persist, PersistId, Position, SnapshotStore};
use raft_storage::fs::{Fs, SimFs};
use raft_storage::{Flushing, GroupLog, Identity, LogError, LogReader, Start, Wal, WalOptions};

const BYTES: usize = 300;

/// Appends so many entries of term 1 in one request.
fn append(log: &mut GroupLog, id: u64, first: u64, count: u64) {
    let hard_state = hard_state(1, 1, first - 1);
    log.persist(Persist { entries: entries(1, first, count, BYTES), hard_state, ..request(id) }).unwrap();
    log.flush_now().unwrap();
    log.poll_persisted().unwrap().unwrap();
}

/// Checks that these are the entries from `first` on, and tells how many.
fn check(found: &[Entries], first: u64) -> u64 {
    check_sized(found, first, BYTES)
}

fn check_sized(found: &[Entries], first: u64, bytes: usize) -> u64 {
    let mut next = first;
    for entry in found.iter().flat_map(Entries::iter) {
        let expected = entries(1, next, 1, bytes);
        assert_eq!((entry.index.get(), entry.payload), (next, expected.entries().next().unwrap().payload));
        next += 1;
    }
    next - first
}

#[test]
fn a_reader_finds_what_its_owner_asked_for_within_its_budget() {
    let fs = SimFs::new();
    let wal = initialise(&fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    let reader = log.reader();
    assert_eq!((reader.id(), reader.range().unwrap()), (GROUP, None));
    for id in 0..20 {
        append(&mut log, id + 1, id * 10 + 1, 10);
    }
    // These wait.
    let last = Persist { entries: entries(1, 201, 5, BYTES), ..request(21) };
    log.persist(last).unwrap();
    assert_eq!(reader.range().unwrap(), Some(LogIndex::new(1)..=LogIndex::new(205)));
    for first in [1, 2, 7, 10, 11, 100, 195, 201, 205] {
        for count in [1, 2, 9, 10, 11, 60, 205] {
            for bytes_max in [0, 1, 301, 302, 303, 3000, 10_000, usize::MAX] {
                let (first, end) = (LogIndex::new(first), LogIndex::new((first + count).min(206)));
                let found = reader.load(first, end, bytes_max).unwrap();
                assert_eq!(check(&found, first.get()), {
                    let own = log.load(first, end, bytes_max).unwrap();
                    own.iter().map(|batch| u64::from(batch.count())).sum::<u64>()
                });
            }
        }
    }
    log.persist(Persist { mark: Some(compact(1, 50)), ..request(22) }).unwrap();
    let error = reader.load(LogIndex::new(50), LogIndex::new(60), 100).unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { .. }), "{error}");
    assert_eq!(reader.range().unwrap(), Some(LogIndex::new(51)..=LogIndex::new(205)));
}

/// Reads here and there until the writer is done; tells how many entries that were.
fn read_beside(reader: &LogReader, is_done: &AtomicBool, mut random: u64) -> u64 {
    let mut count = 0;
    while !is_done.load(Ordering::Acquire) {
        let Some(range) = reader.range().unwrap() else { continue };
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (first, last) = (range.start().get(), range.end().get());
        let from = first + (random >> 33) % (last - first + 1);
        let end = LogIndex::new((from + 64).min(last + 1));
        match reader.load(LogIndex::new(from), end, usize::MAX) {
            Ok(found) => count += check(&found, from),
            // Compacted since.
            Err(LogError::OutOfRange { have_first, .. }) => assert!(have_first.get() > from),
            Err(error) => panic!("{error}"),
        }
    }
    count
}

#[test]
fn many_read_while_the_log_grows_rolls_and_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity { cluster: 1, node: raft_core::NodeId::new(1) };
    let options = WalOptions::new(dir.path().join("log"), identity)
        .start(Start::Initialise)
        .flushing(Flushing::Manual)
        .segment_bytes(WalOptions::SEGMENT_BYTES_MIN);
    let wal = Wal::open(&options, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|seed| {
                let (reader, is_done) = (log.reader(), &is_done);
                scope.spawn(move || read_beside(&reader, is_done, seed))
            })
            .collect();
        for round in 0..300 {
            let id = round * 2 + 1;
            append(&mut log, id, round * 20 + 1, 20);
            if round >= 10 && round % 5 == 0 {
                log.persist(Persist { mark: Some(compact(1, (round - 9) * 20)), ..request(id + 1) }).unwrap();
            }
        }
        is_done.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

/// Once it is told to look out, the next read or the sync behind it stands still until it is told to go on.
#[derive(Debug)]
struct Slow {
    stop_at: Mutex<StopAt>,
    steps: Barrier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopAt {
    Nothing,
    Read,
    SyncBehindRead,
    Sync,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self { stop_at: Mutex::new(StopAt::Nothing), steps: Barrier::new(2) })
    }

    fn fs(self: &Arc<Self>, disk: &SimFs) -> Arc<dyn Fs> {
        HookedFs::new(Arc::new(disk.clone()), Arc::clone(self))
    }

    /// Goes on from one state to another, and stands still if that is nothing.
    fn pass(&self, from: StopAt, to: StopAt) {
        let mut stop_at = self.stop_at.lock().unwrap();
        if *stop_at == from {
            *stop_at = to;
            drop(stop_at);
            if to == StopAt::Nothing {
                self.steps.wait();
                self.steps.wait();
            }
        }
    }
}

impl Hook for Slow {
    fn before_read(&self) {
        self.pass(StopAt::Read, StopAt::Nothing);
        self.pass(StopAt::SyncBehindRead, StopAt::Sync);
    }

    fn before_sync(&self, _: &Path) {
        self.pass(StopAt::Sync, StopAt::Nothing);
    }
}

/// While somebody reads, the entries are compacted, and the log goes on for so long that their segment
/// would be filled again.
#[test]
fn a_segment_that_somebody_reads_is_not_filled_again() {
    let disk = SimFs::new();
    let slow = Slow::new();
    let settings = options(&disk, Start::Initialise).fs(slow.fs(&disk));
    let wal = Wal::open(&settings, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    append(&mut log, 1, 1, 20);
    let reader = log.reader();
    *slow.stop_at.lock().unwrap() = StopAt::Read;
    let reading = thread::spawn(move || reader.load(LogIndex::new(1), LogIndex::new(21), usize::MAX));
    slow.steps.wait();
    for round in 1..60 {
        append(&mut log, round * 2, round * 20 + 1, 20);
        let mark = Some(compact(1, round * 20));
        log.persist(Persist { mark, entries: Batches::new(), ..request(round * 2 + 1) }).unwrap();
    }
    let segments = (1..100).filter(|seq| disk.content(segment(*seq)).is_some());
    assert!(segments.clone().max() > Some(10) && segments.count() < 10, "filled again: {:?}", disk.paths());
    slow.steps.wait();
    assert_eq!(check(&reading.join().unwrap().unwrap(), 1), 20);
}

/// While the log moves what a quiet group holds, the disk takes its time; the group's owner does not wait,
/// and what it asks for in that moment is neither lost nor overtaken.
#[test]
fn nobody_waits_for_a_quiet_group_that_is_moved_f25() {
    let disk = SimFs::new();
    let slow = Slow::new();
    let settings = |start| options(&disk, start).fs(slow.fs(&disk));
    let wal = Wal::open(&settings(Start::Initialise), || ()).unwrap();
    let mut quiet = wal.group(GROUP).unwrap();
    // Each of these has a place of its own.
    let large = |first, count| entries(1, first, count, 2100);
    quiet.persist(Persist { entries: large(1, 3), hard_state: hard_state(1, 1, 0), ..request(1) }).unwrap();
    quiet.flush_now().unwrap();
    assert_eq!(quiet.poll_persisted().unwrap(), Some(PersistId::new(1)));
    let reader = quiet.reader();
    let mut busy = wal.group(GroupId::new(2)).unwrap();
    let mut write = move |rounds: Range<u64>| {
        for round in rounds {
            append(&mut busy, round * 2, round * 20 + 1, 20);
            let mark = (round > 0).then(|| compact(1, round * 20));
            busy.persist(Persist { mark, ..request(round * 2 + 1) }).unwrap();
        }
    };
    write(0..1);
    *slow.stop_at.lock().unwrap() = StopAt::SyncBehindRead;
    let writing = thread::spawn(move || {
        write(1..60);
        write
    });
    slow.steps.wait();
    let new = Persist { truncate_from: Some(LogIndex::new(2)), entries: large(2, 2), ..request(2) };
    quiet.persist(new).unwrap();
    assert_eq!(quiet.poll_persisted().unwrap(), None);
    assert_eq!(reader.range().unwrap(), Some(LogIndex::new(1)..=LogIndex::new(3)));
    slow.steps.wait();
    let mut write = writing.join().unwrap();
    quiet.flush_now().unwrap();
    assert_eq!(quiet.poll_persisted().unwrap(), Some(PersistId::new(2)));
    let read = |reader: &LogReader| reader.load(LogIndex::new(1), LogIndex::new(4), usize::MAX).unwrap();
    assert_eq!(check_sized(&read(&reader), 1, 2100), 3);
    // Moved again, and this time nobody comes between.
    write(60..120);
    assert_eq!(check_sized(&read(&reader), 1, 2100), 3);
    assert!(disk.content(segment(1)).is_none(), "{:?}", disk.paths());
    drop((quiet, write));
    wal.close().unwrap();
    let wal = Wal::open(&settings(Start::Existing), || ()).unwrap();
    assert_eq!(check_sized(&read(&wal.group(GROUP).unwrap().reader()), 1, 2100), 3);
}

/// What a closed log's handles read may be of the next life of its directory.
#[test]
fn handles_of_a_closed_log_read_nothing() {
    let disk = SimFs::new();
    let wal = initialise(&disk).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    append(&mut log, 1, 1, 20);
    let reader = log.reader();
    wal.close().unwrap();
    let (first, end) = (LogIndex::new(1), LogIndex::new(2));
    assert!(matches!(reader.load(first, end, 1), Err(LogError::Closed)));
    assert!(matches!(reader.range(), Err(LogError::Closed)));
    assert!(matches!(log.read_snapshot(Position::ZERO, 0, 1), Err(LogError::Closed)));
    assert!(matches!(log.load(first, end, 1), Err(LogError::Closed)));
}
