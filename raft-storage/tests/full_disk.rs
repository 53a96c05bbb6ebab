//! A disk that is full when the log makes its next file ahead of need: said at once, and no harm done if
//! there is room again when the file is needed (F12).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use common::{entries, hard_state, options, read_all, request};
use raft_core::{GroupId, LogStore, Persist};
use raft_storage::fs::SimFs;
use raft_storage::{Flushing, Start, Wal};
use slog::{Drain, Level, Logger};

const GROUP: GroupId = GroupId::new(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// Passes warnings on.
struct Warnings(Mutex<Sender<String>>);

impl Drain for Warnings {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        if record.level() == Level::Warning {
            self.0.lock().unwrap().send(record.msg().to_string()).unwrap();
        }
        Ok(())
    }
}

#[test]
fn a_full_disk_is_warned_of_ahead_of_need_and_forgiven_if_there_is_room_by_then_f12() {
    let (warning, warnings) = channel();
    let (bell, rings) = channel();
    let fs = SimFs::new();
    let logger = Logger::root(Warnings(Mutex::new(warning)), slog::o!());
    common::initialise(&fs).unwrap().close().unwrap();
    fs.set_free_bytes(Some(0));
    let settings = options(&fs, Start::Existing).flushing(Flushing::Thread).logger(logger);
    let wal = Wal::open(&settings, move || _ = bell.send(())).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    let said = warnings.recv_timeout(PATIENCE).unwrap();
    assert!(said.contains("cannot make the log's next file ahead of need"), "{said}");
    fs.set_free_bytes(None);
    // More than the first segment holds.
    for id in 1..=10 {
        let new = Persist { entries: entries(1, id * 10 - 9, 10, 1000), ..request(id) };
        log.persist(Persist { hard_state: hard_state(1, 1, 0), ..new }).unwrap();
        while log.poll_persisted().unwrap().is_none_or(|done| done.get() < id) {
            rings.recv_timeout(PATIENCE).unwrap();
        }
    }
    drop(log);
    wal.close().unwrap();
    let wal = common::open(&fs).unwrap();
    assert_eq!(read_all(&wal).unwrap()[&GROUP].last().get(), 100);
    assert!(warnings.try_recv().is_err(), "said once");
}
