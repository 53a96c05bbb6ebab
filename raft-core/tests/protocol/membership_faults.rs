//! Changes of membership that are interrupted: by new leaders, crashes and leaders that remove
//! themselves.

use raft_core::{MembershipChange, Notice, PeerMode, RoleName, StepDown};

use crate::support::{
    Cluster, Peer, append, append_reply, at, config, index, joint, kind, node, term, voters,
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

/// Five nodes, one of them new. Node 1 leads and has begun to replace node 3 by node 4.
fn changing() -> Cluster {
    let mut cluster = Cluster::led(3);
    cluster.join(4);
    cluster.tick(1);
    cluster.with(1, |peer| peer.change(&change().voter(node(4)).remove(node(3)))).expect("is settled");
    cluster
}

/// What every member of a finished change must agree on.
fn assert_never_mixed(cluster: &mut Cluster, finals: &[&[u64]]) {
    cluster.heal();
    cluster.tick(120);
    let leader = cluster.leader().expect("somebody leads");
    let (outgoing, now) = cluster.peer(leader).voters();
    assert_eq!(outgoing, [0; 0], "the joint configuration is left");
    assert!(finals.contains(&&now[..]), "{now:?}");
    for id in now.clone() {
        assert_eq!(cluster.peer(id).voters().1, now, "node {id}");
        assert_eq!(cluster.peer(id).raft.commit(), cluster.peer(leader).raft.commit(), "node {id}");
    }
    cluster.with(leader, |peer| peer.propose(b"after"));
    cluster.settle();
    assert_eq!(cluster.peer(leader).raft.commit(), cluster.peer(leader).raft.last().index);
}

/// S31: the membership in force goes with the entry that brought it, and the one before is back,
/// exactly; whether the node restarts before, between or after.
#[test]
fn a_membership_that_is_cut_off_gives_way_to_the_one_before() {
    for restarts in 0..8 {
        let mut old = leader(3);
        let before = old.raft.membership().clone();
        let wanted = change().voter(node(4)).remove(node(2)).context(node(3), "x").learner(node(7));
        old.change(&wanted).expect("is settled");
        assert!(old.raft.membership().is_joint());
        let restart = |peer: &mut Peer, bit: u32| {
            if restarts >> bit & 1 == 1 {
                peer.restart();
            }
        };
        restart(&mut old, 0);
        assert!(old.raft.membership().is_joint(), "it was durable");
        // Another leader, elected without it, has something else in its place.
        old.hear(2, 2, append(at(1, 1), 1, &[2]));
        assert!(old.has_noticed(|notice| *notice == Notice::Truncated { from: index(2), last: at(1, 2) }));
        assert_eq!(old.raft.membership(), &before);
        restart(&mut old, 1);
        assert_eq!((old.raft.membership(), old.raft.last()), (&before, at(2, 2)));
        old.hear(2, 2, append(at(2, 2), 2, &[]));
        restart(&mut old, 2);
        assert_eq!(old.raft.membership(), &before);
    }
}

/// S31: several memberships wait at once, and a cut takes exactly those behind it.
#[test]
fn a_cut_takes_only_the_memberships_behind_it() {
    let mut old = leader(3);
    old.change(&change().voter(node(4))).expect("is settled");
    let entering = old.raft.membership().clone();
    old.acknowledge(&[2, 4]);
    assert_eq!((old.raft.last(), old.voters().1), (at(1, 3), vec![1, 2, 3, 4]));
    for cut_after_restart in [false, true] {
        let mut old = old.clone();
        if cut_after_restart {
            old.restart();
        }
        old.hear(2, 2, append(at(1, 2), 2, &[2]));
        assert_eq!(old.raft.membership(), &entering, "committed, so it stays");
    }
}

/// S31 on a disk that did not get round to it: what was not durable was never in force.
#[test]
fn a_membership_that_was_not_durable_is_gone_after_a_crash() {
    let mut slow = leader(3);
    slow.is_disk_slow = true;
    slow.change(&change().voter(node(4))).expect("is settled");
    assert!(slow.raft.membership().is_joint());
    slow.restart();
    assert_eq!(slow.raft.membership(), &voters(3));
    assert_eq!(slow.raft.last(), at(1, 1));
}

/// S89, Raft §6: a new leader that finds a joint configuration in its log finishes it by itself, as
/// soon as an entry of its own term is committed; no tick and no request is needed.
#[test]
fn a_new_leader_finishes_the_change_of_its_predecessor() {
    let mut cluster = changing();
    let joint_is_committed = |cluster: &mut Cluster| cluster.peer(1).raft.commit() == index(2);
    while !joint_is_committed(&mut cluster) {
        let message = cluster.bag.remove(0);
        cluster.deliver(message);
    }
    assert!(cluster.peer(2).raft.membership().is_joint());
    cluster.partition(&[2, 3, 4]);
    cluster.lose_all();
    cluster.with(2, |peer| peer.tick(20));
    cluster.with(3, |peer| peer.tick(20));
    cluster.with(4, |peer| peer.tick(20));
    cluster.lose_all();
    cluster.elect(2);
    assert_eq!(cluster.peer(2).voters(), (vec![], vec![1, 2, 4]));
    assert_eq!(cluster.peer(2).raft.commit(), cluster.peer(2).raft.last().index);
}

/// A joint configuration that was asked to stay is not finished by a new leader, only on request.
#[test]
fn a_new_leader_stays_in_a_joint_configuration_that_was_told_to_stay() {
    let mut cluster = Cluster::led(3);
    cluster.join(4);
    cluster.change(1, &change().voter(node(4)).stay_joint());
    cluster.tick(1);
    cluster.partition(&[2, 3, 4]);
    cluster.tick(60);
    let next = cluster.leader().expect("three of four, two of three");
    assert!(next != 1);
    assert!(cluster.peer(next).raft.membership().is_joint());
    cluster.with(next, |peer| peer.raft.leave_joint()).expect("its term has begun");
    cluster.with(next, Peer::drain);
    cluster.settle();
    assert_eq!(cluster.peer(next).voters(), (vec![], vec![1, 2, 3, 4]));
}

/// Raft §6, S33: a leader that removes itself manages a group it does not belong to: it commits
/// without counting itself. S90: then it steps down, and names an heir, so nobody waits.
#[test]
fn a_leader_that_removes_itself_commits_without_itself_and_steps_down() {
    let mut leader = leader(3);
    leader.change(&change().remove(node(1))).expect("is settled");
    leader.acknowledge(&[2]);
    assert_eq!(leader.raft.commit(), index(1), "one of the two that stay");
    leader.acknowledge(&[3]);
    assert_eq!((leader.raft.commit(), leader.voters()), (index(2), (vec![], vec![2, 3])));
    leader.sent.clear();
    leader.acknowledge(&[2]);
    assert!(leader.raft.is_leader(), "its own disk does not count");
    leader.propose(b"still leads");
    leader.tick(1);
    leader.sent.clear();
    leader.hear(3, 1, crate::support::append_reply(0, 3, 3));
    assert_eq!((leader.raft.commit(), leader.role()), (index(3), RoleName::Follower));
    let removed = StepDown::Removed;
    assert!(leader.has_noticed(|notice| *notice == Notice::SteppedDown { cause: removed, term: term(1) }));
    assert_eq!(leader.take_kinds(), [("heartbeat", 2), ("heartbeat", 3), ("timeout now", 3)]);
    leader.tick(100);
    assert_eq!((leader.role(), leader.take_kinds()), (RoleName::Follower, vec![]), "for good");
}

/// S90: the same for a leader that makes itself a learner: it hands over at once, and stays a
/// member.
#[test]
fn a_leader_that_demotes_itself_hands_over() {
    let mut cluster = Cluster::led(3);
    cluster.change(1, &change().learner(node(1)));
    let next = cluster.leader().expect("no time has passed");
    assert!(next != 1);
    assert_eq!(cluster.peer(next).raft.term(), term(2));
    cluster.with(next, |peer| peer.propose(b"x"));
    cluster.settle();
    cluster.tick(2);
    assert_eq!(cluster.commands(1), [b"x"]);
    assert_eq!(cluster.peer(1).raft.leader(), Some(node(next)));
}

/// S33, S57: wherever the leader crashes while it removes itself, and whether its group is cut
/// short of the last messages or not, the change is done or undone, and a leader is found.
#[test]
fn a_leader_that_removes_itself_may_crash_at_any_step() {
    let mut finals = [0; 2];
    for step in 0.. {
        let mut cluster = Cluster::led(3);
        cluster.with(1, |peer| peer.change(&change().remove(node(1)))).expect("is settled");
        let mut delivered = 0;
        while delivered < step && !cluster.bag.is_empty() {
            let message = cluster.bag.remove(0);
            cluster.deliver(message);
            delivered += 1;
        }
        let is_over = cluster.bag.is_empty();
        cluster.take(|message| message.from == node(1));
        cluster.restart(1);
        cluster.settle();
        assert_never_mixed(&mut cluster, &[&[1, 2, 3], &[2, 3]]);
        let leader = cluster.leader().expect("was found");
        finals[usize::from(cluster.peer(leader).voters().1 == [2, 3])] += 1;
        if is_over {
            break;
        }
    }
    assert!(finals.iter().all(|count| *count > 0), "both ends were reached: {finals:?}");
}

/// S33 with the crashed leader gone for good: what it began is finished or forgotten without it.
#[test]
fn a_leader_that_removes_itself_may_die_at_any_step() {
    let mut finals = [0; 2];
    for step in 0.. {
        let mut cluster = Cluster::led(3);
        cluster.with(1, |peer| peer.change(&change().remove(node(1)))).expect("is settled");
        let mut delivered = 0;
        while delivered < step && !cluster.bag.is_empty() {
            let message = cluster.bag.remove(0);
            cluster.deliver(message);
            delivered += 1;
        }
        let is_over = cluster.bag.is_empty();
        cluster.lose_all();
        cluster.peers.remove(&1);
        cluster.tick(120);
        let leader = cluster.leader().expect("two of three are left");
        let (outgoing, now) = cluster.peer(leader).voters();
        assert_eq!(outgoing, [0; 0]);
        let at = [vec![1, 2, 3], vec![2, 3]].iter().position(|voters| *voters == now);
        finals[at.expect("one or the other, never mixed")] += 1;
        assert_eq!(cluster.peer(leader).raft.commit(), cluster.peer(leader).raft.last().index);
        if is_over {
            break;
        }
    }
    assert!(finals.iter().all(|count| *count > 0), "both ends were reached: {finals:?}");
}

/// S37: the whole group crashes in the middle of a change, at any message: afterwards the change is
/// finished or undone.
#[test]
fn a_group_that_crashes_in_a_change_finishes_or_undoes_it() {
    let mut finals = [0; 2];
    for step in 0.. {
        let mut cluster = changing();
        let mut delivered = 0;
        while delivered < step && !cluster.bag.is_empty() {
            let message = cluster.bag.remove(0);
            cluster.deliver(message);
            delivered += 1;
        }
        let is_over = cluster.bag.is_empty();
        cluster.lose_all();
        for id in cluster.ids() {
            cluster.restart(id);
        }
        assert_never_mixed(&mut cluster, &[&[1, 2, 3], &[1, 2, 4]]);
        let leader = cluster.leader().expect("was found");
        finals[usize::from(cluster.peer(leader).voters().1 == [1, 2, 4])] += 1;
        if is_over {
            break;
        }
    }
    assert!(finals.iter().all(|count| *count > 0), "both ends were reached: {finals:?}");
}

/// The same with disks that lose what was not yet durable on some of the nodes.
#[test]
fn a_change_survives_crashes_before_the_disk_is_done() {
    for slow in 0..1_u64 << 4 {
        let mut cluster = changing();
        for id in (1..=4).filter(|id| slow >> (id - 1) & 1 == 1) {
            cluster.peer(id).is_disk_slow = true;
        }
        cluster.settle();
        for id in cluster.ids() {
            cluster.restart(id);
        }
        assert_never_mixed(&mut cluster, &[&[1, 2, 3], &[1, 2, 4]]);
    }
}

/// Diss. §4.2.2: the only node with all committed entries may be one that the change leaves out. It
/// wins, by votes of both halves, finishes the change, and only then goes.
#[test]
fn a_leaving_voter_can_win_and_finish_the_change() {
    let founding = joint(&[1, 2, 3], &[3, 4, 5]);
    let log = |id, terms: &[u64]| Peer::with_log(config(id), founding.clone(), (1, 0, 1), terms);
    let mut cluster =
        Cluster::from_peers([log(1, &[1, 1]), log(2, &[1, 1]), log(3, &[1]), log(4, &[1]), log(5, &[1])]);
    cluster.elect(1);
    assert_eq!(cluster.peer(4).raft.last(), at(2, 3), "the others have what it had");
    cluster.with(1, |peer| peer.raft.leave_joint()).expect("its term has begun");
    cluster.with(1, Peer::drain);
    cluster.settle();
    let next = cluster.leader().expect("it named an heir");
    assert!([3, 4, 5].contains(&next), "{next}");
    assert_eq!(cluster.peer(1).role(), RoleName::Follower);
    cluster.tick(60);
    assert!(cluster.bag.iter().all(|message| kind(message) != "vote"), "1 and 2 are harmless");
    assert_eq!(cluster.leader(), Some(next));
}

/// Node 3 acknowledged entries, and lost its disk.
fn with_a_wiped_member() -> Cluster {
    let mut cluster = Cluster::led(3);
    for _ in 0..3 {
        cluster.with(1, |peer| peer.propose(b"x"));
        cluster.tick(1);
    }
    *cluster.peer(3) = Peer::join(config(3));
    cluster.tick(5);
    cluster
}

fn is_stopped(cluster: &mut Cluster, id: u64) -> bool {
    let is_told = |notice: &Notice| matches!(notice, Notice::PeerRegressed { peer, .. } if *peer == node(id));
    cluster.peer(1).has_noticed(is_told) && cluster.peer(1).progress(id).mode == PeerMode::Stopped
}

/// S35, F24: a member that lost its disk is stopped loudly, and no change that keeps it a member makes
/// anybody forget what it promised.
#[test]
fn a_wiped_member_stays_stopped_whatever_role_it_gets() {
    let mut cluster = with_a_wiped_member();
    assert!(is_stopped(&mut cluster, 3));
    let again = change().remove(node(3)).voter(node(3));
    assert_eq!(cluster.peer(1).change(&again), Err(raft_core::ChangeError::NothingChanges));
    for role in [change().learner(node(3)), change().voter(node(3))] {
        cluster.change(1, &role);
        cluster.tick(5);
        assert!(is_stopped(&mut cluster, 3));
        assert_eq!(cluster.peer(3).raft.last(), at(0, 0));
    }
    cluster.with(1, |peer| peer.propose(b"y"));
    cluster.tick(1);
    assert_eq!(cluster.peer(1).raft.commit(), cluster.peer(2).raft.last().index, "the others go on");
}

/// S35: once its removal is committed, nothing counts on what it forgot, and the id may come back as
/// that of a new, empty node. An acknowledgement from its earlier life that arrives only then commits
/// nothing; it stops the node, loudly.
#[test]
fn an_id_comes_back_empty_only_after_its_removal() {
    for has_late_ack in [false, true] {
        let mut cluster = Cluster::led(3);
        cluster.with(1, |peer| peer.propose(b"x"));
        cluster.change(1, &change().remove(node(3)));
        cluster.tick(2);
        *cluster.peer(3) = Peer::join(config(3));
        cluster.with(1, |peer| peer.change(&change().voter(node(3)))).expect("is settled");
        if has_late_ack {
            let commit = cluster.peer(1).raft.commit();
            cluster.with(1, |peer| peer.hear(3, 1, append_reply(0, 3, 3)));
            assert_eq!(cluster.peer(1).raft.commit(), commit);
        }
        cluster.tick(5);
        assert_eq!(is_stopped(&mut cluster, 3), has_late_ack);
        let is_complete = cluster.peer(3).raft.last() == cluster.peer(1).raft.last();
        assert_eq!(is_complete, !has_late_ack);
    }
}
