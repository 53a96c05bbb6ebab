//! Happenings that a node wants known: for logs, metrics and tests, never for control.

use core::fmt;

use super::ids::{LogIndex, NodeId, Position, Term};
use super::status::RoleName;

/// One happening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notice {
    /// The role or term changed.
    Role {
        /// What the node is now.
        role: RoleName,
        /// In which term.
        term: Term,
    },
    /// A leader was heard of for the first time in its term.
    Leader {
        /// Who leads.
        leader: NodeId,
        /// In which term.
        term: Term,
    },
    /// A leader steps down because of this.
    SteppedDown {
        /// Why.
        cause: StepDown,
        /// The term it led.
        term: Term,
    },
    /// Entries that never were committed gave way to another leader's (Raft §5.3).
    Truncated {
        /// The first index that was dropped.
        from: LogIndex,
        /// The end of the log before.
        last: Position,
    },
    /// A membership was appended and is in force.
    MembershipAppended {
        /// Where.
        at: Position,
    },
    /// Leadership is being handed over.
    TransferBegan {
        /// To whom.
        to: NodeId,
    },
    /// A hand-over came to nothing; this node leads on.
    TransferEnded {
        /// To whom it was.
        to: NodeId,
    },
    /// A message broke a rule and was dropped.
    Offended {
        /// Who sent it.
        from: NodeId,
        /// Which rule.
        offence: Offence,
    },
    /// A follower no longer has what it said was durable; it gets nothing more from this leader.
    /// It must return under a new id (F23, S85).
    PeerRegressed {
        /// Which follower.
        peer: NodeId,
        /// What it once acknowledged.
        acknowledged: LogIndex,
        /// What it reports now.
        reported: LogIndex,
    },
    /// The disk did not answer for an election timeout (F25).
    DiskStalled,
    /// A snapshot of this node's own state is durable.
    SnapshotTaken {
        /// Up to where.
        last: Position,
    },
    /// A snapshot could not be taken or, from the leader, not be stored.
    SnapshotFailed {
        /// Up to where it would have been.
        last: Position,
    },
    /// A member that is too far behind for the log is sent a snapshot.
    SnapshotSending {
        /// Which member.
        to: NodeId,
        /// Up to where.
        last: Position,
    },
    /// The leader's snapshot is in force.
    SnapshotInstalled {
        /// Up to where.
        last: Position,
    },
    /// The log begins later: what came before is in a snapshot.
    Compacted {
        /// The position before the first entry left.
        mark: Position,
    },
}

/// Why a leader steps down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StepDown {
    /// Another node has a higher term.
    HigherTerm,
    /// No quorum was heard within an election timeout (diss. §6.2).
    QuorumLost,
    /// Its own disk did not answer within an election timeout.
    DiskStalled,
    /// It is no voter any more.
    Removed,
}

/// Which rule a message broke. Each one is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Offence {
    /// For another node.
    Misaddressed,
    /// From this node itself.
    FromSelf,
    /// A term more than 2^32 above ours (N10).
    TermJump,
    /// A higher term from outside our configuration while a leader is heard (N5).
    OutsiderTerm,
    /// A reply from outside of the configuration it counts in (N5).
    OutsiderReply,
    /// A proposal or a read from outside of the configuration.
    OutsiderRequest,
    /// A second leader in one term, which cannot be.
    SecondLeader,
    /// Entries that contradict committed ones.
    CommittedConflict,
    /// Entries that contradict what the same leader sent before in its term.
    LeaderConflict,
    /// An acknowledgement of entries that we do not have.
    AckBeyondLog,
    /// A round that we did not start.
    UnknownRound,
    /// Entries that do not follow the position before them, go down in term or pass the message's.
    MalformedAppend,
    /// Malformed proposals.
    MalformedProposal,
    /// A chunk with a wrong checksum, outside of its snapshot, or of a snapshot that cannot be.
    MalformedChunk,
    /// A snapshot over the size limit.
    SnapshotTooLarge,
    /// Hollow entries for a full member, whose log they would make worthless.
    HollowForFullMember,
    /// Payloads for a witness.
    PayloadForWitness,
}

impl Offence {
    /// How many kinds there are.
    pub const COUNT: usize = 17;
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misaddressed => "message for another node",
            Self::FromSelf => "message from this node itself",
            Self::TermJump => "term jumps by more than 2^32",
            Self::OutsiderTerm => "higher term from outside the configuration while a leader is heard",
            Self::OutsiderReply => "reply from outside the configuration",
            Self::OutsiderRequest => "proposal or read from outside the configuration",
            Self::SecondLeader => "second leader in one term",
            Self::CommittedConflict => "entries contradict committed ones",
            Self::LeaderConflict => "entries contradict what the same leader sent before",
            Self::AckBeyondLog => "acknowledgement of entries that do not exist",
            Self::UnknownRound => "reply to a round that was not started",
            Self::MalformedAppend => "entries that do not hold together",
            Self::MalformedProposal => "malformed proposals",
            Self::MalformedChunk => "malformed chunk of a snapshot",
            Self::SnapshotTooLarge => "snapshot over the size limit",
            Self::HollowForFullMember => "hollow entries for a full member",
            Self::PayloadForWitness => "payloads for a witness",
        })
    }
}
