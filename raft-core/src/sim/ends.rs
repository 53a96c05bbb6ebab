//! A node's ends of the world: its store, which is watched, and its transport.

use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

use super::world::Shared;
use crate::doors::store::{LogStore, SnapshotFailure, SnapshotStore};
use crate::doors::transport::{Arrival, Transport};
use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, NodeId, PersistId, Position};
use crate::words::message::{Message, SnapshotMeta};
use crate::words::persist::{Persist, Recovered};

/// One node's store, whatever it is, and an eye on what it is asked for and what it reports.
#[derive(Debug)]
pub(super) struct WatchedStore<L> {
    id: NodeId,
    world: Shared,
    store: L,
    /// What the store said is its newest snapshot.
    snapshot: Option<SnapshotMeta>,
}

impl<L> WatchedStore<L> {
    pub(super) fn new(id: NodeId, world: Shared, store: L) -> Self {
        Self { id, world, store, snapshot: None }
    }
}

impl<L: SnapshotStore> LogStore for WatchedStore<L> {
    type Error = L::Error;

    fn recover(&mut self) -> Result<Recovered, L::Error> {
        let recovered = self.store.recover()?;
        let mut entries = Vec::new();
        if let (Some(first), Some(last)) = (recovered.runs.first(), recovered.runs.last()) {
            entries = self.store.load(first.first, last.last.next(), usize::MAX)?;
        }
        self.world.borrow_mut().recover(self.id, &recovered, &entries, self.snapshot.as_ref());
        Ok(recovered)
    }

    fn persist(&mut self, request: Persist) -> Result<(), L::Error> {
        self.world.borrow_mut().persist(self.id, &request);
        self.store.persist(request)
    }

    fn poll_persisted(&mut self) -> Result<Option<PersistId>, L::Error> {
        let persisted = self.store.poll_persisted()?;
        if let Some(id) = persisted {
            self.world.borrow_mut().persisted(self.id, id);
        }
        Ok(persisted)
    }

    fn load(&mut self, first: LogIndex, end: LogIndex, bytes_max: usize) -> Result<Vec<Entries>, L::Error> {
        self.world.borrow_mut().note("load");
        self.store.load(first, end, bytes_max)
    }
}

impl<L: SnapshotStore> SnapshotStore for WatchedStore<L> {
    fn recover_snapshot(&mut self) -> Result<Option<SnapshotMeta>, L::Error> {
        self.snapshot = self.store.recover_snapshot()?;
        Ok(self.snapshot.clone())
    }

    fn begin_snapshot(&mut self, last: Position) {
        self.store.begin_snapshot(last);
    }

    fn write_snapshot(&mut self, piece: Bytes) {
        self.store.write_snapshot(piece);
    }

    fn snapshot_room(&self) -> usize {
        self.store.snapshot_room()
    }

    fn finish_snapshot(&mut self, meta: SnapshotMeta) {
        self.world.borrow_mut().snapshot_finished(self.id, &meta);
        self.store.finish_snapshot(meta);
    }

    fn abort_snapshot(&mut self) {
        self.store.abort_snapshot();
    }

    fn poll_snapshot(&mut self) -> Option<Result<SnapshotMeta, SnapshotFailure<L::Error>>> {
        let stored = self.store.poll_snapshot();
        if let Some(Ok(meta)) = &stored {
            self.world.borrow_mut().ledger(self.id).on_snapshot_stored(meta);
        }
        stored
    }

    fn read_snapshot(
        &mut self,
        last: Position,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, L::Error> {
        let read = self.store.read_snapshot(last, offset, bytes_max)?;
        let world = &mut *self.world.borrow_mut();
        // A store may give less than it is asked for: so a state of any size is restored in pieces, too.
        Ok(read.map(|bytes| match u32::try_from(bytes.len()) {
            Ok(length @ 2..) if world.is_hostile => bytes.slice(..world.dice.between(1, length) as usize),
            _ => bytes,
        }))
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
        self.world.borrow_mut().poll(self.id)
    }

    fn message_bytes_max(&self) -> u64 {
        u64::MAX
    }
}
