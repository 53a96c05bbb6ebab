//! A snapshot's sync that takes its time delays nobody but the snapshot (D11, F25).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;

use common::faulty::GROUP;
use common::snapshots::Snapshot;
use common::{IDENTITY, entries, hard_state, options_of, request};
use parking_lot::{Condvar, Mutex};
use raft_core::{LogStore, Persist, PersistId, SnapshotStore};
use raft_storage::fs::{Fs, FsFile, LockOutcome, SimFs};
use raft_storage::{Flushing, Start, Wal};

/// Something that one thread waits for and another brings about.
#[derive(Debug, Default)]
struct Signal {
    is_given: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn give(&self) {
        *self.is_given.lock() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut is_given = self.is_given.lock();
        while !*is_given {
            self.changed.wait(&mut is_given);
        }
    }

    /// Waits for a signal, which then has to be given again.
    fn wait_for_next(&self) {
        self.wait();
        *self.is_given.lock() = false;
    }
}

/// A disk on which syncs of snapshots are held up.
#[derive(Clone, Debug, Default)]
struct SlowFs {
    disk: SimFs,
    reached: Arc<Signal>,
    released: Arc<Signal>,
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn FsFile>,
    fs: SlowFs,
}

impl Fs for SlowFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.disk.open(path)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.disk.open_to_read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let file = self.disk.create(path)?;
        let is_snapshot = path.to_string_lossy().ends_with(".snap.new");
        Ok(if is_snapshot { Arc::new(SlowFile { file, fs: self.clone() }) } else { file })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn try_lock(&self, path: &Path, holder: &str) -> io::Result<LockOutcome> {
        self.disk.try_lock(path, holder)
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        self.disk.lock_holder(path)
    }
}

impl FsFile for SlowFile {
    fn byte_count(&self) -> io::Result<u64> {
        self.file.byte_count()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn set_byte_count(&self, bytes: u64) -> io::Result<()> {
        self.file.set_byte_count(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.reached.give();
        self.fs.released.wait();
        self.file.sync_data()
    }
}

#[test]
fn a_slow_sync_of_a_snapshot_delays_neither_the_log_nor_the_caller_f25() {
    let fs = SlowFs::default();
    let woken = Arc::new(Signal::default());
    let options =
        options_of(&fs.disk, Start::Initialise, IDENTITY).flushing(Flushing::Thread).fs(Arc::new(fs.clone()));
    let wake = Arc::clone(&woken);
    let wal = Wal::open(&options, move || wake.give()).unwrap();
    let mut log = wal.group(GROUP).unwrap();
    assert_eq!(log.recover_snapshot().unwrap(), None);
    log.recover().unwrap();
    let snapshot = Snapshot::new(1, 3, 100_000);
    snapshot.hand_over(&mut log);
    fs.reached.wait();
    for id in 1..=20 {
        let request =
            Persist { entries: entries(1, id, 1, 20), hard_state: hard_state(1, 1, 0), ..request(id) };
        log.persist(request).unwrap();
        while log.poll_persisted().unwrap() != Some(PersistId::new(id)) {
            woken.wait_for_next();
        }
        assert!(log.poll_snapshot().is_none(), "its sync is still held up");
    }
    fs.released.give();
    let outcome = loop {
        match log.poll_snapshot() {
            Some(outcome) => break outcome,
            None => woken.wait_for_next(),
        }
    };
    assert_eq!(outcome.unwrap(), snapshot.meta);
    snapshot.assert_readable(&mut log, "read back");
    wal.close().unwrap();
}
