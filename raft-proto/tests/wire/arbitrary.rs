//! Random values of every message type.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use raft_proto::bytes::Bytes;
use raft_proto::v1::message::Body;
use raft_proto::v1::*;

/// Numbers where encodings change length or overflow, and any others.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(127),
        Just(128),
        Just(u64::from(u32::MAX)),
        Just(u64::MAX),
        any::<u64>()
    ]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

/// Known values of an enum with `known` values, and unknown ones, which proto3 keeps.
fn code(known: i32) -> impl Strategy<Value = i32> {
    prop_oneof![8 => 0..known, 1 => Just(-1), 1 => any::<i32>()]
}

fn position() -> impl Strategy<Value = Option<Position>> {
    option::of((number(), number()).prop_map(|(term, index)| Position { term, index }))
}

pub(crate) fn entry_batch() -> impl Strategy<Value = EntryBatch> {
    (number(), code(4), bytes()).prop_map(|(term, kind, payloads)| EntryBatch { term, kind, payloads })
}

fn member() -> impl Strategy<Value = Member> {
    (number(), code(6), any::<bool>(), bytes(), number()).prop_map(
        |(id, role, outgoing_voter, context, domain)| Member { id, role, outgoing_voter, context, domain },
    )
}

pub(crate) fn membership() -> impl Strategy<Value = Membership> {
    (vec(member(), 0..6), any::<bool>(), any::<bool>()).prop_map(|(members, joint, auto_leave)| Membership {
        members,
        joint,
        auto_leave,
    })
}

pub(crate) fn hard_state() -> impl Strategy<Value = HardState> {
    (number(), number(), number()).prop_map(|(term, vote, commit)| HardState { term, vote, commit })
}

pub(crate) fn snapshot_meta() -> impl Strategy<Value = SnapshotMeta> {
    (position(), option::of(membership()), number(), any::<u32>()).prop_map(
        |(last, membership, size, crc32c)| SnapshotMeta { last, membership, size, crc32c, hollow: false },
    )
}

pub(crate) fn hello() -> impl Strategy<Value = Hello> {
    (any::<u32>(), any::<u32>(), number(), number(), number(), number(), code(6)).prop_map(
        |(version_min, version_max, cluster, from, to, incarnation, refusal)| Hello {
            version_min,
            version_max,
            cluster,
            from,
            to,
            incarnation,
            refusal,
        },
    )
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    let body =
        option::weighted(0.95, prop_oneof![election_body(), log_body(), snapshot_body(), client_body()]);
    (number(), number(), number(), body).prop_map(|(from, to, term, body)| Message { from, to, term, body })
}

// Boxed, because proptest keeps a value of each alternative on the stack.
fn election_body() -> BoxedStrategy<Body> {
    prop_oneof![
        (number(), position(), any::<i64>()).prop_map(|(campaign, last, priority)| Body::PreVote(PreVote {
            campaign,
            last,
            priority
        })),
        (number(), any::<bool>())
            .prop_map(|(campaign, granted)| Body::PreVoteReply(PreVoteReply { campaign, granted })),
        (number(), position(), any::<i64>(), any::<bool>()).prop_map(
            |(campaign, last, priority, transfer)| Body::Vote(Vote { campaign, last, priority, transfer })
        ),
        (number(), any::<bool>())
            .prop_map(|(campaign, granted)| Body::VoteReply(VoteReply { campaign, granted })),
        Just(Body::TimeoutNow(TimeoutNow {})),
    ]
    .boxed()
}

fn log_body() -> BoxedStrategy<Body> {
    let conflict =
        option::of((number(), position()).prop_map(|(rejected, hint)| Conflict { rejected, hint }));
    prop_oneof![
        (position(), number(), number(), vec(entry_batch(), 0..5))
            .prop_map(|(prev, commit, round, batches)| Body::Append(Append { prev, commit, round, batches })),
        (number(), number(), number(), conflict).prop_map(|(round, durable, received, conflict)| {
            Body::AppendReply(AppendReply { round, durable, received, conflict })
        }),
        (number(), number(), number()).prop_map(|(commit, round, transferee)| Body::Heartbeat(Heartbeat {
            commit,
            round,
            transferee
        })),
        (number(), number(), number()).prop_map(|(round, durable, received)| Body::HeartbeatReply(
            HeartbeatReply { round, durable, received }
        )),
    ]
    .boxed()
}

fn snapshot_body() -> BoxedStrategy<Body> {
    prop_oneof![
        (option::of(snapshot_meta()), number(), number(), bytes(), any::<u32>()).prop_map(
            |(meta, round, offset, chunk, chunk_crc32c)| Body::InstallSnapshot(InstallSnapshot {
                meta,
                round,
                offset,
                chunk,
                chunk_crc32c
            })
        ),
        (number(), position(), number()).prop_map(|(round, last, received)| {
            Body::InstallSnapshotReply(InstallSnapshotReply { round, last, received })
        }),
    ]
    .boxed()
}

fn client_body() -> BoxedStrategy<Body> {
    prop_oneof![
        number().prop_map(|at_least| Body::SnapshotRequest(SnapshotRequest { at_least })),
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
    .boxed()
}
