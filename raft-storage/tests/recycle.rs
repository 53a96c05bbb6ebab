//! Segments that the log has left behind are filled again: what that saves, and that nothing of
//! their former lives is ever taken for a part of the log (F3).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::faulty::{GROUP, append, damage, refused, rewritten_bytes};
use common::{DIR, compact, entries, hard_state, open, options, read_all, request, segment};
use raft_core::{GroupId, LogStore, Membership, NewMark, Persist, Position, SnapshotMark};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Kept};
use raft_storage::inspect::Inspector;
use raft_storage::{Damage, GroupLog, Start, Wal, WalOptions};

/// What a roll costs beside the writes of the log, and nothing else may cost.
const FILE_CALLS: [Call; 3] = [Call::Create, Call::Remove, Call::Resize];

/// Where a segment's link stands.
const LINK: usize = 4096;

/// Appends and compacts, so that segments die; two requests fill one.
fn fill(log: &mut GroupLog, ids: std::ops::Range<u64>) {
    for id in ids {
        let last = id * 12;
        let mark = (id % 4 == 0).then(|| compact(1, last - 24));
        let new = entries(1, last - 11, 12, 900);
        log.persist(Persist { mark, hard_state: hard_state(1, 1, last - 24), ..request(2 * id) }).unwrap();
        log.persist(Persist { entries: new, ..request(2 * id + 1) }).unwrap();
        log.flush_now().unwrap();
        log.poll_persisted().unwrap();
    }
}

/// A log that was begun with two requests.
fn begun(fs: &SimFs) -> (Wal, GroupLog) {
    begun_with(&options(fs, Start::Initialise))
}

fn begun_with(settings: &WalOptions) -> (Wal, GroupLog) {
    let wal = Wal::open(settings, || ()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    append(&mut log, 1, 1, 12, 900);
    append(&mut log, 2, 13, 12, 900);
    (wal, log)
}

/// A disk with a log whose last segment was filled before, killed.
fn refilled() -> SimFs {
    let fs = SimFs::new();
    let (wal, mut log) = begun(&fs);
    fill(&mut log, 3..31);
    drop(log);
    fs.stop_after(0);
    drop(wal);
    let dead = fs.after_power_cut(|_, _| Kept::Nothing);
    let bytes = dead.content(segment(last_segment(&dead))).unwrap();
    assert!(bytes[20_000..].iter().any(|byte| *byte != 0), "old bytes behind the end");
    dead
}

fn segments(fs: &SimFs) -> BTreeSet<u32> {
    (1..100).filter(|seq| fs.content(segment(*seq)).is_some()).collect()
}

fn last_segment(fs: &SimFs) -> u32 {
    *segments(fs).last().unwrap()
}

/// The last segment that begins with a link.
fn last_linked(fs: &SimFs) -> u32 {
    let is_begun =
        |seq: &&u32| fs.content(segment(**seq)).unwrap()[LINK..LINK + 8].iter().any(|byte| *byte != 0);
    *segments(fs).iter().rev().find(is_begun).unwrap()
}

#[test]
fn a_steady_log_makes_and_removes_no_file_and_writes_and_syncs_once_per_flush() {
    let fs = SimFs::new();
    let (_wal, mut log) = begun(&fs);
    fill(&mut log, 3..40);
    let count = |calls: &[Call]| calls.iter().map(|call| fs.calls(*call)).sum::<u64>();
    let (files, renames) = (count(&FILE_CALLS), count(&[Call::Rename]));
    let mut quiet = 0;
    for id in 40..100 {
        let before = [Call::Write, Call::Sync, Call::Rename].map(|call| fs.calls(call));
        let changes = fs.changes();
        fill(&mut log, id..id + 1);
        let after = [Call::Write, Call::Sync, Call::Rename].map(|call| fs.calls(call));
        if after[2] == before[2] {
            assert_eq!((after[0] - before[0], after[1] - before[1]), (1, 1), "request {id}");
            assert_eq!(fs.changes() - changes, 2);
            quiet += 1;
        }
    }
    assert!(quiet >= 25, "{quiet} flushes without a roll");
    assert_eq!(count(&FILE_CALLS), files);
    assert!(count(&[Call::Rename]) >= renames + 2 * 25, "segments were filled again");
}

/// The segments that were there when the log was opened are long gone by then, and no link may call for one.
#[test]
fn a_group_that_begins_late_calls_for_no_segment_from_before_it() {
    let fs = SimFs::new();
    let (wal, mut log) = begun(&fs);
    fill(&mut log, 3..40);
    assert!(!segments(&fs).contains(&1), "the first segment is dead");
    let mut late = wal.group(GroupId::new(77)).unwrap();
    late.recover().unwrap();
    let start = SnapshotMark { last: Position::ZERO, membership: Membership::default() };
    let mark = Some(NewMark { mark: start, keeps_entries: false });
    late.persist(Persist { mark, hard_state: hard_state(1, 1, 0), ..request(1) }).unwrap();
    late.flush_now().unwrap();
    assert!(late.poll_persisted().unwrap().is_some());
    fill(&mut log, 40..44);
    drop((log, late));
    fs.stop_after(0);
    drop(wal);
    let dead = fs.after_process_death();
    assert!(open(&dead).is_ok(), "{:?}", open(&dead));
}

#[test]
fn only_so_many_dead_segments_are_kept() {
    for kept in [0, 1, 3] {
        let fs = SimFs::new();
        let settings = options(&fs, Start::Initialise).spare_segments_max(kept);
        let wal = Wal::open(&settings, || ()).unwrap();
        let mut log = wal.group(GROUP).unwrap();
        log.recover().unwrap();
        for id in 1..=30 {
            append(&mut log, id, (id - 1) * 12 + 1, 12, 900);
        }
        let full = segments(&fs).len();
        assert!(full >= 10, "{full}");
        log.persist(Persist { mark: Some(compact(1, 350)), ..request(31) }).unwrap();
        log.flush_now().unwrap();
        for id in 32..=34 {
            append(&mut log, id, (id - 2) * 12 + 1, 12, 900);
        }
        let left = segments(&fs);
        let (dead, is_refilled) = (left.range(..15).count(), fs.calls(Call::Rename) > full as u64 + 3);
        assert!(dead <= kept, "{kept}: {left:?}");
        assert_eq!(is_refilled, kept > 0);
        drop((log, wal));
        assert!(open(&fs).is_ok());
    }
}

#[test]
fn a_whole_end_among_old_records_is_reported_as_no_tear_and_a_torn_one_is_f1_f3() {
    let fs = refilled();
    let models = read_all(&open(&fs.after_process_death()).unwrap()).unwrap();
    let wal = open(&fs).unwrap();
    assert_eq!(wal.recovery().torn_tail, None);
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    let last = models[&GROUP].last().get();
    log.persist(Persist { entries: entries(1, last + 1, 3, 700), ..request(1) }).unwrap();
    fs.stop_after(1);
    assert!(log.flush_now().is_err());
    drop((log, wal));
    let rewritten = rewritten_bytes(&fs, last_segment(&fs));
    for bytes in [1, 31, 33, 600, 1500, 2000] {
        let image = fs.after_power_cut(|_, _| Kept::FirstBytes(rewritten + bytes));
        let wal = open(&image).unwrap();
        let tail = wal.recovery().torn_tail.as_ref().unwrap();
        assert_eq!(tail.path, segment(last_segment(&fs)), "{bytes}");
        assert_eq!(read_all(&wal).unwrap(), models);
    }
}

/// What the last readable link calls for is gone by right: the log had gone on, and filled it again. So the
/// link that broke is named, and not what is only missed because of it.
#[test]
fn a_broken_newest_link_is_named_and_not_the_segments_that_it_let_go_f6() {
    let (mut refusals, mut unlinked, mut links_alone) = (0, 0, 0);
    // Without the sync mark, which names the newest segment too.
    for (requests, spares, marked) in
        (25..41).flat_map(|requests| [(requests, 0, true), (requests, 4, true), (requests, 0, false)])
    {
        // Killed at each call of one more flush, which may roll.
        for calls in 0..16 {
            let fs = SimFs::new();
            let settings = options(&fs, Start::Initialise).spare_segments_max(spares);
            let (wal, mut log) = begun_with(&settings);
            fill(&mut log, 3..requests);
            fs.stop_after(calls);
            let last = requests * 12;
            log.persist(Persist { entries: entries(1, last - 11, 12, 900), ..request(2 * requests) })
                .unwrap();
            let _ = log.flush_now();
            drop((log, wal));
            let image = fs.after_power_cut(|_, _| Kept::Everything);
            let newest = last_linked(&image);
            image.edit(segment(newest), |bytes| bytes[LINK + 40] ^= 1);
            if !marked {
                image.edit(format!("{DIR}/sync-mark"), |bytes| bytes.fill(0));
            }
            match open(&image.after_process_death()) {
                // Nothing in it was durable, nor was the link.
                Ok(_) => unlinked += 1,
                Err(error) => {
                    refusals += 1;
                    let behind = &image.content(segment(newest)).unwrap()[LINK + 64..LINK + 128];
                    links_alone += usize::from(behind.iter().all(|byte| *byte == 0));
                    let place = (damage(&error).0, damage(&error).1);
                    assert_eq!(place, (segment(newest), LINK as u64), "{requests}, {calls}: {error}");
                    let found = Inspector::new(DIR).fs(Arc::new(image)).inspect().unwrap();
                    assert_eq!(found.damages[0].path, segment(newest));
                    assert!(
                        !found
                            .damages
                            .iter()
                            .any(|found| matches!(found.damage, Damage::MissingSegment { .. }))
                    );
                }
            }
        }
    }
    let seen = [refusals, unlinked, links_alone];
    assert!(seen.iter().all(|count| *count > 3), "refused, not durable, links without records: {seen:?}");
}

/// It holds nothing that matters, so it costs nothing but the zeros of a new one.
#[test]
fn a_dead_segment_with_a_broken_head_is_removed_not_refused() {
    let fs = refilled();
    let models = read_all(&open(&fs.after_process_death()).unwrap()).unwrap();
    let live: BTreeSet<u32> = {
        let wal = open(&fs.after_process_death()).unwrap();
        assert!(wal.recovery().carried_records > 0, "one of its segments is new");
        segments(&fs).into_iter().rev().take(wal.recovery().segments - 1).collect()
    };
    let spare = *segments(&fs).difference(&live).next().unwrap();
    for at in (0..8).chain(12..60) {
        let image = fs.after_process_death();
        image.edit(segment(spare), |bytes| bytes[at] ^= 1);
        let wal = open(&image).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        assert_eq!(read_all(&wal).unwrap(), models);
        assert_eq!(image.content(segment(spare)), None, "byte {at}");
    }
    for seq in live {
        let image = fs.after_process_death();
        image.edit(segment(seq), |bytes| bytes[20] ^= 1);
        assert_eq!(damage(&refused(&image)).0, segment(seq));
    }
}

#[test]
fn a_broken_head_of_a_segment_prepared_from_a_dead_one_is_refused_as_no_loss_f6() {
    let fs = refilled();
    let settings = options(&fs, Start::Existing).reserved_bytes(u64::from(WalOptions::SEGMENT_BYTES_MIN));
    let wal = Wal::open(&settings, || ()).unwrap();
    let models = read_all(&wal).unwrap();
    wal.close().unwrap();
    let prepared = last_segment(&fs);
    let bytes = fs.content(segment(prepared)).unwrap();
    assert!(bytes[8192..].iter().any(|byte| *byte != 0), "it has old records");
    fs.edit(segment(prepared), |bytes| bytes[20] ^= 1);
    assert_eq!(damage(&refused(&fs)).2, Damage::Unused { is_certain: true });
    fs.delete(segment(prepared));
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), models);
}

/// Recovery cuts what follows the place where the log leaves a segment; such a one is too short.
#[test]
fn a_segment_that_recovery_cut_is_not_filled_again() {
    let fs = SimFs::new();
    let (wal, mut log) = begun(&fs);
    log.persist(Persist { entries: entries(1, 25, 12, 100), ..request(3) }).unwrap();
    fs.stop_after(1);
    assert!(log.flush_now().is_err());
    drop((log, wal));
    let fs = fs.after_process_death();
    let wal = open(&fs).unwrap();
    assert_eq!(wal.recovery().carried_records, 1);
    assert!(fs.content(segment(1)).unwrap().len() < WalOptions::SEGMENT_BYTES_MIN as usize);
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    fill(&mut log, 4..20);
    for seq in segments(&fs) {
        assert_eq!(fs.content(segment(seq)).unwrap().len(), WalOptions::SEGMENT_BYTES_MIN as usize);
    }
}
