//! What can be wrong with bytes on the medium.

use std::fmt;
use std::path::Path;

use raft_core::{GroupId, LogIndex, NodeId, Position, Term};

use crate::format::identity::Identity;
use crate::format::record::RecordHeaderError;

/// What is wrong with a file, beyond what a crash can have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The file does not begin like one of ours.
    Magic,
    /// The file is shorter than what it must hold.
    TooShort {
        /// What it must hold, in bytes.
        needed_bytes: u64,
    },
    /// A checksum does not fit.
    Checksum {
        /// What the bytes give.
        expected: u32,
        /// What is written beside them.
        found: u32,
    },
    /// There are zeros where a record that was acknowledged must be.
    Missing,
    /// A record is longer than the rest of its file.
    Length {
        /// What it claims, in bytes.
        record_bytes: u64,
    },
    /// A record does not continue the one before it.
    Chain {
        /// The checksum of the record before it.
        expected: u32,
        /// The one it names.
        found: u32,
    },
    /// The bytes are intact, but nothing that this version writes.
    Content,
    /// The segment is missing although others need it (F15).
    MissingSegment {
        /// Its number.
        seq: u32,
    },
    /// The file's name says another number than its head (F16).
    Misnamed {
        /// The number in its head.
        seq: u32,
    },
    /// The file is from another life of the directory, or was put here from elsewhere (F7, F23).
    Foreign,
    /// The file is another node's, and was put here from elsewhere (F23).
    OtherNode {
        /// Whose it is.
        found: Identity,
    },
    /// The file that says whose directory this is cannot be read.
    IdentityBroken,
    /// The file that says whose directory this is is not there, but others are (F21).
    IdentityMissing,
    /// The head of the newest segment is broken, but the log had not gone on to it.
    Unused {
        /// Whether its bytes show that no record was in it; otherwise so many are gone that only the
        /// segment before it speaks for that.
        is_certain: bool,
    },
    /// The sync mark's file is gone, which no crash explains (F27).
    MarkMissing,
    /// The log ends before a place that was durable (F5, F8, F14).
    EndsBeforeMark {
        /// Up to where it was durable, in bytes from the start of its segment.
        durable: u64,
    },
    /// The file does not end as a snapshot of its length does.
    NotWhole,
    /// The file's name says another snapshot than its head (F16).
    OtherSnapshot {
        /// The group in its head.
        group: GroupId,
        /// The last position it replaces, by its head.
        last: Position,
    },
    /// A group's log begins behind a snapshot that is not there (S62).
    SnapshotMissing {
        /// The group.
        group: GroupId,
        /// The last position that is not in the log any more.
        mark: Position,
    },
    /// A group's entries do not follow each other.
    Gap {
        /// The group.
        group: GroupId,
        /// Where an entry should be.
        expected: LogIndex,
        /// The entry that is there instead.
        found: LogIndex,
    },
    /// A group's last term is above its hard state's (F17).
    StaleTerm {
        /// The group.
        group: GroupId,
        /// The hard state's term.
        hard_state: Term,
        /// The term of the last entry.
        last: Term,
    },
    /// A group has voted twice in one term (F17).
    VoteChanged {
        /// The group.
        group: GroupId,
        /// The term.
        term: Term,
        /// For whom it voted first.
        first: NodeId,
        /// The vote that it gave after that; `None` if it forgot the first one.
        second: Option<NodeId>,
    },
    /// A group knows more to be committed than it has (F17).
    CommitPastEnd {
        /// The group.
        group: GroupId,
        /// What it knows to be committed.
        commit: LogIndex,
        /// Its last entry.
        last: LogIndex,
    },
}

/// The entries that are lost with a broken record or a missing segment: those between what is left before it
/// and behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEntries {
    /// The first group of those that lack entries.
    pub group: GroupId,
    /// Its last entry before them; zero if none is known.
    pub last_before: LogIndex,
    /// Its first entry behind them; `None` if none follows.
    pub first_behind: Option<LogIndex>,
    /// How many other groups lack entries, or may do so if nothing follows.
    pub other_groups: usize,
}

/// What is said of every damage of a kind, beside what is wrong in the one case.
struct Facts {
    name: &'static str,
    way_out: &'static str,
    /// Whether it is the file itself that is not there.
    is_absence: bool,
    /// Whether records are gone with it, of which only those around it can tell.
    loses_records: bool,
}

impl Damage {
    /// A name that stays the same, for programs to compare.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.facts().name
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn way_out(&self) -> &'static str {
        self.facts().way_out
    }

    /// The checksum that should be there and the one that is, if it is one that does not fit.
    #[must_use]
    pub fn checksums(&self) -> Option<(u32, u32)> {
        if let Self::Checksum { expected, found } | Self::Chain { expected, found } = *self {
            return Some((expected, found));
        }
        None
    }

    /// Whether records are gone with it, of which only those around it can tell.
    pub(crate) fn loses_records(&self) -> bool {
        self.facts().loses_records
    }

    /// Says it of a file, with what is lost and the way out.
    pub(super) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        path: &Path,
        offset: u64,
        lost: Option<&LostEntries>,
    ) -> fmt::Result {
        let (path, facts) = (path.display(), self.facts());
        match facts.is_absence {
            true => write!(f, "{path} is missing: {self}; ")?,
            false => write!(f, "{path} is damaged at byte {offset}: {self}; ")?,
        }
        if let Some(lost) = lost {
            write!(f, "{lost}; ")?;
        }
        f.write_str(facts.way_out)
    }

    fn facts(&self) -> Facts {
        match self {
            Self::Magic => Facts::of_records("magic"),
            Self::TooShort { .. } => Facts::of_records("too-short"),
            Self::Checksum { .. } => Facts::of_records("checksum"),
            Self::Missing => Facts::of_records("missing-record"),
            Self::Length { .. } => Facts::of_records("length"),
            Self::Chain { .. } => Facts::of_records("chain"),
            Self::Content => Facts::of_records("content"),
            Self::EndsBeforeMark { .. } => Facts::of_records("ends-before-mark"),
            Self::MissingSegment { .. } => Facts::of_records("missing-segment").absent(),
            Self::NotWhole => Facts::new("not-whole", JOIN_AGAIN),
            Self::Gap { .. } => Facts::new("gap", JOIN_AGAIN),
            Self::StaleTerm { .. } => Facts::new("stale-term", JOIN_AGAIN),
            Self::VoteChanged { .. } => Facts::new("vote-changed", JOIN_AGAIN),
            Self::CommitPastEnd { .. } => Facts::new("commit-past-end", JOIN_AGAIN),
            Self::Foreign | Self::OtherNode { .. } => Facts::new("foreign", OWN_FILES),
            Self::Misnamed { .. } => Facts::new("misnamed", OWN_FILES),
            Self::OtherSnapshot { .. } => Facts::new("other-snapshot", OWN_FILES),
            Self::SnapshotMissing { .. } => Facts::new("snapshot-missing", OWN_FILE_OR_JOIN_AGAIN).absent(),
            Self::IdentityBroken => Facts::new("identity-broken", OWN_IDENTITY_OR_JOIN_AGAIN),
            Self::IdentityMissing => Facts::new("identity-missing", OWN_IDENTITY_OR_CLEAR).absent(),
            Self::MarkMissing => Facts::new("sync-mark-missing", OWN_MARK).absent(),
            Self::Unused { is_certain: true } => Facts::new("unused-segment", DELETE_UNUSED),
            Self::Unused { is_certain: false } => Facts::new("unused-segment", PROBABLY_UNUSED),
        }
    }
}

impl Facts {
    fn new(name: &'static str, way_out: &'static str) -> Self {
        Self { name, way_out, is_absence: false, loses_records: false }
    }

    fn of_records(name: &'static str) -> Self {
        Self { loses_records: true, ..Self::new(name, JOIN_AGAIN) }
    }

    fn absent(self) -> Self {
        Self { is_absence: true, ..self }
    }
}

impl LostEntries {
    /// The first entry that is lost, if what is before it is known.
    #[must_use]
    pub fn first(&self) -> Option<LogIndex> {
        (self.last_before > LogIndex::ZERO).then(|| self.last_before.next())
    }

    /// The last entry that is lost, if anything follows.
    #[must_use]
    pub fn last(&self) -> Option<LogIndex> {
        self.first_behind.map(LogIndex::prev)
    }
}

impl From<RecordHeaderError> for Damage {
    fn from(error: RecordHeaderError) -> Self {
        match error {
            RecordHeaderError::Zero => Self::Missing,
            RecordHeaderError::Checksum { expected, found } => Self::Checksum { expected, found },
            RecordHeaderError::Unknown => Self::Content,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("the file does not begin like one of ours"),
            Self::TooShort { needed_bytes } => write!(f, "the file is shorter than {needed_bytes} bytes"),
            Self::Checksum { expected, found } => {
                write!(f, "the bytes give checksum {expected:#010x}, {found:#010x} is written")
            }
            Self::Missing => f.write_str("an acknowledged record is missing"),
            Self::Length { record_bytes } => {
                write!(f, "a record of {record_bytes} bytes is longer than the rest of its file")
            }
            Self::Chain { expected, found } => {
                write!(f, "a record follows {found:#010x}, but behind {expected:#010x} it stands")
            }
            Self::Content => f.write_str("a record is intact but makes no sense"),
            Self::MissingSegment { seq } => write!(f, "the log needs segment {seq:08x}"),
            Self::Misnamed { seq } => write!(f, "the file is segment {seq:08x} by its head"),
            Self::Foreign => f.write_str("the file is from another directory"),
            Self::OtherNode { found } => write!(f, "the file belongs to {found}"),
            Self::IdentityBroken => {
                f.write_str("it says whose directory this is, and does not read as it was written")
            }
            Self::IdentityMissing => {
                f.write_str("it says whose directory this is, and the directory is not empty")
            }
            Self::Unused { is_certain: true } => {
                f.write_str("the head of a segment that was made ahead of need and holds no record is broken")
            }
            Self::Unused { is_certain: false } => {
                f.write_str("the file is cut off; it was probably a segment made ahead of need")
            }
            Self::MarkMissing => f.write_str("this file, the sync mark, says how far the log was durable"),
            Self::EndsBeforeMark { durable } => {
                write!(f, "the log ends here, but was durable up to byte {durable}")
            }
            Self::NotWhole => f.write_str("the file does not end as a snapshot of its length does"),
            Self::OtherSnapshot { group, last } => {
                write!(f, "the file is the snapshot of group {group} up to {last} by its head")
            }
            Self::SnapshotMissing { group, mark } => {
                write!(
                    f,
                    "the log of group {group} begins behind {mark}, but there is no snapshot up to there"
                )
            }
            Self::Gap { group, expected, found } => {
                write!(f, "group {group} has entry {found} where {expected} should be")
            }
            Self::StaleTerm { group, hard_state, last } => {
                write!(f, "group {group} is in term {hard_state} but has an entry of term {last}")
            }
            Self::VoteChanged { group, term, first, second: Some(second) } => {
                write!(
                    f,
                    "group {group} has voted for node {first} and then for node {second} in term {term}"
                )
            }
            Self::VoteChanged { group, term, first, second: None } => {
                write!(f, "group {group} has voted for node {first} and then for nobody in term {term}")
            }
            Self::CommitPastEnd { group, commit, last } => {
                write!(f, "group {group} has committed {commit} but its last entry is {last}")
            }
        }
    }
}

impl fmt::Display for LostEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, last_before, first_behind, other_groups } = *self;
        match first_behind {
            None => write!(f, "the log of group {group} ends with entry {last_before}")?,
            Some(first) if last_before == LogIndex::ZERO => {
                write!(f, "group {group} lacks the entries before {first}")?;
            }
            Some(first) => {
                write!(f, "group {group} lacks entries {} to {}", last_before.next(), first.prev())?;
            }
        }
        let groups = other_groups + 1;
        match (other_groups, first_behind) {
            (0, _) => Ok(()),
            (_, Some(_)) => write!(f, " (one of {groups} groups that lack some)"),
            (_, None) => write!(f, " (one of {groups} groups that may end too early)"),
        }
    }
}

const JOIN_AGAIN: &str = "acknowledged data is lost here, so remove this node from the cluster and let it join \
     again with an empty directory under a new id";
const OWN_FILES: &str = "put the node's own files back as they were when it was last stopped";
const OWN_FILE_OR_JOIN_AGAIN: &str = "put this node's own file back, or remove this node from the cluster and \
     let it join again with an empty directory under a new id";
const OWN_IDENTITY_OR_JOIN_AGAIN: &str = "put this node's own identity file back, or remove this node from the \
     cluster and let it join again with an empty directory under a new id";
const OWN_IDENTITY_OR_CLEAR: &str = "put this node's own identity file back, or remove this node from the \
     cluster and let it join again with an empty directory under a new id; if the directory never was a \
     node's, name another one, or move its .wal and .snap files and sync-mark away";
const OWN_MARK: &str = "put this node's own file back; if that cannot be done, remove this node from the cluster \
     and let it join again with an empty directory under a new id (with an empty file of this name the log \
     opens, but if its last flush is damaged as well, it is cut off as if torn)";
const DELETE_UNUSED: &str = "no acknowledged data is in it, so delete this file and start again";
const PROBABLY_UNUSED: &str = "whether acknowledged data was in it cannot be told for certain, so put the file \
     back, or remove this node from the cluster and let it join again with an empty directory under a new id \
     (without the file the log opens, at the risk of what was in it)";
