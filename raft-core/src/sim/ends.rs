//! A node's ends of the world: its store and its transport.

use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

use super::disk::keep;
use super::plan::happens;
use super::world::Shared;
use crate::doors::store::{LogStore, SnapshotFailure, SnapshotStore};
use crate::doors::transport::{Arrival, Transport};
use crate::mem::{MemLog, MemLogError};
use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, NodeId, PersistId, Position};
use crate::words::message::{Message, SnapshotMeta};
use crate::words::persist::{Persist, Recovered};

/// One node's store: what it wrote is readable at once, and durable when the disk says so.
#[derive(Debug)]
pub(super) struct SimLog {
    id: NodeId,
    world: Shared,
    written: MemLog,
    /// A snapshot that is being written.
    writing: Vec<u8>,
    /// The medium had no room for this one.
    failed: Option<Position>,
}

impl SimLog {
    pub(super) fn open(id: NodeId, world: Shared) -> Self {
        let written = world.borrow().disks[&id].durable();
        Self { id, world, written, writing: Vec::new(), failed: None }
    }
}

impl LogStore for SimLog {
    type Error = MemLogError;

    fn recover(&mut self) -> Result<Recovered, MemLogError> {
        self.written.recover()
    }

    fn persist(&mut self, request: Persist) -> Result<(), MemLogError> {
        self.written.persist(request.clone())?;
        self.world.borrow_mut().persist(self.id, request, &self.written);
        Ok(())
    }

    fn poll_persisted(&mut self) -> Result<Option<PersistId>, MemLogError> {
        let world = &mut *self.world.borrow_mut();
        let now = world.now;
        Ok(world.disks.get_mut(&self.id).expect("every node has a disk").settle(now))
    }

    fn load(
        &mut self,
        first: LogIndex,
        end: LogIndex,
        bytes_max: usize,
    ) -> Result<Vec<Entries>, MemLogError> {
        self.world.borrow_mut().report.note("load");
        self.written.load(first, end, bytes_max)
    }
}

impl SnapshotStore for SimLog {
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
        let world = &mut *self.world.borrow_mut();
        let is_busy = world.is_hostile && happens(&mut world.rng, world.plan.snapshot_busy);
        if is_busy { 0 } else { 1 << 20 }
    }

    fn finish_snapshot(&mut self, meta: SnapshotMeta) {
        let state = Bytes::from(core::mem::take(&mut self.writing));
        let last = meta.last;
        let has_room = self.world.borrow_mut().write_snapshot(self.id, meta, state);
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
        let world = &mut *self.world.borrow_mut();
        let now = world.now;
        let disk = world.disks.get_mut(&self.id).expect("every node has a disk");
        let (meta, state) = disk.settle_snapshot(now)?;
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

/// One node's end of the network.
#[derive(Debug)]
pub(super) struct SimTransport {
    id: NodeId,
    world: Shared,
}

impl SimTransport {
    pub(super) fn new(id: NodeId, world: Shared) -> Self {
        Self { id, world }
    }
}

impl Transport for SimTransport {
    fn send(&mut self, message: Message) {
        self.world.borrow_mut().send(&message);
    }

    fn poll(&mut self) -> Option<Arrival> {
        self.world.borrow_mut().network.poll(self.id)
    }
}
