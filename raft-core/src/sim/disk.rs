//! A simulated disk: requests become durable later, in order, and a crash keeps what was durable
//! and any number of the requests that came next.
//!
//! What a node finds after a crash is built from what it asked to persist, never from its memory.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::plan::happens;
use super::world::Shared;
use crate::doors::store::LogStore;
use crate::mem::{MemLog, MemLogError};
use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, NodeId, PersistId, Position};
use crate::words::persist::{HardState, Persist, Recovered};

/// One node's disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    durable: MemLog,
    /// Requests that are not durable yet, with the step at which they will be.
    queue: VecDeque<(u64, Persist)>,
    /// No request becomes durable before this step.
    stalled_until: u64,
    /// Requests that cut the log, since the node started.
    pub(super) cuts: u64,
}

impl Disk {
    /// What is durable now.
    pub(super) fn hard_state(&self) -> HardState {
        self.durable.hard_state()
    }

    /// Whether the durable log has an entry (or the mark) at this position.
    pub(super) fn has(&self, position: Position) -> bool {
        position == Position::ZERO || self.durable.term_at(position.index) == Some(position.term)
    }

    /// The end of the durable log.
    pub(super) fn last(&self) -> LogIndex {
        self.durable.last()
    }

    /// The node is gone; `kept` of the requests under way reached the disk.
    pub(super) fn crash(&mut self, kept: usize) {
        for (_, request) in self.queue.drain(..).take(kept) {
            self.durable.persist(request).expect("requests follow each other");
        }
        self.durable.poll_persisted().expect("memory does not fail");
        self.cuts = 0;
    }

    /// How many requests are not durable.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Nothing becomes durable before this step.
    pub(super) fn stall(&mut self, until: u64) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// The disk answers again.
    pub(super) fn end_stall(&mut self) {
        self.stalled_until = 0;
    }

    fn settle(&mut self, now: u64) -> Option<PersistId> {
        if now < self.stalled_until {
            return None;
        }
        while let Some((_, request)) = self.queue.pop_front_if(|(due, _)| *due <= now) {
            self.durable.persist(request).expect("requests follow each other");
        }
        self.durable.poll_persisted().expect("memory does not fail")
    }
}

/// One node's store: what it wrote is readable at once, and durable when the disk says so.
#[derive(Debug)]
pub(super) struct SimLog {
    id: NodeId,
    world: Shared,
    written: MemLog,
}

impl SimLog {
    pub(super) fn open(id: NodeId, world: Shared) -> Self {
        let written = world.borrow().disks[&id].durable.clone();
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
        let world = &mut *self.world.borrow_mut();
        world.checker.on_persist(self.id, &request, &self.written);
        let steps = u64::from(world.rng.between(0, world.plan.disk_steps_max));
        let disk = world.disks.get_mut(&self.id).expect("every node has a disk");
        disk.cuts += u64::from(request.truncate_from.is_some());
        if world.is_hostile && happens(&mut world.rng, world.plan.disk_stall) {
            disk.stall(world.now + u64::from(world.rng.between(10, 600)));
            world.report.note("disk stall");
        }
        disk.queue.push_back((world.now + steps, request));
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
