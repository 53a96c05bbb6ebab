//! The check at the door: sound messages survive the wire, each unsound one has its own error (N1).

use std::error::Error as _;

use proptest::prelude::*;
use raft_core::bytes::Bytes;
use raft_core::{
    Body, EntriesError, InstallSnapshot, InstallSnapshotReply, Member, MemberRole, Membership,
    MembershipError, Message, MessageError, Refusal, SnapshotMeta, VoteReply,
};
use raft_proto::prost::Message as _;
use raft_proto::v1::{self, message::Body as Wire};

use crate::support::{
    append, append_reply, at, heartbeat, heartbeat_reply, index, joint, message, node, refused, vote, voters,
    with_learner,
};
use crate::wire_values;

fn bodies() -> Vec<Body> {
    let mut vote_by_order = vote(2, at(3, 4));
    (vote_by_order.transfer, vote_by_order.priority) = (true, -5);
    let reply = VoteReply { campaign: 3, granted: true };
    let meta = SnapshotMeta {
        last: at(3, 9),
        membership: joint(&[1, 2], &[2, 3]),
        size: 7,
        crc32c: 8,
        is_hollow: false,
    };
    let chunk = Bytes::from_static(b"chunk");
    let mut bodies = vec![
        Body::PreVote(vote(1, at(3, 4))),
        Body::PreVoteReply(reply),
        Body::Vote(vote_by_order),
        Body::VoteReply(VoteReply { granted: false, ..reply }),
        append(at(0, 0), 7, &[]),
        append(at(2, 5), 7, &[2, 2, 3, 5]),
        append_reply(9, 4, 5),
        refused(9, 3, at(2, 2)),
        heartbeat(6, 2),
        heartbeat_reply(2, 3, 4),
        Body::InstallSnapshot(Box::new(InstallSnapshot {
            meta,
            round: 1,
            offset: 2,
            chunk,
            chunk_crc32c: 3,
        })),
        Body::InstallSnapshotReply(InstallSnapshotReply { round: 1, last: at(3, 9), received: 5 }),
        Body::SnapshotRequest { at_least: index(7) },
        Body::TimeoutNow,
        Body::Read { epoch: 1, request: 2.into() },
        Body::ReadReply { epoch: 1, request: 2.into(), result: Ok(index(5)) },
        Body::Propose { epoch: 1, request: 2.into(), payloads: Bytes::from_static(b"\x01x") },
        Body::ProposeReply { epoch: 1, request: 2.into(), count: 3, result: Ok(at(4, 5)) },
    ];
    for refusal in [Refusal::NotLeader, Refusal::Busy, Refusal::TooLarge, Refusal::Transferring] {
        bodies.push(Body::ReadReply { epoch: 1, request: 2.into(), result: Err(refusal) });
        bodies.push(Body::ProposeReply { epoch: 1, request: 2.into(), count: 3, result: Err(refusal) });
        assert!(!refusal.to_string().is_empty());
    }
    bodies
}

#[test]
fn every_body_survives_the_wire() {
    for body in bodies() {
        let message = message(1, 2, 5, body);
        let bytes = v1::Message::from(message.clone()).encode_to_vec();
        let wire = v1::Message::decode(&bytes[..]).expect("what was encoded can be decoded");
        assert_eq!(Message::try_from(wire), Ok(message));
    }
}

#[test]
fn memberships_survive_the_wire() {
    let with_context =
        Member { domain: 4, ..Member::witness(node(7)).with_context(Bytes::from_static(b"10.0.0.7:1")) };
    let joining = Member { role: MemberRole::Joining, ..Member::voter(node(8)) };
    let leaving_witness = v1::Membership {
        members: [(1, v1::MemberRole::Voter), (2, v1::MemberRole::LeavingWitness)]
            .map(|(id, role)| v1::Member {
                id,
                role: role.into(),
                outgoing_voter: true,
                ..v1::Member::default()
            })
            .to_vec(),
        joint: true,
        auto_leave: true,
    };
    let all = [
        voters(5),
        with_learner(2, 9),
        joint(&[1, 2, 3], &[3, 4]),
        Membership::new(vec![Member::voter(node(1)), with_context, joining]).expect("node 1 can lead"),
        Membership::decode(&leaving_witness.encode_to_vec()).expect("joint"),
    ];
    for membership in all {
        assert_eq!(Membership::decode(&membership.encode()), Ok(membership));
    }
}

fn sound(body: Wire) -> v1::Message {
    v1::Message { from: 1, to: 2, term: 5, body: Some(body) }
}

fn wire_append(prev: Option<v1::Position>, batches: Vec<v1::EntryBatch>) -> v1::Message {
    sound(Wire::Append(v1::Append { prev, commit: 0, round: 0, batches }))
}

fn wire_batch(term: u64, kind: i32, payloads: &'static [u8]) -> v1::EntryBatch {
    v1::EntryBatch { term, kind, payloads: Bytes::from_static(payloads) }
}

fn wire_position(term: u64, index: u64) -> Option<v1::Position> {
    Some(v1::Position { term, index })
}

fn wire_install(meta: Option<v1::SnapshotMeta>) -> v1::Message {
    let (chunk, round) = (Bytes::new(), 0);
    sound(Wire::InstallSnapshot(v1::InstallSnapshot { meta, round, offset: 0, chunk, chunk_crc32c: 0 }))
}

/// N1, N12, S19: each way of not being a message has its own error.
#[test]
fn every_unsound_message_has_its_error() {
    let beat = |commit| Wire::Heartbeat(v1::Heartbeat { commit, round: 0, transferee: 0 });
    let prev = wire_position(2, 4);
    let member = |role| v1::Member { id: 1, role, outgoing_voter: false, context: Bytes::new(), domain: 0 };
    let members = |members| Some(v1::Membership { members, joint: false, auto_leave: false });
    let meta = |membership| v1::SnapshotMeta { last: prev, membership, size: 0, crc32c: 0, hollow: false };
    let cases = [
        (v1::Message { from: 0, ..sound(beat(0)) }, MessageError::InvalidId),
        (v1::Message { to: u64::MAX, ..sound(beat(0)) }, MessageError::InvalidId),
        (v1::Message { body: None, ..sound(beat(0)) }, MessageError::UnknownBody),
        (v1::Message { term: u64::MAX, ..sound(beat(0)) }, MessageError::OutOfRange("term")),
        (sound(beat(u64::MAX)), MessageError::OutOfRange("commit")),
        (wire_append(None, vec![]), MessageError::MissingField("prev")),
        (wire_append(wire_position(1, u64::MAX), vec![]), MessageError::OutOfRange("prev")),
        (wire_append(prev, vec![wire_batch(2, 9, b"\x00")]), MessageError::UnknownEnum("batches.kind")),
        (wire_append(prev, vec![wire_batch(2, 0, b"")]), MessageError::Entries(EntriesError::Empty)),
        (wire_append(prev, vec![wire_batch(2, 0, b"\x05")]), MessageError::Entries(EntriesError::Length)),
        (
            wire_append(wire_position(2, u64::MAX - 2), vec![wire_batch(2, 0, b"\x00\x00")]),
            MessageError::Entries(EntriesError::Range),
        ),
        (wire_append(prev, vec![wire_batch(2, 3, b"\x01x")]), MessageError::Entries(EntriesError::NotHollow)),
        (wire_append(prev, vec![wire_batch(1, 0, b"\x00")]), MessageError::EntryOrder),
        (wire_append(prev, vec![wire_batch(6, 0, b"\x00")]), MessageError::EntryOrder),
        (wire_append(wire_position(0, 0), vec![wire_batch(0, 0, b"\x00")]), MessageError::EntryOrder),
        (
            wire_append(prev, vec![wire_batch(3, 0, b"\x00"), wire_batch(2, 0, b"\x00")]),
            MessageError::EntryOrder,
        ),
        (
            wire_append(prev, vec![wire_batch(2, 2, b"\x01\xff")]),
            MessageError::Membership(MembershipError::Malformed),
        ),
        (
            wire_append(prev, vec![wire_batch(2, 2, b"\x00")]),
            MessageError::Membership(MembershipError::NoVoters { outgoing: false }),
        ),
        (wire_install(None), MessageError::MissingField("meta")),
        (wire_install(Some(meta(None))), MessageError::MissingField("meta.membership")),
        (wire_install(Some(meta(members(vec![member(77)])))), MessageError::UnknownEnum("members.role")),
        (
            wire_install(Some(meta(members(vec![])))),
            // S100: a snapshot with an empty configuration.
            MessageError::Membership(MembershipError::NoVoters { outgoing: false }),
        ),
        (
            sound(Wire::ReadReply(v1::ReadReply { request: 1, index: 1, refusal: 9, epoch: 0 })),
            MessageError::UnknownEnum("refusal"),
        ),
    ];
    for (wire, error) in cases {
        assert_eq!(Message::try_from(wire.clone()), Err(error), "{wire:?}");
        assert!(!error.to_string().is_empty());
        let has_source = matches!(error, MessageError::Entries(_) | MessageError::Membership(_));
        assert_eq!(error.source().is_some(), has_source);
    }
}

/// N1: what is asked and answered about snapshots names positions that can be.
#[test]
fn unsound_talk_of_snapshots_has_its_errors() {
    let reply = v1::InstallSnapshotReply { round: 1, last: wire_position(2, 4), received: 5 };
    let cases = [
        (
            sound(Wire::InstallSnapshotReply(v1::InstallSnapshotReply { last: None, ..reply })),
            MessageError::MissingField("last"),
        ),
        (
            sound(Wire::InstallSnapshotReply(v1::InstallSnapshotReply {
                last: wire_position(1, u64::MAX),
                ..reply
            })),
            MessageError::OutOfRange("last"),
        ),
        (
            sound(Wire::SnapshotRequest(v1::SnapshotRequest { at_least: u64::MAX })),
            MessageError::OutOfRange("at_least"),
        ),
    ];
    for (wire, error) in cases {
        assert_eq!(Message::try_from(wire.clone()), Err(error), "{wire:?}");
    }
}

/// S99, S100: what is no membership, and why.
#[test]
fn every_unsound_membership_has_its_error() {
    let voter = |id| Member::voter(node(id));
    let learner = Member { role: MemberRole::Learner, ..voter(1) };
    let leaving = Member { role: MemberRole::Leaving, ..voter(2) };
    let outgoing = Member { outgoing_voter: true, ..voter(2) };
    let cases = [
        (vec![], MembershipError::NoVoters { outgoing: false }),
        (vec![learner], MembershipError::NoVoters { outgoing: false }),
        (vec![Member::witness(node(1))], MembershipError::OnlyWitnesses { outgoing: false }),
        (vec![voter(1), voter(1)], MembershipError::Duplicate(node(1))),
        (vec![voter(0)], MembershipError::InvalidId(node(0))),
        (vec![voter(u64::MAX)], MembershipError::InvalidId(node(u64::MAX))),
        (vec![voter(1), leaving], MembershipError::NotJoint(node(2))),
        (vec![voter(1), outgoing], MembershipError::NotJoint(node(2))),
    ];
    for (members, error) in cases {
        assert_eq!(Membership::new(members), Err(error));
        assert!(!error.to_string().is_empty());
    }
    let wire = v1::Membership {
        members: vec![v1::Member {
            id: 1,
            role: v1::MemberRole::Voter.into(),
            outgoing_voter: false,
            context: Bytes::new(),
            domain: 0,
        }],
        joint: true,
        auto_leave: false,
    };
    let no_outgoing = MembershipError::NoVoters { outgoing: true };
    assert_eq!(Membership::decode(&wire.encode_to_vec()), Err(no_outgoing));
    assert!(!no_outgoing.to_string().is_empty());
    let outgoing = [(1, v1::MemberRole::Voter, false), (2, v1::MemberRole::LeavingWitness, true)];
    let members = outgoing.map(|(id, role, outgoing_voter)| v1::Member {
        id,
        role: role.into(),
        outgoing_voter,
        ..v1::Member::default()
    });
    let wire = v1::Membership { members: members.to_vec(), joint: true, auto_leave: false };
    let only_witnesses = MembershipError::OnlyWitnesses { outgoing: true };
    assert_eq!(Membership::decode(&wire.encode_to_vec()), Err(only_witnesses));
    assert!(!only_witnesses.to_string().is_empty());
    assert_eq!(Membership::decode(b"\xff"), Err(MembershipError::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// N1, N12: any decoded message is refused, or sound and the same after another trip.
    #[test]
    fn any_message_is_refused_or_survives_the_wire(wire in wire_values::message()) {
        if let Ok(message) = Message::try_from(wire) {
            let again = Message::try_from(v1::Message::from(message.clone()));
            prop_assert_eq!(again, Ok(message));
        }
    }
}
