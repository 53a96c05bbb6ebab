//! A simulated disk: requests become durable later, in order, and a crash keeps what was durable
//! and any number of the requests that came next. Snapshots are files of their own, so they become
//! durable in no order with requests.
//!
//! What a node finds after a crash is built from what it asked to persist, never from its memory.

use alloc::collections::VecDeque;

use raft_proto::bytes::Bytes;

use crate::doors::store::{LogStore, SnapshotStore};
use crate::mem::MemLog;
use crate::words::ids::{LogIndex, PersistId, Position};
use crate::words::message::SnapshotMeta;
use crate::words::persist::{HardState, Persist};

/// One node's disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    durable: MemLog,
    /// Requests that are not durable yet, with the step at which they will be.
    queue: VecDeque<(u64, Persist)>,
    /// No request becomes durable before this step.
    stalled_until: u64,
    /// A snapshot that is not durable yet, with the step at which it will be.
    snapshot: Option<(u64, SnapshotMeta, Bytes)>,
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
        position.index <= self.snapshot_last() || self.durable.term_at(position.index) == Some(position.term)
    }

    /// The end of what is durable, in the log or in a snapshot.
    pub(super) fn last(&self) -> LogIndex {
        self.durable.last().max(self.snapshot_last())
    }

    /// The position of the last durable entry, in the log or in a snapshot.
    pub(super) fn last_position(&self) -> Position {
        let last = self.durable.last();
        let in_log = Position::new(self.durable.term_at(last).unwrap_or_default(), last);
        self.durable.snapshot().map_or(in_log, |meta| in_log.max(meta.last))
    }

    fn snapshot_last(&self) -> LogIndex {
        self.durable.snapshot().map_or(LogIndex::ZERO, |meta| meta.last.index)
    }

    /// The node is gone; `kept` of the requests under way reached the disk, and perhaps the snapshot.
    pub(super) fn crash(&mut self, kept: usize, keeps_snapshot: bool) {
        if let Some((_, meta, state)) = self.snapshot.take().filter(|_| keeps_snapshot) {
            keep(&mut self.durable, meta, state);
        }
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
        let is_anew = request.mark.as_ref().is_some_and(|new| !new.keeps_entries);
        self.cuts += u64::from(request.truncate_from.is_some() || is_anew);
        self.queue.push_back((due, request));
    }

    /// A snapshot is on its way, and arrives at step `due`.
    pub(super) fn write_snapshot(&mut self, due: u64, meta: SnapshotMeta, state: Bytes) {
        self.snapshot = Some((due, meta, state));
    }

    /// A snapshot that has become durable.
    pub(super) fn settle_snapshot(&mut self, now: u64) -> Option<(SnapshotMeta, Bytes)> {
        let (_, meta, state) = self.snapshot.take_if(|(due, ..)| *due <= now)?;
        keep(&mut self.durable, meta.clone(), state.clone());
        Some((meta, state))
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

/// Puts a whole snapshot into a store in memory.
pub(super) fn keep(store: &mut MemLog, meta: SnapshotMeta, state: Bytes) {
    store.begin_snapshot(meta.last);
    store.write_snapshot(state);
    store.finish_snapshot(meta);
    let _is_news = store.poll_snapshot();
}
