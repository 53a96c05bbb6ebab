//! One fixed value of each message type, every field set, so that no field number can move unseen.

use raft_proto::bytes::Bytes;
use raft_proto::v1::message::Body;
use raft_proto::v1::*;

const LAST: Option<Position> = Some(Position { term: 5, index: 300 });

pub(crate) fn entry_batch() -> EntryBatch {
    // Two payloads, "ab" and "", each behind its length.
    EntryBatch { term: 5, kind: EntryKind::Membership.into(), payloads: Bytes::from_static(b"\x02ab\x00") }
}

pub(crate) fn membership() -> Membership {
    let member = |id, role: MemberRole, outgoing_voter| Member {
        id,
        role: role.into(),
        outgoing_voter,
        context: Bytes::from_static(b"10.0.0.1:7000"),
        domain: 200,
    };
    Membership {
        members: vec![
            member(1, MemberRole::Voter, false),
            member(2, MemberRole::Witness, true),
            member(3, MemberRole::Leaving, true),
        ],
        joint: true,
        auto_leave: true,
    }
}

pub(crate) fn hard_state() -> HardState {
    HardState { term: 5, vote: 2, commit: 299 }
}

pub(crate) fn snapshot_meta() -> SnapshotMeta {
    SnapshotMeta {
        last: LAST,
        membership: Some(membership()),
        size: 70_000,
        crc32c: 0x0123_4567,
        hollow: true,
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        version_min: 1,
        version_max: 2,
        cluster: 77,
        from: 1,
        to: 2,
        incarnation: 88,
        refusal: HelloRefusal::Sender.into(),
    }
}

pub(crate) fn message(body: Body) -> Message {
    Message { from: 1, to: 2, term: 5, body: Some(body) }
}

/// Each body with a name for it.
pub(crate) fn bodies() -> Vec<(&'static str, Body)> {
    let append = Append { prev: LAST, commit: 299, round: 4, batches: vec![entry_batch()] };
    let conflict = Some(Conflict { rejected: 301, hint: LAST });
    let chunk = Bytes::from_static(b"state");
    let refusal = Refusal::Transferring.into();
    vec![
        ("pre_vote", Body::PreVote(PreVote { campaign: 9, last: LAST, priority: -1 })),
        ("pre_vote_reply", Body::PreVoteReply(PreVoteReply { campaign: 9, granted: true })),
        ("vote", Body::Vote(Vote { campaign: 9, last: LAST, priority: 3, transfer: true })),
        ("vote_reply", Body::VoteReply(VoteReply { campaign: 9, granted: true })),
        ("append", Body::Append(append)),
        ("append_reply", Body::AppendReply(AppendReply { round: 4, durable: 300, received: 301, conflict })),
        ("heartbeat", Body::Heartbeat(Heartbeat { commit: 299, round: 4, transferee: 2 })),
        ("heartbeat_reply", Body::HeartbeatReply(HeartbeatReply { round: 4, durable: 300, received: 301 })),
        (
            "install_snapshot",
            Body::InstallSnapshot(InstallSnapshot {
                meta: Some(snapshot_meta()),
                round: 4,
                offset: 65_536,
                chunk,
                chunk_crc32c: 0x89ab_cdef,
            }),
        ),
        (
            "install_snapshot_reply",
            Body::InstallSnapshotReply(InstallSnapshotReply { round: 4, last: LAST, received: 65_541 }),
        ),
        ("snapshot_request", Body::SnapshotRequest(SnapshotRequest { at_least: 300 })),
        ("timeout_now", Body::TimeoutNow(TimeoutNow {})),
        ("read", Body::Read(Read { request: 6, epoch: 9 })),
        ("read_reply", Body::ReadReply(ReadReply { request: 6, index: 300, refusal, epoch: 9 })),
        ("propose", Body::Propose(Propose { request: 6, payloads: Bytes::from_static(b"\x02ab"), epoch: 9 })),
        (
            "propose_reply",
            Body::ProposeReply(ProposeReply { request: 6, count: 1, first: LAST, refusal, epoch: 9 }),
        ),
    ]
}
