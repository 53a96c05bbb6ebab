//! Rewrites prost values field by field as values of the other implementation, so that comparing
//! does not rest on either one's encoding.

use protobuf::{EnumOrUnknown, MessageField};
use raft_proto::prost;
use raft_proto::v1;
use raft_proto::v1::message::Body;

use crate::twin_types as twin;

/// A prost type that has a counterpart.
pub(crate) trait Twin: prost::Message + Default + PartialEq + std::fmt::Debug {
    /// The counterpart.
    type Other: protobuf::Message + std::fmt::Debug;

    /// The same value as the counterpart holds it.
    fn twin(&self) -> Self::Other;
}

fn field<T: Twin>(value: Option<&T>) -> MessageField<T::Other> {
    value.map(Twin::twin).into()
}

fn code<E: protobuf::Enum>(value: i32) -> EnumOrUnknown<E> {
    EnumOrUnknown::from_i32(value)
}

fn all<T: Twin>(values: &[T]) -> Vec<T::Other> {
    values.iter().map(Twin::twin).collect()
}

impl Twin for v1::Position {
    type Other = twin::Position;

    fn twin(&self) -> Self::Other {
        twin::Position { term: self.term, index: self.index, ..Default::default() }
    }
}

impl Twin for v1::EntryBatch {
    type Other = twin::EntryBatch;

    fn twin(&self) -> Self::Other {
        twin::EntryBatch {
            term: self.term,
            kind: code(self.kind),
            payloads: self.payloads.to_vec(),
            ..Default::default()
        }
    }
}

impl Twin for v1::Member {
    type Other = twin::Member;

    fn twin(&self) -> Self::Other {
        twin::Member {
            id: self.id,
            role: code(self.role),
            outgoing_voter: self.outgoing_voter,
            context: self.context.to_vec(),
            domain: self.domain,
            ..Default::default()
        }
    }
}

impl Twin for v1::Membership {
    type Other = twin::Membership;

    fn twin(&self) -> Self::Other {
        twin::Membership {
            members: all(&self.members),
            joint: self.joint,
            auto_leave: self.auto_leave,
            ..Default::default()
        }
    }
}

impl Twin for v1::HardState {
    type Other = twin::HardState;

    fn twin(&self) -> Self::Other {
        twin::HardState { term: self.term, vote: self.vote, commit: self.commit, ..Default::default() }
    }
}

impl Twin for v1::SnapshotMeta {
    type Other = twin::SnapshotMeta;

    fn twin(&self) -> Self::Other {
        twin::SnapshotMeta {
            hollow: self.hollow,
            last: field(self.last.as_ref()),
            membership: field(self.membership.as_ref()),
            size: self.size,
            crc32c: self.crc32c,
            ..Default::default()
        }
    }
}

impl Twin for v1::PreVote {
    type Other = twin::PreVote;

    fn twin(&self) -> Self::Other {
        twin::PreVote {
            campaign: self.campaign,
            last: field(self.last.as_ref()),
            priority: self.priority,
            ..Default::default()
        }
    }
}

impl Twin for v1::PreVoteReply {
    type Other = twin::PreVoteReply;

    fn twin(&self) -> Self::Other {
        twin::PreVoteReply { campaign: self.campaign, granted: self.granted, ..Default::default() }
    }
}

impl Twin for v1::Vote {
    type Other = twin::Vote;

    fn twin(&self) -> Self::Other {
        twin::Vote {
            campaign: self.campaign,
            last: field(self.last.as_ref()),
            priority: self.priority,
            transfer: self.transfer,
            ..Default::default()
        }
    }
}

impl Twin for v1::VoteReply {
    type Other = twin::VoteReply;

    fn twin(&self) -> Self::Other {
        twin::VoteReply { campaign: self.campaign, granted: self.granted, ..Default::default() }
    }
}

impl Twin for v1::Append {
    type Other = twin::Append;

    fn twin(&self) -> Self::Other {
        twin::Append {
            prev: field(self.prev.as_ref()),
            commit: self.commit,
            round: self.round,
            batches: all(&self.batches),
            ..Default::default()
        }
    }
}

impl Twin for v1::Conflict {
    type Other = twin::Conflict;

    fn twin(&self) -> Self::Other {
        twin::Conflict { rejected: self.rejected, hint: field(self.hint.as_ref()), ..Default::default() }
    }
}

impl Twin for v1::AppendReply {
    type Other = twin::AppendReply;

    fn twin(&self) -> Self::Other {
        twin::AppendReply {
            round: self.round,
            durable: self.durable,
            received: self.received,
            conflict: field(self.conflict.as_ref()),
            ..Default::default()
        }
    }
}

impl Twin for v1::Heartbeat {
    type Other = twin::Heartbeat;

    fn twin(&self) -> Self::Other {
        twin::Heartbeat {
            commit: self.commit,
            round: self.round,
            transferee: self.transferee,
            ..Default::default()
        }
    }
}

impl Twin for v1::HeartbeatReply {
    type Other = twin::HeartbeatReply;

    fn twin(&self) -> Self::Other {
        twin::HeartbeatReply {
            round: self.round,
            durable: self.durable,
            received: self.received,
            ..Default::default()
        }
    }
}

impl Twin for v1::InstallSnapshot {
    type Other = twin::InstallSnapshot;

    fn twin(&self) -> Self::Other {
        twin::InstallSnapshot {
            meta: field(self.meta.as_ref()),
            round: self.round,
            offset: self.offset,
            chunk: self.chunk.to_vec(),
            chunk_crc32c: self.chunk_crc32c,
            ..Default::default()
        }
    }
}

impl Twin for v1::InstallSnapshotReply {
    type Other = twin::InstallSnapshotReply;

    fn twin(&self) -> Self::Other {
        twin::InstallSnapshotReply {
            round: self.round,
            last: field(self.last.as_ref()),
            received: self.received,
            ..Default::default()
        }
    }
}

impl Twin for v1::SnapshotRequest {
    type Other = twin::SnapshotRequest;

    fn twin(&self) -> Self::Other {
        twin::SnapshotRequest { at_least: self.at_least, ..Default::default() }
    }
}

impl Twin for v1::TimeoutNow {
    type Other = twin::TimeoutNow;

    fn twin(&self) -> Self::Other {
        twin::TimeoutNow::default()
    }
}

impl Twin for v1::Read {
    type Other = twin::Read;

    fn twin(&self) -> Self::Other {
        twin::Read { request: self.request, epoch: self.epoch, ..Default::default() }
    }
}

impl Twin for v1::ReadReply {
    type Other = twin::ReadReply;

    fn twin(&self) -> Self::Other {
        twin::ReadReply {
            epoch: self.epoch,
            request: self.request,
            index: self.index,
            refusal: code(self.refusal),
            ..Default::default()
        }
    }
}

impl Twin for v1::Propose {
    type Other = twin::Propose;

    fn twin(&self) -> Self::Other {
        twin::Propose {
            request: self.request,
            epoch: self.epoch,
            payloads: self.payloads.to_vec(),
            ..Default::default()
        }
    }
}

impl Twin for v1::ProposeReply {
    type Other = twin::ProposeReply;

    fn twin(&self) -> Self::Other {
        twin::ProposeReply {
            epoch: self.epoch,
            request: self.request,
            count: self.count,
            first: field(self.first.as_ref()),
            refusal: code(self.refusal),
            ..Default::default()
        }
    }
}

impl Twin for v1::Message {
    type Other = twin::Message;

    fn twin(&self) -> Self::Other {
        twin::Message {
            from: self.from,
            to: self.to,
            term: self.term,
            body: self.body.as_ref().map(body),
            ..Default::default()
        }
    }
}

fn body(body: &Body) -> twin::message::Body {
    use twin::message::Body as Other;
    match body {
        Body::PreVote(body) => Other::PreVote(body.twin()),
        Body::PreVoteReply(body) => Other::PreVoteReply(body.twin()),
        Body::Vote(body) => Other::Vote(body.twin()),
        Body::VoteReply(body) => Other::VoteReply(body.twin()),
        Body::Append(body) => Other::Append(body.twin()),
        Body::AppendReply(body) => Other::AppendReply(body.twin()),
        Body::Heartbeat(body) => Other::Heartbeat(body.twin()),
        Body::HeartbeatReply(body) => Other::HeartbeatReply(body.twin()),
        Body::InstallSnapshot(body) => Other::InstallSnapshot(body.twin()),
        Body::InstallSnapshotReply(body) => Other::InstallSnapshotReply(body.twin()),
        Body::SnapshotRequest(body) => Other::SnapshotRequest(body.twin()),
        Body::TimeoutNow(body) => Other::TimeoutNow(body.twin()),
        Body::Read(body) => Other::Read(body.twin()),
        Body::ReadReply(body) => Other::ReadReply(body.twin()),
        Body::Propose(body) => Other::Propose(body.twin()),
        Body::ProposeReply(body) => Other::ProposeReply(body.twin()),
    }
}

impl Twin for v1::Hello {
    type Other = twin::Hello;

    fn twin(&self) -> Self::Other {
        twin::Hello {
            version_min: self.version_min,
            version_max: self.version_max,
            cluster: self.cluster,
            from: self.from,
            to: self.to,
            incarnation: self.incarnation,
            refusal: code(self.refusal),
            ..Default::default()
        }
    }
}
