//! Changes of membership when nothing goes wrong, and what is refused (Raft §6, diss. §4).

use raft_core::{
    ChangeError, EntryKind, Member, MemberRole, Membership, MembershipChange, MembershipError, Notice,
};

use crate::support::{
    Cluster, Peer, append, append_reply, at, config, index, joint, node, term, with_learner,
};

fn change() -> MembershipChange {
    MembershipChange::new()
}

/// A leader of voters 1 to `count` in term 1 whose opening entry is committed.
fn leader(count: u64) -> Peer {
    let mut leader = Peer::voter(1, count);
    let others: Vec<u64> = (2..=count).collect();
    leader.win(&others);
    leader.acknowledge(&others);
    leader.sent.clear();
    leader
}

/// The kinds of all entries that were applied.
fn kinds(peer: &Peer) -> Vec<EntryKind> {
    peer.applied.iter().map(|applied| applied.kind).collect()
}

/// Raft §6: new voters come in through a joint configuration, which is in force when appended and
/// left by itself when it is committed. S89: neither waits for a heartbeat, for no time passes.
#[test]
fn a_change_of_voters_goes_through_a_joint_configuration_and_out_of_it() {
    let mut cluster = Cluster::led(3);
    cluster.join(4);
    let position = cluster.with(1, |peer| peer.change(&change().voter(node(4)))).expect("is settled");
    assert_eq!(position, at(1, 2));
    assert_eq!(cluster.peer(1).voters(), (vec![1, 2, 3], vec![1, 2, 3, 4]));
    assert!(cluster.peer(1).has_noticed(|notice| *notice == Notice::MembershipAppended { at: at(1, 2) }));
    cluster.settle();
    for id in 1..=4 {
        assert_eq!(cluster.peer(id).voters(), (vec![], vec![1, 2, 3, 4]), "node {id}");
    }
    cluster.tick(1);
    let expected = [EntryKind::Empty, EntryKind::Membership, EntryKind::Membership];
    for id in 1..=4 {
        assert_eq!(kinds(cluster.peer(id)), expected, "node {id}");
    }
}

/// Diss. §4.2.1: a node without a past is brought up from the beginning of the log, and counts.
#[test]
fn a_new_empty_member_catches_up_and_counts() {
    let mut cluster = Cluster::led(3);
    for command in [b"a", b"b", b"c"] {
        cluster.with(1, |peer| peer.propose(command));
    }
    cluster.settle();
    cluster.join(4);
    cluster.change(1, &change().learner(node(4)));
    cluster.change(1, &change().voter(node(4)));
    cluster.tick(1);
    assert_eq!(cluster.commands(4), [b"a", b"b", b"c"]);
    cluster.partition(&[1, 3, 4]);
    cluster.with(1, |peer| peer.propose(b"d"));
    cluster.settle();
    cluster.tick(1);
    assert_eq!(cluster.commands(4).last(), Some(&b"d".to_vec()), "committed by 1, 3 and 4 of four");
}

/// A joint configuration that was asked to stay is left when told, and not before.
#[test]
fn a_joint_configuration_stays_until_it_is_left_if_told_so() {
    let mut cluster = Cluster::led(3);
    cluster.join(4);
    cluster.change(1, &change().voter(node(4)).remove(node(3)).stay_joint());
    cluster.tick(30);
    assert_eq!(cluster.peer(1).voters(), (vec![1, 2, 3], vec![1, 2, 4]));
    let again = cluster.with(1, |peer| peer.change(&change().learner(node(5))));
    assert_eq!(again, Err(ChangeError::InProgress));
    let left = cluster.with(1, |peer| peer.raft.leave_joint());
    assert_eq!(left, Ok(at(1, 3)));
    cluster.with(1, Peer::drain);
    cluster.settle();
    for id in [1, 2, 4] {
        assert_eq!(cluster.peer(id).voters(), (vec![], vec![1, 2, 4]), "node {id}");
    }
}

/// Diss. §4.2.1: learners count in no quorum, so they come and go without a joint configuration.
#[test]
fn learners_come_and_go_in_one_step() {
    let mut leader = leader(3);
    for step in
        [change().learner(node(4)).learner(node(5)), change().remove(node(4)), change().remove(node(5))]
    {
        leader.change(&step).expect("is settled");
        assert!(!leader.raft.membership().is_joint());
        assert_eq!(leader.voters().1, [1, 2, 3]);
        leader.acknowledge(&[2]);
        assert_eq!(leader.raft.commit(), leader.raft.last().index, "one of two followers is enough");
    }
    assert_eq!(leader.raft.membership().members().len(), 3);
}

/// A learner's acknowledgement commits nothing, before its promotion is in force or after it was
/// demoted.
#[test]
fn promotion_and_demotion_decide_who_counts() {
    let mut leader = Peer::found(config(1), with_learner(3, 4));
    leader.win(&[2]);
    leader.acknowledge(&[4]);
    assert_eq!(leader.raft.commit(), index(0));
    leader.acknowledge(&[2]);

    leader.change(&change().voter(node(4))).expect("is settled");
    leader.acknowledge(&[2]);
    assert!(leader.raft.membership().is_joint(), "the new half is 1 and 2 of 1, 2, 3 and 4");
    leader.acknowledge(&[4]);
    leader.acknowledge(&[2, 4]);
    assert_eq!((leader.voters().1, leader.raft.commit()), (vec![1, 2, 3, 4], index(3)));

    leader.change(&change().learner(node(4)).learner(node(3))).expect("is settled");
    leader.acknowledge(&[4]);
    assert_eq!(leader.voters(), (vec![1, 2, 3, 4], vec![1, 2]));
    leader.acknowledge(&[2, 4]);
    leader.acknowledge(&[3, 4]);
    assert_eq!((leader.voters().1, leader.raft.commit()), (vec![1, 2], index(4)));
    leader.acknowledge(&[2]);
    assert_eq!(leader.raft.commit(), index(5));
}

/// Raft §6: a change is not limited to one server; all of it takes effect as one.
#[test]
fn any_number_of_members_change_at_once() {
    let mut cluster = Cluster::led(3);
    for id in 4..=7 {
        cluster.join(id);
    }
    let all = change().voter(node(4)).voter(node(5)).learner(node(6)).remove(node(2)).learner(node(3));
    cluster.change(1, &all);
    let (outgoing, voters) = cluster.peer(1).voters();
    assert_eq!((outgoing, voters), (vec![], vec![1, 4, 5]));
    let members = cluster.peer(5).raft.membership().members().to_vec();
    let roles: Vec<_> = members.iter().map(|member| (member.id.get(), member.role)).collect();
    let (learner, voter) = (MemberRole::Learner, MemberRole::Voter);
    assert_eq!(roles, [(1, voter), (3, learner), (4, voter), (5, voter), (6, learner)]);
}

/// Context and domain are the members' own: they change in one step, go with the member through a
/// joint configuration, and are gone with it.
#[test]
fn context_and_domain_travel_with_the_member() {
    let mut leader = leader(2);
    leader.change(&change().context(node(2), "10.0.0.2").domain(node(2), 7)).expect("is settled");
    assert!(!leader.raft.membership().is_joint());
    leader.acknowledge(&[2]);
    let told = |peer: &Peer| {
        let member = peer.raft.membership().member(node(2)).cloned();
        member.map(|member| (member.context.to_vec(), member.domain))
    };
    let expected = Some((b"10.0.0.2".to_vec(), 7));
    assert_eq!(told(&leader), expected);
    leader.change(&change().voter(node(3)).context(node(3), "10.0.0.3").remove(node(2))).expect("is settled");
    assert_eq!(leader.raft.membership().member(node(2)).map(|member| member.role), Some(MemberRole::Leaving));
    assert_eq!(told(&leader), expected, "it still has to be reached");
    leader.acknowledge(&[2, 3]);
    leader.acknowledge(&[3]);
    assert_eq!(told(&leader), None);
    leader.change(&change().voter(node(2))).expect("is settled");
    assert_eq!(told(&leader), Some((vec![], 0)), "who comes back comes back new");
}

/// The steps of a change are taken in their order, and the last word counts.
#[test]
fn later_steps_of_a_change_see_earlier_ones() {
    let mut leader = leader(3);
    let detour = change().voter(node(4)).context(node(4), "x").remove(node(4)).learner(node(4));
    leader.change(&detour).expect("is settled");
    assert_eq!(
        leader.raft.membership().member(node(4)),
        Some(&Member { role: MemberRole::Learner, ..Member::voter(node(4)) }),
    );
    leader.acknowledge(&[2, 3]);
    let nothing = change().remove(node(4)).learner(node(4));
    assert_eq!(leader.change(&nothing), Err(ChangeError::NothingChanges));
}

/// S38: one change at a time. The next one, or the same one again, waits until the first is
/// committed and its joint configuration left for good.
#[test]
fn changes_come_one_at_a_time() {
    let mut leader = leader(3);
    let first = change().voter(node(4));
    leader.change(&first).expect("is settled");
    let last = leader.raft.last();
    for second in [&first, &change().remove(node(2)), &change().learner(node(5))] {
        assert_eq!(leader.change(second), Err(ChangeError::InProgress), "joint, not committed");
    }
    assert_eq!(leader.raft.leave_joint(), Err(ChangeError::InProgress), "it leaves by itself");
    assert_eq!(leader.raft.last(), last, "S91: nothing was appended");
    leader.acknowledge(&[2, 4]);
    assert_eq!(leader.change(&change().remove(node(2))), Err(ChangeError::InProgress), "left, not committed");
    leader.acknowledge(&[2, 4]);
    assert_eq!(leader.change(&first), Err(ChangeError::NothingChanges), "the retry finds it done");
    assert_eq!(leader.change(&change().remove(node(2))), Ok(at(1, 4)));
}

/// S29: no change before an entry of the leader's own term is committed. Ongaro's example of 2015:
/// two leaders that each know of their own single change only could find disjoint majorities.
#[test]
fn a_new_leader_changes_nothing_before_it_committed_in_its_term() {
    let changes = [
        change().voter(node(5)),
        change().remove(node(4)),
        change().learner(node(9)),
        change().voter(node(5)).voter(node(6)),
    ];
    for wanted in changes {
        let mut leader = Peer::with_log(config(1), crate::support::voters(4), (1, 0, 2), &[1, 1]);
        leader.win(&[2, 3]);
        let last = leader.raft.last();
        assert_eq!(leader.change(&wanted), Err(ChangeError::TermNotCommitted));
        assert_eq!(leader.raft.leave_joint(), Err(ChangeError::TermNotCommitted));
        leader.hear(2, 2, append_reply(0, 2, 2));
        leader.hear(3, 2, append_reply(0, 2, 2));
        assert_eq!(leader.change(&wanted), Err(ChangeError::TermNotCommitted), "only old entries are");
        assert_eq!(leader.raft.last(), last);
        leader.acknowledge(&[2, 3]);
        assert_eq!(leader.change(&wanted), Ok(at(2, 4)));
    }
}

/// While leadership is handed over the log must not grow, so nothing changes either.
#[test]
fn nothing_changes_while_leadership_is_handed_over() {
    let mut leader = leader(3);
    leader.transfer(2).expect("a voter");
    assert_eq!(leader.change(&change().voter(node(4))), Err(ChangeError::Transferring));
    assert_eq!(leader.raft.leave_joint(), Err(ChangeError::Transferring));
    leader.hear(2, 1, crate::support::heartbeat_reply(0, 1, 1));
    leader.tick(9);
    leader.hear(2, 1, crate::support::heartbeat_reply(1, 1, 1));
    leader.tick(1);
    assert_eq!(leader.change(&change().voter(node(4))), Ok(at(1, 2)), "given up");
}

/// Who does not lead says who does, if it knows.
#[test]
fn only_the_leader_changes_the_membership() {
    let mut follower = Peer::voter(1, 3);
    assert_eq!(follower.change(&change().voter(node(4))), Err(ChangeError::NoLeader));
    assert_eq!(follower.raft.leave_joint(), Err(ChangeError::NoLeader));
    follower.hear(2, 1, append(at(0, 0), 0, &[1]));
    let leads = Err(ChangeError::NotLeader { leader: node(2) });
    assert_eq!(follower.change(&change().voter(node(4))), leads);
    assert_eq!(follower.raft.leave_joint(), leads);
    follower.tick(20);
    assert_eq!(follower.change(&change().voter(node(4))), Err(ChangeError::NoLeader), "a candidate");
}

/// S91, S99: what cannot be, or would be nothing, is refused with the reason, and nothing is
/// appended; above all the last voter is not removed.
#[test]
fn changes_that_cannot_be_are_refused_and_append_nothing() {
    let no_voters = ChangeError::Membership(MembershipError::NoVoters { outgoing: false });
    let invalid = |id| ChangeError::Membership(MembershipError::InvalidId(node(id)));
    let too_large = ChangeError::Membership(MembershipError::TooLarge);
    let cases = [
        (change(), ChangeError::NothingChanges),
        (change().voter(node(2)), ChangeError::NothingChanges),
        (change().context(node(2), ""), ChangeError::NothingChanges),
        (change().remove(node(9)), ChangeError::NotMember(node(9))),
        (change().context(node(9), "x"), ChangeError::NotMember(node(9))),
        (change().domain(node(9), 1), ChangeError::NotMember(node(9))),
        (change().remove(node(2)).context(node(2), "x"), ChangeError::NotMember(node(2))),
        (change().remove(node(1)).remove(node(2)), no_voters),
        (change().learner(node(1)).remove(node(2)), no_voters),
        (change().learner(node(1)).learner(node(2)).learner(node(3)), no_voters),
        (change().voter(node(0)), invalid(0)),
        (change().voter(node(u64::MAX)), invalid(u64::MAX)),
        (change().learner(node(u64::MAX)), invalid(u64::MAX)),
        (change().context(node(2), vec![b'x'; Membership::BYTES_MAX]), too_large),
    ];
    for (wanted, error) in cases {
        let mut leader = leader(2);
        let before = leader.status();
        assert_eq!(leader.change(&wanted), Err(error), "{wanted:?}");
        assert_eq!(leader.raft.leave_joint(), Err(ChangeError::NotJoint));
        assert_eq!(leader.status(), before, "{wanted:?}");
        assert!(!error.to_string().is_empty());
        assert_eq!(std::error::Error::source(&error).is_some(), matches!(error, ChangeError::Membership(_)));
    }
    let mut only = Peer::voter(1, 1);
    only.win(&[]);
    for last in [change().remove(node(1)), change().learner(node(1))] {
        assert_eq!(only.change(&last), Err(no_voters));
    }
    assert_eq!(only.change(&change().remove(node(1)).voter(node(2))), Ok(at(1, 2)), "replaced, not removed");
}

/// S97: only membership entries change the membership, so learners outlive every leader.
#[test]
fn learners_survive_the_next_leader() {
    let mut cluster = Cluster::led(3);
    cluster.join(4);
    cluster.change(1, &change().learner(node(4)));
    cluster.tick(1);
    for next in [2, 3, 1] {
        for id in cluster.ids() {
            cluster.restart(id);
        }
        cluster.lose_all();
        cluster.elect(next);
        cluster.with(next, |peer| peer.propose(b"x"));
        cluster.settle();
        for id in 1..=4 {
            let membership = cluster.peer(id).raft.membership();
            assert_eq!(membership.member(node(4)).map(|member| member.role), Some(MemberRole::Learner));
        }
        assert_eq!(cluster.peer(4).raft.last(), cluster.peer(next).raft.last());
    }
}

/// The whole life of a joint founding: the members of a group may start in the middle of a change.
#[test]
fn a_group_can_be_found_in_the_middle_of_a_change() {
    let founding = joint(&[1, 2, 3], &[3, 4, 5]);
    let mut cluster = Cluster::from_peers((1..=5).map(|id| Peer::found(config(id), founding.clone())));
    cluster.elect(4);
    assert_eq!(cluster.peer(4).raft.term(), term(1));
    cluster.with(4, |peer| peer.raft.leave_joint()).expect("its term has begun");
    cluster.with(4, Peer::drain);
    cluster.settle();
    assert_eq!(cluster.peer(4).voters(), (vec![], vec![3, 4, 5]));
}
