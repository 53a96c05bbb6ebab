//! One claim per check.

use super::Bench;
use super::model::{
    Model, batch, batch_of, compact, hard_state, load_all, persist, poll, recover, request, reset,
};
use crate::doors::store::LogStore;
use crate::words::batches::Batches;
use crate::words::entries::EntryKind;
use crate::words::ids::{LogIndex, PersistId};
use crate::words::persist::{Persist, Recovered};

/// A store that was never written to says so, at every opening.
///
/// # Panics
///
/// If it does not.
pub fn new_store_is_empty<B: Bench>(bench: &mut B) {
    for _ in 0..2 {
        let mut store = bench.open();
        assert_eq!(recover(&mut store), Recovered::default());
        assert_eq!(poll(&mut store), None);
        bench.crash(store);
    }
}

/// What was reported as persisted is there after a crash, all parts of it.
///
/// # Panics
///
/// If it is not.
pub fn reported_requests_survive_a_crash<B: Bench>(bench: &mut B) {
    let mut model = Model::default();
    for step in 0..5 {
        let mut store = bench.open();
        assert_eq!(recover(&mut store), model.recovered());
        model.check(&mut store);
        let first = step * 3 + 1;
        let new = Persist {
            mark: (step == 0).then(|| reset(0, 0)),
            entries: batch(step + 1, first, 3).into(),
            hard_state: Some(hard_state(step + 1, 2, first)),
            ..request(step + 1)
        };
        model.apply(&new);
        persist(&mut store, new);
        bench.settle(&mut store);
        assert_eq!(poll(&mut store), Some(PersistId::new(step + 1)));
        bench.crash(store);
    }
    let mut store = bench.open();
    assert_eq!(recover(&mut store), model.recovered());
    model.check(&mut store);
}

/// After a crash a store holds what some first requests made of it, at least the reported ones, and
/// never a part of a request.
///
/// # Panics
///
/// If it does not.
pub fn unreported_requests_survive_whole_and_in_order<B: Bench>(bench: &mut B) {
    let mut states = alloc::vec![Model::default()];
    let mut reported = 0;
    let mut id = 0;
    for round in 0..10 {
        let mut store = bench.open();
        let found = recover(&mut store);
        let survived = states.iter().rposition(|state| state.recovered() == found);
        let Some(survived) = survived else { panic!("recovered {found:?}, which no request left behind") };
        assert!(survived >= reported, "{reported} requests were reported, {survived} survived");
        let mut state = states.swap_remove(survived);
        state.check(&mut store);
        states = alloc::vec![state.clone()];
        reported = 0;
        for step in 0..4 {
            id += 1;
            let term = round + 1;
            let last = state.last().index.get();
            let mut new = Persist {
                entries: batch(term, last + 1, 2).into(),
                hard_state: Some(hard_state(term, term, last)),
                ..request(id)
            };
            if step == 2 {
                new.truncate_from = Some(LogIndex::new(last));
                new.entries = batch(term, last, 5).into();
                new.hard_state = Some(hard_state(term, term, last));
            }
            state.apply(&new);
            states.push(state.clone());
            persist(&mut store, new);
            if step == 0 && round % 2 == 0 {
                bench.settle(&mut store);
                assert_eq!(poll(&mut store), Some(PersistId::new(id)));
                reported = 1;
            }
        }
        bench.crash(store);
    }
}

/// Polling tells the newest durable request once, and nothing when there is no news.
///
/// # Panics
///
/// If it does not.
pub fn ids_are_reported_once_and_in_order<B: Bench>(bench: &mut B) {
    let mut store = bench.open();
    recover(&mut store);
    let mut newest = 0;
    for id in 1..=50 {
        persist(&mut store, Persist { hard_state: Some(hard_state(id, 1, 0)), ..request(id) });
        if id % 7 == 0 {
            bench.settle(&mut store);
        }
        if let Some(reported) = poll(&mut store) {
            assert!(reported.get() > newest && reported.get() <= id, "{reported} after {newest}");
            newest = reported.get();
        }
    }
    bench.settle(&mut store);
    let last = poll(&mut store).map_or(newest, PersistId::get);
    assert_eq!(last, 50);
    assert_eq!(poll(&mut store), None);
}

/// Each hard state replaces the one before, with and without entries, and survives.
///
/// # Panics
///
/// If it does not.
pub fn hard_state_is_the_last_one<B: Bench>(bench: &mut B) {
    let mut store = bench.open();
    recover(&mut store);
    let with_entries =
        Persist { entries: batch(1, 1, 2).into(), hard_state: Some(hard_state(1, 1, 0)), ..request(1) };
    persist(&mut store, with_entries);
    persist(&mut store, Persist { hard_state: Some(hard_state(3, 0, 2)), ..request(2) });
    persist(&mut store, Persist { entries: batch(2, 3, 1).into(), ..request(3) });
    bench.settle(&mut store);
    bench.crash(store);
    let mut store = bench.open();
    assert_eq!(recover(&mut store).hard_state, hard_state(3, 0, 2));
}

/// Every range can be read, before and after it is durable and after reopening; the byte budget
/// holds, but one entry always comes.
///
/// # Panics
///
/// If it does not.
pub fn load_keeps_to_range_and_budget<B: Bench>(bench: &mut B) {
    let mut store = bench.open();
    recover(&mut store);
    let mut model = Model::default();
    for (id, (kind, count, bytes)) in (1..).zip([
        (EntryKind::Empty, 1, 0),
        (EntryKind::Command, 5, 10),
        (EntryKind::Command, 1, 3000),
        (EntryKind::Membership, 1, 40),
        (EntryKind::Hollow, 7, 0),
        (EntryKind::Command, 20, 200),
    ]) {
        let first = model.last().index.get() + 1;
        let entries = batch_of(kind, 1, first, count, bytes).into();
        let new = Persist { entries, hard_state: Some(hard_state(1, 1, 0)), ..request(id) };
        model.apply(&new);
        persist(&mut store, new);
        check_ranges(&model, &mut store);
    }
    bench.settle(&mut store);
    check_ranges(&model, &mut store);
    bench.crash(store);
    let mut store = bench.open();
    recover(&mut store);
    check_ranges(&model, &mut store);
}

fn check_ranges<S: LogStore>(model: &Model, store: &mut S) {
    let last = model.last().index.get();
    for first in 1..=last {
        for end in first + 1..=last + 1 {
            for bytes_max in [0, 50, 3000, usize::MAX] {
                let found = load_all(store, LogIndex::new(first), LogIndex::new(end), bytes_max);
                let from = usize::try_from(first - 1).expect("a short log");
                assert!(!found.is_empty(), "nothing for {first} to {end} within {bytes_max}");
                assert_eq!(found, model.entries[from..from + found.len()]);
                let bytes: usize = found.iter().map(|entry| entry.payload.len()).sum();
                assert!(found.len() == 1 || bytes <= bytes_max, "{bytes} bytes, allowed {bytes_max}");
                let wanted = usize::try_from(end - first).expect("a short log");
                assert!(bytes_max < usize::MAX || found.len() == wanted, "{first} to {end}: {found:?}");
            }
        }
    }
}

/// What was truncated is gone at once and never comes back; what replaced it is there.
///
/// # Panics
///
/// If it is not so.
pub fn truncated_entries_stay_away<B: Bench>(bench: &mut B) {
    for settles in [false, true] {
        let mut model = Model::default();
        let mut store = bench.open();
        let mut id = 0;
        let found = recover(&mut store);
        let term = found.hard_state.term.get() + 1;
        let mut step = |store: &mut B::Store, bench: &mut B, model: &mut Model, new: Persist| {
            id += 1;
            let new = Persist { id: PersistId::new(id), ..new };
            model.apply(&new);
            persist(store, new);
            if settles {
                bench.settle(store);
            }
            model.check(store);
        };
        let start = Persist {
            mark: Some(reset(term, 10)),
            entries: batch(term, 11, 10).into(),
            hard_state: Some(hard_state(term, 1, 10)),
            ..request(0)
        };
        step(&mut store, bench, &mut model, start);
        // In the middle of a batch, at a batch's first entry, and all there is.
        for (from, term) in [(15, term + 1), (15, term + 2), (11, term + 3)] {
            let new = Persist {
                truncate_from: Some(LogIndex::new(from)),
                entries: batch(term, from, 3).into(),
                hard_state: Some(hard_state(term, 1, 10)),
                ..request(0)
            };
            step(&mut store, bench, &mut model, new);
        }
        step(&mut store, bench, &mut model, Persist { truncate_from: Some(LogIndex::new(12)), ..request(0) });
        bench.settle(&mut store);
        bench.crash(store);
        let mut store = bench.open();
        assert_eq!(recover(&mut store), model.recovered());
        model.check(&mut store);
        bench.crash(store);
    }
}

/// Recovery tells consecutive entries of one term and kind as one run.
///
/// # Panics
///
/// If it does not.
pub fn runs_are_merged<B: Bench>(bench: &mut B) {
    let mut store = bench.open();
    recover(&mut store);
    let mut model = Model::default();
    let mut several = Batches::new();
    several.push(batch_of(EntryKind::Empty, 2, 4, 1, 0));
    several.push(batch(2, 5, 2));
    several.push(batch(2, 7, 2));
    let requests = [
        batch(1, 1, 1).into(),
        batch(1, 2, 2).into(),
        several,
        batch(2, 9, 1).into(),
        batch(3, 10, 1).into(),
        batch_of(EntryKind::Hollow, 3, 11, 2, 0).into(),
        batch_of(EntryKind::Hollow, 3, 13, 1, 0).into(),
    ];
    for (id, entries) in (1..).zip(requests) {
        let new = Persist { entries, hard_state: Some(hard_state(3, 1, 0)), ..request(id) };
        model.apply(&new);
        persist(&mut store, new);
    }
    bench.settle(&mut store);
    bench.crash(store);
    let mut store = bench.open();
    let found = recover(&mut store);
    assert_eq!(found.runs.len(), 5);
    assert_eq!(found, model.recovered());
}

/// A mark drops the log, also what is not durable yet, and the log goes on behind it.
///
/// # Panics
///
/// If it does not.
pub fn a_mark_starts_the_log_anew<B: Bench>(bench: &mut B) {
    let mut store = bench.open();
    recover(&mut store);
    let mut model = Model::default();
    let requests = [
        Persist { entries: batch(1, 1, 9).into(), hard_state: Some(hard_state(1, 1, 9)), ..request(1) },
        // A snapshot far ahead; the hard state stays as it was.
        Persist { mark: Some(reset(1, 100)), ..request(2) },
        Persist { entries: batch(1, 101, 4).into(), ..request(3) },
        // A snapshot and what follows it, in one request.
        Persist {
            mark: Some(reset(2, 200)),
            entries: batch(2, 201, 1).into(),
            hard_state: Some(hard_state(2, 2, 200)),
            ..request(4)
        },
    ];
    for new in requests {
        model.apply(&new);
        persist(&mut store, new);
        model.check(&mut store);
    }
    bench.settle(&mut store);
    assert_eq!(poll(&mut store), Some(PersistId::new(4)));
    bench.crash(store);
    let mut store = bench.open();
    assert_eq!(recover(&mut store), model.recovered());
    model.check(&mut store);
}

/// Compaction drops entries up to the mark, in the middle of a batch or before its last entry is
/// durable, and keeps those behind it.
///
/// # Panics
///
/// If it does not.
pub fn compaction_keeps_what_is_behind_the_mark<B: Bench>(bench: &mut B) {
    for settles in [false, true] {
        let mut store = bench.open();
        let mut model = Model::default();
        let term = recover(&mut store).hard_state.term.get() + 1;
        let requests = [
            Persist { mark: Some(reset(term, 0)), hard_state: Some(hard_state(term, 1, 0)), ..request(1) },
            Persist { entries: batch(term, 1, 10).into(), ..request(2) },
            Persist { entries: batch(term, 11, 10).into(), ..request(3) },
            Persist { mark: Some(compact(term, 5)), hard_state: Some(hard_state(term, 1, 9)), ..request(4) },
            Persist { mark: Some(compact(term, 10)), entries: batch(term, 21, 2).into(), ..request(5) },
            Persist { truncate_from: Some(LogIndex::new(13)), ..request(6) },
            Persist { mark: Some(compact(term, 12)), ..request(7) },
            Persist { entries: batch(term, 13, 1).into(), ..request(8) },
        ];
        for new in requests {
            model.apply(&new);
            persist(&mut store, new);
            if settles {
                bench.settle(&mut store);
            }
            model.check(&mut store);
        }
        bench.settle(&mut store);
        bench.crash(store);
        let mut store = bench.open();
        assert_eq!(recover(&mut store), model.recovered());
        model.check(&mut store);
        bench.crash(store);
    }
}
