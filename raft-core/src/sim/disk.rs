//! A simulated disk: requests become durable later, in order, and a crash keeps what was durable
//! and any number of the requests that came next.
//!
//! What a node finds after a crash is built from what it asked to persist, never from its memory.

use alloc::collections::VecDeque;

use crate::doors::store::LogStore;
use crate::mem::MemLog;
use crate::words::ids::{LogIndex, PersistId, Position};
use crate::words::persist::{HardState, Persist};

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

    /// What survives a crash now.
    pub(super) fn durable(&self) -> MemLog {
        self.durable.clone()
    }

    /// A request is on its way, and arrives at step `due`.
    pub(super) fn write(&mut self, due: u64, request: Persist) {
        self.cuts += u64::from(request.truncate_from.is_some());
        self.queue.push_back((due, request));
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

    /// The newest request that is durable, if that is news.
    pub(super) fn settle(&mut self, now: u64) -> Option<PersistId> {
        if now < self.stalled_until {
            return None;
        }
        while let Some((_, request)) = self.queue.pop_front_if(|(due, _)| *due <= now) {
            self.durable.persist(request).expect("requests follow each other");
        }
        self.durable.poll_persisted().expect("memory does not fail")
    }
}
