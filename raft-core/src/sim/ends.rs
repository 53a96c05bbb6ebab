//! A node's ends of the world: its store and its transport.

use alloc::vec::Vec;

use super::world::Shared;
use crate::doors::store::LogStore;
use crate::doors::transport::{Arrival, Transport};
use crate::mem::{MemLog, MemLogError};
use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, NodeId, PersistId};
use crate::words::message::Message;
use crate::words::persist::{Persist, Recovered};

/// One node's store: what it wrote is readable at once, and durable when the disk says so.
#[derive(Debug)]
pub(super) struct SimLog {
    id: NodeId,
    world: Shared,
    written: MemLog,
}

impl SimLog {
    pub(super) fn open(id: NodeId, world: Shared) -> Self {
        let written = world.borrow().disks[&id].durable();
        Self { id, world, written }
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
