//! One fault of the medium per test, and the reaction it must get: cut off what nobody was told is
//! safe, refuse to start where something acknowledged is broken, or stop at once. Never a silent
//! difference.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use common::{
    DIR, IDENTITY, Models, entries, hard_state, initialise, mark, open, options, read_all, request, segment,
};
use raft_core::{GroupId, LogIndex, LogStore, NodeId, Persist, PersistId};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault, Kept};
use raft_storage::{Damage, GroupLog, Identity, LogError, OpenError, Operation, RequestRule, Start, Wal};

const GROUP: GroupId = GroupId::new(1);

/// Opens a new log with one group.
fn new_log(fs: &SimFs) -> (Wal, GroupLog) {
    let wal = initialise(fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    (wal, log)
}

/// Appends entries and waits for the disk.
fn append(log: &mut GroupLog, id: u64, first: u64, count: u64, bytes: usize) {
    let hard_state = hard_state(1, 1, first - 1);
    log.persist(Persist { entries: entries(1, first, count, bytes), hard_state, ..request(id) }).unwrap();
    log.flush_now().unwrap();
    assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(id)));
}

/// A disk with a log of so many flushed requests, whose process was killed.
fn killed_after(requests: u64, bytes: usize) -> (SimFs, Models) {
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
fn closed_with_segments() -> (SimFs, Models) {
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

fn refused(fs: &SimFs) -> OpenError {
    match open(fs) {
        Ok(wal) => panic!("opened, recovery: {:?}", wal.recovery()),
        Err(error) => error,
    }
}

fn damage(error: &OpenError) -> (PathBuf, u64, Damage) {
    match error {
        OpenError::Damaged { path, offset, damage } => (path.clone(), *offset, *damage),
        other => panic!("{other}"),
    }
}

/// Where the last record of the first segment begins, by its place in the file.
fn last_byte(fs: &SimFs, seq: u32) -> usize {
    fs.content(segment(seq)).unwrap().iter().rposition(|byte| *byte != 0).unwrap()
}

#[test]
fn a_torn_last_write_is_cut_off_and_reported_f1_w8() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 2, 100);
    log.persist(Persist { entries: entries(1, 3, 4, 700), ..request(2) }).unwrap();
    fs.inject(Fault { call: Call::Sync, skip: 0, count: 1, error: ErrorKind::Other });
    // The power goes in the middle of the sync: it neither fails nor returns.
    fs.heal();
    fs.stop_after(1);
    assert!(log.flush_now().is_err());
    drop((log, wal));
    for bytes in [1, 31, 32, 33, 600, 1500, 2800] {
        let image = fs.after_power_cut(|_, _| Kept::FirstBytes(bytes));
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
fn old_bytes_behind_zeros_are_cut_off_f2() {
    let (fs, models) = killed_after(3, 50);
    let end = last_byte(&fs, 1);
    fs.edit(segment(1), |bytes| bytes[end + 500..end + 700].fill(0xab));
    let wal = open(&fs).unwrap();
    assert!(wal.recovery().torn_tail.is_some());
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
        assert!(offset as usize <= at, "names byte {offset}, flipped at {at}");
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
    fs.edit(segment(last), |bytes| bytes[end / 512 * 512..][..512].fill(0));
    damage(&refused(&fs));
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
    for at in (0..60).chain((4096..used).step_by(101)) {
        let image = fs.after_process_death();
        image.edit(segment(1), |bytes| bytes[at] ^= 0x40);
        match open(&image) {
            Err(OpenError::Damaged { path, .. } | OpenError::Version { path, .. }) => {
                assert_eq!(path, segment(1));
            }
            Err(other) => panic!("{other}"),
            // Only what means nothing may be flipped unseen: the padding between records.
            Ok(wal) => assert_eq!(read_all(&wal).unwrap(), models, "flip at {at}"),
        }
    }
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
fn a_full_disk_stops_the_log_without_a_partial_record_and_room_makes_it_open_again_f12_s67() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 2, 100);
    fs.set_free_bytes(Some(10_000));
    // What was reserved is still there: a request that fits into the segment is no problem.
    append(&mut log, 2, 3, 10, 1000);
    let mut acknowledged = 12;
    let failure = loop {
        let new = Persist { entries: entries(1, acknowledged + 1, 10, 1000), ..request(acknowledged) };
        log.persist(new).unwrap();
        match log.flush_now() {
            Ok(()) => acknowledged += 10,
            Err(LogError::Failed(failure)) => break failure,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(failure.is_storage_full(), "{failure}");
    drop((log, wal));
    let next = fs.after_process_death();
    next.set_free_bytes(None);
    let wal = open(&next).unwrap();
    let found = read_all(&wal).unwrap();
    assert_eq!(found[&GROUP].last().get(), acknowledged);
    assert!(!next.paths().iter().any(|path| path.to_string_lossy().ends_with(".new")), "{:?}", next.paths());
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
        assert!(offset as usize <= length, "names byte {offset}, cut at {length}");
    }
    let (fs, _) = closed_with_segments();
    let used = last_byte(&fs, 1);
    for length in (0..used).step_by(997) {
        let image = fs.after_process_death();
        image.edit(segment(1), |bytes| bytes.truncate(length));
        damage(&refused(&image));
    }
}

#[test]
fn a_missing_segment_is_refused_f15() {
    let (fs, _) = closed_with_segments();
    let segments: Vec<PathBuf> =
        fs.paths().into_iter().filter(|path| path.to_string_lossy().ends_with(".wal")).collect();
    assert!(segments.len() >= 3);
    for path in &segments {
        let image = fs.after_process_death();
        image.delete(path);
        let (_, _, found) = damage(&refused(&image));
        assert!(matches!(found, Damage::MissingSegment { .. }), "{}: {found}", path.display());
    }
}

#[test]
fn a_copied_segment_is_refused_and_a_foreign_file_left_alone_f16() {
    let (fs, models) = closed_with_segments();
    let copy = fs.after_process_death();
    copy.put(segment(9), &fs.content(segment(1)).unwrap());
    let (path, _, found) = damage(&refused(&copy));
    assert_eq!((path, found), (segment(9), Damage::Misnamed { seq: 1 }));
    let replaced = fs.after_process_death();
    replaced.put(segment(2), &fs.content(segment(1)).unwrap());
    damage(&refused(&replaced));
    let names = ["0000000A.wal", "00000001.wal.bak", "1.wal", "notes.txt"];
    for name in names {
        fs.put(format!("{DIR}/{name}"), b"not ours");
    }
    let wal = open(&fs).unwrap();
    let mut ignored = wal.recovery().ignored_files.clone();
    ignored.sort_by_key(|name| names.iter().position(|known| known == name));
    assert_eq!(ignored, names);
    assert_eq!(read_all(&wal).unwrap(), models);
    assert_eq!(fs.content(format!("{DIR}/notes.txt")).unwrap(), b"not ours");
}

/// A log that says what no request may say can only be a forgery or a bug; requests that would make
/// one are refused, so recovery's own checks never hit a log that was written honestly.
#[test]
fn requests_that_recovery_would_refuse_are_refused_when_made_f17() {
    let cases = [
        (Persist { entries: entries(2, 3, 1, 1), ..request(2) }, RequestRule::HardStateCoversLog),
        (Persist { entries: entries(1, 4, 1, 1), ..request(2) }, RequestRule::EntriesFollowLog),
        (
            Persist { entries: entries(1, 3, 1, 1), hard_state: hard_state(1, 1, 4), ..request(2) },
            RequestRule::CommitWithinLog,
        ),
        (Persist { hard_state: hard_state(0, 1, 0), ..request(2) }, RequestRule::HardStateDoesNotFall),
        (Persist { truncate_from: Some(LogIndex::new(4)), ..request(2) }, RequestRule::TruncationWithinLog),
        (
            Persist {
                mark: Some(mark(1, 9)),
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
fn a_directory_that_is_only_half_made_is_not_a_nodes_f21_f24() {
    let whole = SimFs::new();
    drop(initialise(&whole).unwrap());
    let mut refusals = 0;
    for changes in 0..whole.changes() {
        let fs = SimFs::new();
        fs.stop_after(changes);
        if initialise(&fs).is_ok() {
            break;
        }
        let image = fs.after_process_death();
        match open(&image) {
            Err(OpenError::NotInitialised { .. }) => refusals += 1,
            Err(other) => panic!("stopped after {changes} changes: {other}"),
            // The last step of making it was done, only its sync was not.
            Ok(wal) => assert_eq!(wal.group_ids(), []),
        }
        drop(initialise(&image).unwrap());
        drop(open(&image).unwrap());
    }
    assert!(refusals > 5);
    let initialised = SimFs::new();
    drop(initialise(&initialised).unwrap());
    let again = Wal::open(&options(&initialised, Start::Initialise), || ());
    assert!(matches!(again, Err(OpenError::AlreadyInitialised { .. })));
}

#[test]
fn a_log_without_its_identity_is_refused_not_made_anew_f21_f24() {
    let (fs, _) = closed_with_segments();
    fs.delete(format!("{DIR}/identity"));
    let (_, _, found) = damage(&refused(&fs));
    assert_eq!(found, Damage::IdentityMissing);
    let again = Wal::open(&options(&fs, Start::InitialiseIfMissing), || ());
    assert!(matches!(again, Err(OpenError::Damaged { damage: Damage::IdentityMissing, .. })));
    let (fs, _) = killed_after(1, 10);
    fs.delete(format!("{DIR}/identity"));
    damage(&refused(&fs));
}

#[test]
fn a_second_opener_is_told_who_holds_the_directory_f22() {
    let fs = SimFs::new();
    let (wal, log) = new_log(&fs);
    let error = open(&fs).unwrap_err();
    let OpenError::Locked { path, holder } = &error else { panic!("{error}") };
    assert_eq!(path, &PathBuf::from(format!("{DIR}/lock")));
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    drop(wal);
    drop(open(&fs).unwrap());
    drop(log);
}

#[test]
fn the_directory_of_another_node_cluster_or_life_is_refused_f7_f23_s69() {
    let (fs, _) = closed_with_segments();
    let others = [
        Identity { node: NodeId::new(2), ..IDENTITY },
        Identity { cluster: IDENTITY.cluster + 1, ..IDENTITY },
    ];
    for expected in others {
        let mut settings = raft_storage::WalOptions::new(DIR, expected);
        settings = settings.fs(Arc::new(fs.clone())).flushing(raft_storage::Flushing::Manual);
        let error = Wal::open(&settings, || ()).unwrap_err();
        let OpenError::OtherIdentity { found, .. } = &error else { panic!("{error}") };
        assert_eq!(*found, IDENTITY);
    }
    // Same node, but a segment from a directory that was initialised another time.
    let (other, _) = closed_with_segments();
    fs.put(segment(2), &other.content(segment(2)).unwrap());
    let (path, _, found) = damage(&refused(&fs));
    assert_eq!((path, found), (segment(2), Damage::Foreign));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (fs, _) = closed_with_segments();
    fs.edit(segment(2), |bytes| {
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..56]);
        bytes[56..60].copy_from_slice(&crc.to_le_bytes());
    });
    let error = refused(&fs);
    assert!(matches!(error, OpenError::Version { found: 2, supported: 1, .. }), "{error}");
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
    assert!(matches!(log.flush_now(), Err(LogError::Failed(_))));
}

#[test]
fn dead_segments_are_removed_and_the_disk_use_stays_bounded_s102() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    for id in 1..=60 {
        append(&mut log, id, (id - 1) * 10 + 1, 10, 1200);
        if id > 1 {
            log.compact(mark(1, (id - 1) * 10)).unwrap();
        }
    }
    log.flush_now().unwrap();
    let segments = fs.paths().iter().filter(|path| path.to_string_lossy().ends_with(".wal")).count();
    assert!(segments <= 4, "{segments} segments for ten entries");
    let expected = {
        drop(log);
        wal.close().unwrap();
        read_all(&open(&fs).unwrap()).unwrap()
    };
    assert_eq!(expected[&GROUP].last(), LogIndex::new(600));
    assert_eq!(expected[&GROUP].entries.len(), 10);
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
