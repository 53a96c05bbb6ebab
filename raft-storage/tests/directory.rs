//! What can be wrong with a directory as a whole: files missing, copied, from elsewhere, half-made or
//! taken. The reaction is a refusal that names the file, never a fresh start.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use common::faulty::{GROUP, append, closed_with_segments, damage, killed_after, lost, new_log, refused};
use common::{
    DIR, IDENTITY, Model, compact, entries, hard_state, initialise, open, options, read_all, request, reset,
    segment,
};
use raft_core::{GroupId, HardState, LogIndex, LogStore, NodeId, Persist, Term};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Fault};
use raft_storage::inspect::{Inspector, SegmentRole};
use raft_storage::{Damage, GroupLog, Identity, OpenError, Operation, Start, Wal, WalOptions};

/// The first, one in the middle, the last: the file that is gone is named, and the entries it had.
#[test]
fn a_missing_segment_is_refused_by_name_with_the_entries_it_had_f15() {
    let (fs, models) = closed_with_segments();
    let last = (1..).take_while(|seq| fs.content(segment(*seq)).is_some()).last().unwrap();
    assert!(last >= 3);
    // The last entry up to the end of each segment.
    let ends: Vec<u64> = (1..=last)
        .map(|end| {
            let image = fs.after_process_death();
            (end + 1..=last).for_each(|seq| image.delete(segment(seq)));
            let found = Inspector::new(DIR).fs(Arc::new(image)).inspect().unwrap();
            found.groups[0].last().get()
        })
        .collect();
    assert_eq!(ends.last(), Some(&models[&GROUP].last().get()));
    for seq in 1..=last {
        let image = fs.after_process_death();
        image.delete(segment(seq));
        let error = refused(&image);
        let (path, _, found) = damage(&error);
        assert_eq!((path, found), (segment(seq), Damage::MissingSegment { seq }));
        let before = if seq == 1 { 0 } else { ends[seq as usize - 2] };
        let behind = (seq < last).then(|| LogIndex::new(ends[seq as usize - 1] + 1));
        let lost = lost(&error).unwrap();
        assert_eq!((lost.group, lost.other_groups), (GROUP, 0));
        assert_eq!((lost.last_before.get(), lost.first_behind), (before, behind), "{error}");
        let what = match behind {
            Some(first) if before == 0 => format!("group 1 lacks the entries before {first}"),
            Some(first) => format!("group 1 lacks entries {} to {}", before + 1, first.prev()),
            None => format!("the log of group 1 ends with entry {before}"),
        };
        let text = format!(
            "{} is missing: the log needs segment {seq:08x}; {what}; acknowledged data is lost here, so",
            segment(seq).display()
        );
        assert!(error.to_string().starts_with(&text), "{error}");
    }
}

/// Two in a row are one gap; a group that lacks nothing is not spoken of, one that does is counted.
#[test]
fn missing_segments_are_told_with_how_many_groups_they_concern_f15() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    let mut others = [2, 3].map(|id| wal.group(GroupId::new(id)).unwrap());
    // Two of these fill a segment: group 3 writes in the first alone, group 2 in all of them.
    for id in 1..=8 {
        append(&mut log, id, (id - 1) * 10 + 1, 10, 1200);
        let count = if id == 1 { 2 } else { 1 };
        others.iter_mut().take(count).for_each(|other| append(other, id, id, 1, 10));
    }
    drop((log, others));
    wal.close().unwrap();
    fs.delete(segment(2));
    fs.delete(segment(3));
    let error = refused(&fs);
    let (path, lost) = (damage(&error).0, lost(&error).unwrap());
    assert_eq!((path, lost.group, lost.other_groups), (segment(2), GROUP, 1), "{error}");
    assert!(error.to_string().contains(" (one of 2 groups that lack some); "), "{error}");
    let found = Inspector::new(DIR).fs(Arc::new(fs)).inspect().unwrap();
    let paths: Vec<_> = found.damages.iter().map(|damage| damage.path.clone()).collect();
    assert_eq!(paths, [segment(2), segment(3)]);
    assert!(found.damages.iter().all(|damage| damage.lost == Some(lost)), "{:?}", found.damages);
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
    let (path, _, found) = damage(&refused(&replaced));
    assert_eq!((path, found), (segment(2), Damage::Misnamed { seq: 1 }));
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
    let error = refused(&fs);
    let identity = PathBuf::from(format!("{DIR}/identity"));
    assert_eq!(damage(&error), (identity, 0, Damage::IdentityMissing));
    for said in
        ["/identity is missing: ", "whose directory", "put this node's own identity file back", "or remove"]
    {
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
    let again = Wal::open(&options(&fs, Start::InitialiseIfMissing), || ());
    assert!(matches!(again, Err(OpenError::Damaged { damage: Damage::IdentityMissing, .. })));
    let (fs, _) = killed_after(1, 10);
    fs.delete(format!("{DIR}/identity"));
    damage(&refused(&fs));
}

#[test]
fn what_no_initialisation_leaves_behind_is_never_founded_over_f21() {
    let founded = SimFs::new();
    drop(initialise(&founded).unwrap());
    let whole = founded.content(segment(1)).unwrap();
    let with = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mark = PathBuf::from(format!("{DIR}/sync-mark"));
    let (first, second) = (segment(1), segment(2));
    let strangers = [
        (&first, vec![7; 3000]),
        (&first, vec![7; 5 << 20]),
        (&first, b"x".to_vec()),
        (&first, with(20)),
        (&first, with(100)),
        (&first, with(4100)),
        (&first, with(9000)),
        (&first, with(whole.len() - 1)),
        (&first, [&whole[..], &[0]].concat()),
        (&second, Vec::new()),
        (&mark, vec![7; 100]),
    ];
    for (path, bytes) in strangers {
        let fs = SimFs::new();
        drop(initialise(&fs).unwrap());
        fs.paths().iter().for_each(|path| fs.delete(path));
        fs.put(path, &bytes);
        for start in [Start::Existing, Start::InitialiseIfMissing, Start::Initialise] {
            let error = Wal::open(&options(&fs, start), || ()).unwrap_err();
            let (found, _, damage) = damage(&error);
            assert_eq!((found, damage), (PathBuf::from(format!("{DIR}/identity")), Damage::IdentityMissing));
            assert!(error.to_string().ends_with("snap files and sync-mark away"), "{error}");
        }
        assert_eq!(fs.content(path).unwrap(), bytes);
    }
    for bytes in [&[][..], &[0; 3000], &whole[..5000], &whole[..200], &whole] {
        let fs = SimFs::new();
        drop(initialise(&fs).unwrap());
        fs.paths().iter().for_each(|path| fs.delete(path));
        fs.put(&first, bytes);
        assert!(matches!(refused(&fs), OpenError::NotInitialised { .. }));
        drop(initialise(&fs).unwrap());
    }
}

#[test]
fn a_second_opener_is_told_who_holds_the_directory_f22() {
    let fs = SimFs::new();
    let (wal, log) = new_log(&fs);
    let error = open(&fs).unwrap_err();
    let OpenError::Locked { path, holder } = &error else { panic!("{error}") };
    assert_eq!(path, &PathBuf::from(format!("{DIR}/lock")));
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    assert!(error.to_string().contains("; stop that process first"), "{error}");
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
        let is_other_cluster = expected.cluster != IDENTITY.cluster;
        let what = if is_other_cluster { "; start with that cluster" } else { "; start with that node's id" };
        assert!(error.to_string().contains(what), "{error}");
    }
    // A segment of another node: it is not the directory that is wrong.
    let foreign = SimFs::new();
    drop(Wal::open(&common::options_of(&foreign, Start::Initialise, others[0]), || ()).unwrap());
    let image = fs.after_process_death();
    image.put(segment(1), &foreign.content(segment(1)).unwrap());
    let error = refused(&image);
    let (path, _, found) = damage(&error);
    assert_eq!((path, found), (segment(1), Damage::OtherNode { found: others[0] }));
    assert!(error.to_string().contains("belongs to node 2 of cluster 193; put the node's own"), "{error}");
    // Same node, but a segment from a directory that was initialised another time.
    let (other, _) = closed_with_segments();
    fs.put(segment(2), &other.content(segment(2)).unwrap());
    let (path, _, found) = damage(&refused(&fs));
    assert_eq!((path, found), (segment(2), Damage::Foreign));
}

#[test]
fn an_identity_file_that_cannot_be_read_is_no_loss_of_data_f21() {
    let (fs, models) = closed_with_segments();
    let path = PathBuf::from(format!("{DIR}/identity"));
    let own = fs.content(&path).unwrap();
    let mut flipped = own.clone();
    flipped[20] ^= 1;
    for bytes in [vec![], own[..20].to_vec(), flipped] {
        fs.put(&path, &bytes);
        let error = refused(&fs);
        assert_eq!(damage(&error), (path.clone(), 0, Damage::IdentityBroken));
        assert!(error.to_string().contains("; put this node's own identity file back"), "{error}");
    }
    fs.put(&path, &own);
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), models);
}

#[test]
fn dead_segments_are_removed_and_the_disk_use_stays_bounded_s102() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    for id in 1..=60 {
        append(&mut log, id, (id - 1) * 10 + 1, 10, 1200);
        if id > 1 {
            let mark = Some(compact(1, (id - 1) * 10));
            log.persist(Persist { mark, ..request(100 + id) }).unwrap();
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

/// The vote and the term were written once, long ago; a second group has not written since; the
/// first keeps entries that span several segments. None of that may go with the dead segments.
#[test]
fn what_still_matters_is_never_removed_s102() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 10, 1200);
    let persist = |log: &mut GroupLog, id: u64| {
        let entries = entries(1, (id - 1) * 10 + 1, 10, 1200);
        log.persist(Persist { entries, ..request(id) }).unwrap();
        log.flush_now().unwrap();
    };
    for id in 2..=20 {
        persist(&mut log, id);
    }
    // Keeps 150 entries, in many segments.
    log.persist(Persist { mark: Some(compact(1, 50)), ..request(21) }).unwrap();
    log.flush_now().unwrap();
    let mut other = wal.group(GroupId::new(2)).unwrap();
    other.recover().unwrap();
    append(&mut other, 1, 1, 1, 10);
    for id in 21..=30 {
        persist(&mut log, id);
    }
    assert!(fs.content(segment(1)).is_none(), "dead segments are removed");
    let check = |fs: &SimFs, first: u64, last: u64| {
        let found = read_all(&open(&fs.after_process_death()).unwrap()).unwrap();
        let model = &found[&GROUP];
        assert_eq!(model.hard_state, hard_state(1, 1, 0).unwrap());
        assert_eq!((model.entries[0].0.get(), model.last().get()), (first, last));
        assert_eq!(found[&GroupId::new(2)].last(), LogIndex::new(1));
    };
    check(&fs, 51, 300);
    // The idle group's record is in the oldest segment now.
    log.persist(Persist { mark: Some(compact(1, 290)), ..request(31) }).unwrap();
    for id in 31..=40 {
        persist(&mut log, id);
    }
    check(&fs, 291, 400);
}

/// A vote, a mark or entries alone hold the segment they are in, after a restart as well, and whether or
/// not anybody has opened the group by then.
#[test]
fn what_quiet_groups_have_is_never_removed_s102() {
    let quiet = GroupId::new(2);
    let vote = Persist { hard_state: hard_state(3, 1, 0), ..request(1) };
    let mark = Persist { mark: Some(reset(3, 9)), hard_state: hard_state(3, 1, 9), ..request(1) };
    let filled = Persist { entries: entries(3, 1, 3, 100), hard_state: hard_state(3, 1, 0), ..request(1) };
    for (first, votes_again) in [(vote, false), (mark, true), (filled, true)] {
        for (restarts, is_opened) in [(false, true), (true, false), (true, true)] {
            let fs = SimFs::new();
            let (mut wal, mut log) = new_log(&fs);
            let mut other = wal.group(quiet).unwrap();
            other.persist(first.clone()).unwrap();
            (1..=8).for_each(|id| append(&mut log, id, id * 10 - 9, 10, 1200));
            if votes_again {
                // So the hard state is in a later segment.
                let hard_state = first.hard_state.map(|state| HardState { term: Term::new(8), ..state });
                other.persist(Persist { hard_state, ..request(2) }).unwrap();
            }
            wal.flush_now().unwrap();
            other.poll_persisted().unwrap();
            let expected = Model::read(&mut other).unwrap();
            let mut opened = Some(other);
            if restarts {
                drop((log, opened));
                wal.close().unwrap();
                wal = open(&fs).unwrap();
                opened = is_opened.then(|| wal.group(quiet).unwrap());
                log = wal.group(GROUP).unwrap();
            }
            for id in 9..=20 {
                append(&mut log, 2 * id, id * 10 - 9, 10, 1200);
                log.persist(Persist { mark: Some(compact(1, id * 10)), ..request(2 * id + 1) }).unwrap();
                log.flush_now().unwrap();
                log.poll_persisted().unwrap();
            }
            fs.stop_after(0);
            drop((log, opened, wal));
            let found = read_all(&open(&fs.after_process_death()).unwrap()).unwrap();
            assert_eq!(found.get(&quiet), Some(&expected), "{first:?}, {restarts}, {is_opened}");
        }
    }
}

/// A new directory is only there for good once the one above it is synced.
#[test]
fn the_directorys_own_name_is_made_durable_first_f18() {
    let fs = SimFs::new();
    fs.inject(Fault { call: Call::SyncDir, skip: 0, count: 1, error: ErrorKind::Other });
    let Err(OpenError::Io(failure)) = initialise(&fs) else { panic!("nothing failed") };
    let above = PathBuf::from(DIR).parent().unwrap().to_owned();
    assert_eq!((failure.operation, failure.path), (Operation::SyncDirectory, above));
}

/// F9, F22: its groups may live on, but nobody writes there any more.
#[test]
fn a_log_that_failed_lets_go_of_the_directory_when_it_is_closed_f9_f22() {
    let fs = SimFs::new();
    let (wal, mut log) = new_log(&fs);
    append(&mut log, 1, 1, 3, 100);
    fs.inject(Fault { call: Call::Sync, skip: 0, count: 1, error: ErrorKind::Other });
    log.persist(Persist { entries: entries(1, 4, 1, 10), ..request(2) }).unwrap();
    assert!(wal.close().is_err());
    assert!(open(&fs).is_ok());
    assert!(log.persist(request(3)).is_err());
}

/// They hold nothing, but a number that is missing among files is not to be explained.
#[test]
fn a_gap_among_segments_made_ahead_of_need_is_refused_f15() {
    let fs = SimFs::new();
    let ahead = 3 * u64::from(WalOptions::SEGMENT_BYTES_MIN);
    Wal::open(&options(&fs, Start::Initialise).reserved_bytes(ahead), || ()).unwrap().close().unwrap();
    for seq in [2, 3] {
        let image = fs.after_process_death();
        image.delete(segment(seq));
        assert_eq!(damage(&refused(&image)), (segment(seq), 0, Damage::MissingSegment { seq }));
    }
}

/// Nothing holds a segment whose last entry is the one that a compaction replaces.
#[test]
fn a_compaction_lets_go_of_segments_that_end_with_its_last_entry_s102() {
    // Up to the last entry of the first request, and up to the last of all.
    for last in [10, 20] {
        let fs = SimFs::new();
        let (wal, mut log) = new_log(&fs);
        let mut other = wal.group(GroupId::new(2)).unwrap();
        append(&mut log, 1, 1, 10, 100);
        let mut id = 0;
        // Another group goes on by a segment, and holds none. So few are not old enough that anything moves.
        let mut fill = || {
            for _ in 0..2 {
                id += 1;
                append(&mut other, 2 * id, id * 10 - 9, 10, 1200);
                other.persist(Persist { mark: Some(compact(1, id * 10)), ..request(2 * id + 1) }).unwrap();
                other.flush_now().unwrap();
                other.poll_persisted().unwrap();
            }
            live(&fs).1
        };
        let second = fill();
        append(&mut log, 2, 11, 10, 100);
        let third = fill();
        log.persist(Persist { hard_state: hard_state(2, 1, 20), ..request(3) }).unwrap();
        fill();
        assert!(log.poll_persisted().unwrap().is_some());
        assert_eq!(live(&fs).0, 1, "the first entries hold every segment");
        log.persist(Persist { mark: Some(compact(1, last)), ..request(4) }).unwrap();
        log.flush_now().unwrap();
        assert!(log.poll_persisted().unwrap().is_some());
        fill();
        let expected = if last == 10 { second } else { third };
        assert_eq!(live(&fs).0, expected, "{last}, {second}, {third}");
    }
}

/// The first and the last segment that the log needs.
fn live(fs: &SimFs) -> (u32, u32) {
    let found = Inspector::new(DIR).fs(Arc::new(fs.clone())).inspect().unwrap();
    let needed =
        found.segments.iter().filter(|found| matches!(found.role, SegmentRole::Full | SegmentRole::Last));
    let numbers: Vec<u32> = needed.map(|found| found.number).collect();
    (numbers[0], numbers[numbers.len() - 1])
}
