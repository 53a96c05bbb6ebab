//! What members of a group send each other, after the check at the door.
//!
//! `Message::term` is always the sender's current term. A reply repeats what it answers (campaign
//! or round), so that late and duplicated replies are told apart from fresh ones.

use alloc::boxed::Box;

use raft_proto::bytes::Bytes;

use super::batches::Batches;
use super::entries::{Entries, Entry, EntryKind};
use super::ids::{ForwardId, LogIndex, NodeId, Position, ReadId, Term};
use super::membership::Membership;

/// One message between two members of a group.
///
/// ```
/// use raft_core::{Body, Message, NodeId, Term};
/// use raft_proto::prost::Message as _; // on the wire it is raft-proto's
/// use raft_proto::v1;
///
/// let (from, to) = (NodeId::new(1), NodeId::new(2));
/// let message = Message { from, to, term: Term::new(1), body: Body::TimeoutNow };
/// let bytes = v1::Message::from(message.clone()).encode_to_vec();
/// assert_eq!(Message::try_from(v1::Message::decode(&bytes[..])?)?, message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who sent it.
    pub from: NodeId,
    /// Whom it is for.
    pub to: NodeId,
    /// The sender's current term.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// Asks whether an election in the next term could be won (diss. §9.6).
    PreVote(VoteRequest),
    /// Answers [`Body::PreVote`].
    PreVoteReply(VoteReply),
    /// Asks for a vote in the sender's term (Raft §5.2).
    Vote(VoteRequest),
    /// Answers [`Body::Vote`].
    VoteReply(VoteReply),
    /// Replicates entries (Raft §5.3); without entries it only probes.
    Append(Append),
    /// Answers [`Body::Append`].
    AppendReply(AppendReply),
    /// Keeps followers from campaigning and confirms reads.
    Heartbeat(Heartbeat),
    /// Answers [`Body::Heartbeat`].
    HeartbeatReply(HeartbeatReply),
    /// One chunk of a snapshot (Raft §7).
    InstallSnapshot(Box<InstallSnapshot>),
    /// Answers [`Body::InstallSnapshot`].
    InstallSnapshotReply(InstallSnapshotReply),
    /// Asks the leader for a snapshot, because the sender's state is lost.
    SnapshotRequest {
        /// It must reach at least this far.
        at_least: LogIndex,
    },
    /// Tells the receiver to campaign at once (diss. §3.10).
    TimeoutNow,
    /// Asks the leader where a linearizable read must wait (diss. §6.4).
    Read {
        /// As in [`Body::Propose`].
        epoch: u64,
        /// The last read of the sender that this covers.
        request: ReadId,
    },
    /// Answers [`Body::Read`].
    ReadReply {
        /// Repeats the epoch of the read.
        epoch: u64,
        /// The last read that this covers.
        request: ReadId,
        /// Reads see at least everything up to here.
        result: Result<LogIndex, Refusal>,
    },
    /// Proposals of a member that does not lead.
    Propose {
        /// Drawn when the sender started: tells apart what it sent before a restart.
        epoch: u64,
        /// The number of the first; the others follow on.
        request: ForwardId,
        /// Payloads in batch layout.
        payloads: Bytes,
    },
    /// Answers [`Body::Propose`].
    ProposeReply {
        /// Repeats the epoch of the proposals.
        epoch: u64,
        /// The number of the first proposal.
        request: ForwardId,
        /// How many proposals this answers.
        count: u32,
        /// Where the first one stands in the log; the others follow on.
        result: Result<Position, Refusal>,
    },
}

impl Body {
    /// What kind of message it is, in a word or two, for people.
    ///
    /// ```
    /// assert_eq!(raft_core::Body::TimeoutNow.name(), "timeout now");
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PreVote(_) => "pre-vote",
            Self::PreVoteReply(_) => "pre-vote reply",
            Self::Vote(_) => "vote",
            Self::VoteReply(_) => "vote reply",
            Self::Append(_) => "append",
            Self::AppendReply(_) => "append reply",
            Self::Heartbeat(_) => "heartbeat",
            Self::HeartbeatReply(_) => "heartbeat reply",
            Self::InstallSnapshot(_) => "install snapshot",
            Self::InstallSnapshotReply(_) => "install snapshot reply",
            Self::SnapshotRequest { .. } => "snapshot request",
            Self::TimeoutNow => "timeout now",
            Self::Read { .. } => "read",
            Self::ReadReply { .. } => "read reply",
            Self::Propose { .. } => "propose",
            Self::ProposeReply { .. } => "propose reply",
        }
    }
}

/// A candidate's case: [`Body::PreVote`] and [`Body::Vote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VoteRequest {
    /// Counts the sender's campaigns.
    pub campaign: u64,
    /// The end of the candidate's log.
    pub last: Position,
    /// Breaks exact ties of logs only; higher wins.
    pub priority: i64,
    /// Whether the leader of the term before asked for this election (diss. §3.10).
    pub transfer: bool,
}

/// A voter's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VoteReply {
    /// The campaign it answers.
    pub campaign: u64,
    /// Whether the candidate has the vote.
    pub granted: bool,
}

/// Entries for a follower: [`Body::Append`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Append {
    /// The position right before the first entry.
    pub prev: Position,
    /// The leader's commit index.
    pub commit: LogIndex,
    /// The leader's read round at sending.
    pub round: u64,
    /// The entries; none in a probe.
    pub batches: Batches,
}

impl Append {
    /// Whether this can come from a leader of `term`: the entries follow the position before them,
    /// their terms only rise and do not pass the leader's, memberships can be read, and hollow
    /// entries are hollow.
    pub(crate) fn holds_together(&self, term: Term) -> bool {
        let Some(first) = self.prev.index.get().checked_add(1) else { return false };
        let mut last_term = self.prev.term.max(Term::new(1));
        let is_sound = |batch: &Entries| {
            let rises = last_term <= batch.term();
            last_term = batch.term();
            let is_readable = |entry: Entry<'_>| Membership::decode(entry.payload).is_ok();
            rises
                && batch.is_sound()
                && (batch.kind() != EntryKind::Membership || batch.iter().all(is_readable))
        };
        self.batches.first().is_none_or(|at| at.get() == first)
            && self.batches.iter().all(is_sound)
            && (self.batches.is_empty() || last_term <= term)
    }
}

/// A follower's answer: [`Body::AppendReply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppendReply {
    /// Repeats the round of the append.
    pub round: u64,
    /// Up to here the follower's log equals the leader's and is durable.
    pub durable: LogIndex,
    /// Up to here it equals the leader's, durable or not.
    pub received: LogIndex,
    /// Set if the append did not fit.
    pub conflict: Option<Conflict>,
}

/// Why an append did not fit, and where the logs may agree (Raft §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conflict {
    /// The index of the refused previous position.
    pub rejected: LogIndex,
    /// The highest position of the follower's log that may match the leader's.
    pub hint: Position,
}

/// A sign of life: [`Body::Heartbeat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    /// The leader's commit index.
    pub commit: LogIndex,
    /// The read round it confirms.
    pub round: u64,
    /// To whom the leader hands over (diss. §3.10).
    pub transferee: Option<NodeId>,
}

/// A follower's answer: [`Body::HeartbeatReply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeartbeatReply {
    /// Repeats the round of the heartbeat.
    pub round: u64,
    /// As in [`AppendReply::durable`].
    pub durable: LogIndex,
    /// As in [`AppendReply::received`].
    pub received: LogIndex,
}

/// What a snapshot replaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotMeta {
    /// The last position it replaces.
    pub last: Position,
    /// The membership in force there.
    pub membership: Membership,
    /// The length of the state in bytes.
    pub size: u64,
    /// The CRC32C of the state.
    pub crc32c: u32,
    /// Whether there is no state, because it is the snapshot of a witness; `size` is zero then.
    pub is_hollow: bool,
}

impl SnapshotMeta {
    /// What a witness needs of this snapshot.
    pub(crate) fn into_hollow(self) -> Self {
        Self { size: 0, crc32c: 0, is_hollow: true, ..self }
    }
}

/// One chunk of a snapshot: [`Body::InstallSnapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallSnapshot {
    /// Which snapshot.
    pub meta: SnapshotMeta,
    /// The leader's read round at sending.
    pub round: u64,
    /// Where the chunk begins, in bytes.
    pub offset: u64,
    /// The bytes.
    pub chunk: Bytes,
    /// Their CRC32C.
    pub chunk_crc32c: u32,
}

/// A follower's answer: [`Body::InstallSnapshotReply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstallSnapshotReply {
    /// Repeats the round of the chunk.
    pub round: u64,
    /// Which snapshot.
    pub last: Position,
    /// How many bytes have arrived without a gap.
    pub received: u64,
}

/// Why a leader did not take what a member sent on. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The receiver does not lead.
    NotLeader,
    /// A limit on what may wait is reached; try again later.
    Busy,
    /// A payload is over the size limit.
    TooLarge,
    /// Leadership is being handed over.
    Transferring,
    /// The sender is no member of the group.
    NotMember,
    /// The sender is a witness, which has no state to read from.
    Witness,
}
