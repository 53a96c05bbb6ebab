//! What can go wrong, one type per operation, with the place where it went wrong.

mod damage;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::{GroupId, LogIndex};

pub use damage::{Damage, LostEntries};

use crate::format::bytes::{FORMAT_VERSION, HeadError};
use crate::format::identity::{Identity, IdentityFile};

/// Why a log could not be opened. Nothing was changed unless it says [`Io`](Self::Io).
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory has never been a node's, or making it one did not get to its end (F21, F24).
    NotInitialised {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory is a node's already.
    AlreadyInitialised {
        /// The directory.
        dir: PathBuf,
    },
    /// Another process has the directory open (F22).
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself: its process id.
        holder: String,
    },
    /// The directory belongs to another node or another cluster (F23).
    OtherIdentity {
        /// The file that says so.
        path: PathBuf,
        /// Who was to be started.
        expected: Identity,
        /// Whose it is.
        found: Identity,
    },
    /// The file is of a format that this version does not know.
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that can be read.
        supported: u32,
    },
    /// The log holds what a crash cannot explain: something that was acknowledged is broken or gone.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// What is wrong.
        damage: Damage,
        /// Which entries are lost with it, as far as the records before and behind it tell.
        lost: Option<LostEntries>,
    },
    /// An option is out of its range.
    Options(OptionsError),
    /// The system refused.
    Io(Failure),
}

/// Why options cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// Segments must hold between these many bytes.
    SegmentBytes {
        /// What was asked for.
        given: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Node id zero means "nobody".
    NodeId,
}

/// Why a group's log cannot go on. After the first of these every later call fails likewise (W6), unless
/// it is [`NoRoom`](Self::NoRoom).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LogError {
    /// A write or sync failed, now or earlier; what it left behind only reopening can tell (F9).
    Failed(Failure),
    /// The medium is full, so not all that waits was written: what only whoever flushes by hand, or closes
    /// the log, is told. The log goes on. What waits is not reported as durable, and is written once there
    /// is room (F12).
    NoRoom(Failure),
    /// The log was closed.
    Closed,
    /// More bytes wait for the medium than allowed; the caller exceeds its window (D14).
    QueueFull {
        /// How many bytes wait.
        waiting_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The request is larger than a record can be.
    TooLarge {
        /// What the request takes, in bytes.
        record_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The request contradicts the log or itself.
    BadRequest {
        /// The group.
        group: GroupId,
        /// The rule it breaks.
        rule: RequestRule,
    },
    /// The range asked for is not in the log.
    OutOfRange {
        /// The first index asked for.
        first: LogIndex,
        /// The end of what was asked for, exclusive.
        end: LogIndex,
        /// The first index there is.
        have_first: LogIndex,
        /// The last index there is.
        have_last: LogIndex,
    },
    /// What was read back is not what was written (F13).
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
}

/// A rule that every request keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestRule {
    /// Entries begin right behind the last one.
    EntriesFollowLog,
    /// Truncation stays behind the mark and at most one past the last entry.
    TruncationWithinLog,
    /// Terms never fall along the log.
    TermsDoNotFall,
    /// The hard state's term is at least that of the last entry.
    HardStateCoversLog,
    /// The hard state's term never falls.
    HardStateDoesNotFall,
    /// A vote stays as it is for the rest of its term.
    VoteStays,
    /// The commit index is not past the last entry.
    CommitWithinLog,
    /// Compaction names a position that is in the log.
    CompactionWithinLog,
    /// A group's log is opened once in the life of a [`Wal`](crate::Wal), also if its handle was dropped.
    OpenedOnce,
    /// A snapshot has the position, the length and the checksum that it was finished with.
    SnapshotAsWritten,
}

/// What the system refused to do; shared by all who are told.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was tried, such as `write` or `sync`.
    pub operation: Operation,
    /// The file or directory.
    pub path: PathBuf,
    /// Why not.
    pub source: Arc<io::Error>,
}

/// What the log does with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    CreateDirectory,
    List,
    Lock,
    Create,
    Open,
    Read,
    Write,
    Resize,
    Sync,
    SyncDirectory,
    Rename,
    Remove,
    StartThread,
}

impl Failure {
    pub(crate) fn new(operation: Operation, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_owned(), source: Arc::new(source) }
    }

    /// For `map_err`.
    pub(crate) fn of(operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::new(operation, path, source)
    }

    /// Whether the medium was full (F12).
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.operation {
            Operation::CreateDirectory => "create directory",
            Operation::List => "list",
            Operation::Lock => "lock",
            Operation::Create => "create",
            Operation::Open => "open",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Resize => "resize",
            Operation::Sync => "sync",
            Operation::SyncDirectory => "sync directory",
            Operation::Rename => "rename",
            Operation::Remove => "remove",
            Operation::StartThread => "start a thread for",
        };
        write!(f, "could not {verb} {}: {}", self.path.display(), self.source)
    }
}

/// What the system says is part of the text, and for programs in [`Failure::source`].
impl Error for Failure {}

impl OpenError {
    /// Refuses a file for what is wrong at a place in it.
    pub(crate) fn damaged(path: impl Into<PathBuf>, offset: u64, damage: Damage) -> Self {
        Self::Damaged { path: path.into(), offset, damage, lost: None }
    }

    /// Why a file is refused by its head.
    pub(crate) fn of_head(path: &Path, error: HeadError) -> Self {
        let path = path.to_owned();
        let damage = match error {
            HeadError::Version(found) => return Self::Version { path, found, supported: FORMAT_VERSION },
            HeadError::Magic => Damage::Magic,
            HeadError::Checksum { expected, found } => Damage::Checksum { expected, found },
        };
        Self::damaged(path, 0, damage)
    }

    /// Refuses a file that another node, or another life of this directory, has made (F7, F23).
    pub(crate) fn check_owner(path: &Path, ours: &IdentityFile, found: &IdentityFile) -> Result<(), Self> {
        let damage = if found.identity != ours.identity {
            Damage::OtherNode { found: found.identity }
        } else if found.incarnation != ours.incarnation {
            Damage::Foreign
        } else {
            return Ok(());
        };
        Err(Self::damaged(path, 0, damage))
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self::Io(failure)
    }
}

impl From<Failure> for LogError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialised { dir } => write!(
                f,
                "{} is not a node's data directory; if this node is new, initialise it, and if it has lost \
                 its disk, let it join under a new id, because it may have voted under this one",
                dir.display()
            ),
            Self::AlreadyInitialised { dir } => {
                write!(
                    f,
                    "{} is a node's data directory already; start the node without initialising it, or name \
                     another directory",
                    dir.display()
                )
            }
            Self::Locked { path, holder } => {
                write!(
                    f,
                    "another process ({holder}) has the log open and holds {}; stop that process first, or \
                     give this node a directory of its own",
                    path.display()
                )
            }
            Self::OtherIdentity { path, expected, found } => {
                let other =
                    if expected.cluster == found.cluster { "node's id" } else { "cluster and node's id" };
                write!(
                    f,
                    "{} belongs to {found}, not to {expected}; start with that {other}, or name the \
                     directory of {expected}",
                    path.display()
                )
            }
            Self::Version { path, found, supported } => {
                write!(
                    f,
                    "{} has format version {found}, this program reads {supported}; start the version of \
                     the program that wrote it",
                    path.display()
                )
            }
            Self::Damaged { path, offset, damage, lost } => damage.write(f, path, *offset, lost.as_ref()),
            Self::Options(error) => error.fmt(f),
            Self::Io(failure) => failure.fmt(f),
        }
    }
}

impl Error for OpenError {}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SegmentBytes { given, min, max } => {
                write!(f, "a segment of {given} bytes is not between {min} and {max}")
            }
            Self::NodeId => f.write_str("node id 0 means nobody"),
        }
    }
}

impl Error for OptionsError {}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::NoRoom(failure) => write!(f, "requests wait for room: {failure}"),
            Self::Closed => f.write_str("the log is closed"),
            Self::QueueFull { waiting_bytes, limit_bytes } => {
                write!(f, "{waiting_bytes} bytes wait to be written, the limit is {limit_bytes}")
            }
            Self::TooLarge { record_bytes, limit_bytes } => {
                write!(f, "a request of {record_bytes} bytes, the limit is {limit_bytes}")
            }
            Self::BadRequest { group, rule } => write!(f, "group {group}: request breaks the rule {rule:?}"),
            Self::OutOfRange { first, end, have_first, have_last } => {
                write!(f, "entries {first} to {end} are not within {have_first} to {have_last}")
            }
            Self::Corrupt { path, offset, damage } => damage.write(f, path, *offset, None),
        }
    }
}

impl Error for LogError {}
