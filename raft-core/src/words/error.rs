//! Refusals: why an input was not taken. Nothing changed when one is returned.

use core::{error, fmt};

use super::ids::{LogIndex, NodeId};
use super::message::Refusal;
use crate::words::membership::MembershipError;

/// Why a proposal was not taken. It will never be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProposeError {
    /// Another node leads.
    NotLeader {
        /// Who does.
        leader: NodeId,
    },
    /// No leader is known; try again after an election.
    NoLeader,
    /// Leadership is being handed over; try again shortly.
    Transferring,
    /// This node sends nothing on; ask the leader.
    ForwardingOff,
    /// Too many bytes wait already; try again later.
    Busy {
        /// The limit that is reached, in bytes.
        bytes_max: u32,
    },
    /// The payload is too large for one entry.
    TooLarge {
        /// The limit in bytes.
        bytes_max: u32,
    },
}

impl fmt::Display for ProposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write!(f, "node {leader} leads"),
            Self::NoLeader => f.write_str("no leader is known"),
            Self::Transferring => f.write_str("leadership is being handed over"),
            Self::ForwardingOff => f.write_str("this node does not send proposals on"),
            Self::Busy { bytes_max } => write!(f, "{bytes_max} bytes of proposals wait already"),
            Self::TooLarge { bytes_max } => write!(f, "the payload is over {bytes_max} bytes"),
        }
    }
}

impl error::Error for ProposeError {}

/// Why a read was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// No leader is known; try again after an election.
    NoLeader,
    /// This node is a witness: it has no state to read from.
    Witness,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeader => f.write_str("no leader is known"),
            Self::Witness => f.write_str("this node is a witness"),
        }
    }
}

impl error::Error for ReadError {}

/// Why a membership does not change. Nothing was appended (S91).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeError {
    /// Another node leads.
    NotLeader {
        /// Who does.
        leader: NodeId,
    },
    /// No leader is known; try again after an election.
    NoLeader,
    /// The leader has not committed an entry of its own term yet (S29); try again shortly.
    TermNotCommitted,
    /// An earlier change is not committed, or its joint configuration not left.
    InProgress,
    /// Leadership is being handed over.
    Transferring,
    /// There is no joint configuration to leave.
    NotJoint,
    /// The membership is this already.
    NothingChanges,
    /// Not a member.
    NotMember(NodeId),
    /// A member would turn from a witness, which has no payloads, into a full member, or back; add
    /// another id instead.
    NotConvertible(NodeId),
    /// What would come out is no membership.
    Membership(MembershipError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write!(f, "node {leader} leads"),
            Self::NoLeader => f.write_str("no leader is known"),
            Self::TermNotCommitted => f.write_str("the leader has not committed an entry of its term yet"),
            Self::InProgress => f.write_str("an earlier change of membership is in progress"),
            Self::Transferring => f.write_str("leadership is being handed over"),
            Self::NotJoint => f.write_str("there is no joint configuration to leave"),
            Self::NothingChanges => f.write_str("the membership is this already"),
            Self::NotMember(id) => write!(f, "node {id} is no member"),
            Self::NotConvertible(id) => {
                write!(f, "node {id} cannot turn from a witness into a full member or back")
            }
            Self::Membership(_) => f.write_str("the result would be no valid membership"),
        }
    }
}

impl error::Error for ChangeError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Membership(source) => Some(source),
            Self::NotLeader { .. }
            | Self::NoLeader
            | Self::TermNotCommitted
            | Self::InProgress
            | Self::Transferring
            | Self::NotJoint
            | Self::NothingChanges
            | Self::NotMember(_)
            | Self::NotConvertible(_) => None,
        }
    }
}

impl From<MembershipError> for ChangeError {
    fn from(source: MembershipError) -> Self {
        Self::Membership(source)
    }
}

/// Why leadership is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferError {
    /// Another node leads.
    NotLeader {
        /// Who does.
        leader: NodeId,
    },
    /// No leader is known.
    NoLeader,
    /// The target leads already.
    AlreadyLeader,
    /// The target does not vote, so it cannot lead (S54).
    NotVoter(NodeId),
    /// The target is a witness, so it cannot lead.
    Witness(NodeId),
    /// Another transfer is under way.
    InProgress {
        /// To whom.
        to: NodeId,
    },
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write!(f, "node {leader} leads"),
            Self::NoLeader => f.write_str("no leader is known"),
            Self::AlreadyLeader => f.write_str("the target leads already"),
            Self::NotVoter(id) => write!(f, "node {id} is no voter"),
            Self::Witness(id) => write!(f, "node {id} is a witness"),
            Self::InProgress { to } => write!(f, "leadership is being handed over to node {to}"),
        }
    }
}

impl error::Error for TransferError {}

/// Why a node does not campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CampaignError {
    /// It leads already.
    Leading,
    /// It is no voter (S92).
    NotVoter,
    /// It is a witness: it lacks the payloads that a leader must have.
    Witness,
    /// Its disk does not answer.
    DiskStalled,
    /// There is no term left: somebody has driven the term up to its end (N10).
    NoTermLeft,
    /// It asked for a snapshot because its state is lost.
    AwaitsSnapshot,
    /// A leader may be answering reads on this node's word that it backs nobody else yet; see
    /// [`Config::read_lease_ticks`](crate::Config::read_lease_ticks).
    LeaseGiven,
}

impl fmt::Display for CampaignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leading => "this node leads already",
            Self::NotVoter => "this node is no voter",
            Self::Witness => "this node is a witness",
            Self::DiskStalled => "this node's disk does not answer",
            Self::NoTermLeft => "there is no term left",
            Self::AwaitsSnapshot => "this node waits for a snapshot",
            Self::LeaseGiven => "a leader's lease rests on this node",
        })
    }
}

impl error::Error for CampaignError {}

/// Why no snapshot is taken, or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// One is being taken, received or restored.
    InProgress,
    /// Nothing was applied since the last one.
    NothingNew,
    /// A leader has nobody to ask for one.
    Leading,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProgress => "a snapshot is being taken, received or restored",
            Self::NothingNew => "nothing was applied since the last snapshot",
            Self::Leading => "a leader has nobody to ask for a snapshot",
        })
    }
}

impl error::Error for SnapshotError {}

/// Why what a store recovered cannot be a node's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The store was never written to, and no founding membership was given.
    NotInitialised,
    /// The runs leave a gap, overlap, or their terms go down.
    LogOrder {
        /// Where.
        at: LogIndex,
    },
    /// The log has an entry of a later term than the hard state (F17).
    TermBehindLog,
    /// The commit index lies outside of the log (F17, S106).
    CommitOutsideLog {
        /// The recovered commit index.
        commit: LogIndex,
        /// The end of the recovered log.
        last: LogIndex,
    },
    /// The log begins behind this index, and no snapshot covers what was before (F6, S62).
    SnapshotMissing {
        /// Where the log begins.
        mark: LogIndex,
    },
    /// The snapshot ends in an entry that is not the one committed in the log.
    SnapshotContradictsLog {
        /// Where.
        at: LogIndex,
    },
    /// A membership entry cannot be read.
    Membership {
        /// Where.
        at: LogIndex,
        /// Why.
        source: MembershipError,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialised => f.write_str("the store is empty and no founding membership was given"),
            Self::LogOrder { at } => write!(f, "the recovered log is out of order at {at}"),
            Self::TermBehindLog => f.write_str("the recovered term is behind the recovered log"),
            Self::CommitOutsideLog { commit, last } => {
                write!(f, "the recovered commit index {commit} is outside of the log, which ends at {last}")
            }
            Self::SnapshotMissing { mark } => {
                write!(f, "the log begins behind {mark}, but no snapshot reaches up to there")
            }
            Self::SnapshotContradictsLog { at } => {
                write!(f, "the snapshot ends with another entry than the log has committed at {at}")
            }
            Self::Membership { at, .. } => write!(f, "the membership entry at {at} is malformed"),
        }
    }
}

impl error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Membership { source, .. } => Some(source),
            Self::NotInitialised
            | Self::LogOrder { .. }
            | Self::TermBehindLog
            | Self::CommitOutsideLog { .. }
            | Self::SnapshotMissing { .. }
            | Self::SnapshotContradictsLog { .. } => None,
        }
    }
}

/// Why loaded entries were not taken: the store did not give what it was asked for (F13, S109).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// No entries, or others than those asked for.
    WrongEntries {
        /// The index asked for.
        first: LogIndex,
    },
    /// An entry of another term than the log has there.
    WrongTerm {
        /// Where.
        at: LogIndex,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongEntries { first } => write!(f, "the store did not load the entries from {first} on"),
            Self::WrongTerm { at } => write!(f, "the store loaded an entry of another term at {at}"),
        }
    }
}

impl error::Error for LoadError {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLeader => "the receiver does not lead",
            Self::Busy => "the leader is busy",
            Self::TooLarge => "the payload is too large",
            Self::Transferring => "leadership is being handed over",
            Self::NotMember => "the sender is no member of the group",
            Self::Witness => "the sender is a witness",
        })
    }
}
