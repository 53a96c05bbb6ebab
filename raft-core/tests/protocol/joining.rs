//! Joining voters: learners that the leader makes voters by itself once they have caught up
//! (diss. §4.2.1; S36).

use raft_core::{ChangeError, EntryKind, MemberRole, MembershipChange};

use crate::support::{Cluster, Peer, append_reply, config, index, node};

fn change() -> MembershipChange {
    MembershipChange::new()
}

/// The part that a member has, as one node sees it.
fn role(cluster: &mut Cluster, of: u64, seen_by: u64) -> Option<MemberRole> {
    cluster.peer(seen_by).raft.membership().member(node(of)).map(|member| member.role)
}

/// Node 1 leads voters 1 to 3 and has a log; nodes 4 and 5 run and belong to nobody.
fn cluster() -> Cluster {
    let mut cluster = Cluster::led(3);
    for command in [b"a", b"b", b"c"] {
        cluster.with(1, |peer| peer.propose(command));
    }
    cluster.settle();
    cluster.join(4);
    cluster.join(5);
    cluster
}

/// One call adds an empty node, brings it up to date and makes it a voter.
#[test]
fn a_joining_member_becomes_a_voter_by_itself() {
    let mut cluster = cluster();
    cluster.with(1, |peer| peer.change(&change().joining_voter(node(4)))).expect("is settled");
    assert_eq!(role(&mut cluster, 4, 1), Some(MemberRole::Joining));
    assert_eq!(cluster.peer(1).voters(), (vec![], vec![1, 2, 3]), "no joint configuration for a learner");
    cluster.settle();
    cluster.tick(1);
    for id in 1..=4 {
        assert_eq!(cluster.peer(id).voters(), (vec![], vec![1, 2, 3, 4]), "node {id}");
    }
    assert_eq!(cluster.commands(4), [b"a", b"b", b"c"]);
}

/// A witness joins like a voter: it counts when it has caught up, and while nobody can reach it, nobody
/// waits for it, not even a group of one.
#[test]
fn a_joining_witness_counts_when_it_has_caught_up() {
    let mut cluster = Cluster::led(1);
    cluster.join(2);
    cluster.partition(&[2]);
    cluster.with(1, |peer| peer.change(&change().joining_witness(node(2)))).expect("is settled");
    assert_eq!(role(&mut cluster, 2, 1), Some(MemberRole::JoiningWitness));
    for _ in 0..30 {
        let position = cluster.with(1, |peer| peer.propose(b"x"));
        cluster.settle();
        assert_eq!(cluster.peer(1).raft.commit(), position.index);
        cluster.tick(1);
    }
    assert_eq!(cluster.peer(1).voters(), (vec![], vec![1]));
    let again = cluster.with(1, |peer| peer.change(&change().joining_witness(node(2))));
    assert_eq!(again, Err(ChangeError::NothingChanges));
    let turned = cluster.with(1, |peer| peer.change(&change().joining_voter(node(2))));
    assert_eq!(turned, Err(ChangeError::NotConvertible(node(2))));
    cluster.heal();
    cluster.tick(20);
    assert_eq!(role(&mut cluster, 2, 1), Some(MemberRole::Witness));
    assert_eq!(cluster.peer(2).voters(), (vec![], vec![1, 2]));
    assert!(cluster.peer(2).applied.iter().all(|applied| applied.kind != EntryKind::Command));
}

/// S36: no quorum waits for a member that joins, however long it takes; when it comes, it is made a
/// voter without being asked again.
#[test]
fn the_old_quorum_never_waits_for_a_joining_member() {
    let mut cluster = cluster();
    cluster.partition(&[4]);
    cluster.change(1, &change().joining_voter(node(4)));
    for _ in 0..50 {
        let position = cluster.with(1, |peer| peer.propose(b"x"));
        cluster.settle();
        assert_eq!(cluster.peer(1).raft.commit(), position.index);
        cluster.tick(10);
    }
    assert_eq!(role(&mut cluster, 4, 2), Some(MemberRole::Joining));
    cluster.heal();
    cluster.tick(10);
    assert_eq!(role(&mut cluster, 4, 2), Some(MemberRole::Voter));
}

/// A member that has all entries but whose disk does not answer has not caught up.
#[test]
fn what_counts_is_what_is_durable() {
    let mut cluster = cluster();
    cluster.peer(4).is_disk_slow = true;
    cluster.change(1, &change().joining_voter(node(4)));
    cluster.tick(40);
    assert_eq!(role(&mut cluster, 4, 1), Some(MemberRole::Joining));
    cluster.with(4, |peer| {
        peer.is_disk_slow = false;
        peer.sync();
    });
    cluster.settle();
    cluster.tick(1);
    assert_eq!(role(&mut cluster, 4, 1), Some(MemberRole::Voter));
}

/// Diss. §4.2.1: under constant load a member that is far away never has all that is committed, but
/// what was there an election timeout ago it has. That suffices.
#[test]
fn a_member_that_stays_a_little_behind_has_caught_up() {
    let mut leader = Peer::voter(1, 3);
    leader.win(&[2, 3]);
    leader.acknowledge(&[2, 3]);
    leader.change(&change().joining_voter(node(4))).expect("is settled");
    leader.acknowledge(&[2, 3]);
    // An election timeout passes, with something to catch up with at its end.
    for _ in 0..10 {
        leader.propose(b"x");
        leader.acknowledge(&[2, 3]);
        leader.tick(1);
    }
    for tick in 0..40 {
        let last = leader.propose(b"x").index.get();
        leader.acknowledge(&[2, 3]);
        assert_eq!(leader.raft.commit(), index(last));
        let is_member = leader.voters() != (vec![], vec![1, 2, 3]);
        assert_eq!(is_member, tick > 25, "after {tick} ticks");
        // At first it is further and further behind, then it is always two entries behind.
        let has = if tick < 25 { last / 2 } else { last - 2 };
        leader.hear(4, 1, append_reply(0, has, has));
        leader.tick(1);
    }
    assert_eq!(leader.voters(), (vec![], vec![1, 2, 3, 4]));
}

/// The wish stands in the log, so whoever leads when the member has caught up fulfils it.
#[test]
fn a_new_leader_promotes_who_its_predecessor_let_join() {
    let mut cluster = cluster();
    cluster.partition(&[4]);
    cluster.change(1, &change().joining_voter(node(4)));
    cluster.tick(1);
    cluster.peers.remove(&1);
    cluster.tick(60);
    let leader = cluster.leader().expect("two of three are there");
    assert_eq!(role(&mut cluster, 4, leader), Some(MemberRole::Joining));
    cluster.heal();
    cluster.tick(20);
    assert_eq!(cluster.peer(leader).voters(), (vec![], vec![1, 2, 3, 4]));
}

/// The leader dies when it has promoted the member and nobody knows: the entry is cut off, the wish
/// is not.
#[test]
fn a_promotion_that_is_lost_is_made_again() {
    let mut cluster = cluster();
    cluster.cut(1, 2);
    cluster.cut(1, 3);
    cluster.cut(1, 4);
    cluster.heal();
    cluster.with(1, |peer| peer.change(&change().joining_voter(node(4)))).expect("is settled");
    // Until the joint configuration is appended.
    while !cluster.peer(1).raft.membership().is_joint() {
        let message = cluster.bag.remove(0);
        cluster.deliver(message);
    }
    cluster.lose_all();
    cluster.partition(&[1]);
    cluster.tick(60);
    let leader = cluster.leader().expect("nodes 2 and 3");
    assert_ne!(leader, 1);
    cluster.heal();
    cluster.tick(60);
    for id in 1..=4 {
        assert_eq!(cluster.peer(id).voters(), (vec![], vec![1, 2, 3, 4]), "node {id}");
    }
}

/// Two that catch up together come in by one change; one that lags does not keep the other.
#[test]
fn two_join_at_once() {
    let both = || change().joining_voter(node(4)).joining_voter(node(5));
    let mut together = cluster();
    together.change(1, &both());
    together.tick(2);
    assert_eq!(together.peer(1).voters(), (vec![], vec![1, 2, 3, 4, 5]));

    let mut apart = cluster();
    apart.partition(&[5]);
    apart.change(1, &both());
    apart.tick(30);
    assert_eq!(apart.peer(1).voters(), (vec![], vec![1, 2, 3, 4]));
    assert_eq!(role(&mut apart, 5, 1), Some(MemberRole::Joining));
    apart.heal();
    apart.tick(10);
    assert_eq!(apart.peer(1).voters(), (vec![], vec![1, 2, 3, 4, 5]));
}

/// Called off: made a learner again, or removed, it is not promoted.
#[test]
fn joining_can_be_called_off() {
    let mut cluster = cluster();
    cluster.partition(&[4, 5]);
    cluster.change(1, &change().joining_voter(node(4)).joining_voter(node(5)));
    cluster.change(1, &change().learner(node(4)).remove(node(5)));
    cluster.heal();
    cluster.tick(30);
    assert_eq!(role(&mut cluster, 4, 1), Some(MemberRole::Learner));
    assert_eq!(role(&mut cluster, 5, 1), None);
    assert_eq!(cluster.peer(1).voters(), (vec![], vec![1, 2, 3]));
    assert_eq!(cluster.peer(4).raft.last(), cluster.peer(1).raft.last(), "although it has caught up");
}

/// One change at a time (S38): while another is in progress, or leadership is being handed over, the
/// promotion waits.
#[test]
fn a_promotion_waits_for_other_changes() {
    let mut cluster = cluster();
    cluster.change(1, &change().joining_voter(node(4)).remove(node(3)).stay_joint());
    cluster.tick(30);
    assert_eq!(cluster.peer(1).voters(), (vec![1, 2, 3], vec![1, 2]));
    assert_eq!(role(&mut cluster, 4, 1), Some(MemberRole::Joining));
    cluster.with(1, |peer| peer.raft.leave_joint()).expect("committed");
    cluster.with(1, Peer::drain);
    cluster.settle();
    cluster.tick(1);
    assert_eq!(cluster.peer(1).voters(), (vec![], vec![1, 2, 4]));

    let mut leader = Peer::voter(1, 3);
    leader.win(&[2, 3]);
    leader.acknowledge(&[2, 3]);
    leader.change(&change().joining_voter(node(4))).expect("is settled");
    leader.acknowledge(&[2, 3]);
    leader.transfer(3).expect("a voter");
    leader.acknowledge(&[4]);
    assert_eq!(leader.voters(), (vec![], vec![1, 2, 3]));
    for _ in 0..11 {
        leader.tick(1);
        leader.acknowledge(&[2, 4]);
    }
    assert_eq!(leader.voters(), (vec![], vec![1, 2, 3, 4]), "node 3 did not take over");
}

/// A voter needs not join; a learner may.
#[test]
fn who_may_join() {
    let mut cluster = cluster();
    let again = cluster.with(1, |peer| peer.change(&change().joining_voter(node(2))));
    assert_eq!(again, Err(ChangeError::NothingChanges));
    cluster.change(1, &change().learner(node(4)));
    cluster.tick(30);
    assert_eq!(role(&mut cluster, 4, 1), Some(MemberRole::Learner));
    cluster.change(1, &change().joining_voter(node(4)));
    cluster.tick(1);
    assert_eq!(role(&mut cluster, 4, 1), Some(MemberRole::Voter));
}

/// A group of one takes others in the same way.
#[test]
fn a_group_of_one_grows() {
    let mut cluster = Cluster::from_peers([Peer::voter(1, 1)]);
    cluster.elect(1);
    for id in [2, 3] {
        cluster.peers.insert(id, Peer::join(config(id)));
    }
    cluster.change(1, &change().joining_voter(node(2)).joining_voter(node(3)));
    cluster.tick(20);
    assert_eq!(cluster.peer(3).voters(), (vec![], vec![1, 2, 3]));
}
