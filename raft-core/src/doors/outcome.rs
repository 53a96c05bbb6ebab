//! What a node tells its owner.

use core::{error, fmt};

use super::raft::StartError;
use super::state_machine::InvalidSnapshot;
use super::waiting::ProposalId;
use crate::words::error::LoadError;
use crate::words::ids::{Position, ReadId};
use crate::words::message::Refusal;
use crate::words::notice::Notice;

/// What the owner of a node wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<O> {
    /// What became of a proposal.
    Proposed {
        /// Which one.
        id: ProposalId,
        /// What became of it.
        outcome: Outcome<O>,
    },
    /// All reads up to this one may be served from the state machine now.
    ReadReady {
        /// The last of them.
        up_to: ReadId,
    },
    /// Reads up to this one that are not ready yet will not be; ask again.
    ReadRefused {
        /// The last of them.
        up_to: ReadId,
    },
    /// For logs and metrics.
    Notice(Notice),
}

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// It was applied, with this result.
    Applied(O),
    /// The leader did not take it: it will never be applied.
    Refused(Refusal),
    /// Another entry was committed in its place: it will never be applied.
    Lost,
    /// It may or may not be, or have been, applied.
    Unknown,
}

/// Why a node stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum NodeError<E> {
    /// The settings or the recovered state are not acceptable.
    Start(StartError),
    /// The store failed.
    Store(E),
    /// The store gave entries that it was not asked for.
    Load(LoadError),
    /// The store no longer has a snapshot that it reported as durable.
    SnapshotLost(Position),
    /// The state machine does not know its own snapshot.
    Snapshot(InvalidSnapshot),
    /// An error came up before.
    Stopped,
}

impl<E> fmt::Display for NodeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start(_) => "the node cannot start",
            Self::Store(_) => "the log store failed",
            Self::Load(_) | Self::SnapshotLost(_) => "the log store is not to be trusted",
            Self::Snapshot(_) => "the state machine cannot be restored",
            Self::Stopped => "the node stopped because of an earlier error",
        })
    }
}

impl<E: error::Error + 'static> error::Error for NodeError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Start(source) => Some(source),
            Self::Store(source) => Some(source),
            Self::Load(source) => Some(source),
            Self::Snapshot(source) => Some(source),
            Self::SnapshotLost(_) | Self::Stopped => None,
        }
    }
}
