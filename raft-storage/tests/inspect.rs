//! Looking at a data directory: it says what opening says, finds what opening does not get to, and
//! changes nothing (W7).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::faulty::{GROUP, append, closed_with_segments, killed_after, last_byte, new_log};
use common::glass::Glass;
use common::images::cut_at_every_call;
use common::lives::{GROUPS, with_former_lives};
use common::snapshots::{Snapshot, with_two_snapshots};
use common::{DIR, Steps, compact, entries, hard_state, open, request, segment, workload};
use raft_core::{Entry, EntryKind, LogIndex, LogStore, Persist, SnapshotStore};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault};
use raft_storage::inspect::{
    Inspection, Inspector, Outcome, RecordContent, Refusal, SegmentReport, SegmentRole,
};
use raft_storage::{Damage, LogError, OpenError};

fn inspector(fs: &SimFs) -> Inspector {
    Inspector::new(DIR).fs(Arc::new(fs.clone()))
}

fn inspect(fs: &SimFs) -> Inspection {
    inspector(fs).inspect().unwrap()
}

/// Looks, opens, and compares. Tells how the directory is, if it is a node's at all.
fn agree(fs: &SimFs, place: &str) -> Option<Outcome> {
    let (glass, changes) = (Glass::new(fs), fs.changes());
    let looked = Inspector::new(DIR).fs(Arc::new(glass.clone())).inspect();
    assert_eq!((glass.touched(), fs.changes()), (vec![], changes), "{place}: looking changes nothing");
    let opened = open(&fs.after_process_death());
    match (looked, opened) {
        (Err(looked), Err(opened)) => {
            assert!(matches!(looked, OpenError::NotInitialised { .. }), "{place}: {looked}");
            assert_eq!(looked.to_string(), opened.to_string(), "{place}");
            None
        }
        (Err(looked), Ok(_)) => panic!("{place}: cannot be looked at, but opens: {looked}"),
        (Ok(looked), Err(opened)) => {
            assert_eq!(looked.refusals[0].to_string(), opened.to_string(), "{place}");
            assert_eq!(looked.outcome(), Outcome::Damaged, "{place}");
            if let OpenError::Damaged { path, offset, damage, lost } = opened {
                let first = &looked.damages[0];
                assert_eq!((&first.path, first.offset, first.damage), (&path, offset, damage), "{place}");
                assert_eq!(first.lost, lost, "{place}");
                assert!(first.is_fatal, "{place}");
            }
            Some(looked.outcome())
        }
        (Ok(looked), Ok(wal)) => {
            let report = wal.recovery();
            assert_eq!(looked.torn_tail, report.torn_tail, "{place}");
            assert_eq!(looked.carried_records, report.carried_records, "{place}");
            assert_eq!(looked.mark_loss, report.mark_loss, "{place}");
            assert_eq!(looked.snapshots.len(), report.snapshots, "{place}");
            let ids: BTreeSet<_> = looked.groups.iter().map(|group| group.group).collect();
            assert!(wal.group_ids().iter().all(|id| ids.contains(id)), "{place}");
            let mut refused = 0;
            for group in &looked.groups {
                let mut log = wal.group(group.group).unwrap();
                match (&group.snapshot, log.recover_snapshot()) {
                    (Ok(looked), Ok(opened)) => assert_eq!(*looked, opened, "{place}"),
                    (Err(looked), Err(opened)) => {
                        assert_eq!(looked.to_string(), opened.to_string(), "{place}");
                        refused += 1;
                        continue;
                    }
                    (looked, opened) => panic!("{place}: {looked:?}, but {opened:?}"),
                }
                let recovered = log.recover().unwrap();
                assert_eq!((&group.mark, &group.runs), (&recovered.mark, &recovered.runs), "{place}");
                assert_eq!(group.hard_state, recovered.hard_state, "{place}");
            }
            assert_eq!(looked.refusals.len(), refused, "{place}");
            Some(looked.outcome())
        }
    }
}

#[test]
fn looking_says_what_opening_says_after_a_power_cut_at_any_call_w7() {
    let mut steps = workload();
    steps.push(common::Step::Snapshot(2, Snapshot::new(6, 70, 3000)));
    steps.push(common::Step::Flush);
    let mut outcomes = [0; 4];
    let mut count = 0;
    cut_at_every_call(&steps, |image, _, place| {
        count += 1;
        // Every image is judged by `crash` already; a part of them is enough here.
        if count % 29 != 0 {
            return;
        }
        match agree(image, place) {
            None => outcomes[0] += 1,
            Some(Outcome::Whole) => outcomes[1] += 1,
            Some(Outcome::Warnings) => outcomes[2] += 1,
            Some(Outcome::Damaged | Outcome::Unreadable) => outcomes[3] += 1,
        }
    });
    println!("{outcomes:?}");
    assert!(outcomes[..3].iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn looking_says_what_opening_says_of_a_flipped_bit_anywhere_w7() {
    let logs =
        [closed_with_segments().0, killed_after(4, 60).0, with_two_snapshots(4).0, with_two_snapshots(0).0];
    let (mut damaged, mut warned) = (0, 0);
    for (log, fs) in logs.iter().enumerate() {
        for path in fs.paths() {
            let bytes = fs.content(&path).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 40);
            let stride = (used / 90).max(1) | 1;
            for at in (0..used.min(bytes.len())).step_by(stride) {
                let image = fs.after_process_death();
                image.edit(&path, |bytes| bytes[at] ^= 0x20);
                let place = format!("log {log}, {} byte {at}", path.display());
                match agree(&image, &place) {
                    Some(Outcome::Damaged) => damaged += 1,
                    Some(Outcome::Warnings) => warned += 1,
                    Some(Outcome::Whole) | None => {}
                    Some(Outcome::Unreadable) => panic!("{place}"),
                }
            }
        }
    }
    println!("{damaged} damaged, {warned} warned");
    assert!(damaged > 300 && warned > 30, "{damaged} damaged, {warned} warned");
}

#[test]
fn looking_says_what_opening_says_of_files_that_are_cut_or_gone_w7() {
    for fs in [closed_with_segments().0, killed_after(4, 60).0, with_two_snapshots(4).0] {
        for path in fs.paths() {
            let size = fs.content(&path).unwrap().len();
            for length in (0..size).step_by((size / 25).max(1)) {
                let image = fs.after_process_death();
                image.edit(&path, |bytes| bytes.truncate(length));
                agree(&image, &format!("{} cut to {length}", path.display()));
            }
            let image = fs.after_process_death();
            image.delete(&path);
            agree(&image, &format!("without {}", path.display()));
        }
    }
}

#[test]
fn looking_goes_on_behind_the_first_damage_w7() {
    let (fs, _) = closed_with_segments();
    let whole = inspect(&fs);
    assert_eq!((whole.outcome(), whole.damages.len()), (Outcome::Whole, 0));
    fs.edit(segment(3), |bytes| bytes[20] ^= 1);
    let found = inspect(&fs);
    assert_eq!(found.damages.len(), 1, "nothing is said of what only builds on it: {:?}", found.damages);
    fs.edit(segment(1), |bytes| bytes[20_000] ^= 1);
    fs.edit(segment(4), |bytes| bytes[5000] ^= 1);
    let found = inspect(&fs);
    assert_eq!(found.outcome(), Outcome::Damaged);
    let paths: BTreeSet<_> = found.damages.iter().map(|damage| damage.path.clone()).collect();
    assert_eq!(paths, [segment(1), segment(3), segment(4)].into_iter().collect());
    let is_whole: Vec<_> = found.segments.iter().map(|segment| segment.is_whole).collect();
    assert_eq!(is_whole[..4], [false, true, false, false]);
    assert_eq!(found.segments[2].role, SegmentRole::Unknown);
    // What comes before the damage is still told.
    assert!(found.groups[0].last() < whole.groups[0].last());
}

#[test]
fn without_an_identity_the_segments_are_still_read_w7() {
    let (fs, _) = closed_with_segments();
    fs.edit(format!("{DIR}/identity"), |bytes| bytes[20] ^= 1);
    fs.edit(segment(2), |bytes| bytes[5000] ^= 1);
    let found = inspect(&fs);
    assert_eq!((found.outcome(), found.identity), (Outcome::Damaged, None));
    let paths: Vec<_> = found.damages.iter().map(|damage| damage.path.clone()).collect();
    assert_eq!(paths, [Path::new(DIR).join("identity"), segment(2)]);
    assert!(found.segments.iter().any(|segment| segment.records > 3));
}

#[test]
fn a_directory_that_is_not_a_nodes_is_said_to_be_none_w7() {
    let fs = SimFs::new();
    let missing = inspector(&fs).inspect().unwrap_err();
    assert!(matches!(missing, OpenError::NotInitialised { .. }), "{missing}");
    fs.put(format!("{DIR}/notes.txt"), b"not ours");
    let foreign = inspector(&fs).inspect().unwrap_err();
    assert!(matches!(foreign, OpenError::NotInitialised { .. }), "{foreign}");
}

#[test]
fn a_file_that_cannot_be_read_is_no_damage_w7() {
    let (fs, _) = closed_with_segments();
    fs.inject(Fault { call: Call::Open, skip: 2, count: 1000, error: ErrorKind::PermissionDenied });
    let found = inspect(&fs);
    assert_eq!(found.outcome(), Outcome::Unreadable);
    assert!(matches!(found.refusals[0], Refusal::Log(OpenError::Io(_))), "{:?}", found.refusals);
}

#[test]
fn a_running_node_is_named_and_its_directory_is_whole_w7() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 5, 50);
    let found = inspect(&fs);
    assert_eq!(found.outcome(), Outcome::Whole);
    assert!(found.in_use_by.unwrap().starts_with("process "));
    drop((log, wal));
    assert_eq!(inspect(&fs).in_use_by, None);
}

#[test]
fn damage_beside_a_running_node_counts_when_a_second_look_sees_it_too_w7() {
    let fs = SimFs::new();
    let (_wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 5, 50);
    append(&mut log, 2, 6, 5, 50);
    fs.edit(segment(1), |bytes| bytes[4200] ^= 1);
    let found = inspect(&fs);
    assert!(found.is_steady && found.in_use_by.is_some());
    assert_eq!(found.outcome(), Outcome::Damaged);
}

/// Each look finds something else: writes in the middle, for all that can be told.
#[test]
fn what_differs_at_every_look_beside_a_running_node_is_unreadable_not_damaged_w7() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 5, 50);
    append(&mut log, 2, 6, 5, 50);
    let (disk, reads) = (fs.clone(), AtomicUsize::new(0));
    let change = move |_| {
        let read = reads.fetch_add(1, Ordering::Relaxed);
        disk.edit(segment(1), |bytes| bytes[4200 + read % 32] ^= 1 << (read / 32 % 8));
    };
    let looked = inspector(&fs).on_read(change).inspect().unwrap();
    assert!(!looked.is_steady && !looked.refusals.is_empty());
    assert_eq!(looked.outcome(), Outcome::Unreadable);
    drop((log, wal));
    assert_eq!(inspect(&fs).outcome(), Outcome::Damaged, "nobody writes any more");
}

#[test]
fn a_node_that_starts_during_a_look_is_seen_w7() {
    let (fs, _) = closed_with_segments();
    let (disk, node) = (fs.clone(), Mutex::new(None));
    let start = move |_| {
        node.lock().unwrap().get_or_insert_with(|| open(&disk).unwrap());
    };
    assert!(inspector(&fs).on_read(start).inspect().unwrap().in_use_by.is_some());
}

/// F27: what it proved is lost, and it can be made up for.
#[test]
fn a_damaged_sync_mark_is_a_warning_w7() {
    let (fs, _) = closed_with_segments();
    fs.edit(format!("{DIR}/sync-mark"), |bytes| bytes.fill(7));
    let found = inspect(&fs);
    assert_eq!((found.outcome(), found.mark_loss.unwrap().unreadable_slots), (Outcome::Warnings, 2));
}

#[test]
fn a_damaged_predecessor_is_found_before_it_is_needed_w7() {
    let (fs, snapshots) = with_two_snapshots(4);
    fs.edit(snapshots[0].path(), |bytes| bytes[70_010] ^= 1);
    let found = inspect(&fs);
    assert_eq!(found.outcome(), Outcome::Warnings, "opening does not read it");
    let [damage] = &found.damages[..] else { panic!("{:?}", found.damages) };
    assert_eq!((&damage.path, damage.is_fatal), (&snapshots[0].path(), false));
    assert!(matches!(damage.damage, Damage::Checksum { .. }));
    let told: Vec<_> = found.snapshots.iter().map(|snapshot| (snapshot.chunks, snapshot.is_whole)).collect();
    assert_eq!(told, [(2, false), (2, true)]);
    // With the log behind the second one, a broken second one is fatal.
    let (fs, snapshots) = with_two_snapshots(8);
    fs.edit(snapshots[1].path(), |bytes| bytes[70_010] ^= 1);
    let found = inspect(&fs);
    assert!(found.damages[0].is_fatal && found.outcome() == Outcome::Damaged);
    assert!(matches!(&found.refusals[..], [Refusal::Group(GROUP, LogError::Corrupt { .. })]));
}

#[test]
fn records_are_shown_in_order_and_what_the_log_still_holds_is_what_it_loads_w7() {
    let (fs, _) = closed_with_segments();
    let wal = open(&fs).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let mut truncating = vec![];
    truncating.persist(
        1,
        Persist {
            truncate_from: Some(LogIndex::new(75)),
            entries: entries(2, 75, 3, 30),
            hard_state: hard_state(2, 1, 60),
            mark: Some(compact(1, 13)),
            ..request(20)
        },
    );
    for step in truncating {
        let common::Step::Persist(_, request) = step else { continue };
        log.persist(request).unwrap();
    }
    log.flush_now().unwrap();
    let own = |entry: Entry<'_>| (entry.index, entry.term, entry.payload.to_vec());
    let (first, end) = (LogIndex::new(14), LogIndex::new(78));
    let loaded = log.load(first, end, usize::MAX).unwrap();
    let expected: Vec<_> = loaded.iter().flat_map(|batch| batch.iter()).map(own).collect();
    let (mut held, mut written, mut offsets) = (Vec::new(), 0, Vec::new());
    inspector(&fs)
        .for_each_record(|record| {
            offsets.push((record.segment, record.offset));
            if let RecordContent::Request { group, batches, .. } = &record.content {
                assert_eq!(*group, GROUP);
                for batch in batches {
                    written += batch.written.count();
                    held.extend(batch.held.iter().flat_map(|batch| batch.iter()).map(own));
                }
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(held, expected);
    assert_eq!(written, 83, "80 and 3, whatever became of them");
    assert!(offsets.is_sorted());
    let group = &inspect(&fs).groups[0];
    assert_eq!((group.first(), group.last()), (Some(first), LogIndex::new(77)));
    assert_eq!(group.entry_count(EntryKind::Command), 64);
    assert!(group.live_bytes < group.record_bytes && group.records == 9);

    let mut shown = 0;
    let stop = |_: &_| {
        shown += 1;
        ControlFlow::Break(())
    };
    inspector(&fs).for_each_record(stop).unwrap();
    assert_eq!(shown, 1);
}

#[test]
fn the_end_of_a_torn_log_is_told_with_its_place_w7_w8() {
    let (fs, models) = killed_after(3, 100);
    let end = last_byte(&fs, 1);
    fs.edit(segment(1), |bytes| bytes[end - 20] ^= 4);
    let found = inspect(&fs);
    assert_eq!(found.outcome(), Outcome::Warnings);
    let tail = found.torn_tail.unwrap();
    assert_eq!(tail.path, segment(1));
    assert_eq!(found.segments[0].end_offset, tail.offset);
    assert_eq!(found.groups[0].last().get(), models[&GROUP].last().get() - 2);
    assert!(!found.segments[0].is_whole);
}

/// There is nothing to read where the records would begin.
#[test]
fn a_segment_that_ends_before_its_records_is_refused_f14() {
    let (whole, _) = closed_with_segments();
    for seq in 1..=4 {
        for bytes in [60, 100, 4095, 4096, 4097, 4127, 4128] {
            let fs = whole.after_process_death();
            fs.edit(segment(seq), |content| content.truncate(bytes));
            let place = format!("segment {seq} with {bytes} bytes");
            assert_eq!(agree(&fs, &place), Some(Outcome::Damaged), "{place}");
            // Beside another damage, in the middle of a segment.
            fs.edit(segment(if seq == 4 { 3 } else { 4 }), |content| content[16_300] ^= 1);
            assert_eq!(agree(&fs, &place), Some(Outcome::Damaged), "{place}");
        }
    }
}

/// Where the bytes of a segment end that are its own: its records, and the zeros behind them.
fn own_end(segment: &SegmentReport) -> usize {
    let records = segment.end_offset as usize;
    (records + 32).next_multiple_of(4096).min(usize::try_from(segment.byte_count).unwrap())
}

/// What a segment holds of its former lives is neither damage nor read.
#[test]
fn leftovers_of_former_lives_are_no_damage_whatever_becomes_of_them_w7() {
    let fs = with_former_lives();
    assert_eq!(agree(&fs, "untouched"), Some(Outcome::Whole));
    let whole = inspect(&fs);
    assert_eq!((whole.groups.len() as u64, whole.damages.len()), (GROUPS, 0));
    let of = |role: SegmentRole| whole.segments.iter().filter(move |segment| segment.role == role);
    assert!(of(SegmentRole::Full).count() > 0 && of(SegmentRole::Prepared).count() > 0);
    let mut flips = 0;
    for segment in of(SegmentRole::Last).chain(of(SegmentRole::Prepared)) {
        let bytes = fs.content(&segment.path).unwrap();
        let left: Vec<usize> = (own_end(segment)..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        assert!(left.len() > 4000, "{:?} has {} bytes of a former life", segment.role, left.len());
        for at in left.into_iter().step_by(197) {
            let image = fs.after_process_death();
            image.edit(&segment.path, |bytes| bytes[at] ^= 0x10);
            let place = format!("{:?} byte {at}", segment.role);
            assert_eq!(agree(&image, &place), Some(Outcome::Whole), "{place}");
            flips += 1;
        }
    }
    println!("{flips} flips");
    assert!(flips > 100);
}

/// Identity, head, every record of every group, each chunk of every snapshot: the file is named.
#[test]
fn a_flipped_bit_in_any_live_part_is_found_among_former_lives_w7() {
    let fs = with_former_lives();
    let whole = inspect(&fs);
    let mut places: Vec<(PathBuf, usize)> = Vec::new();
    places.extend((0..40).map(|at| (PathBuf::from(format!("{DIR}/identity")), at)));
    for segment in whole.segments.iter().filter(|segment| segment.role != SegmentRole::LeftBehind) {
        places.extend((0..60).step_by(7).map(|at| (segment.path.clone(), at)));
    }
    let (mut groups, mut segments, mut records) = (BTreeSet::new(), BTreeSet::new(), 0);
    inspector(&fs)
        .for_each_record(|record| {
            let (offset, bytes) = (record.offset as usize, record.byte_count as usize);
            // The head, and of the body all but what may be padding.
            let own = (offset..offset + 32).chain(offset + 32..offset + bytes.saturating_sub(7).max(32));
            places.extend(own.step_by(bytes / 3 + 1).map(|at| (segment(record.segment), at)));
            segments.insert(record.segment);
            records += 1;
            if let RecordContent::Request { group, .. } = &record.content {
                groups.insert(*group);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(groups.len() as u64, GROUPS);
    assert!(segments.len() > 1, "records of {segments:?}");
    assert_eq!(records, whole.segments.iter().map(|segment| segment.records).sum::<u64>());
    for snapshot in &whole.snapshots {
        let bytes = usize::try_from(snapshot.byte_count).unwrap();
        places.extend([3, 63, 64, 1000, bytes - 20, bytes - 1].map(|at| (snapshot.path.clone(), at)));
    }
    let outcomes: Vec<Outcome> = places
        .iter()
        .map(|(path, at)| {
            let image = fs.after_process_death();
            image.edit(path, |bytes| bytes[*at] ^= 4);
            let found = inspect(&image);
            let is_named = found.damages.iter().any(|damage| damage.path == *path)
                || found
                    .refusals
                    .iter()
                    .any(|refusal| refusal.to_string().contains(&*path.to_string_lossy()));
            assert!(is_named, "{} byte {at}: {:?}", path.display(), found.damages);
            found.outcome()
        })
        .collect();
    let warned = outcomes.iter().filter(|outcome| **outcome == Outcome::Warnings).count();
    println!("{} places, {warned} of them only warned of", outcomes.len());
    // The older of two snapshots is not needed yet.
    assert!(outcomes.iter().all(|outcome| *outcome != Outcome::Whole) && outcomes.len() > 300);
    assert_eq!(warned, 6 * whole.snapshots.len() / 2);
}
