//! What looking at a data directory finds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use raft_core::{EntryKind, GroupId, HardState, LogIndex, Position, Run, SnapshotMark, SnapshotMeta};

use crate::error::{Damage, LogError, LostEntries, OpenError};
use crate::format::identity::Identity;
use crate::report::{MarkLoss, TornTail};

/// What a data directory holds, and what a node that starts there would find.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The directory.
    pub dir: PathBuf,
    /// The process that has it open, by what that one wrote into the lock file. The picture may be
    /// moving then.
    pub in_use_by: Option<String>,
    /// Whether what is wrong was found twice in the same place. Always so unless a process has the
    /// directory open.
    pub is_steady: bool,
    /// Whose directory it is, if that can be read.
    pub identity: Option<Identity>,
    /// Which life of the directory this is, if that can be read.
    pub incarnation: Option<u64>,
    /// The newest sync mark; none if none was ever written or can be read.
    pub sync_mark: Option<MarkPlace>,
    /// What of the sync mark cannot be read.
    pub mark_loss: Option<MarkLoss>,
    /// All segment files, in the order of their numbers.
    pub segments: Vec<SegmentReport>,
    /// The groups, in the order of their ids. If the log is damaged: as far as it is whole.
    pub groups: Vec<GroupReport>,
    /// All snapshot files, in the order of their names.
    pub snapshots: Vec<SnapshotReport>,
    /// What opening would cut off: a write that a crash interrupted.
    pub torn_tail: Option<TornTail>,
    /// How many records opening would write again, because nothing proves that they are durable.
    pub carried_records: u64,
    /// All that is damaged, first what opening stops at.
    pub damages: Vec<FoundDamage>,
    /// Why a node would not start here: what opening the log says, and then each group.
    pub refusals: Vec<Refusal>,
    /// Half-made files, which opening removes.
    pub unfinished_files: Vec<String>,
    /// Files that are none of the log's.
    pub ignored_files: Vec<String>,
    /// How large the requests in the log are: the number of records by the smallest power of two
    /// that is no less than their bytes.
    pub record_sizes: BTreeMap<u64, u64>,
    /// How many entries the batches in the log hold: the number of batches by the smallest power of
    /// two that is no less than their entries.
    pub batch_sizes: BTreeMap<u64, u64>,
}

/// How a directory is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All of it is whole.
    Whole,
    /// A node starts here, but something is worth a look: a torn write that opening would cut off,
    /// of which nothing was acknowledged; a damaged snapshot that another one or the log makes up
    /// for; a damaged sync mark.
    Warnings,
    /// Something could not be read, or the process that has the directory open changed it all the
    /// while.
    Unreadable,
    /// A node refuses to start here.
    Damaged,
}

/// A place up to which the log was durable at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MarkPlace {
    /// How many marks had been written with this one.
    pub count: u64,
    /// The segment's number.
    pub segment: u32,
    /// Where in it, in bytes from its start.
    pub offset: u32,
}

/// One segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentReport {
    /// Its number.
    pub number: u32,
    /// Its file.
    pub path: PathBuf,
    /// How many bytes the file has.
    pub byte_count: u64,
    /// What it is for.
    pub role: SegmentRole,
    /// How many whole records it begins with, its link and seal among them.
    pub records: u64,
    /// Where the first record begins, in bytes from the file's start.
    pub first_offset: u32,
    /// Where the last whole record ends.
    pub end_offset: u32,
    /// Everything before this place is proven to have been durable.
    pub durable_offset: u32,
    /// Whether every record continues the one before it, up to where the log leaves the segment or
    /// ends. Of segments that hold nothing of the log, whether the head can be read.
    pub is_whole: bool,
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentRole {
    /// The log has left it behind; opening removes it.
    LeftBehind,
    /// It holds a part of the log, and the log goes on in the next one.
    Full,
    /// The log ends in it.
    Last,
    /// It was made ahead of need and holds nothing.
    Prepared,
    /// Its head cannot be read.
    Unknown,
}

/// One group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupReport {
    /// Its id.
    pub group: GroupId,
    /// Where its log begins.
    pub mark: Option<SnapshotMark>,
    /// Term, vote and commit index.
    pub hard_state: HardState,
    /// The entries of its log as runs of one term and kind.
    pub runs: Vec<Run>,
    /// How many requests of this group are in the log.
    pub records: u64,
    /// How many bytes those take.
    pub record_bytes: u64,
    /// How many bytes the entries in them take that the log still holds.
    pub live_bytes: u64,
    /// The oldest segment that it needs, and with it all behind; none if it needs none.
    pub oldest_segment: Option<u32>,
    /// The snapshot that counts, or why the group would be refused.
    pub snapshot: Result<Option<SnapshotMeta>, LogError>,
}

/// One snapshot file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// Its file.
    pub path: PathBuf,
    /// How many bytes the file has.
    pub byte_count: u64,
    /// The group, by the file's name.
    pub group: GroupId,
    /// The last position that it replaces, by the file's name.
    pub last: Position,
    /// What it says about itself, if head and foot are whole.
    pub meta: Option<SnapshotMeta>,
    /// How many chunks its state has.
    pub chunks: u64,
    /// Whether every chunk and the checksum of the whole state fit.
    pub is_whole: bool,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundDamage {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes from its start.
    pub offset: u64,
    /// What is wrong.
    pub damage: Damage,
    /// Which entries are lost with it, as far as the records before and behind it tell.
    pub lost: Option<LostEntries>,
    /// Whether a node refuses to start for it. If not, something else makes up for it.
    pub is_fatal: bool,
}

/// Why a node would not start.
#[derive(Debug)]
pub enum Refusal {
    /// The log does not open.
    Log(OpenError),
    /// The log opens, but a group cannot go on.
    Group(GroupId, LogError),
}

impl Inspection {
    /// How the directory is, in one word.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let refusal = self.refusals.iter().map(Refusal::outcome).max();
        match refusal {
            Some(_) if !self.is_steady => Outcome::Unreadable,
            Some(outcome) => outcome,
            None if self.has_warnings() => Outcome::Warnings,
            None => Outcome::Whole,
        }
    }

    /// How many bytes all files of the log and of snapshots take.
    #[must_use]
    pub fn byte_count(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|segment| segment.byte_count).sum();
        segments + self.snapshots.iter().map(|snapshot| snapshot.byte_count).sum::<u64>()
    }

    fn has_warnings(&self) -> bool {
        self.torn_tail.is_some() || self.mark_loss.is_some() || !self.damages.is_empty()
    }

    /// All that is wrong, to tell whether two looks see the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let said = |refusals: &[Refusal]| refusals.iter().map(ToString::to_string).collect::<Vec<_>>();
        self.damages == other.damages
            && self.torn_tail == other.torn_tail
            && said(&self.refusals) == said(&other.refusals)
    }
}

impl Refusal {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Log(OpenError::Io(_)) | Self::Group(_, LogError::Failed(_)) => Outcome::Unreadable,
            Self::Log(_) | Self::Group(..) => Outcome::Damaged,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Group(group, error) => write!(f, "group {group}: {error}"),
        }
    }
}

impl GroupReport {
    /// The first entry of its log, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<LogIndex> {
        self.runs.first().map(|run| run.first)
    }

    /// Its last entry, or the last one that a snapshot replaces.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        let mark = self.mark.as_ref().map_or(LogIndex::ZERO, |mark| mark.last.index);
        self.runs.last().map_or(mark, |run| run.last)
    }

    /// How many entries of a kind its log has.
    #[must_use]
    pub fn entry_count(&self, kind: EntryKind) -> u64 {
        let runs = self.runs.iter().filter(|run| run.kind == kind);
        runs.map(|run| run.last.get() - run.first.get() + 1).sum()
    }
}
