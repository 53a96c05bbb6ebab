//! A medium in memory: requests become durable later, in order, and a crash keeps what was durable and
//! any number of the requests that came next. Snapshots are files of their own, so they become durable
//! in no order with requests.
//!
//! What a node finds after a crash is built from what it asked to persist, never from its memory.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use raft_proto::bytes::Bytes;

use super::dice::{Chance, Dice};
use super::report::Situations;
use super::subject::{Fate, Medium};
use crate::doors::store::{LogStore, SnapshotFailure, SnapshotStore};
use crate::mem::{MemLog, MemLogError};
use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, PersistId, Position};
use crate::words::message::SnapshotMeta;
use crate::words::persist::{Persist, Recovered};

/// A model of a disk under the simplest correct store, for whoever tests a state machine and not a
/// store.
#[derive(Debug)]
pub struct ModelMedium {
    disk: Rc<RefCell<Disk>>,
}

impl ModelMedium {
    /// An empty one, as slow and as failing as the dice want.
    #[must_use]
    pub fn new(mut dice: Dice, situations: &Situations) -> Self {
        let disk = Disk {
            now: 0,
            is_calm: false,
            durable: MemLog::new(),
            queue: VecDeque::new(),
            stalled_until: 0,
            snapshot: None,
            stall: dice.swarm(100),
            steps_max: dice.between(0, 12),
            snapshot_fail: dice.swarm(10000),
            snapshot_busy: dice.swarm(30000),
            dice,
            situations: situations.clone(),
        };
        Self { disk: Rc::new(RefCell::new(disk)) }
    }
}

impl Medium for ModelMedium {
    type Store = ModelStore;

    fn open(&mut self) -> Result<ModelStore, Fate> {
        let written = self.disk.borrow().durable.clone();
        Ok(ModelStore { disk: Rc::clone(&self.disk), written, writing: Vec::new(), failed: None })
    }

    fn step(&mut self, now: u64) {
        self.disk.borrow_mut().now = now;
    }

    fn crash(&mut self) {
        self.disk.borrow_mut().crash();
    }

    fn calm(&mut self) {
        let disk = &mut *self.disk.borrow_mut();
        disk.is_calm = true;
        disk.stalled_until = 0;
    }
}

#[derive(Debug)]
struct Disk {
    now: u64,
    is_calm: bool,
    durable: MemLog,
    /// Requests that are not durable yet, with the step at which they will be.
    queue: VecDeque<(u64, Persist)>,
    /// No request becomes durable before this step.
    stalled_until: u64,
    /// A snapshot that is not durable yet, with the step at which it will be.
    snapshot: Option<(u64, SnapshotMeta, Bytes)>,
    stall: Chance,
    steps_max: u32,
    /// The medium has no room for a snapshot …
    snapshot_fail: Chance,
    /// … or is slow to take it.
    snapshot_busy: Chance,
    dice: Dice,
    situations: Situations,
}

impl Disk {
    /// Of the requests under way some reached the disk, and perhaps the snapshot.
    fn crash(&mut self) {
        let queued = u32::try_from(self.queue.len()).expect("a few requests");
        let keeps_snapshot = self.dice.between(0, 1) == 1;
        if let Some((_, meta, state)) = self.snapshot.take().filter(|_| keeps_snapshot) {
            keep(&mut self.durable, meta, state);
        }
        let kept = self.dice.between(0, queued) as usize;
        for (_, request) in self.queue.drain(..).take(kept) {
            self.durable.persist(request).expect("requests follow each other");
        }
        self.durable.poll_persisted().expect("memory does not fail");
    }

    fn write(&mut self, request: Persist) {
        let steps = u64::from(self.dice.between(0, self.steps_max));
        if !self.is_calm && self.dice.happens(self.stall) {
            self.stalled_until = self.stalled_until.max(self.now + u64::from(self.dice.between(10, 600)));
            self.situations.note("disk stall");
        }
        self.queue.push_back((self.now + steps, request));
    }

    /// Takes a snapshot; whether there is room for it.
    fn write_snapshot(&mut self, meta: SnapshotMeta, state: Bytes) -> bool {
        if !self.is_calm && self.dice.happens(self.snapshot_fail) {
            self.situations.note("snapshot failed");
            return false;
        }
        let steps = u64::from(self.dice.between(0, 4 * self.steps_max));
        self.snapshot = Some((self.now + steps, meta, state));
        true
    }

    /// A snapshot that has become durable.
    fn settle_snapshot(&mut self) -> Option<(SnapshotMeta, Bytes)> {
        let (_, meta, state) = self.snapshot.take_if(|(due, ..)| *due <= self.now)?;
        keep(&mut self.durable, meta.clone(), state.clone());
        Some((meta, state))
    }

    /// The newest request that is durable, if that is news.
    fn settle(&mut self) -> Option<PersistId> {
        if self.now < self.stalled_until {
            return None;
        }
        while let Some((_, request)) = self.queue.pop_front_if(|(due, _)| *due <= self.now) {
            self.durable.persist(request).expect("requests follow each other");
        }
        self.durable.poll_persisted().expect("memory does not fail")
    }
}

/// The store on a [`ModelMedium`]: what it wrote is readable at once, and durable when the disk says so.
#[derive(Debug)]
pub struct ModelStore {
    disk: Rc<RefCell<Disk>>,
    written: MemLog,
    /// A snapshot that is being written.
    writing: Vec<u8>,
    /// The medium had no room for this one.
    failed: Option<Position>,
}

impl LogStore for ModelStore {
    type Error = MemLogError;

    fn recover(&mut self) -> Result<Recovered, MemLogError> {
        self.written.recover()
    }

    fn persist(&mut self, request: Persist) -> Result<(), MemLogError> {
        self.written.persist(request.clone())?;
        self.disk.borrow_mut().write(request);
        Ok(())
    }

    fn poll_persisted(&mut self) -> Result<Option<PersistId>, MemLogError> {
        Ok(self.disk.borrow_mut().settle())
    }

    fn load(
        &mut self,
        first: LogIndex,
        end: LogIndex,
        bytes_max: usize,
    ) -> Result<Vec<Entries>, MemLogError> {
        self.written.load(first, end, bytes_max)
    }
}

impl SnapshotStore for ModelStore {
    fn recover_snapshot(&mut self) -> Result<Option<SnapshotMeta>, MemLogError> {
        self.written.recover_snapshot()
    }

    fn begin_snapshot(&mut self, _last: Position) {
        self.writing.clear();
    }

    fn write_snapshot(&mut self, piece: Bytes) {
        self.writing.extend_from_slice(&piece);
    }

    fn snapshot_room(&self) -> usize {
        let disk = &mut *self.disk.borrow_mut();
        let is_busy = !disk.is_calm && disk.dice.happens(disk.snapshot_busy);
        if is_busy { 0 } else { 1 << 20 }
    }

    fn finish_snapshot(&mut self, meta: SnapshotMeta) {
        let state = Bytes::from(core::mem::take(&mut self.writing));
        let last = meta.last;
        let has_room = self.disk.borrow_mut().write_snapshot(meta, state);
        self.failed = (!has_room).then_some(last);
    }

    fn abort_snapshot(&mut self) {
        self.writing.clear();
    }

    fn poll_snapshot(&mut self) -> Option<Result<SnapshotMeta, SnapshotFailure<MemLogError>>> {
        if let Some(last) = self.failed.take() {
            let error = MemLogError::Missing { first: last.index };
            return Some(Err(SnapshotFailure { last, error }));
        }
        let (meta, state) = self.disk.borrow_mut().settle_snapshot()?;
        keep(&mut self.written, meta.clone(), state);
        Some(Ok(meta))
    }

    fn read_snapshot(
        &mut self,
        last: Position,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, MemLogError> {
        self.written.read_snapshot(last, offset, bytes_max)
    }
}

/// Puts a whole snapshot into a store in memory.
fn keep(store: &mut MemLog, meta: SnapshotMeta, state: Bytes) {
    store.begin_snapshot(meta.last);
    store.write_snapshot(state);
    store.finish_snapshot(meta);
    let _is_news = store.poll_snapshot();
}
