//! A workload is cut off at every call that changes the disk, and of what was not synced every class
//! of subset is kept, torn at sectors and bytes. Whatever a power cut leaves, opening finds a first
//! part of the requests that has all that was acknowledged, and the log goes on from there
//! (F1, F2, F10, F18, F20, F21, S59, S60, S61).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::checks::{check_every_cut, check_image};
use common::images::{cut_at_every_call, cut_during_recovery};
use common::{
    Step, Steps, compact, entries, hard_state, initialise, open, read_all, request, reset, run, segment,
    workload,
};
use raft_core::{GroupId, HardState, Persist, Term};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::{Call, Kept};

#[test]
fn a_power_cut_at_any_call_keeps_all_that_was_acknowledged() {
    let count = check_every_cut(&workload());
    assert!(count > 3_000, "only {count} images");
}

/// The second crash hits recovery itself, at every call that changes the disk (S60).
#[test]
fn a_power_cut_during_recovery_loses_nothing() {
    let recover = |fs: &SimFs| initialise(fs).is_ok();
    let count = cut_during_recovery(&workload(), [3, 13, 5], recover, |image, history, place| {
        check_image(image, history, place);
    });
    assert!(count > 2_000, "only {count} images");
}

/// Three times the same requests, so that segments are filled again with records that are byte for
/// byte as long as those of their former lives, in the same places and with the same content.
fn refilling_workload() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..3 {
        let id = round * 10;
        let hard_state = hard_state(1, 1, 0);
        steps.persist(1, Persist { mark: Some(reset(0, 0)), hard_state, ..request(id + 1) });
        steps.push(Step::Flush);
        // Three of these fill a segment.
        for number in 0..7 {
            let entries = entries(1, number * 12 + 1, 12, 900);
            steps.persist(1, Persist { entries, ..request(id + 2 + number) });
            if number % 2 == 0 {
                steps.push(Step::Flush);
            }
        }
        steps.push(Step::Flush);
    }
    steps
}

#[test]
fn a_power_cut_at_any_call_brings_no_record_of_a_former_life_back_f3_f18_f21() {
    let steps = refilling_workload();
    let whole = SimFs::new();
    run(&whole, &steps);
    // The identity and the sync mark are files too.
    let made = whole.calls(Call::Create) - 2;
    let last = (1..50).rfind(|seq| whole.content(segment(*seq)).is_some()).unwrap();
    assert!(made + 3 <= u64::from(last), "{made} files made for {last} segments");
    let count = check_every_cut(&steps);
    assert!(count > 3_000, "only {count} images");
}

/// A request that is larger than the dead segments needs a file of its own length, not one of those.
#[test]
fn a_power_cut_as_a_large_request_gets_its_segment_among_dead_ones_loses_nothing_f14_f21() {
    let mut steps = Vec::new();
    for round in 0..8 {
        let first = Persist { entries: entries(1, round * 12 + 1, 12, 900), ..request(2 * round + 1) };
        steps.persist(1, Persist { hard_state: hard_state(1, 1, 0), ..first });
        steps.persist(1, Persist { mark: Some(compact(1, round * 12 + 12)), ..request(2 * round + 2) });
        steps.push(Step::Flush);
    }
    steps.persist(1, Persist { entries: entries(1, 97, 1, 40_000), ..request(17) });
    steps.push(Step::Flush);
    let count = cut_at_every_call(&steps, |image, history, place| {
        check_image(image, history, place);
    });
    assert!(count > 1_000, "only {count} images");
}

/// A compaction waits behind requests of another group that fill the segment: the next one must not let go
/// yet of what the compaction will.
#[test]
fn a_power_cut_before_a_compaction_is_durable_finds_what_it_was_to_let_go_f18_f19() {
    let mut steps = Vec::new();
    let state = |commit| hard_state(1, 1, commit);
    steps.persist(1, Persist { entries: entries(1, 1, 3, 100), hard_state: state(0), ..request(1) });
    steps.push(Step::Flush);
    for number in 0..4 {
        let entries = entries(1, number * 12 + 1, 12, 900);
        steps.persist(2, Persist { entries, hard_state: state(0), ..request(number + 1) });
    }
    steps.push(Step::Flush);
    steps.persist(1, Persist { entries: entries(1, 4, 3, 100), hard_state: state(6), ..request(2) });
    steps.persist(2, Persist { mark: Some(compact(1, 48)), ..request(5) });
    steps.push(Step::Flush);
    for number in 4..8 {
        steps.persist(2, Persist { entries: entries(1, number * 12 + 1, 12, 900), ..request(number + 2) });
    }
    steps.persist(1, Persist { mark: Some(compact(1, 6)), ..request(3) });
    steps.push(Step::Flush);
    let count = cut_at_every_call(&steps, |image, history, place| {
        check_image(image, history, place);
    });
    assert!(count > 1_000, "only {count} images");
}

#[test]
fn a_power_cut_during_recovery_brings_no_record_of_a_former_life_back_f3_s60() {
    let recover = |fs: &SimFs| initialise(fs).is_ok();
    let count = cut_during_recovery(&refilling_workload(), [3, 17, 5], recover, |image, history, place| {
        check_image(image, history, place);
    });
    assert!(count > 2_000, "only {count} images");
}

/// A process that dies leaves its writes in the page cache. Whoever opens next must not vouch for
/// them before they are on the medium (F10, S61).
#[test]
fn what_a_dead_process_left_in_the_page_cache_is_made_durable_before_it_is_reported() {
    let steps = [
        Step::Persist(1, Persist { hard_state: hard_state(1, 1, 0), ..request(1) }),
        Step::Flush,
        Step::Persist(1, Persist { hard_state: hard_state(2, 1, 0), ..request(2) }),
        Step::Flush,
    ];
    let whole = SimFs::new();
    run(&whole, &steps);
    let mut seen = 0;
    for changes in 0..=whole.changes() {
        let fs = SimFs::new();
        fs.stop_after(changes);
        if !run(&fs, &steps).was_open {
            continue;
        }
        let dead = fs.after_process_death();
        let found = read_all(&open(&dead).unwrap()).unwrap();
        let after = dead.after_power_cut(|_, _| Kept::Nothing);
        assert_eq!(read_all(&open(&after).unwrap()).unwrap(), found, "stopped after {changes} changes");
        let term = found.get(&GroupId::new(1)).map_or(Term::ZERO, |model| model.hard_state.term);
        seen |= 1 << HardState { term, ..HardState::default() }.term.get();
    }
    assert_eq!(seen, 0b111, "each of the three states was found");
}
