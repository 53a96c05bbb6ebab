//! Snapshots are taken and installed, the log is compacted and begun anew, and all of it is cut off
//! at every call that changes the disk. Whatever a power cut leaves, there is a snapshot that fits
//! the log: none that was reported is lost, and none reads differently (F12, F18, F19, S59, S60).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;

use common::images::{cut_at_every_call, cut_during_recovery};
use common::snapshots::Snapshot;
use common::{
    History, Model, Models, Step, Steps, compact, entries, hard_state, initialise, open, request, reset, run,
};
use raft_core::{GroupId, LogIndex, Persist, SnapshotStore};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::Kept;

const GROUPS: [GroupId; 2] = [GroupId::new(1), GroupId::new(2)];

/// Two groups; one takes three snapshots and gets one from elsewhere, so that files are replaced.
fn workload() -> Vec<Step> {
    let mut steps = Vec::new();
    let state = |term, commit| hard_state(term, 1, commit);
    let mut id = 0;
    for (index, first, bytes) in [(3, 1, 900), (7, 5, 66_000), (10, 9, 900)] {
        id += 1;
        steps.persist(
            1,
            Persist { entries: entries(1, first, 4, 60), hard_state: state(1, first + 3), ..request(id) },
        );
        steps.push(Step::Flush);
        steps.push(Step::Snapshot(1, Snapshot::new(1, index, bytes)));
        if index == 7 {
            steps.persist(2, Persist { hard_state: state(1, 0), ..request(1) });
            steps.push(Step::Snapshot(2, Snapshot::new(1, 5, 100)));
        }
        steps.push(Step::Flush);
        id += 1;
        steps.persist(1, Persist { mark: Some(compact(1, index)), ..request(id) });
        steps.push(Step::Flush);
    }
    steps.push(Step::Snapshot(1, Snapshot::new(2, 50, 66_000)));
    steps.push(Step::Flush);
    let hard_state = state(2, 50);
    steps.persist(1, Persist { mark: Some(reset(2, 50)), hard_state, ..request(id + 1) });
    steps.persist(2, Persist { mark: Some(reset(1, 5)), hard_state: state(1, 5), ..request(2) });
    steps.push(Step::Flush);
    steps.persist(1, Persist { entries: entries(2, 51, 2, 60), ..request(id + 2) });
    // Written anew, and followed by another before it is durable.
    steps.push(Step::Snapshot(1, Snapshot::new(2, 50, 10)));
    steps.push(Step::Snapshot(1, Snapshot::new(2, 52, 0)));
    steps.push(Step::Flush);
    steps.push(Step::Reopen);
    steps.persist(1, Persist { mark: Some(compact(2, 52)), ..request(1) });
    steps.push(Step::Flush);
    steps
}

/// Opens an image as a node does, and checks that log and snapshots are what may have survived.
/// Returns where the first group's snapshot ends.
fn check_image(image: &SimFs, steps: &[Step], history: &History, place: &str) -> u64 {
    let wal = if history.was_open { open(image) } else { initialise(image) };
    let wal = wal.unwrap_or_else(|error| panic!("{place}: {error}"));
    let mut models = Models::new();
    let mut ends = Vec::new();
    for group in GROUPS {
        let mut log = wal.group(group).unwrap();
        let meta = log.recover_snapshot().unwrap_or_else(|error| panic!("{place}: {error}"));
        let model = Model::read(&mut log).unwrap();
        let index = meta.as_ref().map_or(LogIndex::ZERO, |meta| meta.last.index);
        ends.push(index.get());
        let begins = model.mark.as_ref().map_or(LogIndex::ZERO, |mark| mark.last.index);
        assert!(begins <= index, "{place}: the log begins behind {begins}, the snapshot ends at {index}");
        let reported = history.reported.get(&group).copied().unwrap_or_default();
        assert!(reported <= index, "{place}: {reported} was reported, {index} is there");
        if let Some(meta) = meta {
            let written = steps.iter().find_map(|step| match step {
                Step::Snapshot(of, snapshot) if GroupId::new(*of) == group && snapshot.meta == meta => {
                    Some(snapshot)
                }
                _ => None,
            });
            written.unwrap_or_else(|| panic!("{place}: found {meta:?}")).assert_readable(&mut log, place);
        }
        if model != Model::default() {
            models.insert(group, model);
        }
    }
    let survived = history.states.iter().rposition(|state| *state == models);
    let survived = survived.unwrap_or_else(|| panic!("{place}: recovered {models:#?}"));
    assert!(survived >= history.acknowledged, "{place}: {} of {survived}", history.acknowledged);
    let is_unfinished = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(".new");
    assert!(!image.paths().iter().any(is_unfinished), "{place}: {:?}", image.paths());
    ends[0]
}

#[test]
fn a_power_cut_at_any_call_leaves_a_snapshot_that_fits_the_log_f19() {
    let steps = workload();
    let mut seen = BTreeSet::new();
    let count = cut_at_every_call(&steps, |image, history, place| {
        seen.insert(check_image(image, &steps, history, place));
    });
    assert!(count > 3_000, "only {count} images");
    assert_eq!(seen, BTreeSet::from([0, 3, 7, 10, 50, 52]), "each snapshot was the newest once");
}

/// The second crash hits recovery, or the removal of what it found left over (S60).
#[test]
fn a_power_cut_during_recovery_leaves_a_snapshot_that_fits_the_log_f19_s60() {
    let steps = workload();
    let recover = |fs: &SimFs| {
        let Ok(wal) = initialise(fs) else { return false };
        let recovered = GROUPS.map(|group| wal.group(group).unwrap().recover_snapshot());
        recovered.iter().all(Result::is_ok)
    };
    let count = cut_during_recovery(&steps, [3, 23, 7], recover, |image, history, place| {
        check_image(image, &steps, history, place);
    });
    assert!(count > 1_000, "only {count} images");
}

/// A process dies between naming a snapshot and syncing the name. Whoever opens next relies on it,
/// so it must not vanish in a later power cut (F10, S61).
#[test]
fn what_a_dead_process_left_named_is_durable_before_it_counts_f10() {
    let steps = workload();
    let whole = SimFs::new();
    run(&whole, &steps);
    for changes in 0..=whole.changes() {
        let fs = SimFs::new();
        fs.stop_after(changes);
        let mut history = run(&fs, &steps);
        let dead = fs.after_process_death();
        {
            let wal = initialise(&dead).unwrap();
            history.was_open = true;
            for group in GROUPS {
                if let Some(meta) = wal.group(group).unwrap().recover_snapshot().unwrap() {
                    history.reported.insert(group, meta.last.index);
                }
            }
            dead.stop_after(0);
        }
        let after = dead.after_power_cut(|_, _| Kept::Nothing);
        check_image(&after, &steps, &history, &format!("stopped after {changes} changes"));
    }
}
