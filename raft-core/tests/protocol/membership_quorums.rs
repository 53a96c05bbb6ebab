//! Who is needed while the membership changes: for commits, votes, reads and to go on leading.

use raft_core::{Action, CampaignError, MembershipChange, Notice, Offence, RoleName, StepDown};

use crate::support::{
    Cluster, Peer, append_reply, at, config, heartbeat_reply, index, joint, kind, message, node, voters,
};

fn change() -> MembershipChange {
    MembershipChange::new()
}

fn leader(count: u64) -> Peer {
    let mut leader = Peer::voter(1, count);
    let others: Vec<u64> = (2..=count).collect();
    leader.win(&others);
    leader.acknowledge(&others);
    leader.sent.clear();
    leader
}

/// The reads that were answered, up to which one.
fn ready(peer: &Peer) -> u64 {
    let of = |action: &Action| if let Action::ReadReady { up_to, .. } = action { up_to.get() } else { 0 };
    peer.told.iter().map(of).max().unwrap_or(0)
}

/// The round of the newest heartbeat that left.
fn round(peer: &mut Peer) -> u64 {
    let beats = peer.take(|message| kind(message) == "heartbeat").into_iter();
    let round = |body| if let raft_core::Body::Heartbeat(beat) = body { beat.round } else { 0 };
    beats.map(|beat| round(beat.body)).max().expect("a heartbeat left")
}

/// A set of nodes is a quorum of a joint configuration if it has a majority of either half.
fn has_both_halves(set: u64, halves: &[&[u64]; 2]) -> bool {
    halves.iter().all(|half| half.iter().filter(|id| set >> **id & 1 == 1).count() * 2 > half.len())
}

/// Raft §6, S30, S53: every set of nodes, against counting by hand: it commits, elects, confirms
/// reads and keeps a leader in office if, and only if, it holds a majority of both halves.
#[test]
fn every_quorum_of_a_joint_configuration_has_a_majority_of_both_halves() {
    let halves: [&[u64]; 2] = [&[1, 2, 3], &[1, 4, 5, 6]];
    let others = 2..=6_u64;
    let mut quorums = 0;
    for set in (0..1_u64 << 5).map(|bits| bits << 2 | 1 << 1) {
        let expected = has_both_halves(set, &halves);
        let members: Vec<u64> = others.clone().filter(|id| set >> id & 1 == 1).collect();
        let found = || Peer::found(config(1), joint(halves[0], halves[1]));

        let mut candidate = found();
        candidate.campaign();
        for from in &members {
            let reply = raft_core::VoteReply { campaign: 1, granted: true };
            candidate.hear(*from, 0, raft_core::Body::PreVoteReply(reply));
        }
        assert_eq!(candidate.role() == RoleName::Candidate, expected, "pre-votes of {members:?}");

        let mut leader = found();
        leader.win(&[2, 3, 4, 5, 6]);
        leader.acknowledge(&members);
        assert_eq!(leader.raft.commit() == index(1), expected, "acknowledged by {members:?}");
        leader.acknowledge(&[2, 3, 4, 5, 6]);
        leader.sent.clear();
        leader.raft.read().expect("leads");
        leader.drain();
        let own = round(&mut leader);
        for from in &members {
            leader.hear(*from, 1, heartbeat_reply(own, 1, 1));
        }
        assert_eq!(ready(&leader) == 1, expected, "confirmed by {members:?}");

        let mut quiet = found();
        quiet.win(&[2, 3, 4, 5, 6]);
        quiet.tick(10);
        for from in &members {
            quiet.hear(*from, 1, heartbeat_reply(1, 0, 0));
        }
        quiet.tick(10);
        assert_eq!(quiet.raft.is_leader(), expected, "heard {members:?}");
        quorums += u32::from(expected);
    }
    assert!((1..32).contains(&quorums), "{quorums} of 32 sets");
}

/// Raft §6: the final membership rules as soon as it is appended: the outgoing voters' word no
/// longer counts for it.
#[test]
fn the_final_membership_is_committed_by_the_incoming_voters_alone() {
    let mut leader = leader(3);
    leader
        .change(&change().voter(node(4)).voter(node(5)).remove(node(2)).remove(node(3)))
        .expect("is settled");
    leader.acknowledge(&[2, 4]);
    assert_eq!((leader.raft.last(), leader.raft.commit()), (at(1, 3), index(2)));
    assert_eq!(leader.voters(), (vec![], vec![1, 4, 5]));
    leader.acknowledge(&[2, 3]);
    assert_eq!(leader.raft.commit(), index(2));
    assert_eq!(leader.raft.offence_count(Offence::OutsiderReply), 2, "N5: they are strangers now");
    leader.acknowledge(&[5]);
    assert_eq!(leader.raft.commit(), index(3));
}

/// S39: a membership counts when it is appended, not when it is applied: its quorum, and nobody
/// else's, decides about the entry that brings it.
#[test]
fn a_membership_is_in_force_on_a_follower_that_has_not_applied_it() {
    let mut cluster = Cluster::led(3);
    cluster.join(4);
    cluster.peer(2).is_apply_slow = true;
    cluster.with(1, |peer| peer.change(&change().voter(node(4)))).expect("is settled");
    let to_2 = cluster.take(|message| message.to == node(2));
    to_2.into_iter().for_each(|message| cluster.deliver(message));
    assert_eq!(cluster.peer(2).voters(), (vec![1, 2, 3], vec![1, 2, 3, 4]));
    assert!(cluster.peer(2).raft.commit() < index(2));
    cluster.lose_all();
    cluster.partition(&[2, 4]);
    cluster.with(2, |peer| peer.tick(20));
    let asked: Vec<u64> = cluster.bag.iter().map(|message| message.to.get()).collect();
    assert_eq!(asked, [1, 3, 4], "it asks the new voter as well");
    cluster.settle();
    assert_eq!(cluster.peer(2).role(), RoleName::PreCandidate, "2 and 4 are half of the new half");
}

/// S39: nor is anything lost for good while nobody applies anything: the members of a committed
/// change elect, commit and change again, though the one who led it is gone.
#[test]
fn a_group_elects_by_a_membership_that_nobody_has_applied() {
    let mut cluster = Cluster::led(3);
    for id in [1, 2, 3] {
        cluster.peer(id).is_apply_slow = true;
    }
    cluster.change(1, &change().remove(node(1)));
    cluster.tick(2);
    cluster.partition(&[1]);
    for id in [2, 3] {
        assert_eq!(cluster.peer(id).status().applied, index(0));
        assert_eq!(cluster.peer(id).voters(), (vec![], vec![2, 3]));
    }
    cluster.tick(60);
    let leader = cluster.leader().expect("both voters hear each other");
    assert_ne!(leader, 1);
    let other = 5 - leader;
    cluster.change(leader, &change().remove(node(other)));
    cluster.with(leader, |peer| peer.propose(b"alone"));
    assert_eq!(cluster.peer(leader).raft.commit(), cluster.peer(leader).raft.last().index);
    assert_eq!(cluster.peer(leader).status().applied, index(0));
}

/// S110: the leader removes the others while reads wait for them. When its quorum is down to
/// itself, nobody is left to wait for.
#[test]
fn reads_are_judged_again_when_the_quorum_shrinks() {
    let mut leader = leader(3);
    leader.raft.read().expect("leads");
    leader.drain();
    leader.change(&change().remove(node(2)).remove(node(3))).expect("is settled");
    leader.acknowledge(&[2]);
    assert_eq!(ready(&leader), 1, "the joint configuration is committed, and left");
    assert_eq!(leader.voters(), (vec![], vec![1]));
    leader.raft.read().expect("leads");
    leader.drain();
    assert_eq!(ready(&leader), 2);
}

/// S110, with one round in a half that has not answered it: what is left of the group confirms it.
#[test]
fn reads_that_half_a_group_confirmed_are_ready_when_only_that_half_is_left() {
    let mut leader = leader(5);
    leader.raft.read().expect("leads");
    leader.drain();
    let own = round(&mut leader);
    leader.hear(2, 1, heartbeat_reply(own, 1, 1));
    assert_eq!(ready(&leader), 0, "two of five");
    leader.change(&change().remove(node(4)).remove(node(5))).expect("is settled");
    assert_eq!(ready(&leader), 0, "two of five still have to agree");
    for from in [4, 5] {
        leader.hear(from, 1, append_reply(0, 2, 2));
    }
    assert_eq!(leader.voters().0, [1, 2, 3, 4, 5], "the new half has not committed");
    leader.hear(2, 1, append_reply(0, 2, 2));
    assert_eq!((leader.voters().1, ready(&leader)), (vec![1, 2, 3], 1));
}

/// S110 for commits: entries that waited for the removed voters are committed by those that stay.
#[test]
fn commits_are_judged_again_when_the_quorum_shrinks() {
    let mut leader = leader(2);
    leader.is_disk_slow = true;
    leader.change(&change().remove(node(2))).expect("is settled");
    leader.propose(b"x");
    leader.sync();
    assert_eq!(leader.raft.commit(), index(1), "half of two");
    leader.hear(2, 1, append_reply(0, 2, 2));
    assert_eq!(leader.raft.commit(), index(3), "what was durable here when the last other voter went");
    leader.sync();
    assert_eq!(leader.raft.commit(), index(4));
}

/// Diss. §6.2: check-quorum asks the voters that count now. A leader that removes voters who are
/// gone for good goes on leading; one that adds too many of them does not.
#[test]
fn check_quorum_follows_the_membership() {
    let mut shrunk = leader(3);
    shrunk.change(&change().remove(node(3))).expect("is settled");
    shrunk.acknowledge(&[2]);
    shrunk.acknowledge(&[2]);
    assert_eq!((shrunk.voters().1, shrunk.raft.commit()), (vec![1, 2], index(3)));
    for _ in 0..10 {
        shrunk.tick(5);
        shrunk.hear(2, 1, heartbeat_reply(1, 1, 3));
    }
    assert!(shrunk.raft.is_leader());

    let mut grown = leader(3);
    grown.change(&change().voter(node(4)).voter(node(5)).voter(node(6))).expect("is settled");
    for _ in 0..4 {
        grown.tick(5);
        for from in [2, 3] {
            grown.hear(from, 1, heartbeat_reply(1, 1, 1));
        }
    }
    assert!(!grown.raft.is_leader(), "three of six");
    let cause = StepDown::QuorumLost;
    let lost = |notice: &Notice| matches!(notice, Notice::SteppedDown { cause: is, .. } if *is == cause);
    assert!(grown.has_noticed(lost));
}

/// Diss. §4.2.2: a voter that a change leaves out still campaigns until the change is committed,
/// for it may be the only one that can win; afterwards it never does (S34, S92).
#[test]
fn a_voter_that_is_left_out_campaigns_until_that_is_committed() {
    let mut cluster = Cluster::led(3);
    cluster.cut(3, 1);
    cluster.with(1, |peer| peer.change(&change().remove(node(3)).stay_joint())).expect("is settled");
    cluster.settle();
    cluster.tick(1);
    cluster.with(1, |peer| peer.raft.leave_joint()).expect("the joint configuration is committed");
    // The final entry is on its way to 2 only; 3 has none of it and asks on.
    cluster.with(1, Peer::drain);
    assert_eq!(cluster.peer(3).voters(), (vec![1, 2, 3], vec![1, 2]));
    let mut left_out = cluster.peer(3).clone();
    left_out.tick(20);
    assert_eq!(left_out.role(), RoleName::PreCandidate);

    // A leader that is left out by what it has appended itself, and restarts before it is committed.
    let mut alone = leader(3);
    alone.change(&change().remove(node(1))).expect("is settled");
    alone.acknowledge(&[2, 3]);
    assert_eq!((alone.voters(), alone.raft.commit()), ((vec![], vec![2, 3]), index(2)));
    alone.restart();
    assert_eq!(alone.voters().1, [2, 3]);
    assert_eq!(alone.raft.campaign(), Ok(()), "the final membership may still be cut off");
    alone.drain();
    let asked: Vec<u64> = alone.sent.iter().map(|message| message.to.get()).collect();
    assert_eq!(asked, [2, 3], "but it does not count itself");
    alone.hear(2, 1, crate::support::append(at(1, 3), 3, &[]));
    assert_eq!(alone.raft.commit(), index(3));
    assert_eq!(alone.raft.campaign(), Err(CampaignError::NotVoter));
}

/// S92: a learner is told to campaign by nobody: not by hand, not by the leader, not by time. Once
/// it is promoted it does.
#[test]
fn a_learner_campaigns_only_after_its_promotion() {
    let mut cluster = Cluster::led(3);
    cluster.join(4);
    assert_eq!(cluster.peer(4).raft.campaign(), Err(CampaignError::NotVoter), "it belongs to no group");
    cluster.change(1, &change().learner(node(4)));
    cluster.tick(1);
    assert_eq!(cluster.peer(4).raft.campaign(), Err(CampaignError::NotVoter));
    cluster.deliver(message(1, 4, 1, raft_core::Body::TimeoutNow));
    let mut alone = cluster.peer(4).clone();
    alone.tick(100);
    assert_eq!((alone.role(), alone.take_kinds()), (RoleName::Follower, vec![]));
    cluster.change(1, &change().voter(node(4)));
    cluster.tick(1);
    assert_eq!(cluster.peer(4).voters().1, [1, 2, 3, 4]);
    cluster.partition(&[2, 3, 4]);
    cluster.with(4, |peer| peer.tick(20));
    assert_eq!(cluster.peer(4).role(), RoleName::PreCandidate);
}

/// S34: a node that was cut off before it was removed asks on in vain, and disturbs nobody; its
/// answers count for nothing.
#[test]
fn a_node_removed_behind_its_back_is_harmless() {
    let mut cluster = Cluster::led(4);
    cluster.tick(1);
    cluster.partition(&[1, 2, 3]);
    cluster.change(1, &change().remove(node(4)));
    cluster.tick(30);
    assert_eq!(cluster.peer(1).voters().1, [1, 2, 3]);
    cluster.heal();
    for round in 0..20 {
        cluster.with(1, |peer| peer.propose(b"x"));
        cluster.tick(5);
        assert!([1, 2, 3].iter().all(|id| cluster.peers[id].raft.leader() == Some(node(1))), "round {round}");
    }
    assert_eq!(cluster.peer(1).raft.term().get(), 1);
    assert_eq!(cluster.peer(4).raft.term().get(), 1, "pre-votes raise no term");
    assert_eq!(voters(4), cluster.peer(4).raft.membership().clone(), "it does not know");
    // Even one that skips the pre-vote deposes nobody.
    let forged = raft_core::Body::Vote(crate::support::vote(9, at(9, 99)));
    for to in [1, 2, 3] {
        cluster.deliver(message(4, to, 9, forged.clone()));
        assert_eq!(cluster.peer(to).raft.term().get(), 1);
        assert_eq!(cluster.peer(to).raft.offence_count(Offence::OutsiderTerm), 1);
    }
}
