//! The snapshots of this node: the newest one, one that is being taken, one that comes in.

use alloc::boxed::Box;

use crate::books::reach::Reach;
use crate::words::ids::{LogIndex, Position, Term};
use crate::words::message::SnapshotMeta;

/// What this node has and does in the way of snapshots.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Snapshots {
    /// The newest that is durable.
    pub(crate) newest: Option<SnapshotMeta>,
    /// The newest could not be read; another one must be taken before any is sent.
    pub(crate) is_unreadable: bool,
    /// One that is being taken: everything up to here.
    pub(crate) taking: Option<Position>,
    /// One is to be taken, whatever the policy says.
    pub(crate) is_wanted: bool,
    pub(crate) incoming: Option<Box<Incoming>>,
    /// Payload bytes and entries handed out for applying since the last one was begun.
    bytes_since: u64,
    entries_since: u64,
    /// Where the newest bytes begin that stay in the log.
    pub(crate) reach: Reach,
}

/// A snapshot on its way from the leader. It survives a change of leaders: the same snapshot goes on
/// where it stopped, whoever sends it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Incoming {
    pub(crate) meta: SnapshotMeta,
    /// The term in which the last chunk came.
    pub(crate) term: Term,
    /// Bytes that came without a gap.
    pub(crate) received: u64,
    /// Bytes that the store has taken; the leader is told of these.
    pub(crate) written: u64,
}

impl Incoming {
    /// Whether all of it came.
    pub(crate) fn is_whole(&self) -> bool {
        self.received == self.meta.size
    }
}

impl Snapshots {
    pub(crate) fn new(newest: Option<SnapshotMeta>) -> Self {
        Self { newest, ..Self::default() }
    }

    /// Up to where the newest one reaches.
    pub(crate) fn last(&self) -> Position {
        self.newest.as_ref().map_or(Position::ZERO, |meta| meta.last)
    }

    /// The newest one, if it can be sent.
    pub(crate) fn sendable(&self) -> Option<&SnapshotMeta> {
        self.newest.as_ref().filter(|_| !self.is_unreadable)
    }

    /// Entries were handed out for applying.
    pub(crate) fn note_handed_out(&mut self, entries: u64, bytes: u64) {
        self.entries_since += entries;
        self.bytes_since += bytes;
    }

    /// Whether enough was applied since the last one, or somebody wants one. Zero stands for no
    /// such limit.
    ///
    /// A state that is larger than the limit of bytes takes its own size for it: so no more is
    /// written for snapshots than for the log.
    pub(crate) fn is_due(&self, entries: u64, bytes: u64) -> bool {
        let is_over = |since: u64, limit: u64| limit > 0 && since >= limit;
        let size = self.newest.as_ref().map_or(0, |newest| newest.size);
        let bytes = if bytes > 0 { bytes.max(size) } else { 0 };
        self.is_wanted || is_over(self.entries_since, entries) || is_over(self.bytes_since, bytes)
    }

    /// One is being taken of everything up to `last`.
    pub(crate) fn begin(&mut self, last: Position) {
        self.taking = Some(last);
        self.is_wanted = false;
        (self.entries_since, self.bytes_since) = (0, 0);
    }

    /// A snapshot is durable.
    pub(crate) fn stored(&mut self, meta: SnapshotMeta) {
        self.is_unreadable = false;
        self.newest = Some(meta);
    }

    /// What comes in is overtaken once the log has led the state past it. Not earlier: it may be on
    /// its way to the disk, and one that is taken now would be older, and replace it there.
    pub(crate) fn drop_overtaken(&mut self, handed: LogIndex) {
        self.incoming.take_if(|incoming| incoming.meta.last.index < handed);
    }
}
