//! What a node counts: each count rises by what it says, and by nothing else.

use raft_core::{Body, Counters, VoteReply};

use crate::support::{
    Peer, append, append_reply, at, config, heartbeat, heartbeat_reply, refused, vote, voters,
};

/// How the counts differ after `deed`.
fn counts(peer: &mut Peer, deed: impl FnOnce(&mut Peer)) -> Counters {
    let before = peer.raft.counters();
    assert_eq!(before, Counters::default(), "nothing happened yet");
    deed(peer);
    peer.raft.counters()
}

/// What was expected to be counted, and nothing else.
fn only(change: impl FnOnce(&mut Counters)) -> Counters {
    let mut counters = Counters::default();
    change(&mut counters);
    counters
}

/// A voter of three in term 3 whose log has the terms 1 and 2, with entry 1 committed.
fn voter() -> Peer {
    Peer::with_log(config(1), voters(3), (3, 0, 1), &[1, 2])
}

#[test]
fn elections_are_counted_from_asking_to_leading() {
    let counted = counts(&mut voter(), |peer| peer.win(&[2]));
    assert_eq!(counted, only(|c| (c.pre_votes, c.elections, c.leaderships) = (1, 1, 1)));
}

#[test]
fn votes_are_counted_by_why_they_were_given_or_not() {
    let counted = counts(&mut voter(), |peer| {
        peer.hear(2, 4, Body::Vote(vote(1, at(1, 1))));
        peer.hear(2, 2, Body::Vote(vote(1, at(2, 2))));
        peer.hear(2, 4, Body::Vote(vote(2, at(2, 2))));
        peer.hear(3, 4, Body::Vote(vote(1, at(2, 9))));
        peer.hear(3, 5, heartbeat(1, 1));
        peer.hear(2, 6, Body::Vote(vote(3, at(2, 9))));
    });
    let expected = only(|c| {
        c.terms_learned = 2;
        (c.votes_granted, c.votes_refused_for_log, c.votes_refused_for_term) = (1, 1, 1);
        (c.votes_refused_as_bound, c.votes_ignored_for_leader) = (1, 1);
    });
    assert_eq!(counted, expected);
}

#[test]
fn late_answers_are_counted_by_what_they_answer() {
    let late_vote = || Body::VoteReply(VoteReply { campaign: 7, granted: true });
    let counted = counts(&mut voter(), |peer| {
        peer.hear(2, 2, late_vote());
        peer.hear(2, 3, late_vote());
        peer.hear(2, 2, heartbeat(1, 1));
        peer.hear(2, 2, append(at(1, 1), 1, &[1]));
        peer.hear(2, 2, append_reply(0, 1, 1));
        peer.hear(2, 3, heartbeat_reply(0, 1, 1));
    });
    let expected = only(|c| {
        (c.late_vote_replies, c.late_leader_messages, c.late_follower_replies) = (2, 2, 2);
    });
    assert_eq!(counted, expected);
}

#[test]
fn a_follower_counts_logs_that_differ() {
    let counted = counts(&mut voter(), |peer| {
        peer.hear(2, 3, append(at(2, 5), 0, &[3]));
        peer.hear(2, 3, append(at(1, 1), 0, &[3]));
    });
    assert_eq!(counted, only(|c| (c.appends_refused, c.truncations) = (1, 1)));
}

#[test]
fn a_leader_counts_back_offs_losses_and_overtaken_answers() {
    let mut leader = voter();
    leader.win(&[2]);
    let before = leader.raft.counters();
    // Node 2's log ends at entry 1; later an old answer comes late.
    leader.hear(2, 4, refused(0, 2, at(1, 1)));
    leader.hear(2, 4, append_reply(0, 3, 3));
    leader.hear(2, 4, append_reply(0, 1, 1));
    // What was proposed is lost on its way, as the answer to the next heartbeat shows.
    leader.propose(b"lost");
    leader.tick(1);
    leader.hear(2, 4, heartbeat_reply(1, 3, 3));
    let after = leader.raft.counters();
    assert_eq!(after.back_offs, before.back_offs + 1);
    assert_eq!(after.stale_follower_replies, before.stale_follower_replies + 1);
    assert_eq!(after.losses_found, before.losses_found + 1);
}

#[test]
fn reads_and_snapshots_are_counted() {
    let mut leader = Peer::voter(1, 1);
    leader.campaign();
    leader.propose(b"x");
    leader.raft.read().expect("leads");
    leader.drain();
    leader.raft.take_snapshot().expect("something new");
    leader.drain();
    let counted = leader.raft.counters();
    assert_eq!((counted.read_rounds, counted.lease_reads), (1, 0));
    assert_eq!((counted.snapshots_taken, counted.snapshots_sent, counted.snapshots_installed), (1, 0, 0));
    assert_eq!(counted.compactions, 0, "a retained tail of 10,000 entries");
}
