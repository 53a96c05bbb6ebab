//! Requests that are refused when they are made: those that recovery would take for damage, and those over a
//! limit; and ranges that are not in the log.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::ErrorKind;

use common::faulty::{GROUP, append, new_log};
use common::{compact, entries, hard_state, initialise, open, options, read_all, request, reset};
use raft_core::{
    Batches, Entries, EntryKind, GroupId, HardState, LogIndex, LogStore, Persist, PersistId, Position, Term,
};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault};
use raft_storage::{GroupLog, LogError, RequestRule, Start, Wal};

/// A log that says what no request may say can only be a forgery or a bug; requests that would make
/// one are refused, so recovery's own checks never hit a log that was written honestly.
#[test]
fn requests_that_recovery_would_refuse_are_refused_when_made_f17() {
    let forgotten_vote = hard_state(1, 1, 0).map(|state| HardState { vote: None, ..state });
    let cases = [
        (Persist { entries: entries(2, 3, 1, 1), ..request(2) }, RequestRule::HardStateCoversLog),
        (Persist { entries: entries(1, 4, 1, 1), ..request(2) }, RequestRule::EntriesFollowLog),
        (
            Persist { entries: entries(1, 3, 1, 1), hard_state: hard_state(1, 1, 4), ..request(2) },
            RequestRule::CommitWithinLog,
        ),
        (Persist { hard_state: hard_state(0, 1, 0), ..request(2) }, RequestRule::HardStateDoesNotFall),
        (Persist { hard_state: hard_state(1, 2, 0), ..request(2) }, RequestRule::VoteStays),
        (Persist { hard_state: forgotten_vote, ..request(2) }, RequestRule::VoteStays),
        (Persist { truncate_from: Some(LogIndex::new(4)), ..request(2) }, RequestRule::TruncationWithinLog),
        (
            Persist { mark: Some(compact(1, 2)), truncate_from: Some(LogIndex::new(2)), ..request(2) },
            RequestRule::TruncationWithinLog,
        ),
        (
            Persist { truncate_from: Some(LogIndex::new(2)), hard_state: hard_state(1, 1, 2), ..request(2) },
            RequestRule::CommitWithinLog,
        ),
        (Persist { mark: Some(compact(1, 3)), ..request(2) }, RequestRule::CompactionWithinLog),
        (Persist { mark: Some(compact(2, 2)), ..request(2) }, RequestRule::CompactionWithinLog),
        (
            Persist {
                mark: Some(reset(1, 9)),
                entries: entries(0, 10, 1, 1),
                hard_state: hard_state(1, 1, 9),
                ..request(2)
            },
            RequestRule::TermsDoNotFall,
        ),
    ];
    for (bad, rule) in cases {
        let fs = SimFs::new();
        let (wal, mut log) = new_log(&fs);
        append(&mut log, 1, 1, 2, 10);
        let error = log.persist(bad).unwrap_err();
        assert!(matches!(error, LogError::BadRequest { rule: found, .. } if found == rule), "{error}");
        assert!(log.persist(request(3)).is_err(), "a store that refused once refuses everything");
        drop((log, wal));
        assert_eq!(read_all(&open(&fs).unwrap()).unwrap()[&GROUP].last(), LogIndex::new(2));
    }
}

#[test]
fn limits_are_errors_with_the_limit_in_them_s103() {
    let fs = SimFs::new();
    let wal = Wal::open(&options(&fs, Start::Initialise).queue_bytes_max(5000), || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let start = Persist { entries: entries(1, 1, 1, 4500), hard_state: hard_state(1, 1, 0), ..request(1) };
    log.persist(start).unwrap();
    let error = log.persist(Persist { entries: entries(1, 2, 1, 600), ..request(2) }).unwrap_err();
    assert!(matches!(error, LogError::QueueFull { limit_bytes: 5000, .. }), "{error}");
    assert!(matches!(wal.group(GROUP), Err(LogError::BadRequest { rule: RequestRule::OpenedOnce, .. })));
    let mut other = wal.group(GroupId::new(2)).unwrap();
    other.recover().unwrap();
    let huge = entries(1, 1, 1, 257 << 20);
    let error =
        other.persist(Persist { entries: huge, hard_state: hard_state(1, 1, 0), ..request(1) }).unwrap_err();
    assert!(matches!(error, LogError::TooLarge { .. }), "{error}");
    // As many batches that do not become one as a record counts, and one more.
    let mut batches = Batches::new();
    for index in 1..=65_536 {
        let kind = if index % 2 == 0 { EntryKind::Command } else { EntryKind::Empty };
        batches.push(Entries::single(Position::new(Term::new(1), LogIndex::new(index)), kind, b"").unwrap());
    }
    let many = Persist { entries: batches, hard_state: hard_state(1, 1, 0), ..request(1) };
    let error = wal.group(GroupId::new(3)).unwrap().persist(many).unwrap_err();
    assert!(matches!(error, LogError::TooLarge { .. }), "{error}");
}

/// D14: as many bytes wait as the limit says, and one request alone whatever it takes.
#[test]
fn the_queue_takes_what_its_limit_says_and_one_request_always() {
    for (limit_bytes, taken) in [(144, 2), (143, 1), (1, 1)] {
        let fs = SimFs::new();
        let settings = options(&fs, Start::Initialise).queue_bytes_max(limit_bytes);
        let wal = Wal::open(&settings, || ()).unwrap();
        let mut log = wal.group(GROUP).unwrap();
        log.recover().unwrap();
        let vote =
            |log: &mut GroupLog, id| log.persist(Persist { hard_state: hard_state(id, 1, 0), ..request(id) });
        for flushed in [0, 1, 2].map(|flushes| flushes * taken) {
            // What was written waits no more.
            log.flush_now().unwrap();
            (1..=taken).for_each(|id| vote(&mut log, flushed + id).unwrap());
        }
        let error = vote(&mut log, 3 * taken + 1).unwrap_err();
        let LogError::QueueFull { waiting_bytes, .. } = error else { panic!("{error}") };
        assert_eq!(waiting_bytes as u64, 72 * taken, "each is counted with 72 bytes");
    }
}

/// A follower that catches up is handed entries one by one, and hands over all that came meanwhile: no
/// number of batches is too many.
#[test]
fn a_request_may_have_any_number_of_batches_s103() {
    let fs = SimFs::new();
    let wal = initialise(&fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let mut batches = Batches::new();
    for index in 1..=100_000 {
        let term = 1 + index / 60_000;
        entries(term, index, 1, 3).into_iter().for_each(|batch| batches.push(batch));
    }
    let start = Persist { entries: batches.clone(), hard_state: hard_state(2, 1, 0), ..request(1) };
    log.persist(start).unwrap();
    log.flush_now().unwrap();
    let all = |log: &mut GroupLog| {
        let loaded = log.load(LogIndex::new(1), LogIndex::new(100_001), usize::MAX).unwrap();
        loaded.iter().flatten().map(|entry| (entry.term, entry.payload.to_vec())).collect::<Vec<_>>()
    };
    let expected: Vec<_> = batches.entries().map(|entry| (entry.term, entry.payload.to_vec())).collect();
    assert!(all(&mut log) == expected);
    drop((log, wal));
    let wal = open(&fs).unwrap();
    assert!(all(&mut wal.group(GROUP).unwrap()) == expected);
}

/// S109: a range that the log does not hold all of is an error, not what there is of it.
#[test]
fn a_range_past_either_end_of_the_log_is_refused_s109() {
    for (first, end) in [(2, 4), (3, 5), (3, 7), (6, 7), (4, 4)] {
        let fs = SimFs::new();
        let (_wal, mut log) = new_log(&fs);
        append(&mut log, 1, 1, 5, 10);
        log.persist(Persist { mark: Some(compact(1, 3)), ..request(2) }).unwrap();
        let whole = log.load(LogIndex::new(4), LogIndex::new(6), usize::MAX).unwrap();
        assert_eq!(whole.iter().map(Entries::count).sum::<u32>(), 2);
        let error = log.load(LogIndex::new(first), LogIndex::new(end), usize::MAX).unwrap_err();
        let LogError::OutOfRange { have_first, have_last, .. } = error else { panic!("{error}") };
        assert_eq!((have_first.get(), have_last.get()), (4, 5), "{first} to {end}");
    }
}

/// What became durable before the log failed is told first.
#[test]
fn a_group_hears_of_what_is_durable_before_it_hears_of_a_failure() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    for id in 1..=2 {
        wal.flush_now().unwrap();
        let hard_state = hard_state(1, 1, 0);
        log.persist(Persist { entries: entries(1, id, 1, 10), hard_state, ..request(id) }).unwrap();
    }
    fs.inject(Fault { call: Call::Sync, skip: 0, count: 1, error: ErrorKind::Other });
    assert!(wal.flush_now().is_err());
    assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(1)));
    assert!(matches!(log.poll_persisted(), Err(LogError::Failed(_))));
}
