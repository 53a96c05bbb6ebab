//! A small log that decays, and what may be seen of it then.

use raft_core::Persist;
use raft_storage::OpenError;
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::Kept;

use super::{Models, Step, entries, hard_state, open, read_all, request, reset, run};

/// A small log of two groups, and what it held after each request.
pub(crate) fn small_log(is_marked: bool) -> (SimFs, Vec<Models>) {
    let mut steps = vec![
        Step::Persist(1, Persist { mark: Some(reset(0, 0)), hard_state: hard_state(1, 1, 0), ..request(1) }),
        Step::Persist(1, Persist { entries: entries(1, 1, 3, 20), ..request(2) }),
        Step::Flush,
        Step::Persist(
            2,
            Persist { entries: entries(3, 1, 2, 30), hard_state: hard_state(3, 2, 1), ..request(1) },
        ),
        Step::Flush,
        Step::Persist(
            1,
            Persist { entries: entries(1, 4, 2, 20), hard_state: hard_state(1, 1, 5), ..request(3) },
        ),
        Step::Flush,
    ];
    if is_marked {
        steps.push(Step::SyncMark);
    }
    let fs = SimFs::new();
    let history = run(&fs, &steps);
    (fs.after_power_cut(|_, _| Kept::Nothing), history.states)
}

/// Opens a decayed log. Returns how many requests it shows, or nothing if it is refused.
pub(crate) fn shown(fs: &SimFs, states: &[Models], place: &str) -> Option<usize> {
    match open(fs) {
        Ok(wal) => {
            let found = read_all(&wal).unwrap();
            let shown = states.iter().rposition(|state| *state == found);
            Some(shown.unwrap_or_else(|| panic!("{place}: silently different: {found:#?}")))
        }
        Err(
            OpenError::Damaged { .. }
            | OpenError::Version { .. }
            | OpenError::OtherIdentity { .. }
            | OpenError::NotInitialised { .. },
        ) => None,
        Err(other) => panic!("{place}: {other}"),
    }
}
