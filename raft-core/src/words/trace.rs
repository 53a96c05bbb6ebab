//! What a node did, in the words of a TLA+ specification: one event, one line of JSON.
//!
//! `docs/TRACE.md` has every event and every key, and how they map to the specification.

use alloc::vec::Vec;
use core::fmt::{self, Formatter};

use super::ids::{LogIndex, NodeId, Position, Term};
use super::membership::{MemberRole, Membership};
use super::message::{Body, Message};
use super::status::RoleName;

/// A step of the protocol at one node.
///
/// Displayed, it is one line of JSON without the line's end.
///
/// ```
/// use raft_core::{Config, Membership, NodeId, Raft};
///
/// let id = NodeId::new(1);
/// let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
/// raft.start_trace();
/// let event = &raft.take_trace()[0];
/// let line = concat!(
///     r#"{"tag":"trace","event":{"name":"InitState","nid":"1","state":{"term":0,"vote":"0","commit":0},"#,
///     r#""role":"StateFollower","log":0,"conf":[["1"],[]]}}"#,
/// );
/// assert_eq!(event.to_string(), line);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// Where it happened.
    pub node: NodeId,
    /// The node's state: as the event found it if a message came in, and as it left it otherwise.
    pub state: TraceState,
    /// What happened.
    pub kind: TraceKind,
}

/// What a specification knows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceState {
    /// Its term.
    pub term: Term,
    /// Whom it voted for in this term.
    pub vote: Option<NodeId>,
    /// Its commit index.
    pub commit: LogIndex,
    /// Its role. A pre-candidate is a follower here: to ask whether it could win changes nothing.
    pub role: RoleName,
    /// The last index of its log.
    pub last: LogIndex,
    /// The voters in force.
    pub conf: TraceConf,
}

/// Who votes: the incoming (or only) configuration, and the outgoing one while there are two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceConf {
    /// The voters of the incoming or only configuration.
    pub voters: Vec<NodeId>,
    /// The voters of the outgoing one; none unless it is joint.
    pub outgoing: Vec<NodeId>,
    /// Members without a vote in either that receive the log.
    pub learners: Vec<NodeId>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceKind {
    /// The node starts, anew or again.
    InitState,
    /// It follows, or waits for a leader.
    BecomeFollower,
    /// It stands for election.
    BecomeCandidate,
    /// It leads.
    BecomeLeader,
    /// As the leader it appended an entry that is no membership.
    Replicate,
    /// As the leader it appended this membership, which is put in force at once.
    ChangeConf(TraceConf),
    /// This membership came into force: it was appended, one before it came back, or a snapshot had it.
    ApplyConfChange(TraceConf),
    /// A snapshot of the leader's took the place of the log, or of a part of it.
    InstallSnapshot,
    /// As the leader it raised the commit index.
    Commit,
    /// Whatever was sent before has left.
    Ready,
    /// It sent a message.
    Send(TraceMessage),
    /// It took a message, and what changes before its next event follows from that.
    Receive(TraceMessage),
}

/// A message, or what a specification knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceMessage {
    /// Its kind.
    pub kind: TraceMessageKind,
    /// The sender's term.
    pub term: Term,
    /// Who sent it.
    pub from: NodeId,
    /// Whom it is for.
    pub to: NodeId,
    /// How many entries it carries; of a snapshot: its last index, for it stands for all up to there.
    pub entries: u64,
    /// The position before the entries, the end of a candidate's log, the highest index a follower
    /// acknowledges or refuses. The term is that of the hint in a refusal.
    pub at: Position,
    /// The leader's commit index.
    pub commit: LogIndex,
    /// Whether it says no.
    pub reject: bool,
    /// Of a refused append: where the logs may meet.
    pub reject_hint: LogIndex,
    /// What only our messages say, by name.
    pub details: Vec<(&'static str, u64)>,
}

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceMessageKind {
    /// [`Body::PreVote`].
    PreVote,
    /// [`Body::PreVoteReply`].
    PreVoteReply,
    /// [`Body::Vote`].
    Vote,
    /// [`Body::VoteReply`].
    VoteReply,
    /// [`Body::Append`].
    Append,
    /// [`Body::AppendReply`].
    AppendReply,
    /// [`Body::Heartbeat`].
    Heartbeat,
    /// [`Body::HeartbeatReply`].
    HeartbeatReply,
    /// [`Body::InstallSnapshot`].
    Snapshot,
    /// [`Body::InstallSnapshotReply`].
    SnapshotReply,
    /// [`Body::SnapshotRequest`].
    SnapshotRequest,
    /// [`Body::TimeoutNow`].
    TimeoutNow,
    /// [`Body::Read`].
    Read,
    /// [`Body::ReadReply`].
    ReadReply,
    /// [`Body::Propose`].
    Propose,
    /// [`Body::ProposeReply`].
    ProposeReply,
}

impl TraceConf {
    /// The voters and learners of a membership.
    pub(crate) fn of(membership: &Membership) -> Self {
        let learners = membership.members().iter().filter(|member| match member.role {
            MemberRole::Learner | MemberRole::Joining | MemberRole::JoiningWitness => !member.outgoing_voter,
            MemberRole::Voter | MemberRole::Witness | MemberRole::Leaving | MemberRole::LeavingWitness => {
                false
            }
        });
        Self {
            voters: membership.voters().collect(),
            outgoing: membership.outgoing_voters().collect(),
            learners: learners.map(|member| member.id).collect(),
        }
    }

    /// What leads from this to `next`, a node at a time.
    fn changes(&self, next: &Self) -> impl Iterator<Item = (NodeId, &'static str)> {
        let added = next.voters.iter().filter(|id| !self.voters.contains(id));
        let learning = next.learners.iter().filter(|id| !self.learners.contains(id));
        let known = self.voters.iter().chain(&self.learners);
        let gone = known.filter(|id| !next.voters.contains(id) && !next.learners.contains(id));
        let added = added.map(|id| (*id, "AddNewServer"));
        let learning = learning.map(|id| (*id, "AddLearner"));
        added.chain(learning).chain(gone.map(|id| (*id, "RemoveServer")))
    }
}

impl TraceMessage {
    /// What a specification knows of `message`.
    pub(crate) fn of(message: &Message) -> Self {
        let kind = TraceMessageKind::of(&message.body);
        let mut this = Self::empty(kind, message.from, message.to, message.term);
        match &message.body {
            Body::PreVote(request) | Body::Vote(request) => {
                this.at = request.last;
                this.details.push(("campaign", request.campaign));
            }
            Body::PreVoteReply(reply) | Body::VoteReply(reply) => {
                this.reject = !reply.granted;
                this.details.push(("campaign", reply.campaign));
            }
            Body::Append(append) => {
                let first = append.prev.index.next().get();
                this.entries = append.batches.last().map_or(0, |last| last.get() + 1 - first);
                (this.at, this.commit) = (append.prev, append.commit);
                this.details.push(("round", append.round));
            }
            Body::AppendReply(reply) => {
                this.acknowledge(reply.round, reply.durable, reply.received);
                this.at.index = reply.durable;
                if let Some(conflict) = reply.conflict {
                    this.reject = true;
                    this.at = Position::new(conflict.hint.term, conflict.rejected);
                    this.reject_hint = conflict.hint.index;
                }
            }
            Body::Heartbeat(beat) => {
                this.commit = beat.commit;
                this.details.push(("round", beat.round));
            }
            Body::HeartbeatReply(reply) => this.acknowledge(reply.round, reply.durable, reply.received),
            Body::InstallSnapshot(install) => {
                this.entries = install.meta.last.index.get();
                this.details.extend([("round", install.round), ("offset", install.offset)]);
            }
            Body::InstallSnapshotReply(_)
            | Body::SnapshotRequest { .. }
            | Body::TimeoutNow
            | Body::Read { .. }
            | Body::ReadReply { .. }
            | Body::Propose { .. }
            | Body::ProposeReply { .. } => {}
        }
        this
    }

    /// A leader's own disk has everything up to `index`: what others say in an answer to an append.
    pub(crate) fn own_answer(id: NodeId, term: Term, index: LogIndex) -> Self {
        let mut this = Self::empty(TraceMessageKind::AppendReply, id, id, term);
        this.at.index = index;
        this.details.push(("durable", index.get()));
        this
    }

    fn empty(kind: TraceMessageKind, from: NodeId, to: NodeId, term: Term) -> Self {
        let (at, commit, reject_hint) = Default::default();
        Self { kind, term, from, to, entries: 0, at, commit, reject: false, reject_hint, details: Vec::new() }
    }

    fn acknowledge(&mut self, round: u64, durable: LogIndex, received: LogIndex) {
        let details = [("round", round), ("durable", durable.get()), ("received", received.get())];
        self.details.extend(details);
    }
}

impl TraceMessageKind {
    fn of(body: &Body) -> Self {
        match body {
            Body::PreVote(_) => Self::PreVote,
            Body::PreVoteReply(_) => Self::PreVoteReply,
            Body::Vote(_) => Self::Vote,
            Body::VoteReply(_) => Self::VoteReply,
            Body::Append(_) => Self::Append,
            Body::AppendReply(_) => Self::AppendReply,
            Body::Heartbeat(_) => Self::Heartbeat,
            Body::HeartbeatReply(_) => Self::HeartbeatReply,
            Body::InstallSnapshot(_) => Self::Snapshot,
            Body::InstallSnapshotReply(_) => Self::SnapshotReply,
            Body::SnapshotRequest { .. } => Self::SnapshotRequest,
            Body::TimeoutNow => Self::TimeoutNow,
            Body::Read { .. } => Self::Read,
            Body::ReadReply { .. } => Self::ReadReply,
            Body::Propose { .. } => Self::Propose,
            Body::ProposeReply { .. } => Self::ProposeReply,
        }
    }

    /// The value of the key `type`, and the end of the names of the events that send and receive it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::PreVote => ("MsgPreVote", "PreVoteRequest"),
            Self::PreVoteReply => ("MsgPreVoteResp", "PreVoteResponse"),
            Self::Vote => ("MsgVote", "RequestVoteRequest"),
            Self::VoteReply => ("MsgVoteResp", "RequestVoteResponse"),
            Self::Append => ("MsgApp", "AppendEntriesRequest"),
            Self::AppendReply => ("MsgAppResp", "AppendEntriesResponse"),
            Self::Heartbeat => ("MsgHeartbeat", "AppendEntriesRequest"),
            Self::HeartbeatReply => ("MsgHeartbeatResp", "AppendEntriesResponse"),
            Self::Snapshot => ("MsgSnap", "Snapshot"),
            Self::SnapshotReply => ("MsgSnapResp", "Message"),
            Self::SnapshotRequest => ("MsgSnapRequest", "Message"),
            Self::TimeoutNow => ("MsgTimeoutNow", "Message"),
            Self::Read => ("MsgReadIndex", "Message"),
            Self::ReadReply => ("MsgReadIndexResp", "Message"),
            Self::Propose => ("MsgProp", "Message"),
            Self::ProposeReply => ("MsgPropResp", "Message"),
        }
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let TraceState { term, vote, commit, role, last, conf } = &self.state;
        f.write_str(r#"{"tag":"trace","event":{"name":""#)?;
        self.kind.write_name(f)?;
        let vote = vote.unwrap_or(NodeId::ZERO);
        write!(f, r#"","nid":"{}","state":{{"term":{term},"vote":"{vote}","commit":{commit}}}"#, self.node)?;
        write!(f, r#","role":"{}","log":{last},"conf":["#, role_text(*role))?;
        write_ids(f, &conf.voters)?;
        f.write_str(",")?;
        write_ids(f, &conf.outgoing)?;
        f.write_str("]")?;
        match &self.kind {
            TraceKind::Send(message) | TraceKind::Receive(message) => write_message(f, message)?,
            TraceKind::ChangeConf(next) => write_change(f, next, conf.changes(next))?,
            TraceKind::ApplyConfChange(next) => write_change(f, next, [].into_iter())?,
            TraceKind::InitState
            | TraceKind::BecomeFollower
            | TraceKind::BecomeCandidate
            | TraceKind::BecomeLeader
            | TraceKind::Replicate
            | TraceKind::InstallSnapshot
            | TraceKind::Commit
            | TraceKind::Ready => {}
        }
        f.write_str("}}")
    }
}

impl TraceKind {
    fn write_name(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::InitState => f.write_str("InitState"),
            Self::BecomeFollower => f.write_str("BecomeFollower"),
            Self::BecomeCandidate => f.write_str("BecomeCandidate"),
            Self::BecomeLeader => f.write_str("BecomeLeader"),
            Self::Replicate => f.write_str("Replicate"),
            Self::ChangeConf(_) => f.write_str("ChangeConf"),
            Self::ApplyConfChange(_) => f.write_str("ApplyConfChange"),
            Self::InstallSnapshot => f.write_str("InstallSnapshot"),
            Self::Commit => f.write_str("Commit"),
            Self::Ready => f.write_str("Ready"),
            Self::Send(message) => write!(f, "Send{}", message.kind.names().1),
            Self::Receive(message) => write!(f, "Receive{}", message.kind.names().1),
        }
    }
}

fn role_text(role: RoleName) -> &'static str {
    match role {
        RoleName::Follower | RoleName::PreCandidate => "StateFollower",
        RoleName::Candidate => "StateCandidate",
        RoleName::Leader => "StateLeader",
    }
}

fn write_message(f: &mut Formatter<'_>, message: &TraceMessage) -> fmt::Result {
    let TraceMessage { kind, term, from, to, entries, at, commit, reject, reject_hint, details } = message;
    write!(f, r#","msg":{{"type":"{}","term":{term},"from":"{from}","to":"{to}""#, kind.names().0)?;
    write!(f, r#","entries":{entries},"logTerm":{},"index":{},"commit":{commit}"#, at.term, at.index)?;
    write!(f, r#","vote":"0","reject":{reject},"rejectHint":{reject_hint}}}"#)?;
    if details.is_empty() {
        return Ok(());
    }
    f.write_str(r#","prop":{"#)?;
    write_list(f, details, |f, (name, value)| write!(f, r#""{name}":{value}"#))?;
    f.write_str("}")
}

fn write_change(
    f: &mut Formatter<'_>,
    next: &TraceConf,
    changes: impl Iterator<Item = (NodeId, &'static str)>,
) -> fmt::Result {
    f.write_str(r#","prop":{"cc":{"#)?;
    let mut changes = changes.peekable();
    if changes.peek().is_some() {
        f.write_str(r#""changes":["#)?;
        write_list(f, changes, |f, (id, action)| write!(f, r#"{{"nid":"{id}","action":"{action}"}}"#))?;
        f.write_str("],")?;
    }
    f.write_str(r#""newconf":"#)?;
    write_ids(f, &next.voters)?;
    f.write_str(r#","newoutgoing":"#)?;
    write_ids(f, &next.outgoing)?;
    f.write_str("}}")
}

fn write_ids(f: &mut Formatter<'_>, ids: &[NodeId]) -> fmt::Result {
    f.write_str("[")?;
    write_list(f, ids, |f, id| write!(f, r#""{id}""#))?;
    f.write_str("]")
}

fn write_list<T>(
    f: &mut Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        write(f, item)?;
    }
    Ok(())
}
