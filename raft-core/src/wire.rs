//! Between the core's own types and their wire form.
//!
//! Decoding is the one check at the door: whatever comes out of `TryFrom` is well formed, and
//! each way of not being so is a variant of [`MessageError`] (N1, N12).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::{error, fmt};

use raft_proto::bytes::Bytes;
use raft_proto::prost::Message as _;
use raft_proto::v1;

use crate::words::batches::Batches;
use crate::words::entries::{Entries, EntriesError, EntryKind};
use crate::words::ids::{ForwardId, LogIndex, NodeId, Position, ReadId, Term};
use crate::words::membership::{Member, MemberRole, Membership, MembershipError};
use crate::words::message::{
    Append, AppendReply, Body, Conflict, Heartbeat, HeartbeatReply, InstallSnapshot, InstallSnapshotReply,
    Message, Refusal, SnapshotMeta, VoteReply, VoteRequest,
};

/// Why a decoded protobuf message is none of Raft's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// `from` or `to` is zero or `u64::MAX`.
    InvalidId,
    /// No body, or one this version does not know.
    UnknownBody,
    /// A required field is absent.
    MissingField(&'static str),
    /// An enum has a number this version does not know.
    UnknownEnum(&'static str),
    /// An index or term is `u64::MAX`, which nothing can follow.
    OutOfRange(&'static str),
    /// A batch of entries is malformed.
    Entries(EntriesError),
    /// Entries leave a gap, or their terms go down or pass the message's.
    EntryOrder,
    /// A membership is malformed.
    Membership(MembershipError),
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidId => f.write_str("sender or receiver is no valid node id"),
            Self::UnknownBody => f.write_str("a message without a body that this version knows"),
            Self::MissingField(name) => write!(f, "required field `{name}` is absent"),
            Self::UnknownEnum(name) => write!(f, "field `{name}` has an unknown value"),
            Self::OutOfRange(name) => write!(f, "field `{name}` is out of range"),
            Self::Entries(_) => f.write_str("malformed entries"),
            Self::EntryOrder => f.write_str("entry terms go down or pass the message's term"),
            Self::Membership(_) => f.write_str("malformed membership"),
        }
    }
}

impl error::Error for MessageError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Entries(source) => Some(source),
            Self::Membership(source) => Some(source),
            Self::InvalidId
            | Self::UnknownBody
            | Self::MissingField(_)
            | Self::UnknownEnum(_)
            | Self::OutOfRange(_)
            | Self::EntryOrder => None,
        }
    }
}

impl From<EntriesError> for MessageError {
    fn from(source: EntriesError) -> Self {
        Self::Entries(source)
    }
}

impl From<MembershipError> for MessageError {
    fn from(source: MembershipError) -> Self {
        Self::Membership(source)
    }
}

impl From<Message> for v1::Message {
    fn from(message: Message) -> Self {
        Self {
            from: message.from.get(),
            to: message.to.get(),
            term: message.term.get(),
            body: Some(body_to_wire(message.body)),
        }
    }
}

impl TryFrom<v1::Message> for Message {
    type Error = MessageError;

    fn try_from(wire: v1::Message) -> Result<Self, MessageError> {
        let term = Term::new(bounded(wire.term, "term")?);
        Ok(Self {
            from: node_id(wire.from)?,
            to: node_id(wire.to)?,
            term,
            body: body_from_wire(wire.body.ok_or(MessageError::UnknownBody)?, term)?,
        })
    }
}

impl Membership {
    /// The wire form, which is also the payload of a membership entry.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        membership_to_wire(self).encode_to_vec().into()
    }

    /// Reads the wire form.
    ///
    /// # Errors
    ///
    /// If the bytes are malformed or the members do not make a membership. That of a node without
    /// a group has no members and no bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MembershipError> {
        let wire = v1::Membership::decode(bytes).map_err(|_| MembershipError::Malformed)?;
        membership_from_wire(wire).map_err(|error| match error {
            MessageError::Membership(source) => source,
            _ => MembershipError::Malformed,
        })
    }
}

fn body_to_wire(body: Body) -> v1::message::Body {
    use v1::message::Body as Wire;
    match body {
        Body::PreVote(vote) => Wire::PreVote(v1::PreVote {
            campaign: vote.campaign,
            last: Some(position_to_wire(vote.last)),
            priority: vote.priority,
        }),
        Body::PreVoteReply(reply) => {
            Wire::PreVoteReply(v1::PreVoteReply { campaign: reply.campaign, granted: reply.granted })
        }
        Body::Vote(vote) => Wire::Vote(v1::Vote {
            campaign: vote.campaign,
            last: Some(position_to_wire(vote.last)),
            priority: vote.priority,
            transfer: vote.transfer,
        }),
        Body::VoteReply(reply) => {
            Wire::VoteReply(v1::VoteReply { campaign: reply.campaign, granted: reply.granted })
        }
        Body::Append(append) => Wire::Append(v1::Append {
            prev: Some(position_to_wire(append.prev)),
            commit: append.commit.get(),
            round: append.round,
            batches: append.batches.into_iter().map(batch_to_wire).collect(),
        }),
        Body::AppendReply(reply) => Wire::AppendReply(v1::AppendReply {
            round: reply.round,
            durable: reply.durable.get(),
            received: reply.received.get(),
            conflict: reply.conflict.map(|conflict| v1::Conflict {
                rejected: conflict.rejected.get(),
                hint: Some(position_to_wire(conflict.hint)),
            }),
        }),
        Body::Heartbeat(beat) => Wire::Heartbeat(heartbeat_to_wire(beat)),
        Body::HeartbeatReply(reply) => Wire::HeartbeatReply(v1::HeartbeatReply {
            round: reply.round,
            durable: reply.durable.get(),
            received: reply.received.get(),
        }),
        Body::InstallSnapshot(chunk) => Wire::InstallSnapshot(install_to_wire(*chunk)),
        Body::InstallSnapshotReply(reply) => Wire::InstallSnapshotReply(v1::InstallSnapshotReply {
            round: reply.round,
            last: Some(position_to_wire(reply.last)),
            received: reply.received,
        }),
        Body::SnapshotRequest { at_least } => {
            Wire::SnapshotRequest(v1::SnapshotRequest { at_least: at_least.get() })
        }
        Body::TimeoutNow => Wire::TimeoutNow(v1::TimeoutNow {}),
        Body::Read { epoch, request } => Wire::Read(v1::Read { epoch, request: request.get() }),
        Body::ReadReply { epoch, request, result } => Wire::ReadReply(v1::ReadReply {
            epoch,
            request: request.get(),
            index: result.unwrap_or_default().get(),
            refusal: refusal_to_wire(result.err()),
        }),
        Body::Propose { epoch, request, payloads } => {
            Wire::Propose(v1::Propose { epoch, request: request.get(), payloads })
        }
        Body::ProposeReply { epoch, request, count, result } => Wire::ProposeReply(v1::ProposeReply {
            epoch,
            request: request.get(),
            count,
            first: result.ok().map(position_to_wire),
            refusal: refusal_to_wire(result.err()),
        }),
    }
}

fn body_from_wire(wire: v1::message::Body, term: Term) -> Result<Body, MessageError> {
    use v1::message::Body as Wire;
    Ok(match wire {
        Wire::PreVote(vote) => Body::PreVote(VoteRequest {
            campaign: vote.campaign,
            last: position(vote.last, "last")?,
            priority: vote.priority,
            transfer: false,
        }),
        Wire::PreVoteReply(reply) => {
            Body::PreVoteReply(VoteReply { campaign: reply.campaign, granted: reply.granted })
        }
        Wire::Vote(vote) => Body::Vote(VoteRequest {
            campaign: vote.campaign,
            last: position(vote.last, "last")?,
            priority: vote.priority,
            transfer: vote.transfer,
        }),
        Wire::VoteReply(reply) => {
            Body::VoteReply(VoteReply { campaign: reply.campaign, granted: reply.granted })
        }
        Wire::Append(append) => Body::Append(append_from_wire(append, term)?),
        Wire::AppendReply(reply) => Body::AppendReply(AppendReply {
            round: reply.round,
            durable: index(reply.durable, "durable")?,
            received: index(reply.received, "received")?,
            conflict: reply.conflict.map(conflict_from_wire).transpose()?,
        }),
        Wire::Heartbeat(beat) => Body::Heartbeat(heartbeat_from_wire(beat)?),
        Wire::HeartbeatReply(reply) => Body::HeartbeatReply(HeartbeatReply {
            round: reply.round,
            durable: index(reply.durable, "durable")?,
            received: index(reply.received, "received")?,
        }),
        Wire::InstallSnapshot(chunk) => Body::InstallSnapshot(Box::new(install_from_wire(chunk)?)),
        Wire::InstallSnapshotReply(reply) => Body::InstallSnapshotReply(InstallSnapshotReply {
            round: reply.round,
            last: position(reply.last, "last")?,
            received: reply.received,
        }),
        Wire::SnapshotRequest(request) => {
            Body::SnapshotRequest { at_least: index(request.at_least, "at_least")? }
        }
        Wire::TimeoutNow(v1::TimeoutNow {}) => Body::TimeoutNow,
        Wire::Read(read) => {
            Body::Read { epoch: read.epoch, request: ReadId::new(bounded(read.request, "request")?) }
        }
        Wire::ReadReply(reply) => Body::ReadReply {
            epoch: reply.epoch,
            request: ReadId::new(bounded(reply.request, "request")?),
            result: match refusal(reply.refusal)? {
                None => Ok(index(reply.index, "index")?),
                Some(refusal) => Err(refusal),
            },
        },
        Wire::Propose(propose) => Body::Propose {
            epoch: propose.epoch,
            request: ForwardId::new(bounded(propose.request, "request")?),
            payloads: propose.payloads,
        },
        Wire::ProposeReply(reply) => propose_reply_from_wire(&reply)?,
    })
}

fn heartbeat_to_wire(beat: Heartbeat) -> v1::Heartbeat {
    let transferee = beat.transferee.map_or(0, NodeId::get);
    v1::Heartbeat { commit: beat.commit.get(), round: beat.round, transferee }
}

fn heartbeat_from_wire(wire: v1::Heartbeat) -> Result<Heartbeat, MessageError> {
    let transferee = match wire.transferee {
        0 => None,
        id => Some(node_id(id)?),
    };
    Ok(Heartbeat { commit: index(wire.commit, "commit")?, round: wire.round, transferee })
}

fn propose_reply_from_wire(wire: &v1::ProposeReply) -> Result<Body, MessageError> {
    Ok(Body::ProposeReply {
        epoch: wire.epoch,
        request: ForwardId::new(bounded(wire.request, "request")?),
        count: wire.count,
        result: match refusal(wire.refusal)? {
            None => Ok(position(wire.first, "first")?),
            Some(refusal) => Err(refusal),
        },
    })
}

fn append_from_wire(wire: v1::Append, term: Term) -> Result<Append, MessageError> {
    let prev = position(wire.prev, "prev")?;
    let mut batches = Batches::new();
    let (mut last, mut last_term) = (prev.index, prev.term);
    for batch in wire.batches {
        let batch_term = Term::new(bounded(batch.term, "batches.term")?);
        if batch_term < last_term || batch_term > term || batch_term == Term::ZERO {
            return Err(MessageError::EntryOrder);
        }
        let kind = entry_kind(batch.kind)?;
        let entries = Entries::parse(last.next(), batch_term, kind, batch.payloads)?;
        if kind == EntryKind::Membership {
            for entry in &entries {
                with_voters(Membership::decode(entry.payload)?)?;
            }
        }
        (last, last_term) = (entries.last(), batch_term);
        batches.push(entries);
    }
    Ok(Append { prev, commit: index(wire.commit, "commit")?, round: wire.round, batches })
}

fn batch_to_wire(entries: Entries) -> v1::EntryBatch {
    let kind = match entries.kind() {
        EntryKind::Command => v1::EntryKind::Command,
        EntryKind::Empty => v1::EntryKind::Empty,
        EntryKind::Membership => v1::EntryKind::Membership,
        EntryKind::Hollow => v1::EntryKind::Hollow,
    };
    v1::EntryBatch { term: entries.term().get(), kind: kind.into(), payloads: entries.into_payloads() }
}

fn conflict_from_wire(wire: v1::Conflict) -> Result<Conflict, MessageError> {
    Ok(Conflict {
        rejected: index(wire.rejected, "conflict.rejected")?,
        hint: position(wire.hint, "conflict.hint")?,
    })
}

fn install_to_wire(install: InstallSnapshot) -> v1::InstallSnapshot {
    v1::InstallSnapshot {
        meta: Some(v1::SnapshotMeta {
            last: Some(position_to_wire(install.meta.last)),
            membership: Some(membership_to_wire(&install.meta.membership)),
            size: install.meta.size,
            crc32c: install.meta.crc32c,
            hollow: install.meta.is_hollow,
        }),
        round: install.round,
        offset: install.offset,
        chunk: install.chunk,
        chunk_crc32c: install.chunk_crc32c,
    }
}

fn install_from_wire(wire: v1::InstallSnapshot) -> Result<InstallSnapshot, MessageError> {
    let meta = wire.meta.ok_or(MessageError::MissingField("meta"))?;
    let membership = meta.membership.ok_or(MessageError::MissingField("meta.membership"))?;
    Ok(InstallSnapshot {
        meta: SnapshotMeta {
            last: position(meta.last, "meta.last")?,
            membership: with_voters(membership_from_wire(membership)?)?,
            size: meta.size,
            crc32c: meta.crc32c,
            is_hollow: meta.hollow,
        },
        round: wire.round,
        offset: wire.offset,
        chunk: wire.chunk,
        chunk_crc32c: wire.chunk_crc32c,
    })
}

fn membership_to_wire(membership: &Membership) -> v1::Membership {
    let members = membership.members().iter().map(|member| {
        let role = match member.role {
            MemberRole::Learner => v1::MemberRole::Learner,
            MemberRole::Voter => v1::MemberRole::Voter,
            MemberRole::Witness => v1::MemberRole::Witness,
            MemberRole::Leaving => v1::MemberRole::Leaving,
            MemberRole::Joining => v1::MemberRole::Joining,
            MemberRole::LeavingWitness => v1::MemberRole::LeavingWitness,
            MemberRole::JoiningWitness => v1::MemberRole::JoiningWitness,
        };
        v1::Member {
            id: member.id.get(),
            role: role.into(),
            outgoing_voter: member.outgoing_voter,
            context: member.context.clone(),
            domain: member.domain,
        }
    });
    v1::Membership {
        members: members.collect(),
        joint: membership.is_joint(),
        auto_leave: membership.leaves_by_itself(),
    }
}

fn membership_from_wire(wire: v1::Membership) -> Result<Membership, MessageError> {
    let members = wire.members.into_iter().map(|member| {
        let role = match v1::MemberRole::try_from(member.role) {
            Ok(v1::MemberRole::Learner) => MemberRole::Learner,
            Ok(v1::MemberRole::Voter) => MemberRole::Voter,
            Ok(v1::MemberRole::Witness) => MemberRole::Witness,
            Ok(v1::MemberRole::Leaving) => MemberRole::Leaving,
            Ok(v1::MemberRole::Joining) => MemberRole::Joining,
            Ok(v1::MemberRole::LeavingWitness) => MemberRole::LeavingWitness,
            Ok(v1::MemberRole::JoiningWitness) => MemberRole::JoiningWitness,
            Err(_) => return Err(MessageError::UnknownEnum("members.role")),
        };
        Ok(Member {
            id: NodeId::new(member.id),
            role,
            outgoing_voter: member.outgoing_voter,
            context: member.context,
            domain: member.domain,
        })
    });
    let members = members.collect::<Result<Vec<_>, _>>()?;
    if members.is_empty() && !wire.joint {
        return Ok(Membership::default());
    }
    Ok(Membership::checked(members, wire.joint, wire.auto_leave)?)
}

/// A group has voters; only a node that belongs to no group yet knows of none (S100).
fn with_voters(membership: Membership) -> Result<Membership, MembershipError> {
    let has_voters = membership.voters().next().is_some();
    if has_voters { Ok(membership) } else { Err(MembershipError::NoVoters { outgoing: false }) }
}

fn entry_kind(wire: i32) -> Result<EntryKind, MessageError> {
    match v1::EntryKind::try_from(wire) {
        Ok(v1::EntryKind::Command) => Ok(EntryKind::Command),
        Ok(v1::EntryKind::Empty) => Ok(EntryKind::Empty),
        Ok(v1::EntryKind::Membership) => Ok(EntryKind::Membership),
        Ok(v1::EntryKind::Hollow) => Ok(EntryKind::Hollow),
        Err(_) => Err(MessageError::UnknownEnum("batches.kind")),
    }
}

fn refusal_to_wire(refusal: Option<Refusal>) -> i32 {
    let wire = match refusal {
        None => v1::Refusal::None,
        Some(Refusal::NotLeader) => v1::Refusal::NotLeader,
        Some(Refusal::Busy) => v1::Refusal::Busy,
        Some(Refusal::TooLarge) => v1::Refusal::TooLarge,
        Some(Refusal::Transferring) => v1::Refusal::Transferring,
        Some(Refusal::NotMember) => v1::Refusal::NotMember,
        Some(Refusal::Witness) => v1::Refusal::Witness,
    };
    wire.into()
}

fn refusal(wire: i32) -> Result<Option<Refusal>, MessageError> {
    Ok(match v1::Refusal::try_from(wire) {
        Ok(v1::Refusal::None) => None,
        Ok(v1::Refusal::NotLeader) => Some(Refusal::NotLeader),
        Ok(v1::Refusal::Busy) => Some(Refusal::Busy),
        Ok(v1::Refusal::TooLarge) => Some(Refusal::TooLarge),
        Ok(v1::Refusal::Transferring) => Some(Refusal::Transferring),
        Ok(v1::Refusal::NotMember) => Some(Refusal::NotMember),
        Ok(v1::Refusal::Witness) => Some(Refusal::Witness),
        Err(_) => return Err(MessageError::UnknownEnum("refusal")),
    })
}

fn position_to_wire(position: Position) -> v1::Position {
    v1::Position { term: position.term.get(), index: position.index.get() }
}

fn position(wire: Option<v1::Position>, name: &'static str) -> Result<Position, MessageError> {
    let wire = wire.ok_or(MessageError::MissingField(name))?;
    Ok(Position::new(Term::new(bounded(wire.term, name)?), index(wire.index, name)?))
}

fn node_id(wire: u64) -> Result<NodeId, MessageError> {
    match wire {
        0 | u64::MAX => Err(MessageError::InvalidId),
        id => Ok(NodeId::new(id)),
    }
}

fn index(wire: u64, name: &'static str) -> Result<LogIndex, MessageError> {
    bounded(wire, name).map(LogIndex::new)
}

/// Refuses the one number that arithmetic on counters could not follow.
fn bounded(wire: u64, name: &'static str) -> Result<u64, MessageError> {
    if wire == u64::MAX { Err(MessageError::OutOfRange(name)) } else { Ok(wire) }
}
