//! Handing leadership over (diss. §3.10).

use raft_core::{Body, Heartbeat, Notice, Offence, ProposeError, RoleName, TransferError, VoteRequest};

use crate::support::{
    Cluster, Peer, append, append_reply, at, carries_entries, config, heartbeat, heartbeat_reply, index,
    kind, message, node, term, vote, with_learner,
};

fn leader(count: u64) -> Peer {
    let mut leader = Peer::voter(1, count);
    let others: Vec<u64> = (2..=count).collect();
    leader.win(&others);
    leader.acknowledge(&others);
    leader.sent.clear();
    leader
}

/// A heartbeat that names the heir.
fn handing_over(to: u64) -> Body {
    Body::Heartbeat(Heartbeat { commit: index(0), round: 1, transferee: Some(node(to)) })
}

/// A request for a vote that says the leader wants it.
fn wanted(last: raft_core::Position) -> Body {
    Body::Vote(VoteRequest { transfer: true, ..vote(1, last) })
}

/// Diss. §3.10: a target that is up to date is told at once, and leads without a tick or a
/// pre-vote, although everybody hears the old leader.
#[test]
fn leadership_goes_to_an_up_to_date_target_at_once() {
    let mut cluster = Cluster::led(3);
    cluster.with(1, |peer| peer.transfer(3)).expect("a voter");
    assert!(cluster.bag.iter().any(|message| kind(message) == "timeout now" && message.to == node(3)));
    cluster.settle();
    assert_eq!((cluster.leader(), cluster.peer(3).raft.term()), (Some(3), term(2)));
    assert!(cluster.all_follow(3));
    cluster.with(3, |peer| peer.propose(b"x"));
    cluster.settle();
    assert_eq!(cluster.peer(3).raft.commit(), index(3));
    assert!(cluster.peer(1).has_noticed(|notice| *notice == Notice::TransferBegan { to: node(3) }));
}

/// Diss. §3.10: a target that lags is brought up to date first, and only then told; once.
#[test]
fn a_lagging_target_is_told_when_it_has_everything() {
    let mut leader = leader(3);
    leader.propose(b"x");
    leader.propose(b"y");
    leader.transfer(3).expect("a voter");
    assert_eq!(leader.propose_error(), Some(ProposeError::Transferring));
    leader.sent.clear();
    for (received, durable) in [(2, 1), (3, 2), (3, 2)] {
        leader.hear(3, 1, append_reply(0, durable, received));
        assert!(!leader.take_kinds().contains(&("timeout now", 3)), "{durable} of 3 is durable there");
    }
    leader.hear(3, 1, append_reply(0, 3, 3));
    assert_eq!(leader.take_kinds(), [("timeout now", 3)]);
    leader.hear(3, 1, append_reply(0, 3, 3));
    leader.hear(3, 1, heartbeat_reply(1, 3, 3));
    assert_eq!(leader.take_kinds(), []);
}

/// The same in a cluster whose target has missed much: it catches up, then leads.
#[test]
fn a_target_that_was_cut_off_catches_up_and_leads() {
    let mut cluster = Cluster::led(3);
    cluster.partition(&[1, 2]);
    for _ in 0..20 {
        cluster.with(1, |peer| peer.propose(b"x"));
    }
    cluster.tick(2);
    assert_eq!(cluster.peer(3).raft.last().index, index(1));
    cluster.heal();
    cluster.with(1, |peer| peer.transfer(3)).expect("a voter");
    cluster.tick(5);
    assert_eq!(cluster.leader(), Some(3));
    cluster.tick(1);
    assert_eq!(cluster.commands(3).len(), 20);
}

/// S54, S98: a dead target is given up after one election timeout, and proposals go on.
#[test]
fn a_dead_target_is_given_up_after_an_election_timeout() {
    let mut cluster = Cluster::led(3);
    cluster.partition(&[1, 2]);
    cluster.with(1, |peer| peer.transfer(3)).expect("a voter");
    let timeout = config(1).election_timeout_ticks_min;
    cluster.tick(timeout - 1);
    assert_eq!(cluster.peer(1).propose_error(), Some(ProposeError::Transferring));
    cluster.tick(1);
    assert!(cluster.peer(1).has_noticed(|notice| *notice == Notice::TransferEnded { to: node(3) }));
    cluster.with(1, |peer| peer.propose(b"x"));
    cluster.settle();
    assert_eq!(cluster.peer(1).raft.commit(), index(2));
    cluster.with(1, |peer| peer.transfer(2)).expect("the first one is over");
    cluster.settle();
    assert_eq!(cluster.leader(), Some(2));
}

/// S54: the same for a target that lags and never catches up.
#[test]
fn a_target_that_never_catches_up_is_given_up() {
    let mut cluster = Cluster::led(3);
    cluster.with(1, |peer| peer.propose(b"x"));
    let lost = cluster.take(|message| message.to == node(3));
    assert!(lost.iter().any(carries_entries));
    cluster.cut(1, 3);
    cluster.settle();
    cluster.with(1, |peer| peer.transfer(3)).expect("a voter");
    for _ in 0..10 {
        cluster.with(1, |peer| peer.tick(1));
        cluster.settle();
    }
    assert!(cluster.peer(1).raft.is_leader());
    cluster.with(1, |peer| peer.propose(b"y"));
    cluster.settle();
    assert_eq!(cluster.peer(1).raft.commit(), index(3));
}

/// S54: learners, strangers and the leader itself cannot take over; nothing begins.
#[test]
fn targets_that_cannot_lead_are_refused() {
    let mut leader = Peer::found(config(1), with_learner(3, 4));
    leader.win(&[2]);
    leader.acknowledge(&[2, 3, 4]);
    leader.sent.clear();
    let refusals = [
        (1, TransferError::AlreadyLeader),
        (4, TransferError::NotVoter(node(4))),
        (9, TransferError::NotVoter(node(9))),
        (0, TransferError::NotVoter(node(0))),
        (u64::MAX, TransferError::NotVoter(node(u64::MAX))),
    ];
    for (to, error) in refusals {
        assert_eq!(leader.transfer(to), Err(error));
        assert!(!error.to_string().is_empty());
    }
    assert_eq!(leader.take_kinds(), []);
    leader.propose(b"goes on");
}

/// One transfer at a time, whether to the same target or another.
#[test]
fn transfers_come_one_at_a_time() {
    let mut leader = leader(3);
    leader.transfer(3).expect("a voter");
    for to in [2, 3] {
        let error = TransferError::InProgress { to: node(3) };
        assert_eq!(leader.transfer(to), Err(error));
        assert!(!error.to_string().is_empty());
    }
}

/// Who does not lead has nothing to hand over, and says who has.
#[test]
fn only_the_leader_hands_over() {
    let mut follower = Peer::voter(1, 3);
    assert_eq!(follower.transfer(3), Err(TransferError::NoLeader));
    follower.hear(2, 1, heartbeat(0, 1));
    assert_eq!(follower.transfer(3), Err(TransferError::NotLeader { leader: node(2) }));
    follower.campaign();
    assert_eq!(follower.transfer(3), Err(TransferError::NoLeader));
}

/// S55: the order to campaign counts once, from the leader of the term the receiver is in.
#[test]
fn orders_to_campaign_count_only_from_the_leader_of_the_term() {
    let follower = || {
        let mut follower = Peer::voter(3, 3);
        follower.hear(1, 2, append(at(0, 0), 0, &[1]));
        follower.sent.clear();
        follower
    };
    for (from, its_term, why) in [
        (2, 2, "it does not lead"),
        (1, 1, "the term is over"),
        (9, 2, "a stranger"),
        (3, 2, "forged in its own name"),
    ] {
        let mut follower = follower();
        follower.hear(from, its_term, Body::TimeoutNow);
        assert_eq!((follower.role(), follower.raft.term()), (RoleName::Follower, term(2)), "{why}");
        assert_eq!(follower.take_kinds(), [], "{why}");
    }
    // A later term is believed, as in every message, but nobody is known to lead it.
    let mut ahead = follower();
    ahead.tick(10);
    ahead.hear(2, 3, Body::TimeoutNow);
    assert_eq!((ahead.role(), ahead.raft.term()), (RoleName::Follower, term(3)));

    let mut told = follower();
    told.hear(1, 2, Body::TimeoutNow);
    assert_eq!((told.role(), told.raft.term()), (RoleName::Candidate, term(3)));
    told.sent.clear();
    told.hear(1, 2, Body::TimeoutNow);
    assert_eq!((told.raft.term(), told.take_kinds()), (term(3), vec![]), "it came twice");
    told.hear(2, 4, heartbeat(0, 1));
    told.hear(1, 2, Body::TimeoutNow);
    assert_eq!((told.raft.term(), told.role()), (term(4), RoleName::Follower), "it came late");
}

/// A target whose disk does not answer ignores the order (F25): it could not lead.
#[test]
fn a_target_with_a_stalled_disk_does_not_campaign() {
    let mut stalled = Peer::voter(3, 3);
    stalled.is_disk_slow = true;
    stalled.hear(1, 1, append(at(0, 0), 0, &[1]));
    stalled.tick(10);
    stalled.hear(1, 1, heartbeat(0, 2));
    stalled.hear(1, 1, Body::TimeoutNow);
    assert_eq!((stalled.role(), stalled.raft.term()), (RoleName::Follower, term(1)));
}

/// N11, S56: that a candidate says it is wanted is worth nothing; the leader must have said so, of
/// this candidate. Otherwise the leader's protection holds (diss. §4.2.3).
#[test]
fn a_made_up_transfer_does_not_pass_the_leader_s_protection() {
    for heir in [None, Some(2), Some(3)] {
        let mut voter = Peer::voter(4, 5);
        voter.hear(1, 1, append(at(0, 0), 0, &[1]));
        if let Some(heir) = heir {
            voter.hear(1, 1, handing_over(heir));
        }
        voter.sent.clear();
        let mut honest = voter.clone();
        voter.hear(3, 2, wanted(at(1, 1)));
        let is_wanted = heir == Some(3);
        assert_eq!(voter.raft.term() == term(2), is_wanted, "{heir:?}");
        assert_eq!(voter.take_kinds().is_empty(), !is_wanted);
        honest.hear(3, 2, Body::Vote(vote(1, at(1, 1))));
        assert_eq!(honest.raft.term(), term(1), "the heir must say on whose word it comes: {heir:?}");
    }
}

/// N11 at the leader itself: it gives way to the one it chose, and to nobody else.
#[test]
fn a_leader_gives_way_only_to_its_target() {
    let mut leader = leader(3);
    leader.hear(2, 2, wanted(at(1, 1)));
    assert!(leader.raft.is_leader(), "it hands over to nobody");
    leader.transfer(3).expect("a voter");
    leader.hear(2, 2, wanted(at(1, 1)));
    assert_eq!((leader.role(), leader.raft.term()), (RoleName::Leader, term(1)));
    leader.sent.clear();
    leader.hear(3, 2, wanted(at(1, 1)));
    assert_eq!((leader.role(), leader.raft.term()), (RoleName::Follower, term(2)));
    assert_eq!(leader.take_kinds(), [("vote reply", 3)]);
}

/// N11: the leave given with one hand-over ends with it: by the next heartbeat, and by a new term.
#[test]
fn the_leave_to_campaign_ends_with_the_transfer() {
    let mut voter = Peer::voter(4, 5);
    voter.hear(1, 1, append(at(0, 0), 0, &[1]));
    voter.hear(1, 1, handing_over(3));
    voter.hear(1, 1, heartbeat(0, 2));
    voter.hear(3, 2, wanted(at(1, 1)));
    assert_eq!(voter.raft.term(), term(1), "the leader has given up");
    voter.hear(1, 1, handing_over(3));
    voter.hear(2, 2, heartbeat(0, 1));
    voter.hear(3, 3, wanted(at(1, 1)));
    assert_eq!(voter.raft.term(), term(2), "another leader, who wants nobody");
}

/// The heir's claim is judged like any other: without all entries it is not elected (Raft §5.4.1).
#[test]
fn a_wanted_candidate_still_needs_a_complete_log() {
    let mut voter = Peer::voter(4, 5);
    voter.hear(1, 1, append(at(0, 0), 0, &[1, 1]));
    voter.hear(1, 1, handing_over(3));
    voter.sent.clear();
    voter.hear(3, 2, wanted(at(1, 1)));
    let granted = |body: &Body| matches!(body, Body::VoteReply(reply) if reply.granted);
    assert!(!voter.take_bodies(3).iter().any(granted));
    assert_eq!(voter.raft.term(), term(2));
}

/// N5, N11: a stranger cannot take over, whatever it says and whoever is the heir.
#[test]
fn strangers_cannot_take_over() {
    let mut voter = Peer::voter(4, 5);
    voter.hear(1, 1, handing_over(9));
    voter.hear(9, 2, wanted(at(9, 9)));
    assert_eq!(voter.raft.term(), term(1));
    assert_eq!(voter.raft.offence_count(Offence::OutsiderTerm), 1);
}

/// Reads and commits of what was proposed before go on while leadership is handed over.
#[test]
fn what_was_asked_before_a_transfer_is_answered_during_it() {
    let mut leader = leader(3);
    leader.propose(b"x");
    leader.raft.read().expect("leads");
    leader.transfer(3).expect("a voter");
    leader.hear(2, 1, append_reply(0, 2, 2));
    assert_eq!(leader.raft.commit(), index(2));
    leader.hear(2, 1, heartbeat_reply(2, 2, 2));
    let is_ready = |action: &raft_core::Action| matches!(action, raft_core::Action::ReadReady { .. });
    assert!(leader.told.iter().any(is_ready));
}

/// A transfer that runs into a change of membership: the target is removed by what is in force, but
/// still votes, so it may lead and finish the change; once it is out it cannot.
#[test]
fn a_leaving_voter_may_take_over_and_a_removed_one_may_not() {
    let mut cluster = Cluster::led(3);
    let change = raft_core::MembershipChange::new().remove(node(3)).stay_joint();
    cluster.change(1, &change);
    cluster.with(1, |peer| peer.transfer(3)).expect("votes in the outgoing configuration");
    cluster.settle();
    assert_eq!(cluster.leader(), Some(3));
    cluster.with(3, |peer| peer.transfer(1)).expect("a voter");
    cluster.settle();
    cluster.with(1, |peer| peer.raft.leave_joint()).expect("is settled");
    cluster.with(1, Peer::drain);
    cluster.settle();
    assert_eq!(cluster.with(1, |peer| peer.transfer(3)), Err(TransferError::NotVoter(node(3))));
    cluster.deliver(message(1, 3, 3, Body::TimeoutNow));
    cluster.settle();
    assert_eq!(cluster.leader(), Some(1), "S54: nobody votes for it");
}
