//! One fault of a snapshot per test, and the reaction it must get: another snapshot and the log make
//! up for it and it is reported, or the group is refused. Never a state that nobody wrote.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::ErrorKind;
use std::path::PathBuf;

use common::faulty::{GROUP, append, damage, new_log, refused};
use common::snapshots::{Snapshot, recovered, with_two_snapshots};
use common::{DIR, IDENTITY, compact, open, options_of, request, reset};
use raft_core::bytes::Bytes;
use raft_core::{LogStore, NodeId, Persist, SnapshotFailure, SnapshotStore};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault};
use raft_storage::{Damage, GroupLog, Identity, LogError, OpenError, RequestRule, Start, Wal};

/// What recovering the group's snapshot was refused for.
fn snapshot_refused(fs: &SimFs) -> LogError {
    let wal = open(fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    let error = log.recover_snapshot().unwrap_err();
    assert!(log.recover().is_err(), "a refused group stays refused");
    error
}

fn corrupt(error: &LogError) -> (std::path::PathBuf, u64, Damage) {
    match error {
        LogError::Corrupt { path, offset, damage } => (path.clone(), *offset, *damage),
        other => panic!("{other}"),
    }
}

/// How many snapshot files there are, finished or not.
fn snapshot_files(fs: &SimFs) -> usize {
    fs.paths().iter().filter(|path| path.to_string_lossy().contains(".snap")).count()
}

#[test]
fn a_damaged_snapshot_is_passed_over_if_the_log_reaches_back_to_an_older_one_f6() {
    for marked in [0, 4] {
        let (fs, [older, newer]) = with_two_snapshots(marked);
        fs.edit(newer.path(), |bytes| bytes[66_000] ^= 1);
        let (_wal, mut log, meta) = recovered(&fs).unwrap();
        assert_eq!(meta.as_ref(), Some(&older.meta));
        older.assert_readable(&mut log, "the older one");
        assert_eq!(log.read_snapshot(newer.meta.last, 0, 10).unwrap(), None);
        let [loss] = log.snapshot_losses() else { panic!("{:?}", log.snapshot_losses()) };
        assert_eq!((&loss.path, loss.offset), (&newer.path(), 64 + 65_540));
        assert!(matches!(loss.damage, Damage::Checksum { .. }), "{loss:?}");
        // The next one takes the place of the damaged one.
        let next = Snapshot::new(1, 9, 10);
        next.write(&mut log);
        assert_eq!(fs.content(newer.path()), None);
        assert!(fs.content(older.path()).is_some() && fs.content(next.path()).is_some());
    }
}

#[test]
fn a_damaged_snapshot_that_the_log_builds_on_is_refused_with_place_and_way_out_f6_s47() {
    let (fs, [_, newer]) = with_two_snapshots(8);
    fs.edit(newer.path(), |bytes| bytes[70] ^= 1);
    let error = snapshot_refused(&fs);
    let (path, offset, found) = corrupt(&error);
    assert_eq!((path, offset), (newer.path(), 64));
    assert!(matches!(found, Damage::Checksum { .. }), "{found}");
    let text = error.to_string();
    for said in [".snap is damaged at byte 64", "checksum", "under a new id"] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn a_log_that_begins_behind_no_snapshot_is_refused_s62() {
    let (fs, [_, newer]) = with_two_snapshots(8);
    fs.delete(newer.path());
    let error = snapshot_refused(&fs);
    let (path, _, found) = corrupt(&error);
    assert_eq!(
        (path, found),
        (newer.path(), Damage::SnapshotMissing { group: GROUP, mark: newer.meta.last })
    );
    assert!(error.to_string().contains("put this node's own file back"), "{error}");
}

/// It ends where the log begins, but what it replaces is another history.
#[test]
fn a_snapshot_of_another_term_than_the_mark_does_not_fit_s62() {
    let (fs, [_, newer]) = with_two_snapshots(8);
    let wal = open(&fs).unwrap();
    Snapshot::new(2, 8, 100).write(&mut wal.group(GROUP).unwrap());
    drop(wal);
    fs.delete(newer.path());
    let (path, _, found) = corrupt(&snapshot_refused(&fs));
    let mark = newer.meta.last;
    assert_eq!((path, found), (newer.path(), Damage::SnapshotMissing { group: GROUP, mark }));
}

/// Every chunk and the foot are whole, and the state is not the one that was asked for.
#[test]
fn a_snapshot_that_names_another_checksum_of_its_state_is_refused_s47() {
    let (fs, [_, newer]) = with_two_snapshots(8);
    fs.edit(newer.path(), |bytes| {
        let end = bytes.len() - 24;
        bytes[end + 8] ^= 1;
        let seed = u32::from_le_bytes(bytes[60..64].try_into().unwrap());
        let membership = u32::from_le_bytes(bytes[end + 12..end + 16].try_into().unwrap()) as usize;
        let crc = crc32c::crc32c_append(seed, &bytes[end - membership..end + 20]);
        bytes[end + 20..].copy_from_slice(&crc.to_le_bytes());
    });
    let (path, offset, found) = corrupt(&snapshot_refused(&fs));
    assert_eq!((path, offset), (newer.path(), 64));
    assert!(matches!(found, Damage::Checksum { .. }), "{found}");
}

/// A crash came between the snapshot and the new beginning of the log.
#[test]
fn a_snapshot_that_is_newer_than_the_log_is_found_s62() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 3, 20);
    let snapshot = Snapshot::new(5, 100, 1000);
    snapshot.write(&mut log);
    drop((log, wal));
    let (_wal, mut log, meta) = recovered(&fs).unwrap();
    assert_eq!(meta.as_ref(), Some(&snapshot.meta));
    log.persist(Persist {
        mark: Some(reset(5, 100)),
        hard_state: common::hard_state(5, 1, 100),
        ..request(1)
    })
    .unwrap();
    log.flush_now().unwrap();
    snapshot.assert_readable(&mut log, "after the reset");
}

/// Every bit of both files, with a log that reaches back to the start, to the older, to the newer.
#[test]
fn a_flipped_bit_of_a_snapshot_is_refused_passed_over_or_harmless_s47() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 10, 20);
    let snapshots = [Snapshot::new(1, 4, 40), Snapshot::new(1, 8, 50)];
    for snapshot in &snapshots {
        snapshot.write(&mut log);
    }
    let marks = [None, Some(4), Some(8)];
    let mut images = Vec::new();
    for mark in marks {
        if let Some(index) = mark {
            log.persist(Persist { mark: Some(compact(1, index)), ..request(index) }).unwrap();
            log.flush_now().unwrap();
        }
        images.push(fs.after_process_death());
    }
    drop((log, wal));
    let [older, newer] = &snapshots;
    let (mut refused, mut passed_over, mut harmless) = (0, 0, 0);
    for (fs, mark) in images.iter().zip(marks) {
        for flipped in &snapshots {
            let bits = fs.content(flipped.path()).unwrap().len() * 8;
            for bit in 0..bits {
                let image = fs.after_process_death();
                image.edit(flipped.path(), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
                let place = format!("mark {mark:?}, bit {bit} of {}", flipped.path().display());
                match recovered(&image) {
                    Ok((_wal, mut log, meta)) => {
                        let expected = if flipped == newer { older } else { newer };
                        assert_eq!(meta.as_ref(), Some(&expected.meta), "{place}");
                        expected.assert_readable(&mut log, &place);
                        assert!(flipped == older || mark != Some(8), "{place}");
                        *if flipped == newer { &mut passed_over } else { &mut harmless } += 1;
                    }
                    Err(_) => {
                        assert!(flipped == newer && mark == Some(8), "{place}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(
        refused > 1000 && passed_over == 2 * refused && harmless > 3000,
        "{refused} {passed_over} {harmless}"
    );
}

#[test]
fn a_snapshot_cut_at_any_length_is_no_snapshot_f19_s47() {
    let (fs, [_, newer]) = with_two_snapshots(8);
    let whole = fs.content(newer.path()).unwrap();
    for length in (0..whole.len()).step_by(501).chain(whole.len() - 80..whole.len()) {
        let image = fs.after_process_death();
        image.put(newer.path(), &whole[..length]);
        corrupt(&snapshot_refused(&image));
    }
    let image = fs.after_process_death();
    image.put(newer.path(), &[&whole[..], b"more"].concat());
    assert_eq!(corrupt(&snapshot_refused(&image)).2, Damage::NotWhole);
}

#[test]
fn a_snapshot_from_elsewhere_or_under_another_name_is_refused_f7_f16_f23() {
    let (fs, [older, newer]) = with_two_snapshots(8);
    let other_life = with_two_snapshots(8).0.content(newer.path()).unwrap();
    let image = fs.after_process_death();
    image.put(newer.path(), &other_life);
    let (path, _, found) = damage(&refused(&image));
    assert_eq!((path, found), (newer.path(), Damage::Foreign));
    let image = fs.after_process_death();
    image.put(newer.path(), &image.content(older.path()).unwrap());
    let (_, _, found) = corrupt(&snapshot_refused(&image));
    assert_eq!(found, Damage::OtherSnapshot { group: GROUP, last: older.meta.last });
    let foreign = SimFs::new();
    let identity = Identity { node: NodeId::new(2), ..IDENTITY };
    let wal = Wal::open(&options_of(&foreign, Start::Initialise, identity), || ()).unwrap();
    newer.write(&mut wal.group(GROUP).unwrap());
    let image = fs.after_process_death();
    image.put(newer.path(), &foreign.content(newer.path()).unwrap());
    let is_of = |damage| damage == Damage::OtherNode { found: identity };
    assert!(matches!(refused(&image), OpenError::Damaged { damage, .. } if is_of(damage)));
    let image = fs.after_process_death();
    image.put(newer.path(), &fs.content(newer.path()).unwrap());
    image.edit(newer.path(), |bytes| bytes[8] = 2);
    let (_, _, found) = corrupt(&snapshot_refused(&image));
    assert!(matches!(found, Damage::Checksum { .. }), "a flipped version is told apart: {found}");
}

#[test]
fn names_that_are_no_snapshots_are_left_alone_and_unfinished_ones_removed_f16_f19() {
    let (fs, [_, newer]) = with_two_snapshots(8);
    let strange = ["1-2-3.snap", "snapshot.snap", "x.snap.new"];
    for name in strange {
        fs.put(format!("{DIR}/{name}"), b"not ours");
    }
    let unfinished = format!("{}.new", newer.path().display());
    fs.put(&unfinished, b"RAFTSNAP and no more");
    let (wal, _log, meta) = recovered(&fs).unwrap();
    assert_eq!(meta, Some(newer.meta));
    assert_eq!(wal.recovery().ignored_files, strange);
    assert_eq!(wal.recovery().snapshots, 2);
    assert_eq!(fs.content(&unfinished), None);
    assert_eq!(snapshot_files(&fs), 2 + strange.len());
}

#[test]
fn a_snapshot_without_an_identity_beside_it_is_never_founded_over_f21() {
    let fs = SimFs::new();
    drop(common::initialise(&fs).unwrap());
    let (other, [_, newer]) = with_two_snapshots(8);
    fs.put(newer.path(), &other.content(newer.path()).unwrap());
    fs.delete(format!("{DIR}/identity"));
    let error = common::initialise(&fs).unwrap_err();
    assert_eq!(damage(&error), (PathBuf::from(format!("{DIR}/identity")), 0, Damage::IdentityMissing));
    assert!(error.to_string().contains("/identity is missing: "), "{error}");
}

/// Each call that writing one makes fails once: the log goes on, nothing is left behind, and the same
/// snapshot can be written afterwards.
#[test]
fn a_snapshot_that_cannot_be_written_is_reported_and_never_fails_the_log_f12() {
    let calls = [(Call::Create, 1), (Call::Write, 4), (Call::Sync, 1), (Call::Rename, 1), (Call::SyncDir, 1)];
    for (call, count) in calls {
        for skip in 0..count {
            let fs = SimFs::new();
            let (wal, mut log) = new_log(&fs);
            append(&mut log, 1, 1, 3, 20);
            let before = Snapshot::new(1, 1, 100);
            before.write(&mut log);
            let snapshot = Snapshot::new(1, 3, 70_000);
            fs.inject(Fault { call, skip, count: 1, error: ErrorKind::StorageFull });
            snapshot.hand_over(&mut log);
            log.flush_now().unwrap();
            let SnapshotFailure { last, error } = log.poll_snapshot().unwrap().unwrap_err();
            assert_eq!(last, snapshot.meta.last, "{call:?}");
            let LogError::Failed(failure) = &error else { panic!("{call:?}: {error}") };
            assert!(failure.is_storage_full(), "{call:?}: {failure}");
            assert!(log.poll_snapshot().is_none(), "reported once");
            assert!(!fs.paths().iter().any(|path| path.to_string_lossy().ends_with(".new")), "{call:?}");
            before.assert_readable(&mut log, "the one before");
            append(&mut log, 2, 4, 1, 20);
            snapshot.write(&mut log);
            drop((log, wal));
            let (_wal, mut log, meta) = recovered(&fs).unwrap();
            assert_eq!(meta.as_ref(), Some(&snapshot.meta), "{call:?}");
            snapshot.assert_readable(&mut log, "after all");
        }
    }
}

#[test]
fn a_full_disk_fails_the_snapshot_and_its_room_is_given_back_f12() {
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 3, 20);
    fs.set_free_bytes(Some(100_000));
    fs.set_write_bytes_max(10_000);
    let (large, small) = (Snapshot::new(1, 2, 150_000), Snapshot::new(1, 3, 50_000));
    large.hand_over(&mut log);
    log.flush_now().unwrap();
    assert!(
        matches!(log.poll_snapshot(), Some(Err(SnapshotFailure { error: LogError::Failed(failure), .. })) if failure.is_storage_full())
    );
    assert_eq!(snapshot_files(&fs), 0);
    append(&mut log, 2, 4, 1, 20);
    fs.set_free_bytes(Some(100_000));
    small.write(&mut log);
    small.assert_readable(&mut log, "written in short writes");
}

/// F25: the last sync of a large one has little left to do.
#[test]
fn a_large_snapshot_is_synced_as_it_grows() {
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    let before = fs.calls(Call::Sync);
    Snapshot::new(1, 3, 17 << 20).write(&mut log);
    assert_eq!(fs.calls(Call::Sync) - before, 3, "with each of its two pieces, and at the end");
}

/// A crash took back the removal of one that two newer ones had replaced.
#[test]
fn a_snapshot_that_comes_back_after_a_crash_is_removed_at_recovery_f18_f19() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 10, 20);
    let snapshots = [2, 4, 8].map(|index| Snapshot::new(1, index, 100));
    snapshots[0].write(&mut log);
    let first = fs.content(snapshots[0].path()).unwrap();
    snapshots[1..].iter().for_each(|snapshot| snapshot.write(&mut log));
    drop((log, wal));
    fs.put(snapshots[0].path(), &first);
    let (_wal, _log, meta) = recovered(&fs).unwrap();
    assert_eq!(meta.as_ref(), Some(&snapshots[2].meta));
    assert_eq!(snapshots.map(|snapshot| fs.content(snapshot.path()).is_some()), [false, true, true]);
}

#[test]
fn a_snapshot_that_is_unfinished_when_the_log_closes_leaves_nothing_f12() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    let snapshot = Snapshot::new(1, 3, 100_000);
    log.begin_snapshot(snapshot.meta.last);
    log.write_snapshot(snapshot.state);
    log.flush_now().unwrap();
    assert_eq!(snapshot_files(&fs), 1);
    wal.close().unwrap();
    assert_eq!(snapshot_files(&fs), 0);
}

#[test]
fn a_snapshot_that_is_not_what_its_meta_says_is_never_named_s47() {
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    let whole = Snapshot::new(1, 3, 1000);
    let mut wrong = [whole.clone(), whole.clone(), whole.clone()];
    wrong[0].meta.crc32c ^= 1;
    wrong[1].meta.size += 1;
    wrong[2].state = Bytes::copy_from_slice(&whole.state[1..]);
    for snapshot in wrong {
        snapshot.hand_over(&mut log);
        log.flush_now().unwrap();
        let SnapshotFailure { error, .. } = log.poll_snapshot().unwrap().unwrap_err();
        let rule = RequestRule::SnapshotAsWritten;
        assert!(matches!(error, LogError::BadRequest { rule: found, .. } if found == rule), "{error}");
        assert_eq!(snapshot_files(&fs), 0);
    }
}

#[test]
fn a_piece_that_cannot_be_verified_is_never_returned_and_the_log_goes_on_f13_s47() {
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 3, 20);
    let snapshot = Snapshot::new(1, 3, 140_000);
    snapshot.write(&mut log);
    let last = snapshot.meta.last;
    let whole = fs.content(snapshot.path()).unwrap();
    fs.edit(snapshot.path(), |bytes| bytes[70_000] ^= 4);
    assert_eq!(log.read_snapshot(last, 0, 60_000).unwrap().unwrap(), snapshot.state.slice(..60_000));
    let (path, offset, _) = corrupt(&log.read_snapshot(last, 60_000, 60_000).unwrap_err());
    assert_eq!((path, offset), (snapshot.path(), 64 + 65_540));
    // The second chunk in the place of the first.
    fs.edit(snapshot.path(), |bytes| bytes.copy_within(64 + 65_540..64 + 2 * 65_540, 64));
    assert_eq!(corrupt(&log.read_snapshot(last, 0, 10).unwrap_err()).1, 64);
    fs.edit(snapshot.path(), |bytes| {
        bytes.copy_from_slice(&whole);
        bytes.truncate(100_000);
    });
    let (_, offset, found) = corrupt(&log.read_snapshot(last, 70_000, 10).unwrap_err());
    assert_eq!((offset, found), (100_000, Damage::TooShort { needed_bytes: 64 + 2 * 65_540 }));
    fs.edit(snapshot.path(), |bytes| *bytes = whole);
    fs.inject(Fault { call: Call::Read, skip: 0, count: 1, error: ErrorKind::Other });
    assert!(matches!(log.read_snapshot(last, 0, 10), Err(LogError::Failed(_))));
    snapshot.assert_readable(&mut log, "the fault has passed");
    append(&mut log, 2, 4, 1, 20);
}

/// A slow transfer reads on from a snapshot that two newer ones have replaced.
#[test]
fn a_snapshot_that_is_being_read_can_be_read_to_its_end_though_it_was_replaced() {
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 9, 20);
    let slow = Snapshot::new(1, 1, 200_000);
    slow.write(&mut log);
    let mut found = Vec::new();
    for index in 2..=9 {
        let piece = log.read_snapshot(slow.meta.last, found.len() as u64, 30_000).unwrap().unwrap();
        found.extend_from_slice(&piece);
        Snapshot::new(1, index, 10).write(&mut log);
        assert_eq!(snapshot_files(&fs), 2);
        assert_eq!(fs.content(slow.path()).is_some(), index == 2);
    }
    assert_eq!(found, slow.state);
    // Nobody reads it any more.
    Snapshot::new(1, 10, 10).write(&mut log);
    assert_eq!(log.read_snapshot(slow.meta.last, 0, 10).unwrap(), None);
}

#[test]
fn what_waits_to_be_written_is_bounded_by_the_room() {
    let fs = SimFs::new();
    let options = options_of(&fs, Start::Initialise, IDENTITY).snapshot_room_bytes(1000);
    let wal = Wal::open(&options, || ()).unwrap();
    let mut log: GroupLog = wal.group(GROUP).unwrap();
    let snapshot = Snapshot::new(1, 3, 2500);
    log.begin_snapshot(snapshot.meta.last);
    let mut written = 0;
    while written < snapshot.state.len() {
        let room = log.snapshot_room().min(snapshot.state.len() - written);
        assert!(room <= 1000);
        if room == 0 {
            assert!(log.poll_snapshot().is_none());
            log.flush_now().unwrap();
            assert_eq!(log.snapshot_room(), 1000);
            continue;
        }
        log.write_snapshot(snapshot.state.slice(written..written + room));
        written += room;
    }
    log.finish_snapshot(snapshot.meta.clone());
    wal.close().unwrap();
    assert_eq!(log.poll_snapshot().unwrap().unwrap(), snapshot.meta, "closing writes what waits");
    log.begin_snapshot(snapshot.meta.last);
    assert!(matches!(log.poll_snapshot(), Some(Err(SnapshotFailure { error: LogError::Closed, .. }))));
}
