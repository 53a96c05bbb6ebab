//! What can be seen of a node from outside.

use alloc::vec::Vec;
use core::fmt;

use super::ids::{LogIndex, NodeId, Position, Term};
use super::membership::Membership;

/// The role a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleName {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it could win an election (diss. §9.6).
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

/// A picture of a node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// Its role.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// Whom it voted for in this term.
    pub vote: Option<NodeId>,
    /// Who leads in this term, as far as it knows.
    pub leader: Option<NodeId>,
    /// The position before the first retained entry.
    pub mark: Position,
    /// The end of its log.
    pub last: Position,
    /// Up to here its log is durable.
    pub durable: LogIndex,
    /// Its commit index.
    pub commit: LogIndex,
    /// Up to here the state machine has applied.
    pub applied: LogIndex,
    /// What its newest snapshot replaces, if it has one.
    pub snapshot: Option<Position>,
    /// Whether it applies nothing until its leader has sent a snapshot it asked for.
    pub awaits_snapshot: bool,
    /// Who answered its campaign so far, and whether with yes; empty unless it is a candidate or a
    /// pre-candidate. Its own vote is among them once it is durable.
    pub votes: Vec<(NodeId, bool)>,
    /// To whom leadership is handed over, as far as this node knows.
    pub transferee: Option<NodeId>,
    /// The membership in force.
    pub membership: Membership,
    /// What waits in it.
    pub backlog: Backlog,
    /// How the others progress; empty unless it leads.
    pub peers: Vec<PeerStatus>,
}

/// What waits in a node, each within the limit that [`Config`](crate::Config) has for it. What is on its
/// way to members is in [`Status::peers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// Bytes of entries that it appended as the leader of its term and has not handed out for applying,
    /// lengths and changes of membership included: `proposals_bytes_max`. Zero unless it leads.
    pub proposals_bytes: u64,
    /// Bytes of forwarded proposals that wait to be sent or answered, lengths included:
    /// `forward_bytes_max`.
    pub forward_bytes: u64,
    /// Rounds of reads that wait for a quorum: `read_rounds_max`. Zero unless it leads.
    pub read_rounds: u32,
    /// Bytes of entries handed out for applying and not yet applied, lengths included:
    /// `apply_bytes_max`.
    pub apply_bytes: u64,
}

/// How one member progresses, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Which member.
    pub id: NodeId,
    /// How the leader sends to it.
    pub mode: PeerMode,
    /// Up to here its log is known to equal the leader's and to be durable.
    pub matched: LogIndex,
    /// The next entry to send.
    pub next: LogIndex,
    /// Appends on their way.
    pub inflight_messages: u32,
    /// Bytes on their way.
    pub inflight_bytes: u32,
    /// Whether it was heard since the last quorum check.
    pub is_active: bool,
    /// Whether it keeps up: what was durable at the leader at the last quorum check is durable there.
    /// While all full voters do, any one of them can be lost beside a witness.
    pub is_in_sync: bool,
    /// The snapshot on its way, if one is.
    pub snapshot: Option<SnapshotProgress>,
}

/// How far a snapshot has come on its way to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotProgress {
    /// What it replaces.
    pub last: Position,
    /// How many bytes were sent.
    pub sent_bytes: u64,
    /// How many of them arrived.
    pub acknowledged_bytes: u64,
    /// How many there are.
    pub size_bytes: u64,
}

/// How a leader sends to one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerMode {
    /// One append at a time until the logs are known to meet.
    Probe,
    /// A window of appends.
    Replicate,
    /// A snapshot, because the log does not reach back far enough.
    Snapshot,
    /// Nothing: it lost what it had acknowledged.
    Stopped,
}

/// What is known of a proposal's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStatus {
    /// In the log, not yet committed.
    Pending,
    /// Committed: it will never be lost.
    Committed,
    /// Another entry was committed in its place: it will never be applied.
    Lost,
    /// Not in this log, or compacted away: others may know.
    Unknown,
}
