//! Random messages as they may come over the wire, sound and unsound.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use raft_core::bytes::Bytes;
use raft_proto::v1::message::Body;
use raft_proto::v1::*;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..10u64,
        1 => Just(u64::MAX),
        1 => Just(u64::MAX - 1),
        1 => any::<u64>(),
    ]
}

fn code(known: i32) -> impl Strategy<Value = i32> {
    prop_oneof![12 => 0..known, 1 => any::<i32>()]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        (1..5usize).prop_map(|count| Bytes::from([1, b'x'].repeat(count))),
        vec(any::<u8>(), 0..20).prop_map(Bytes::from),
    ]
}

fn position() -> impl Strategy<Value = Option<Position>> {
    option::weighted(0.95, (number(), number()).prop_map(|(term, index)| Position { term, index }))
}

fn membership() -> impl Strategy<Value = Membership> {
    let member = (1..6u64, code(6), any::<bool>()).prop_map(|(id, role, outgoing_voter)| Member {
        id,
        role,
        outgoing_voter,
        context: Bytes::new(),
        domain: 0,
    });
    (vec(member, 0..4), any::<bool>(), any::<bool>()).prop_map(|(members, joint, auto_leave)| Membership {
        members,
        joint,
        auto_leave,
    })
}

fn entries() -> impl Strategy<Value = EntryBatch> {
    let membership = membership().prop_map(|membership| {
        let encoded = raft_proto::prost::Message::encode_to_vec(&membership);
        let mut payloads = vec![u8::try_from(encoded.len()).expect("short")];
        payloads.extend(encoded);
        EntryBatch { term: 3, kind: 2, payloads: payloads.into() }
    });
    let any =
        (number(), code(4), bytes()).prop_map(|(term, kind, payloads)| EntryBatch { term, kind, payloads });
    prop_oneof![membership, any]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (number(), position(), any::<i64>()).prop_map(|(campaign, last, priority)| Body::PreVote(PreVote {
            campaign,
            last,
            priority,
        })),
        (number(), position(), any::<i64>(), any::<bool>()).prop_map(
            |(campaign, last, priority, transfer)| Body::Vote(Vote { campaign, last, priority, transfer })
        ),
        (number(), any::<bool>())
            .prop_map(|(campaign, granted)| Body::PreVoteReply(PreVoteReply { campaign, granted })),
        (number(), any::<bool>())
            .prop_map(|(campaign, granted)| Body::VoteReply(VoteReply { campaign, granted })),
        (position(), number(), number(), vec(entries(), 0..4)).prop_map(|(prev, commit, round, batches)| {
            Body::Append(Append { prev, commit, round, batches })
        }),
        (number(), number(), number(), option::of((number(), position()))).prop_map(
            |(round, durable, received, conflict)| {
                let conflict = conflict.map(|(rejected, hint)| Conflict { rejected, hint });
                Body::AppendReply(AppendReply { round, durable, received, conflict })
            }
        ),
        (number(), number(), number()).prop_map(|(commit, round, transferee)| Body::Heartbeat(Heartbeat {
            commit,
            round,
            transferee
        })),
        (number(), number(), number()).prop_map(|(round, durable, received)| {
            Body::HeartbeatReply(HeartbeatReply { round, durable, received })
        }),
        other_body(),
    ]
}

fn other_body() -> impl Strategy<Value = Body> {
    let meta =
        (position(), option::weighted(0.9, membership()), number()).prop_map(|(last, membership, size)| {
            SnapshotMeta { last, membership, size, crc32c: 1, hollow: false }
        });
    prop_oneof![
        (option::weighted(0.9, meta), number(), number(), bytes()).prop_map(
            |(meta, round, offset, chunk)| {
                Body::InstallSnapshot(InstallSnapshot { meta, round, offset, chunk, chunk_crc32c: 2 })
            }
        ),
        (number(), position(), number()).prop_map(|(round, last, received)| {
            Body::InstallSnapshotReply(InstallSnapshotReply { round, last, received })
        }),
        number().prop_map(|at_least| Body::SnapshotRequest(SnapshotRequest { at_least })),
        Just(Body::TimeoutNow(TimeoutNow {})),
        (number(), number()).prop_map(|(request, epoch)| Body::Read(Read { request, epoch })),
        (number(), number(), code(7), number()).prop_map(|(request, index, refusal, epoch)| {
            Body::ReadReply(ReadReply { request, index, refusal, epoch })
        }),
        (number(), bytes(), number()).prop_map(|(request, payloads, epoch)| Body::Propose(Propose {
            request,
            payloads,
            epoch
        })),
        (number(), any::<u32>(), position(), code(7), number()).prop_map(
            |(request, count, first, refusal, epoch)| {
                Body::ProposeReply(ProposeReply { request, count, first, refusal, epoch })
            }
        ),
    ]
}

/// Any message, most of them close to sound.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    (number(), number(), number(), option::weighted(0.97, body()))
        .prop_map(|(from, to, term, body)| Message { from, to, term, body })
}
