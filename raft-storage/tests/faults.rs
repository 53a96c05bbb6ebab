//! One fault of the medium per test, and the reaction it must get: cut off what nobody was told is
//! safe, refuse to start where something acknowledged is broken, or stop at once. Never a silent
//! difference.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::ErrorKind;
use std::sync::Arc;

use common::faulty::{
    GROUP, append, closed_with_segments, damage, killed_after, last_byte, new_log, refused, rewritten_bytes,
};
use common::glass::Glass;
use common::{DIR, entries, hard_state, open, options, read_all, request, segment};
use raft_core::{GroupId, LogIndex, LogStore, Persist};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault, Kept};
use raft_storage::inspect::{Inspector, Outcome};
use raft_storage::{Damage, LogError, OpenError, Operation, Start, Wal};

#[test]
fn a_torn_last_write_is_cut_off_and_reported_f1_w8() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 2, 100);
    log.persist(Persist { entries: entries(1, 3, 4, 700), ..request(2) }).unwrap();
    // The power goes in the middle of the sync: it neither fails nor returns.
    fs.stop_after(1);
    assert!(log.flush_now().is_err());
    drop((log, wal));
    let rewritten = rewritten_bytes(&fs, 1);
    for bytes in [1, 31, 32, 33, 600, 1500, 2800] {
        let image = fs.after_power_cut(|_, _| Kept::FirstBytes(rewritten + bytes));
        let wal = open(&image).unwrap();
        let report = wal.recovery();
        let tail = report.torn_tail.as_ref().unwrap();
        assert_eq!(tail.path, segment(1));
        assert!(tail.byte_count <= bytes as u64 && tail.byte_count > 0, "{tail:?} of {bytes}");
        let found = read_all(&wal).unwrap();
        assert_eq!(found[&GROUP].last(), LogIndex::new(2));
    }
}

#[test]
fn zeros_behind_the_log_are_no_damage_f2() {
    let (fs, models) = killed_after(3, 50);
    let wal = open(&fs).unwrap();
    assert_eq!(wal.recovery().torn_tail, None);
    assert_eq!(read_all(&wal).unwrap(), models);
}

#[test]
fn old_bytes_behind_zeros_are_nothing_f2() {
    let (fs, models) = killed_after(3, 50);
    let end = last_byte(&fs, 1);
    fs.edit(segment(1), |bytes| bytes[end + 500..end + 700].fill(0xab));
    let wal = open(&fs).unwrap();
    // As a segment looks that was filled before.
    assert_eq!(wal.recovery().torn_tail, None);
    assert_eq!(read_all(&wal).unwrap(), models);
}

/// The records of another segment, at their old places, behind the log's end.
#[test]
fn records_of_a_former_life_of_the_file_are_not_read_f3_f7() {
    let (fs, models) = killed_after(2, 50);
    let (other, _) = killed_after(9, 50);
    let (end, old) = (last_byte(&fs, 1), other.content(segment(1)).unwrap());
    let next = (end + 8) & !7;
    fs.edit(segment(1), |bytes| bytes[next..].copy_from_slice(&old[next..]));
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), models);
}

/// Two requests in one flush: the first was torn, the second arrived. If the first is made again,
/// byte for byte, in its old place, the second must not follow it out of nowhere.
#[test]
fn a_record_behind_a_torn_one_never_comes_back_to_life_f2_f20() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 1, 10);
    append(&mut log, 2, 2, 1, 10);
    wal.write_sync_mark().unwrap();
    let torn = Persist { entries: entries(1, 3, 1, 3000), ..request(3) };
    log.persist(torn.clone()).unwrap();
    log.persist(Persist { entries: entries(1, 4, 1, 10), ..request(4) }).unwrap();
    fs.stop_after(1);
    assert!(log.flush_now().is_err());
    drop((log, wal));
    // All but the third sector of the flush.
    let fs = fs.after_power_cut(|_, _| Kept::Sectors(!0b100));
    let wal = open(&fs).unwrap();
    assert!(wal.recovery().torn_tail.is_some());
    assert!(fs.content(segment(2)).is_some(), "the log goes on where nothing of it stands");
    let mut log = wal.group(GROUP).unwrap();
    assert_eq!(log.recover().unwrap().last().index, LogIndex::new(2));
    log.persist(torn).unwrap();
    log.flush_now().unwrap();
    fs.stop_after(0);
    drop((log, wal));
    let fs = fs.after_power_cut(|_, _| Kept::Nothing);
    let found = read_all(&open(&fs).unwrap()).unwrap();
    assert_eq!(found[&GROUP].last(), LogIndex::new(3));
}

/// Of two requests in one flush only the second arrived: zeros where the first should be are no whole end.
#[test]
fn zeros_before_a_record_that_arrived_alone_are_reported_as_torn_f2_w8() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 1, 10);
    for (id, bytes) in [(2, 3000), (3, 10)] {
        log.persist(Persist { entries: entries(1, id, 1, bytes), ..request(id) }).unwrap();
    }
    fs.stop_after(1);
    assert!(log.flush_now().is_err());
    drop((log, wal));
    let fs = fs.after_power_cut(|_, _| Kept::Sectors(!0b1111));
    let wal = open(&fs).unwrap();
    let tail = wal.recovery().torn_tail.as_ref().unwrap();
    assert_eq!(tail.damage, Damage::Missing);
    assert!(tail.byte_count > 3000, "{tail:?}");
    assert_eq!(read_all(&wal).unwrap()[&GROUP].last(), LogIndex::new(1));
}

/// Every checksum of the last record fits, but it follows another record than the one before it.
#[test]
fn a_record_of_another_history_is_refused_f7() {
    let (fs, _) = closed_with_segments();
    let header = 4152;
    fs.edit(segment(1), |bytes| {
        let seed = u32::from_le_bytes(bytes[56..60].try_into().unwrap());
        bytes[header + 12] ^= 1;
        let crc = crc32c::crc32c_append(seed ^ 4152, &bytes[header + 4..header + 32]);
        bytes[header..header + 4].copy_from_slice(&crc.to_le_bytes());
    });
    let (path, offset, found) = damage(&refused(&fs));
    assert_eq!((path, offset), (segment(1), 4152));
    assert!(matches!(found, Damage::Chain { .. }), "{found}");
}

#[test]
fn a_flipped_bit_with_later_records_behind_it_is_refused_f4_s64() {
    let (fs, _) = killed_after(5, 300);
    let end = last_byte(&fs, 1);
    // Well before the last record, which was written by a later flush.
    for at in (4144..end - 800).step_by(37) {
        let image = fs.after_process_death();
        image.edit(segment(1), |bytes| bytes[at] ^= 0x10);
        let (path, offset, _) = damage(&refused(&image));
        assert_eq!(path, segment(1));
        assert!(offset <= at as u64, "names byte {offset}, flipped at {at}");
    }
}

/// What is behind a broken record is looked at in pieces. The one record there that proves anything begins
/// near the end of the first of them, or of the second.
#[test]
fn a_broken_record_is_refused_wherever_the_next_one_begins_f4() {
    for pieces in 1..=2 {
        for short_by in (40..160).step_by(8) {
            let fs = SimFs::new();
            let settings = options(&fs, Start::Initialise).segment_bytes(1 << 20);
            let wal = Wal::open(&settings, || ()).unwrap();
            let mut log = wal.group(GROUP).unwrap();
            log.recover().unwrap();
            append(&mut log, 1, 1, 1, 10);
            let broken = (last_byte(&fs, 1) + 8) & !7;
            append(&mut log, 2, 2, 1, pieces * (64 << 10) - short_by);
            append(&mut log, 3, 3, 1, 10);
            fs.stop_after(0);
            drop((log, wal));
            let dead = fs.after_process_death();
            dead.edit(segment(1), |bytes| bytes[broken + 1000] ^= 1);
            let (path, offset, _) = damage(&refused(&dead));
            assert_eq!((path, offset), (segment(1), broken as u64), "{pieces} pieces less {short_by}");
        }
    }
}

/// The broken record is all zeros but for one byte, so it looks like a torn write (etcd's guess).
#[test]
fn a_flipped_bit_in_a_payload_of_zeros_is_refused_s65() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    // Entry 5's payload is zeros.
    append(&mut log, 1, 1, 4, 10);
    append(&mut log, 2, 5, 1, 4000);
    append(&mut log, 3, 6, 1, 10);
    fs.stop_after(0);
    drop((log, wal));
    let image = fs.after_power_cut(|_, _| Kept::Nothing);
    let end = last_byte(&image, 1);
    image.edit(segment(1), |bytes| bytes[end - 2000] ^= 1);
    damage(&refused(&image));
}

#[test]
fn a_flipped_bit_in_the_last_batch_is_refused_if_a_mark_proves_it_was_durable_f5_f8() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 2, 100);
    wal.write_sync_mark().unwrap();
    fs.stop_after(0);
    drop((log, wal));
    let image = fs.after_power_cut(|_, _| Kept::Nothing);
    let end = last_byte(&image, 1);
    image.edit(segment(1), |bytes| bytes[end - 20] ^= 4);
    let error = refused(&image);
    let (path, _, found) = damage(&error);
    assert_eq!(path, segment(1));
    assert!(matches!(found, Damage::Checksum { .. }), "{found}");
    assert!(error.to_string().contains("under a new id"), "names the way out: {error}");
}

/// A sector of the last batch still has its old content: the write was lost.
#[test]
fn a_lost_sector_is_refused_if_a_mark_proves_it_was_durable_f8() {
    let (fs, _) = closed_with_segments();
    let last = (1..=9).rev().find(|seq| {
        fs.content(segment(*seq)).is_some_and(|bytes| bytes[4096..].iter().any(|byte| *byte != 0))
    });
    let last = last.unwrap();
    let end = last_byte(&fs, last);
    let sector = end / 512 * 512;
    fs.edit(segment(last), |bytes| bytes[sector..][..512].fill(0));
    let error = refused(&fs);
    let (path, offset, found) = damage(&error);
    assert_eq!(path, segment(last));
    assert!(offset <= end as u64 && matches!(found, Damage::Checksum { .. } | Damage::Missing), "{error}");
    assert!(error.to_string().contains("acknowledged"), "{error}");
}

/// Without proof, the last batch may have been torn: nobody was told, as far as can be known.
#[test]
fn a_flipped_bit_in_the_last_batch_is_cut_off_if_nothing_proves_it_was_durable_f5() {
    let (fs, models) = killed_after(3, 100);
    let end = last_byte(&fs, 1);
    fs.edit(segment(1), |bytes| bytes[end - 20] ^= 4);
    let wal = open(&fs).unwrap();
    assert!(wal.recovery().torn_tail.is_some());
    assert_eq!(read_all(&wal).unwrap()[&GROUP].last().get(), models[&GROUP].last().get() - 2);
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_or_a_head_is_refused_f6() {
    let (fs, models) = closed_with_segments();
    let used = last_byte(&fs, 1);
    let mut opened = 0;
    for at in (0..60).chain((4096..used).step_by(101)) {
        let image = fs.after_process_death();
        image.edit(segment(1), |bytes| bytes[at] ^= 0x40);
        match open(&image) {
            Err(OpenError::Damaged { path, .. } | OpenError::Version { path, .. }) => {
                assert_eq!(path, segment(1));
            }
            Err(other) => panic!("{other}"),
            // Only what means nothing may be flipped unseen: the padding between records.
            Ok(wal) => {
                assert_eq!(read_all(&wal).unwrap(), models, "flip at {at}");
                opened += 1;
            }
        }
    }
    assert!(opened <= 3, "{opened} flips of padding");
}

#[test]
fn a_failed_sync_stops_the_log_at_once_and_is_never_retried_f9_s66_s104_w6() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 2, 100);
    let durable = fs.after_power_cut(|_, _| Kept::Everything);
    let before = read_all(&open(&durable).unwrap()).unwrap();
    log.persist(Persist { entries: entries(1, 3, 2, 100), ..request(2) }).unwrap();
    fs.inject(Fault { call: Call::Sync, skip: 0, count: 1, error: ErrorKind::Other });
    let LogError::Failed(failure) = log.flush_now().unwrap_err() else { panic!("another error") };
    assert_eq!((failure.operation, &failure.path), (Operation::Sync, &segment(1)));
    // The disk is well again, but what it holds is unknown.
    let changes = fs.changes();
    assert!(matches!(log.poll_persisted(), Err(LogError::Failed(_))));
    assert!(matches!(log.persist(request(3)), Err(LogError::Failed(_))));
    assert!(matches!(log.load(LogIndex::new(1), LogIndex::new(2), 1), Err(LogError::Failed(_))));
    assert!(matches!(wal.flush_now(), Err(LogError::Failed(_))));
    assert!(matches!(wal.group(GroupId::new(2)), Err(LogError::Failed(_))));
    drop((log, wal));
    assert_eq!(fs.changes(), changes, "nothing was written after the failure");

    // The cache still has what never reached the medium. The next process may find it, but only
    // after having written it again, to another file.
    let next = fs.after_process_death();
    let wal = open(&next).unwrap();
    assert_eq!(wal.recovery().carried_records, 1);
    let found = read_all(&wal).unwrap();
    assert_eq!(found[&GROUP].last(), LogIndex::new(4));
    drop(wal);
    let after = next.after_power_cut(|_, _| Kept::Nothing);
    assert_eq!(read_all(&open(&after).unwrap()).unwrap(), found);

    // And if the power goes instead, what was acknowledged is there.
    let after = fs.after_power_cut(|_, _| Kept::Nothing);
    assert_eq!(read_all(&open(&after).unwrap()).unwrap(), before);
}

#[test]
fn short_writes_are_continued_and_a_failed_write_stops_the_log_f11() {
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    fs.set_write_bytes_max(100);
    append(&mut log, 1, 1, 3, 1000);
    fs.inject(Fault { call: Call::Write, skip: 0, count: 1, error: ErrorKind::Interrupted });
    append(&mut log, 2, 4, 3, 1000);
    fs.inject(Fault { call: Call::Write, skip: 5, count: 1, error: ErrorKind::Other });
    log.persist(Persist { entries: entries(1, 7, 2, 1000), ..request(3) }).unwrap();
    let LogError::Failed(failure) = log.flush_now().unwrap_err() else { panic!("another error") };
    assert_eq!(failure.operation, Operation::Write);
    assert!(matches!(log.poll_persisted(), Err(LogError::Failed(_))));
    drop((log, _wal));
    let found = read_all(&open(&fs.after_process_death()).unwrap()).unwrap();
    assert_eq!(found[&GROUP].last(), LogIndex::new(6), "no part of the failed request");
}

#[test]
fn what_cannot_be_verified_is_never_returned_f13_s109() {
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 2, 400);
    append(&mut log, 2, 3, 2, 400);
    let (first, end) = (LogIndex::new(1), LogIndex::new(5));
    assert_eq!(log.load(first, end, usize::MAX).unwrap().len(), 2);
    let used = last_byte(&fs, 1);
    fs.edit(segment(1), |bytes| bytes[used - 100] ^= 1);
    assert_eq!(log.load(first, LogIndex::new(3), usize::MAX).unwrap().len(), 1, "the first record is whole");
    let error = log.load(first, end, usize::MAX).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { damage: Damage::Checksum { .. }, .. }), "{error}");
    assert!(log.persist(request(3)).is_err(), "a log that lost something does not go on");
}

#[test]
fn short_and_interrupted_reads_are_continued_f11() {
    let (fs, models) = closed_with_segments();
    let whole = Inspector::new(DIR).fs(Arc::new(fs.clone())).inspect().unwrap();
    assert_eq!(whole.outcome(), Outcome::Whole);
    let glass = Glass::new(&fs).with_read_bytes_max(1000);
    let found = Inspector::new(DIR).fs(Arc::new(glass)).inspect().unwrap();
    assert_eq!(format!("{found:?}"), format!("{whole:?}"));
    let reads = {
        let image = fs.after_process_death();
        let before = image.calls(Call::Read);
        drop(read_all(&open(&image).unwrap()));
        image.calls(Call::Read) - before
    };
    for skip in 0..reads {
        let image = fs.after_process_death();
        image.inject(Fault { call: Call::Read, skip, count: 2, error: ErrorKind::Interrupted });
        assert_eq!(read_all(&open(&image).unwrap()).unwrap(), models, "read {skip}");
    }
}

#[test]
fn a_failed_or_short_read_is_an_error_not_a_guess_f13() {
    for truncates in [false, true] {
        let fs = SimFs::new();
        let (_wal, mut log) = new_log(&fs);
        append(&mut log, 1, 1, 2, 400);
        if truncates {
            fs.edit(segment(1), |bytes| bytes.truncate(4500));
        } else {
            fs.inject(Fault { call: Call::Read, skip: 0, count: 1, error: ErrorKind::Other });
        }
        let error = log.load(LogIndex::new(1), LogIndex::new(3), usize::MAX).unwrap_err();
        match error {
            LogError::Failed(failure) => assert!(!truncates && failure.operation == Operation::Read),
            LogError::Corrupt { damage: Damage::TooShort { .. }, .. } => assert!(truncates),
            other => panic!("{other}"),
        }
    }
}

/// A segment has its full size before it has its name, so no crash makes one shorter.
#[test]
fn a_truncated_file_is_refused_whatever_its_length_f14() {
    let (fs, _) = killed_after(4, 200);
    let size = fs.content(segment(1)).unwrap().len();
    for length in (0..size).step_by(97).chain([size - 1]) {
        let image = fs.after_process_death();
        image.edit(segment(1), |bytes| bytes.truncate(length));
        let (path, offset, _) = damage(&refused(&image));
        assert_eq!(path, segment(1));
        assert!(offset <= length as u64, "names byte {offset}, cut at {length}");
    }
    let (fs, _) = closed_with_segments();
    let used = last_byte(&fs, 1);
    for length in (0..used).step_by(997) {
        let image = fs.after_process_death();
        image.edit(segment(1), |bytes| bytes.truncate(length));
        let error = refused(&image);
        assert_eq!(damage(&error).0, segment(1), "cut at {length}: {error}");
    }
}

#[test]
fn a_system_that_refuses_is_reported_with_path_and_reason_f26() {
    for (call, operation) in [
        (Call::Open, Operation::Open),
        (Call::Read, Operation::Read),
        (Call::List, Operation::List),
        (Call::Lock, Operation::Lock),
    ] {
        let (fs, _) = closed_with_segments();
        fs.inject(Fault { call, skip: 0, count: 1, error: ErrorKind::PermissionDenied });
        let OpenError::Io(failure) = refused(&fs) else { panic!("another error") };
        assert_eq!(failure.operation, operation);
        assert_eq!(failure.source.kind(), ErrorKind::PermissionDenied);
        assert!(failure.path.starts_with(DIR));
    }
    // Read-only from some moment on.
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    fs.inject(Fault { call: Call::Write, skip: 0, count: 9, error: ErrorKind::ReadOnlyFilesystem });
    log.persist(Persist { entries: entries(1, 1, 1, 1), hard_state: hard_state(1, 1, 0), ..request(1) })
        .unwrap();
    let LogError::Failed(failure) = log.flush_now().unwrap_err() else { panic!("another error") };
    assert_eq!((failure.operation, &failure.path), (Operation::Write, &segment(1)));
    assert_eq!(failure.source.kind(), ErrorKind::ReadOnlyFilesystem);
    assert!(
        failure.to_string().starts_with(&format!("could not write {}: ", segment(1).display())),
        "{failure}"
    );
}

/// A request larger than a segment gets one of its own size.
#[test]
fn a_request_larger_than_a_segment_is_written_and_read_back() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 2, 100);
    append(&mut log, 2, 3, 100, 1000);
    append(&mut log, 3, 103, 2, 100);
    drop(log);
    wal.close().unwrap();
    let found = read_all(&open(&fs).unwrap()).unwrap();
    assert_eq!(found[&GROUP].last(), LogIndex::new(104));
}
