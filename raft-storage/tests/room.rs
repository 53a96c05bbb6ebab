//! Room that was missing only for a while (F12).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use common::faulty::GROUP;
use common::{entries, hard_state, initialise, options, request, segment};
use raft_core::{LogStore, Persist, PersistId};
use raft_storage::fs::SimFs;
use raft_storage::{Flushing, Start, Wal};
use slog::{Drain, Logger, Never, OwnedKVList, Record, o};

/// Hands on what is logged.
struct Tell(Mutex<Sender<String>>);

impl Drain for Tell {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        // Once the test has heard enough, nobody listens.
        let _ = self.0.lock().unwrap().send(record.msg().to_string());
        Ok(())
    }
}

/// A disk was full while the next segment was made ahead of need. The operator made room at once, and
/// hours later, when that segment was needed, the log stopped for want of room.
#[test]
fn a_disk_that_was_full_only_when_a_segment_was_made_ahead_of_need_does_not_stop_the_log_f12() {
    let fs = SimFs::new();
    initialise(&fs).unwrap().close().unwrap();
    fs.set_free_bytes(Some(0));
    let (tell, told) = channel();
    let (ring, rung) = channel();
    let ring = Mutex::new(ring);
    let settings = options(&fs, Start::Existing)
        .flushing(Flushing::Thread)
        .logger(Logger::root(Tell(Mutex::new(tell)), o!()));
    let wake = move || {
        // After the test there is nobody to wake.
        let _ = ring.lock().unwrap().send(());
    };
    let wal = Wal::open(&settings, wake).unwrap();
    told.iter().find(|text| text.contains("no room for the next segment")).unwrap();
    fs.set_free_bytes(None);
    let mut log = wal.group(GROUP).unwrap();
    log.recover().unwrap();
    for id in 1..=50 {
        let hard_state = hard_state(1, 1, id - 1);
        log.persist(Persist { entries: entries(1, id, 1, 1000), hard_state, ..request(id) }).unwrap();
        while log.poll_persisted().unwrap() != Some(PersistId::new(id)) {
            rung.recv().unwrap();
        }
    }
    assert!(fs.content(segment(2)).is_some(), "it rolled");
}
