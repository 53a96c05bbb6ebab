//! A full disk: what waits, what does not, and how it goes on (F12).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use common::faulty::{GROUP, append, new_log};
use common::{Model, entries, hard_state, initialise, open, options, read_all, request, segment};
use raft_core::{GroupId, LogIndex, LogStore, Persist, PersistId};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault, Kept};
use raft_storage::{Flushing, GroupLog, LogError, Operation, Start, Wal, WalOptions};
use slog::{Drain, Logger, Never, OwnedKVList, Record, o};

/// Hands on what is logged.
struct Tell(Mutex<Sender<String>>);

impl Drain for Tell {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        // Once the test has heard enough, nobody listens.
        let _ = self.0.lock().unwrap().send(record.msg().to_string());
        Ok(())
    }
}

/// Opens a log with threads of its own, and hears what it logs and its bell.
fn open_with_thread(fs: &SimFs, segment_bytes: u32) -> (Wal, Receiver<String>, Receiver<()>) {
    let (tell, told) = channel();
    let (ring, rung) = channel();
    let ring = Mutex::new(ring);
    let settings = options(fs, Start::Existing)
        .flushing(Flushing::Thread)
        .segment_bytes(segment_bytes)
        .logger(Logger::root(Tell(Mutex::new(tell)), o!()));
    let wake = move || {
        // After the test there is nobody to wake.
        let _ = ring.lock().unwrap().send(());
    };
    (Wal::open(&settings, wake).unwrap(), told, rung)
}

/// A disk was full while the next segment was made ahead of need. The operator made room at once, and
/// hours later, when that segment was needed, the log stopped for want of room.
#[test]
fn a_disk_that_was_full_only_when_a_segment_was_made_ahead_of_need_does_not_stop_the_log_f12() {
    let fs = SimFs::new();
    initialise(&fs).unwrap().close().unwrap();
    fs.set_free_bytes(Some(0));
    let (wal, told, rung) = open_with_thread(&fs, WalOptions::SEGMENT_BYTES_MIN);
    told.iter().find(|text| text.contains("no room for the next segment")).unwrap();
    fs.set_free_bytes(None);
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    for id in 1..=50 {
        let hard_state = hard_state(1, 1, id - 1);
        log.persist(Persist { entries: entries(1, id, 1, 1000), hard_state, ..request(id) }).unwrap();
        while log.poll_persisted().unwrap() != Some(PersistId::new(id)) {
            rung.recv().unwrap();
        }
    }
    assert!(fs.content(segment(2)).is_some(), "it rolled");
}

/// F9: after any other failure nothing of the kind is tried again.
#[test]
fn a_segment_that_failed_when_it_was_made_ahead_of_need_stops_the_log_when_it_is_needed_f9() {
    let fs = SimFs::new();
    initialise(&fs).unwrap().close().unwrap();
    fs.inject(Fault { call: Call::Create, skip: 0, count: 1, error: ErrorKind::Other });
    let (wal, told, rung) = open_with_thread(&fs, WalOptions::SEGMENT_BYTES_MIN);
    told.iter().find(|text| text.contains("the next segment could not be made")).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let stopped = (1..=50).find_map(|id| {
        let new = entries(1, id, 1, 1000);
        log.persist(Persist { entries: new, hard_state: hard_state(1, 1, id - 1), ..request(id) }).unwrap();
        loop {
            match log.poll_persisted() {
                Ok(Some(_)) => return None,
                Ok(None) => rung.recv().unwrap(),
                Err(error) => return Some((id, error)),
            }
        }
    });
    let Some((id, LogError::Failed(failure))) = stopped else { panic!("{stopped:?}") };
    assert_eq!((failure.operation, failure.path), (Operation::Create, segment(2).with_extension("wal.new")));
    assert!(id > 20, "this one was filled before: {id}");
}

const OTHER: GroupId = GroupId::new(2);

/// A log of two groups on a disk without a free byte, to which the first group has appended what found
/// no room; with the request that waits.
fn full() -> (SimFs, Wal, [GroupLog; 2], u64) {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    let mut other = wal.group(OTHER).unwrap();
    other.recover().unwrap();
    fs.set_free_bytes(Some(0));
    for id in 1..100 {
        let last = 10 * id;
        let new = Persist {
            entries: entries(1, last - 9, 10, 100),
            hard_state: hard_state(1, 1, 0),
            ..request(id)
        };
        log.persist(new).unwrap();
        match log.flush_now() {
            Ok(()) => assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(id))),
            Err(error) => {
                let LogError::NoRoom(failure) = &error else { panic!("{error}") };
                assert!(failure.is_storage_full() && failure.path.ends_with("00000002.wal.new"), "{failure}");
                return (fs, wal, [log, other], id);
            }
        }
    }
    unreachable!("a disk that is full")
}

fn vote(log: &mut GroupLog, id: u64, term: u64) {
    log.persist(Persist { hard_state: hard_state(term, 1, 0), ..request(id) }).unwrap();
}

#[test]
fn what_finds_no_room_waits_and_is_written_when_there_is_some_f12_s67() {
    let (fs, wal, [mut log, other], id) = full();
    assert_eq!(log.poll_persisted().unwrap(), None, "nothing of it is reported");
    assert!(wal.waits_for_room());
    assert_eq!(fs.paths().iter().filter(|path| path.to_string_lossy().contains(".new")).count(), 0);
    // What was asked for behind it waits as well, in order.
    log.persist(Persist { entries: entries(1, 10 * id + 1, 5, 100), ..request(id + 1) }).unwrap();
    vote(&mut log, id + 2, 4);
    assert!(matches!(log.flush_now(), Err(LogError::NoRoom(_))));
    assert_eq!(log.poll_persisted().unwrap(), None);
    assert_eq!(
        log.load(LogIndex::new(1), LogIndex::new(10 * id + 6), usize::MAX)
            .unwrap()
            .last()
            .unwrap()
            .last()
            .get(),
        10 * id + 5
    );
    fs.set_free_bytes(None);
    log.flush_now().unwrap();
    assert!(!wal.waits_for_room());
    assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(id + 2)));
    drop((log, other));
    wal.close().unwrap();
    let model = &read_all(&open(&fs).unwrap()).unwrap()[&GROUP];
    assert_eq!((model.last().get(), model.hard_state.term.get()), (10 * id + 5, 4));
}

#[test]
fn what_waits_for_room_is_gone_after_a_crash_and_nothing_else_f12() {
    let (fs, wal, logs, id) = full();
    drop(logs);
    let left = fs.after_power_cut(|_, _| Kept::Nothing);
    assert!(matches!(wal.close(), Err(LogError::NoRoom(_))), "nobody is to believe that it was written");
    for fs in [fs, left] {
        fs.set_free_bytes(None);
        let model = &read_all(&open(&fs).unwrap()).unwrap()[&GROUP];
        assert_eq!(model.last().get(), 10 * (id - 1));
    }
}

/// Room for votes and terms is kept where entries may not go unless the next segment is there.
#[test]
fn a_full_disk_has_room_for_the_votes_of_groups_whose_entries_do_not_wait_f12() {
    let (fs, wal, [log, mut other], _) = full();
    let votes = u64::from(WalOptions::SEGMENT_BYTES_MIN / 16 / 64) - 1;
    for id in 1..=votes {
        vote(&mut other, id, id);
        assert!(matches!(other.flush_now(), Err(LogError::NoRoom(_))), "the entries still wait");
        assert_eq!(other.poll_persisted().unwrap(), Some(PersistId::new(id)));
    }
    drop((log, other));
    fs.stop_after(0);
    drop(wal);
    let left = fs.after_power_cut(|_, _| Kept::Nothing);
    left.set_free_bytes(None);
    let model = &read_all(&open(&left).unwrap()).unwrap()[&OTHER];
    assert_eq!(model.hard_state.term.get(), votes);
}

/// A request too large for the segment that is ready takes that one's name for its own, and then the name
/// cannot be made durable. Nothing may be written any more to the file that has lost it.
#[test]
fn a_ready_segment_that_may_have_lost_its_name_is_not_written_to_f12_f18() {
    let fs = SimFs::new();
    let ready = u64::from(WalOptions::SEGMENT_BYTES_MIN);
    let wal = Wal::open(&options(&fs, Start::Initialise).reserved_bytes(ready), || ()).unwrap();
    let [mut large, mut small] = [GROUP, OTHER].map(|id| wal.group(id).unwrap());
    large.recover().unwrap();
    small.recover().unwrap();
    fs.inject(Fault { call: Call::SyncDir, skip: 0, count: u64::MAX, error: ErrorKind::StorageFull });
    let hard_state = hard_state(1, 1, 0);
    large.persist(Persist { entries: entries(1, 1, 1, 40_000), hard_state, ..request(1) }).unwrap();
    let Err(LogError::NoRoom(failure)) = large.flush_now() else { panic!("it was written") };
    assert_eq!(failure.operation, Operation::SyncDirectory);
    let mut acknowledged = 0;
    for id in 1..=40 {
        small.persist(Persist { entries: entries(1, id, 1, 1000), hard_state, ..request(id) }).unwrap();
        assert!(matches!(small.flush_now(), Err(LogError::NoRoom(_))));
        acknowledged = small.poll_persisted().unwrap().map_or(acknowledged, PersistId::get);
    }
    assert!((10..40).contains(&acknowledged), "{acknowledged}");
    fs.stop_after(0);
    drop((large, small, wal));
    for left in [fs.after_process_death(), fs.after_power_cut(|_, _| Kept::Everything)] {
        left.heal();
        let found = read_all(&open(&left).unwrap()).unwrap();
        assert_eq!(found[&OTHER].last().get(), acknowledged);
    }
}

/// What little room there is, is used.
#[test]
fn a_log_whose_next_segment_finds_no_room_makes_a_smaller_one_f12() {
    let fs = SimFs::new();
    let settings = options(&fs, Start::Initialise).segment_bytes(64 << 20);
    let wal = Wal::open(&settings, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    fs.set_free_bytes(Some(5 << 20));
    let size = |seq| fs.content(segment(seq)).map(|bytes| bytes.len());
    let refused = (1..20).filter(|id| {
        log.persist(Persist {
            entries: entries(1, *id, 1, 400_000),
            hard_state: hard_state(1, 1, 0),
            ..request(*id)
        })
        .unwrap();
        log.flush_now().is_err()
    });
    assert_eq!(refused.count(), 0);
    assert_eq!((size(1), size(2)), (Some(4 << 20), Some(4 << 20)));
    fs.set_free_bytes(None);
    append(&mut log, 20, 20, 1, 4_000_000);
    assert_eq!(size(3), Some(16 << 20), "they grow again");
}

/// What a process that died left unproven is written anew, into as small a segment as there is room for.
#[test]
fn a_log_with_little_room_starts_with_a_small_segment_f12() {
    let fs = SimFs::new();
    let settings = |start| options(&fs, start).segment_bytes(64 << 20);
    let wal = Wal::open(&settings(Start::Initialise), || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    // The third segment is full-grown.
    for id in 1..=8 {
        append(&mut log, id, id, 1, 4_000_000);
    }
    assert!(fs.content(segment(3)).is_some());
    let expected = Model::read(&mut log).unwrap();
    fs.stop_after(0);
    drop((log, wal));
    let fs = fs.after_process_death();
    fs.set_free_bytes(Some(10 << 20));
    let wal = Wal::open(&options(&fs, Start::Existing).segment_bytes(64 << 20), || ()).unwrap();
    assert!(wal.recovery().carried_records > 0);
    assert_eq!(read_all(&wal).unwrap()[&GROUP], expected);
}

/// What the log's thread learned as it made the next segment ahead of need is not learned again.
#[test]
fn a_log_with_a_thread_uses_what_little_room_there_is_at_once_f12() {
    let fs = SimFs::new();
    let first = Wal::open(&options(&fs, Start::Initialise).segment_bytes(64 << 20), || ()).unwrap();
    first.close().unwrap();
    fs.set_free_bytes(Some(5 << 20));
    let (wal, told, rung) = open_with_thread(&fs, 64 << 20);
    told.iter().find(|text| text.contains("no room for the next segment")).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    for id in 1..=15 {
        let hard_state = hard_state(1, 1, 0);
        log.persist(Persist { entries: entries(1, id, 1, 400_000), hard_state, ..request(id) }).unwrap();
        while log.poll_persisted().unwrap() != Some(PersistId::new(id)) {
            rung.recv().unwrap();
        }
    }
    assert_eq!(fs.content(segment(2)).map(|bytes| bytes.len()), Some(4 << 20));
    assert!(told.try_iter().all(|text| !text.contains("requests wait")));
}

/// Nobody asks for anything: the log looks for room by itself.
#[test]
fn a_log_with_a_thread_goes_on_by_itself_once_there_is_room_f12_s67() {
    let fs = SimFs::new();
    initialise(&fs).unwrap().close().unwrap();
    fs.set_free_bytes(Some(0));
    let (wal, told, rung) = open_with_thread(&fs, WalOptions::SEGMENT_BYTES_MIN);
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    for id in 1..=40 {
        let hard_state = hard_state(1, 1, 0);
        log.persist(Persist { entries: entries(1, id, 1, 1000), hard_state, ..request(id) }).unwrap();
    }
    told.iter().find(|text| text.contains("requests wait")).unwrap();
    assert_ne!(log.poll_persisted().unwrap(), Some(PersistId::new(40)));
    fs.set_free_bytes(None);
    while log.poll_persisted().unwrap() != Some(PersistId::new(40)) {
        rung.recv().unwrap();
    }
    told.iter().find(|text| text.contains("there is room again")).unwrap();
}

/// Each try takes all the room that others may need: what is written meanwhile does not bring it about.
#[test]
fn a_log_with_a_thread_looks_for_room_once_a_second_however_busy_it_is_f12() {
    let fs = SimFs::new();
    initialise(&fs).unwrap().close().unwrap();
    fs.set_free_bytes(Some(0));
    let (wal, told, rung) = open_with_thread(&fs, WalOptions::SEGMENT_BYTES_MIN);
    let [mut log, mut other] = [GROUP, OTHER].map(|id| wal.group(id).unwrap());
    log.recover().unwrap();
    other.recover().unwrap();
    for id in 1..=40 {
        let hard_state = hard_state(1, 1, 0);
        log.persist(Persist { entries: entries(1, id, 1, 1000), hard_state, ..request(id) }).unwrap();
    }
    told.iter().find(|text| text.contains("requests wait")).unwrap();
    let (tries, begin) = (fs.calls(Call::Create), Instant::now());
    for id in 1..=30 {
        vote(&mut other, id, id);
        while other.poll_persisted().unwrap() != Some(PersistId::new(id)) {
            rung.recv().unwrap();
        }
    }
    let tries = fs.calls(Call::Create) - tries;
    assert!(tries <= 1 + begin.elapsed().as_secs(), "{tries} tries in {:?}", begin.elapsed());
}

/// Whoever polls a log that writes at once need not know that there is room again.
#[test]
fn a_log_that_writes_at_once_looks_for_room_when_polled_f12() {
    let fs = SimFs::new();
    let settings = options(&fs, Start::Initialise).flushing(Flushing::OnPersist);
    let wal = Wal::open(&settings, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    fs.set_free_bytes(Some(0));
    for id in 1..=40 {
        let hard_state = hard_state(1, 1, 0);
        log.persist(Persist { entries: entries(1, id, 1, 1000), hard_state, ..request(id) }).unwrap();
    }
    assert!(log.poll_persisted().unwrap() < Some(PersistId::new(40)));
    assert_eq!(log.poll_persisted().unwrap(), None);
    fs.set_free_bytes(None);
    assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(40)));
}

#[test]
fn what_waits_for_room_counts_for_the_limit_of_the_queue_f12() {
    let fs = SimFs::new();
    let settings = options(&fs, Start::Initialise).queue_bytes_max(100_000);
    let wal = Wal::open(&settings, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    fs.set_free_bytes(Some(0));
    for id in 1..30 {
        let hard_state = hard_state(1, 1, 0);
        match log.persist(Persist { entries: entries(1, id, 1, 10_000), hard_state, ..request(id) }) {
            Ok(()) => drop(log.flush_now()),
            Err(LogError::QueueFull { waiting_bytes, limit_bytes }) => {
                assert!(waiting_bytes > 80_000 && limit_bytes == 100_000, "{waiting_bytes}");
                return;
            }
            Err(other) => panic!("{other}"),
        }
    }
    panic!("more waits than allowed");
}

/// Once there was room, a full disk later on concerns those alone who wait for it then.
#[test]
fn a_group_that_has_waited_for_room_votes_while_another_one_waits_f12() {
    let (fs, _wal, [mut log, mut other], id) = full();
    fs.set_free_bytes(None);
    log.flush_now().unwrap();
    assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(id)));
    fs.set_free_bytes(Some(0));
    for id in 1.. {
        let new = entries(1, id, 1, 1000);
        other.persist(Persist { entries: new, hard_state: hard_state(1, 1, 0), ..request(id) }).unwrap();
        if other.flush_now().is_err() {
            break;
        }
    }
    vote(&mut log, id + 1, 2);
    assert!(matches!(log.flush_now(), Err(LogError::NoRoom(_))), "the other one waits");
    assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(id + 1)));
}
