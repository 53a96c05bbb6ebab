//! Whatever a message says: no panic, nothing goes back, memory stays bounded (N9, N10, N12, S71).

use proptest::prelude::*;
use raft_core::bytes::Bytes;
use raft_core::{Append, Batches, Body, Entries, EntryKind, Member, Membership, Message, Offence, VoteReply};
use raft_proto::v1;

use crate::support::{
    Cluster, Dice, Peer, append, append_reply, at, batch, config, heartbeat, index, message, node,
    store_behind, term, vote, voters,
};
use crate::wire_values;

mod driver;
mod forge;

use driver::{Reached, SITUATIONS, drive};

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

/// Tells which life it was, if one ends badly.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

/// N9, N10, N12, N13, S71: any messages at all, real, altered or made up, mixed with everything else
/// that can happen to a node, and with answers from its disk and its owner that are late or wrong.
#[test]
fn nothing_that_comes_in_breaks_a_node() {
    let mut reached = Reached::default();
    for seed in 0..100_000 {
        let _seed = Seed(seed);
        let mut dice = Dice::new(seed);
        let length = if dice.once_in(50) { 2000 } else { 20 + dice.place(180) };
        let mut byte = || u8::try_from(dice.below(256)).expect("below 256");
        let bytes: Vec<u8> = (0..length).map(|_| byte()).collect();
        drive(&bytes, &mut reached);
    }
    assert_eq!(reached.0.len(), SITUATIONS, "{reached:?}");
    assert!(reached.0.values().all(|count| *count >= 100), "hardly ever reached: {reached:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

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

/// N13: nor do messages from ever new strangers. A leader used to keep a record of each one that had
/// proposed something, and a candidate of each one that had voted.
#[test]
fn strangers_leave_nothing_behind() {
    let mut leader = Peer::voter(1, 3);
    leader.win(&[2]);
    let mut candidate = Peer::voter(2, 3);
    candidate.campaign();
    for stranger in 4..20_000u64 {
        let payloads = Bytes::from_static(b"\x01x");
        let proposal = Body::Propose { epoch: 1, request: stranger.into(), payloads };
        leader.hear(stranger, 1, proposal);
        candidate.hear(stranger, 0, Body::PreVoteReply(VoteReply { campaign: 1, granted: false }));
        for peer in [&mut leader, &mut candidate] {
            peer.sent.clear();
            peer.told.clear();
        }
    }
    for peer in [leader, candidate] {
        let picture = format!("{:?}", peer.raft);
        assert!(picture.len() < 20_000, "{:?}: {} characters", peer.role(), picture.len());
    }
}
