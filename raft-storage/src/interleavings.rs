//! The log's threads beside those of its callers, in orders that a scheduler draws: nobody sleeps for
//! ever, nothing is reported that a power cut takes away, and after a failure nothing works again (W6).
//!
//! A thread that misses its wake-up leaves all threads asleep in the end, which the scheduler reports
//! together with a schedule that replays it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raft_core::bytes::Bytes;
use raft_core::{
    Batches, Entries, EntryKind, GroupId, HardState, LogIndex, LogStore, Membership, NewMark, NodeId,
    Persist, PersistId, Position, SnapshotMark, SnapshotMeta, SnapshotStore, Term,
};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use crate::fs::SimFs;
use crate::fs::sim::{Call, Fault, Kept};
use crate::sync::thread::{JoinHandle, spawn};
use crate::sync::{Condvar, Mutex};
use crate::{Flushing, GroupLog, Identity, LogError, Start, Wal, WalOptions};

/// How many orders of each scenario are tried in either way.
const ORDERS: usize = 150;
/// Opening a log takes more than shuttle gives by default.
const STACK_BYTES: usize = 1 << 20;
const GROUPS: [GroupId; 2] = [GroupId::new(1), GroupId::new(2)];

fn explore(scenario: impl Fn() + Clone + Send + Sync + 'static) {
    let config = || {
        let mut config = Config::new();
        config.stack_size = STACK_BYTES;
        config
    };
    Runner::new(RandomScheduler::new(ORDERS), config()).run(scenario.clone());
    // Few changes of threads, at the worst of moments.
    Runner::new(PctScheduler::new(3, ORDERS), config()).run(scenario);
}

/// What the log's wake-ups ring.
#[derive(Default)]
struct Bell {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.count.lock() += 1;
        self.changed.notify_all();
    }

    fn count(&self) -> u64 {
        *self.count.lock()
    }

    fn wait_past(&self, seen: u64) {
        let mut count = self.count.lock();
        while *count == seen {
            self.changed.wait(&mut count);
        }
    }
}

fn open(disk: &SimFs, flushing: Flushing, seed: u64, bell: &Arc<Bell>) -> Wal {
    let options = WalOptions::new("/log", Identity { cluster: 1, node: NodeId::new(1) })
        .start(Start::InitialiseIfMissing)
        .flushing(flushing)
        .segment_bytes(WalOptions::SEGMENT_BYTES_MIN)
        .recovery_threads(NonZeroUsize::MIN)
        .seed(seed)
        .fs(Arc::new(disk.clone()));
    let bell = Arc::clone(bell);
    Wal::open(&options, move || bell.ring()).unwrap()
}

/// A new log with its threads, and its two groups.
fn start(disk: &SimFs) -> (Wal, [GroupLog; 2], Arc<Bell>) {
    let bell = Arc::default();
    let wal = open(disk, Flushing::Thread, 1, &bell);
    let groups = GROUPS.map(|id| wal.group(id).unwrap());
    (wal, groups, bell)
}

/// Request `id` is entry `id`.
fn persist(log: &mut GroupLog, id: u64, bytes: usize) -> Result<(), LogError> {
    let position = Position::new(Term::new(1), LogIndex::new(id));
    let entries = Entries::single(position, EntryKind::Command, &vec![7; bytes]).unwrap().into();
    let hard_state = Some(HardState { term: Term::new(1), ..HardState::default() });
    log.persist(Persist { id: PersistId::new(id), mark: None, truncate_from: None, entries, hard_state })
}

/// Sleeps between wake-ups until the request is reported.
fn sleep_until_reported(log: &mut GroupLog, id: u64, bell: &Bell) -> Result<(), LogError> {
    loop {
        let seen = bell.count();
        if log.poll_persisted()? == Some(PersistId::new(id)) {
            return Ok(());
        }
        bell.wait_past(seen);
    }
}

/// Persists one request after the other, each once the one before is reported. Gives back the log, the
/// last one that was reported, and the error that ended it.
fn write_in_turn(
    mut log: GroupLog,
    count: u64,
    bytes: usize,
    bell: &Arc<Bell>,
) -> JoinHandle<(GroupLog, u64, Option<LogError>)> {
    let bell = Arc::clone(bell);
    spawn(move || {
        for id in 1..=count {
            let outcome =
                persist(&mut log, id, bytes).and_then(|()| sleep_until_reported(&mut log, id, &bell));
            if let Err(error) = outcome {
                return (log, id - 1, Some(error));
            }
        }
        (log, count, None)
    })
}

/// The last entry of each group after a power cut now.
fn durable(disk: &SimFs) -> [u64; 2] {
    let after = disk.after_power_cut(|_, _| Kept::Nothing);
    let wal = open(&after, Flushing::Manual, 2, &Arc::default());
    GROUPS.map(|id| {
        let recovered = wal.group(id).unwrap().recover().unwrap();
        recovered.runs.last().map_or(0, |run| run.last.get())
    })
}

#[test]
fn whoever_sleeps_is_woken_when_its_request_is_durable() {
    explore(|| {
        let disk = SimFs::new();
        let (_wal, groups, bell) = start(&disk);
        // Two of these fill a segment, so the maker's thread takes part.
        let writers = groups.map(|log| write_in_turn(log, 2, 12_000, &bell));
        let reported = writers.map(|writer| {
            let (_, reported, error) = writer.join().unwrap();
            assert!(error.is_none(), "{error:?}");
            reported
        });
        assert_eq!(reported, [2, 2]);
        assert_eq!(durable(&disk), [2, 2]);
    });
}

#[test]
fn whoever_sleeps_is_woken_although_another_thread_flushes_by_hand() {
    explore(|| {
        let disk = SimFs::new();
        let (wal, groups, bell) = start(&disk);
        let writers = groups.map(|log| write_in_turn(log, 2, 10, &bell));
        for _ in 0..3 {
            wal.flush_now().unwrap();
        }
        for writer in writers {
            let (_, reported, error) = writer.join().unwrap();
            assert!(error.is_none() && reported == 2, "{error:?}");
        }
        assert_eq!(durable(&disk), [2, 2]);
    });
}

#[test]
fn what_was_taken_before_the_log_closes_is_durable_and_reported() {
    explore(|| {
        let disk = SimFs::new();
        let (wal, groups, _bell) = start(&disk);
        let writers = groups.map(|mut log| {
            spawn(move || {
                let taken = (1..=3).take_while(|id| persist(&mut log, *id, 10).is_ok()).count() as u64;
                (log, taken)
            })
        });
        wal.close().unwrap();
        let taken = writers.map(|writer| {
            let (mut log, taken) = writer.join().unwrap();
            if taken == 3 {
                let reported = log.poll_persisted().unwrap();
                assert_eq!(reported, Some(PersistId::new(3)));
            } else {
                // The refused call is every later call's answer.
                assert!(matches!(log.poll_persisted(), Err(LogError::Closed)));
            }
            taken
        });
        assert_eq!(durable(&disk), taken);
    });
}

#[test]
fn after_a_failed_sync_all_are_woken_nothing_works_and_nothing_is_reported() {
    for skip in 0..3 {
        explore(move || {
            let disk = SimFs::new();
            let (wal, groups, bell) = start(&disk);
            disk.inject(Fault { call: Call::Sync, skip, count: 1, error: ErrorKind::Other });
            let writers = groups.map(|log| write_in_turn(log, 4, 10, &bell));
            let by_hand = wal.flush_now();
            let mut logs = Vec::new();
            let mut reported = [0; 2];
            for (writer, reported) in writers.into_iter().zip(&mut reported) {
                let (log, last, error) = writer.join().unwrap();
                *reported = last;
                logs.extend(error.is_some().then_some(log));
            }
            for log in &mut logs {
                assert!(matches!(log.poll_persisted(), Err(LogError::Failed(_))));
                assert!(matches!(persist(log, 9, 10), Err(LogError::Failed(_))));
                assert!(matches!(log.flush_now(), Err(LogError::Failed(_))));
            }
            if by_hand.is_err() || !logs.is_empty() {
                assert!(matches!(wal.flush_now(), Err(LogError::Failed(_))));
                assert!(matches!(wal.close(), Err(LogError::Failed(_))));
            }
            let durable = durable(&disk);
            assert!(reported[0] <= durable[0] && reported[1] <= durable[1], "{reported:?}, {durable:?}");
        });
    }
}

#[test]
fn whoever_waits_for_a_snapshot_is_woken_although_another_thread_flushes_by_hand() {
    explore(|| {
        let disk = SimFs::new();
        let (wal, [mut one, mut two], bell) = start(&disk);
        let writer = spawn(move || {
            for id in 1..=2 {
                persist(&mut two, id, 10).unwrap();
                two.flush_now().unwrap();
                assert_eq!(two.poll_persisted().unwrap(), Some(PersistId::new(id)));
            }
        });
        let membership = Membership::of_voters([NodeId::new(1)]).unwrap();
        let last = Position::new(Term::new(1), LogIndex::new(1));
        let state = Bytes::from_static(b"a state");
        let (size, crc32c) = (state.len() as u64, crc32c::crc32c(&state));
        let meta = SnapshotMeta { last, membership, size, crc32c, is_hollow: false };
        one.begin_snapshot(last);
        one.write_snapshot(state);
        one.finish_snapshot(meta.clone());
        let found = loop {
            let seen = bell.count();
            match one.poll_snapshot() {
                Some(outcome) => break outcome.unwrap(),
                None => bell.wait_past(seen),
            }
        };
        assert_eq!(found, meta);
        writer.join().unwrap();
        wal.close().unwrap();
    });
}

/// What a quiet group holds is moved while its owner reads and writes.
#[test]
fn whoever_reads_a_group_that_is_moved_finds_what_was_asked_for() {
    explore(|| {
        let disk = SimFs::new();
        let (wal, [mut quiet, mut busy], _bell) = start(&disk);
        persist(&mut quiet, 1, 100).unwrap();
        wal.flush_now().unwrap();
        let reader = spawn(move || {
            for id in 2..=4 {
                let end = LogIndex::new(id);
                let held = quiet.load(LogIndex::new(1), end, usize::MAX).unwrap();
                assert_eq!(held.last().map(Entries::last), Some(end.prev()));
                persist(&mut quiet, id, 100).unwrap();
                quiet.flush_now().unwrap();
            }
        });
        // Two of these fill a segment, and each lets go of the one before.
        let membership = Membership::of_voters([NodeId::new(1)]).unwrap();
        for id in 1..=20 {
            persist(&mut busy, id, 12_000).unwrap();
            let last = Position::new(Term::new(1), LogIndex::new(id));
            let mark = SnapshotMark { last, membership: membership.clone() };
            let mark = Some(NewMark { mark, keeps_entries: true });
            let (id, entries) = (PersistId::new(id), Batches::new());
            busy.persist(Persist { id, mark, truncate_from: None, entries, hard_state: None }).unwrap();
            busy.flush_now().unwrap();
        }
        reader.join().unwrap();
        wal.close().unwrap();
        assert_eq!(durable(&disk)[0], 4);
        MOVES.fetch_add(u64::from(disk.content("/log/00000001.wal").is_none()), Ordering::Relaxed);
    });
    assert!(MOVES.load(Ordering::Relaxed) > 0, "in no order was it moved");
}

/// In how many orders the first segment was let go of.
static MOVES: AtomicU64 = AtomicU64::new(0);
