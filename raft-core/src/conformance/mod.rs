//! What every [`LogStore`] and every [`SnapshotStore`] must do, as checks that any store's tests can
//! run.
//!
//! A store brings a [`Bench`]: a way to open it, to wait for it, and to crash it. Each check panics
//! with what it expected and what it got.
//!
//! Requests are those that a correct core makes: entries follow the log, terms never fall, the hard
//! state's term covers the last entry's, the commit index is within the log.

mod basics;
mod model;
mod random;
mod snapshots;

pub use basics::{
    a_mark_starts_the_log_anew, compaction_keeps_what_is_behind_the_mark, hard_state_is_the_last_one,
    ids_are_reported_once_and_in_order, load_keeps_to_range_and_budget, new_store_is_empty,
    reported_requests_survive_a_crash, runs_are_merged, truncated_entries_stay_away,
    unreported_requests_survive_whole_and_in_order,
};
pub use random::random_requests_match_a_plain_list;
pub use snapshots::{
    finished_snapshots_are_reported_in_order, log_and_snapshot_fit_after_a_crash, new_store_has_no_snapshot,
    older_snapshots_never_replace_newer_ones, replaced_snapshots_are_exact_or_gone,
    reported_snapshots_survive_a_crash, unfinished_snapshots_leave_nothing_behind,
    unreported_snapshots_are_whole_or_not_there,
};

use crate::doors::store::{LogStore, SnapshotStore};

/// A place where a store can be opened again and again.
///
/// ```
/// use raft_core::conformance::{Bench, check_all, check_snapshots};
/// use raft_core::mem::MemLog;
/// use raft_core::{LogStore, SnapshotStore};
///
/// /// What the last store held when it crashed: all of it is durable at once.
/// #[derive(Default)]
/// struct Memory(MemLog);
///
/// impl Bench for Memory {
///     type Store = MemLog;
///
///     fn open(&mut self) -> MemLog {
///         self.0.clone()
///     }
///
///     fn settle(&mut self, _store: &mut MemLog) {}
///
///     fn crash(&mut self, mut store: MemLog) {
///         // A report that nobody fetched dies with the process.
///         store.poll_persisted().expect("memory does not fail");
///         store.poll_snapshot();
///         self.0 = store;
///     }
/// }
///
/// check_all(Memory::default);
/// check_snapshots(Memory::default);
/// ```
pub trait Bench {
    /// The store.
    type Store: LogStore;

    /// Opens what is there; at first, nothing.
    fn open(&mut self) -> Self::Store;

    /// Waits until everything that was persisted, and every snapshot that was finished, is durable and
    /// can be polled.
    fn settle(&mut self, store: &mut Self::Store);

    /// Ends the store as a crash or power cut would: what is not durable may be lost.
    fn crash(&mut self, store: Self::Store);
}

/// Runs all checks, each in a place of its own.
///
/// # Panics
///
/// If the store breaks its contract.
pub fn check_all<B: Bench>(mut new_bench: impl FnMut() -> B) {
    new_store_is_empty(&mut new_bench());
    reported_requests_survive_a_crash(&mut new_bench());
    unreported_requests_survive_whole_and_in_order(&mut new_bench());
    ids_are_reported_once_and_in_order(&mut new_bench());
    hard_state_is_the_last_one(&mut new_bench());
    load_keeps_to_range_and_budget(&mut new_bench());
    truncated_entries_stay_away(&mut new_bench());
    runs_are_merged(&mut new_bench());
    a_mark_starts_the_log_anew(&mut new_bench());
    compaction_keeps_what_is_behind_the_mark(&mut new_bench());
    for seed in 1..=RANDOM_RUNS {
        random_requests_match_a_plain_list(&mut new_bench(), seed);
    }
}

/// Runs all checks of snapshots, each in a place of its own.
///
/// # Panics
///
/// If the store breaks its contract.
pub fn check_snapshots<B: Bench<Store: SnapshotStore>>(mut new_bench: impl FnMut() -> B) {
    new_store_has_no_snapshot(&mut new_bench());
    reported_snapshots_survive_a_crash(&mut new_bench());
    unfinished_snapshots_leave_nothing_behind(&mut new_bench());
    finished_snapshots_are_reported_in_order(&mut new_bench());
    older_snapshots_never_replace_newer_ones(&mut new_bench());
    unreported_snapshots_are_whole_or_not_there(&mut new_bench());
    replaced_snapshots_are_exact_or_gone(&mut new_bench());
    log_and_snapshot_fit_after_a_crash(&mut new_bench());
}

/// How many random runs [`check_all`] makes.
const RANDOM_RUNS: u64 = 20;
