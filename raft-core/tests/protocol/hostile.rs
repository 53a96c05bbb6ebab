//! Whatever a message says: no panic, nothing goes back, memory stays bounded (N9, N10, N12, S71).

use proptest::prelude::*;
use raft_core::bytes::Bytes;
use raft_core::{
    Append, Batches, Body, Entries, EntryKind, LogIndex, Member, Membership, Message, Offence, Position,
};
use raft_proto::v1;

use crate::support::{
    Cluster, Peer, append, append_reply, at, batch, config, heartbeat, index, message, node, refused,
    store_behind, term, vote, voters,
};
use crate::wire_values;

/// N10, S71: a term that no honest node can have reached is refused, from a member and from anybody
/// else; every other term is only a number.
#[test]
fn terms_that_jump_are_refused() {
    for from in [2, 9] {
        let mut peer = Peer::voter(1, 3);
        for huge in [u64::MAX, u64::MAX - 1, (1 << 32) + 1] {
            peer.hear(from, huge, heartbeat(0, 1));
            peer.hear(from, huge, Body::Vote(vote(1, at(1, 1))));
            peer.hear(from, huge, append_reply(0, 0, 0));
        }
        assert_eq!((peer.raft.term(), peer.raft.offence_count(Offence::TermJump)), (term(0), 9));
        peer.hear(from, 1 << 32, heartbeat(0, 1));
        assert_eq!(peer.raft.term(), term(1 << 32));
    }
}

/// S71: a cluster that was told of an absurd term goes on electing.
#[test]
fn a_cluster_survives_absurd_terms() {
    let mut cluster = Cluster::led(3);
    for id in cluster.ids() {
        for from in [1, 2, 3, 9].into_iter().filter(|from| *from != id) {
            for huge in [u64::MAX, 1 << 33] {
                cluster.with(id, |peer| peer.hear(from, huge, Body::Vote(vote(1, at(huge - 1, 1)))));
            }
        }
    }
    cluster.tick(30);
    assert!(cluster.all_follow(1));
    cluster.partition(&[1]);
    cluster.tick(100);
    assert!(cluster.leader().is_some_and(|leader| leader != 1));
}

/// A pre-vote is about a term that nobody has entered: its own term is as good as any.
#[test]
fn a_pre_vote_with_a_higher_term_changes_no_term() {
    let mut peer = Peer::voter(1, 3);
    peer.hear(2, 50, Body::PreVote(vote(1, at(50, 50))));
    assert_eq!(peer.raft.term(), term(0));
}

/// N12: a leader that contradicts what it sent before, in its own term, is not followed there. Once
/// it made a node panic: it cut off what was known to be equal, and then committed behind the end.
#[test]
fn a_leader_cannot_take_back_what_it_sent() {
    let mut follower = Peer::voter(1, 3);
    follower.hear(2, 3, append(at(0, 0), 0, &[2, 2, 2]));
    follower.hear(2, 3, append(at(0, 0), 3, &[1]));
    assert_eq!((follower.raft.last(), follower.raft.commit()), (at(2, 3), index(0)));
    assert_eq!(follower.raft.offence_count(Offence::LeaderConflict), 1);
    follower.hear(2, 3, heartbeat(3, 1));
    assert_eq!(follower.raft.commit(), index(3));
}

/// S20, N12: entries that a snapshot replaced must have led to it. Once a log that ran into the mark
/// with another term made a node panic.
#[test]
fn entries_before_the_mark_must_lead_to_it() {
    let store = store_behind(at(2, 5), voters(3));
    let mut follower = Peer::reopen(config(1), store);
    follower.hear(2, 3, append(at(1, 3), 5, &[1, 1, 1]));
    assert_eq!(follower.raft.last(), at(2, 5));
    assert_eq!(follower.raft.offence_count(Offence::CommittedConflict), 1);
}

/// S19, N12: appends that no wire form can have are refused as well, for not every message comes
/// over this crate's own wire.
#[test]
fn appends_that_do_not_hold_together_are_refused() {
    let append = |prev, batches: &[Entries]| {
        let mut joined = Batches::new();
        batches.iter().for_each(|batch| joined.push(batch.clone()));
        Body::Append(Append { prev, commit: index(0), round: 0, batches: joined })
    };
    let bad_membership = Entries::single(at(3, 1), EntryKind::Membership, b"\xff").expect("an entry");
    let cases = [
        append(at(0, 0), &[batch(3, 2, 1)]),
        append(at(2, 1), &[batch(3, 1, 3)]),
        append(at(0, 0), &[batch(4, 1, 1)]),
        append(at(0, 0), &[batch(0, 1, 1)]),
        append(at(2, 2), &[batch(1, 3, 1)]),
        append(at(0, 0), &[bad_membership]),
        append(at(1, u64::MAX), &[]),
    ];
    for body in cases {
        let mut follower = Peer::with_log(config(1), voters(3), (2, 0, 0), &[1, 2]);
        follower.hear(2, 3, body.clone());
        assert_eq!(follower.raft.last(), at(2, 2), "{body:?}");
        assert_eq!(follower.raft.offence_count(Offence::MalformedAppend), 1, "{body:?}");
    }
}

/// N12: a membership that arrives as an entry is in force, or gone, with its entry, whatever it is.
#[test]
fn memberships_come_and_go_with_their_entries() {
    let alone = Membership::new(vec![Member::voter(node(9))]).expect("valid");
    let mut follower = Peer::voter(1, 3);
    let entry = Entries::single(at(1, 1), EntryKind::Membership, &alone.encode()).expect("an entry");
    let body = Append { prev: at(0, 0), commit: index(0), round: 0, batches: entry.into() };
    follower.hear(2, 1, Body::Append(body));
    assert_eq!(follower.raft.membership(), &alone);
    follower.hear(3, 2, append(at(0, 0), 0, &[2]));
    assert_eq!(follower.raft.membership(), &voters(3));
}

/// An extreme number, or one that a small cluster really uses.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        10 => 0..8u64,
        1 => Just(u64::MAX),
        1 => Just(u64::MAX - 1),
        1 => Just(u64::from(u32::MAX)),
        1 => any::<u64>(),
    ]
}

fn position() -> impl Strategy<Value = Position> {
    (0..6u64, 0..8u64).prop_map(|(term, index)| at(term, index))
}

fn payloads() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        3 => (1..5usize).prop_map(|count| Bytes::from([1, b'x'].repeat(count))),
        1 => proptest::collection::vec(any::<u8>(), 0..6).prop_map(Bytes::from),
    ]
}

/// Bodies as a broken or hostile member may build them, without the check at the wire.
fn body() -> impl Strategy<Value = Body> {
    let ballot =
        || {
            (0..6u64, position(), any::<i64>()).prop_map(|(campaign, last, priority)| {
                raft_core::VoteRequest { campaign, last, priority, transfer: false }
            })
        };
    let answer = || {
        (0..6u64, any::<bool>()).prop_map(|(campaign, granted)| raft_core::VoteReply { campaign, granted })
    };
    let entries = (position(), number(), number(), proptest::collection::vec(0..6u64, 0..5), any::<bool>());
    prop_oneof![
        1 => ballot().prop_map(Body::PreVote),
        1 => ballot().prop_map(Body::Vote),
        1 => answer().prop_map(Body::PreVoteReply),
        1 => answer().prop_map(Body::VoteReply),
        4 => entries.prop_map(|(prev, commit, round, mut terms, is_shifted)| {
            terms.sort_unstable();
            let first = prev.index.get() + u64::from(is_shifted);
            let batches = crate::support::batches(first, &terms);
            Body::Append(Append { prev, commit: index(commit), round, batches })
        }),
        2 => (0..4u64, number(), number()).prop_map(|(round, durable, received)| {
            append_reply(round, durable, received)
        }),
        1 => (0..4u64, number(), position()).prop_map(|(round, rejected, hint)| refused(round, rejected, hint)),
        2 => (number(), number()).prop_map(|(commit, round)| heartbeat(commit, round)),
        2 => (0..4u64, number(), number()).prop_map(|(round, durable, received)| {
            crate::support::heartbeat_reply(round, durable, received)
        }),
        1 => (0..3u64, number()).prop_map(|(epoch, request)| Body::Read { epoch, request: request.into() }),
        1 => (0..3u64, number(), payloads()).prop_map(|(epoch, request, payloads)| {
            Body::Propose { epoch, request: request.into(), payloads }
        }),
        1 => (number(), number(), number()).prop_map(|(epoch, request, index)| {
            Body::ReadReply { epoch, request: request.into(), result: Ok(LogIndex::new(index)) }
        }),
        1 => (number(), number(), any::<u32>(), position()).prop_map(|(epoch, request, count, first)| {
            Body::ProposeReply { epoch, request: request.into(), count, result: Ok(first) }
        }),
        1 => Just(Body::TimeoutNow),
    ]
}

#[derive(Clone, Debug)]
enum Input {
    Hear(Message),
    Tick(u32),
    Campaign,
    Propose,
    Forward,
    Read,
    Sync,
    SlowDisk(bool),
    Unreachable(u64),
    Restart,
}

fn input(heard: impl Strategy<Value = Message>) -> impl Strategy<Value = Input> {
    prop_oneof![
        20 => heard.prop_map(Input::Hear),
        2 => (1..12u32).prop_map(Input::Tick),
        1 => Just(Input::Campaign),
        1 => Just(Input::Propose),
        1 => Just(Input::Forward),
        1 => Just(Input::Read),
        1 => Just(Input::Sync),
        1 => any::<bool>().prop_map(Input::SlowDisk),
        1 => (0..5u64).prop_map(Input::Unreachable),
        1 => Just(Input::Restart),
    ]
}

fn heard() -> impl Strategy<Value = Message> {
    let terms = prop_oneof![12 => 0..6u64, 1 => number()];
    (prop_oneof![12 => 1..5u64, 1 => number()], prop_oneof![20 => Just(1), 1 => number()], terms, body())
        .prop_map(|(from, to, term, body)| message(from, to, term, body))
}

/// Does what an input says; [`Peer`] checks after each that nothing went back.
fn feed(peer: &mut Peer, input: Input) {
    match input {
        Input::Hear(message) => peer.receive(message),
        Input::Tick(ticks) => peer.tick(ticks),
        Input::Campaign => drop(peer.raft.campaign()),
        Input::Propose => drop(peer.raft.propose(b"x")),
        Input::Forward => drop(peer.raft.forward(b"x")),
        Input::Read => drop(peer.raft.read()),
        Input::Sync => peer.sync(),
        Input::SlowDisk(is_slow) => {
            peer.is_disk_slow = is_slow;
            peer.sync();
        }
        Input::Unreachable(id) => peer.raft.unreachable(node(id)),
        Input::Restart => {
            peer.restart();
        }
    }
    peer.drain();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// N12: any messages at all, well formed or not, mixed with ordinary life.
    #[test]
    fn nothing_a_message_says_breaks_a_node(
        seeded in any::<bool>(),
        inputs in proptest::collection::vec(input(heard()), 1..60),
    ) {
        let mut peer = if seeded {
            Peer::with_log(config(1), voters(3), (3, 0, 1), &[1, 2, 2, 3])
        } else {
            Peer::voter(1, 3)
        };
        for input in inputs {
            feed(&mut peer, input);
        }
        let status = peer.status();
        prop_assert!(peer.raft.last().index.get() < 1000, "{status:?}");
    }

    /// N1, N12: whatever can be decoded is refused with an error or lived through.
    #[test]
    fn nothing_that_decodes_breaks_a_node(
        messages in proptest::collection::vec((0..4u64, 0..5u64, wire_values::message()), 1..40),
    ) {
        let mut peer = Peer::with_log(config(1), voters(3), (3, 0, 1), &[1, 2, 2, 3]);
        for (from, term, wire) in messages {
            let wire = v1::Message { from: 1 + from, to: 1, term, ..wire };
            if let Ok(message) = Message::try_from(wire) {
                peer.receive(message);
            }
        }
        peer.tick(30);
    }
}

/// N13: a flood of messages from a member leaves no more behind than a few of them do.
#[test]
fn a_flood_of_messages_leaves_nothing_behind() {
    let mut leader = Peer::voter(1, 3);
    leader.win(&[2]);
    for round in 0..20_000u64 {
        leader.raft.receive(message(2, 1, 1, append_reply(round, round, round)));
        let read = Body::Read { epoch: round, request: round.into() };
        leader.raft.receive(message(3, 1, 1, read));
        let payloads = Bytes::from_static(b"\x01x\xff");
        leader.raft.receive(message(
            3,
            1,
            1,
            Body::Propose { epoch: round, request: round.into(), payloads },
        ));
        leader.drain();
        leader.sent.clear();
        leader.told.clear();
    }
    let picture = format!("{:?}", leader.raft);
    assert!(picture.len() < 20_000, "{} characters", picture.len());
}
