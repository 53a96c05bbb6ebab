//! What must be durable, and what a store gives back after a restart.

use alloc::vec::Vec;

use super::batches::Batches;
use super::entries::EntryKind;
use super::ids::{LogIndex, NodeId, PersistId, Position, Term};
use super::membership::Membership;

/// The persistent state of Raft figure 2, less the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term this node has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// The highest index it knew to be committed. Advisory: it may lag behind.
    pub commit: LogIndex,
}

/// Where a log begins: everything up to and including `last` is in the snapshot (or, at index
/// zero, nothing is), and this membership is in force there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotMark {
    /// The last position the snapshot replaces.
    pub last: Position,
    /// The membership in force at that position.
    pub membership: Membership,
}

/// A new beginning of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewMark {
    /// Where the log begins from now on.
    pub mark: SnapshotMark,
    /// Whether the entries behind it stay (compaction), or the whole log goes (an installed
    /// snapshot that the log does not lead up to).
    pub keeps_entries: bool,
}

/// One request to make state durable: all of it or, after a crash, none of it.
///
/// The parts take effect in the order of the fields. Requests take effect in the order of their
/// ids; a store may make several durable at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Persist {
    /// Names the request; report it back once everything up to here is durable.
    pub id: PersistId,
    /// If set, the log begins anew behind this position, with or without its entries.
    pub mark: Option<NewMark>,
    /// If set, entries from this index on are dropped.
    pub truncate_from: Option<LogIndex>,
    /// Entries to add right behind the last one.
    pub entries: Batches,
    /// If set, replaces the hard state.
    pub hard_state: Option<HardState>,
}

/// What a store found when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last hard state that was made durable.
    pub hard_state: HardState,
    /// Where the log begins. `None` only in a store that was never written to.
    pub mark: Option<SnapshotMark>,
    /// The retained log: runs of entries of one term and kind, without a gap, the first one right
    /// behind the mark.
    pub runs: Vec<Run>,
}

impl Recovered {
    /// The position of the last entry, or of the mark if there is none.
    #[must_use]
    pub fn last(&self) -> Position {
        match self.runs.last() {
            Some(run) => Position::new(run.term, run.last),
            None => self.mark.as_ref().map_or(Position::ZERO, |mark| mark.last),
        }
    }
}

/// Consecutive entries of one term and kind, without their payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The index of the first entry.
    pub first: LogIndex,
    /// The index of the last entry.
    pub last: LogIndex,
    /// The term of all of them.
    pub term: Term,
    /// The kind of all of them.
    pub kind: EntryKind,
}
