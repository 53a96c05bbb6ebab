//! What must hold of every disk that a power cut leaves.

use raft_core::{GroupId, LogStore, Persist, PersistId};
use raft_storage::fs::SimFs;
use raft_storage::fs::sim::Kept;

use super::images::cut_at_every_call;
use super::{History, Models, Step, hard_state, initialise, open, read_all, request};

/// Opens an image and compares it with what may have survived. Returns what did.
pub(crate) fn check_image(image: &SimFs, history: &History, place: &str) -> Models {
    let wal = match if history.was_open { open(image) } else { initialise(image) } {
        Ok(wal) => wal,
        Err(error) => panic!("{place}: {error}"),
    };
    // A crash tears the slot that was being written, and no more of the mark.
    let slots = wal.recovery().mark_loss.as_ref().map_or(0, |loss| loss.unreadable_slots);
    assert!(slots <= 1, "{place}: {slots} slots of the sync mark are lost");
    let found = read_all(&wal).unwrap_or_else(|error| panic!("{place}: {error}"));
    let survived = history.states.iter().rposition(|state| *state == found);
    let Some(survived) = survived else {
        panic!("{place}: recovered {found:#?}, which no first part of the requests leaves behind");
    };
    assert!(
        survived >= history.acknowledged,
        "{place}: {} requests were acknowledged, {survived} survived",
        history.acknowledged
    );
    found
}

/// What was recovered is durable, and stays so when more is written (F10).
pub(crate) fn check_goes_on(image: &SimFs, found: &Models, place: &str) {
    {
        let wal = open(image).unwrap_or_else(|error| panic!("{place}: reopening: {error}"));
        assert_eq!(&read_all(&wal).unwrap(), found, "{place}: reopened");
    }
    let mut expected = found.clone();
    {
        let wal = open(image).unwrap();
        let group = GroupId::new(1);
        let model = expected.entry(group).or_default();
        // Later than any term that a random workload has come to.
        let term = model.hard_state.term.get() + 1;
        let new = Persist { hard_state: hard_state(term, 9, model.last().get()), ..request(1) };
        model.apply(&new);
        let mut log = wal.group(group).unwrap();
        log.recover().unwrap();
        log.persist(new).unwrap();
        log.flush_now().unwrap();
        assert_eq!(log.poll_persisted().unwrap(), Some(PersistId::new(1)));
        image.stop_after(0);
    }
    let after = image.after_power_cut(|_, _| Kept::Nothing);
    let wal = open(&after).unwrap_or_else(|error| panic!("{place}: after going on: {error}"));
    assert_eq!(read_all(&wal).unwrap(), expected, "{place}: after going on");
}

/// Cuts a workload off at every call, and checks all that a power cut leaves there. Returns how many images
/// that were.
pub(crate) fn check_every_cut(steps: &[Step]) -> usize {
    let mut checked = 0;
    cut_at_every_call(steps, |image, history, place| {
        let found = check_image(image, history, place);
        checked += 1;
        if checked % 17 == 0 {
            check_goes_on(image, &found, place);
        }
    })
}
