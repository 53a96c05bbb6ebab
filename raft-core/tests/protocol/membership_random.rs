//! Random changes of membership among crashes, cuts and lost messages.
//!
//! The harness checks after every message that no term has two leaders and that no two nodes apply
//! different entries; at the end everything is mended, and the group must be whole again.

use raft_core::{MembershipChange, Notice, StepDown};

use crate::support::{Cluster, Dice, Peer, node};

/// Situations that a good run comes across.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    changed: u32,
    left_joint_by_hand: u32,
    logs_cut: u32,
    leaders_removed: u32,
    crashes_while_joint: u32,
}

const NODES: u64 = 6;

fn random_change(dice: &mut Dice) -> MembershipChange {
    let mut change = MembershipChange::new();
    for _ in 0..=dice.below(3) {
        let id = node(1 + dice.below(NODES));
        change = match dice.below(5) {
            0 | 1 => change.voter(id),
            2 => change.learner(id),
            3 => change.remove(id),
            _ => change.voter(id).domain(id, dice.below(9)),
        };
    }
    if dice.once_in(4) { change.stay_joint() } else { change }
}

/// One thing that happens to the cluster.
fn disturb(cluster: &mut Cluster, dice: &mut Dice, seen: &mut Seen) {
    let ids = cluster.ids();
    let some = ids[dice.place(ids.len())];
    match dice.below(12) {
        0..=4 => {
            let leader = cluster.leader().unwrap_or(some);
            let change = random_change(dice);
            seen.changed += u32::from(cluster.with(leader, |peer| peer.change(&change)).is_ok());
        }
        5 => {
            let leader = cluster.leader().unwrap_or(some);
            let result = cluster.with(leader, |peer| {
                let result = peer.raft.leave_joint();
                peer.drain();
                result
            });
            seen.left_joint_by_hand += u32::from(result.is_ok());
        }
        6 => {
            seen.crashes_while_joint += u32::from(cluster.peer(some).raft.membership().is_joint());
            note(cluster.peer(some), seen);
            cluster.restart(some);
        }
        7 => cluster.peer(some).is_disk_slow = true,
        8 => {
            cluster.partition(&[some, 1 + dice.below(NODES)]);
        }
        9 => cluster.heal(),
        _ => {
            let leader = cluster.leader().unwrap_or(some);
            let _ = cluster.with(leader, |peer| {
                let result = peer.raft.propose(b"x");
                peer.drain();
                result
            });
        }
    }
}

/// Counts what a node noticed, before it forgets.
fn note(peer: &mut Peer, seen: &mut Seen) {
    for action in peer.told.drain(..) {
        match action {
            raft_core::Action::Notice(Notice::SteppedDown { cause: StepDown::Removed, .. }) => {
                seen.leaders_removed += 1;
            }
            raft_core::Action::Notice(Notice::Truncated { .. }) => seen.logs_cut += 1,
            _ => {}
        }
    }
}

/// Everything is mended: the members of the newest leader must come to agree and to go on.
fn assert_recovers(cluster: &mut Cluster, seed: u64) {
    cluster.heal();
    for id in cluster.ids() {
        cluster.peer(id).is_disk_slow = false;
        cluster.with(id, |peer| {
            peer.sync();
            peer.drain();
        });
    }
    cluster.tick(200);
    let mut leader = cluster.leader().expect("a quiet network");
    if cluster.peer(leader).raft.membership().is_joint() {
        let left = cluster.with(leader, |peer| peer.raft.leave_joint());
        assert!(left.is_ok(), "seed {seed}: {left:?}, {:?}", cluster.peer(leader).status());
        cluster.with(leader, Peer::drain);
        cluster.tick(60);
        leader = cluster.leader().expect("a quiet network");
    }
    cluster.with(leader, |peer| peer.propose(b"last"));
    cluster.tick(3);
    let (outgoing, voters) = cluster.peer(leader).voters();
    assert_eq!(outgoing, [0; 0], "seed {seed}");
    assert!(voters.contains(&leader), "seed {seed}");
    let commit = cluster.peer(leader).raft.commit();
    assert_eq!(commit, cluster.peer(leader).raft.last().index, "seed {seed}");
    for member in cluster.peer(leader).raft.membership().clone().members() {
        let peer = cluster.peer(member.id.get());
        assert_eq!(
            (peer.raft.commit(), peer.voters().1),
            (commit, voters.clone()),
            "seed {seed}, {member:?}"
        );
    }
}

/// S30, S31, S33, S34, S37, S38, S89, S90 at once, in whatever order the dice say.
#[test]
fn memberships_at_random_keep_one_leader_and_every_entry() {
    let mut seen = Seen::default();
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let mut cluster = Cluster::led(3);
        for id in 4..=NODES {
            cluster.join(id);
        }
        for _ in 0..60 {
            disturb(&mut cluster, &mut dice, &mut seen);
            cluster.shake(&mut dice, 25, 2);
            if dice.once_in(2) {
                cluster.tick(u32::try_from(dice.below(12)).expect("small"));
            }
            for id in cluster.ids() {
                if cluster.peer(id).is_disk_slow && dice.once_in(4) {
                    cluster.peer(id).is_disk_slow = false;
                    cluster.with(id, Peer::sync);
                }
            }
        }
        assert_recovers(&mut cluster, seed);
        for id in cluster.ids() {
            note(cluster.peer(id), &mut seen);
        }
    }
    let Seen { changed, left_joint_by_hand, logs_cut, leaders_removed, crashes_while_joint } = seen;
    let counts = [changed, left_joint_by_hand, logs_cut, leaders_removed, crashes_while_joint];
    assert!(counts.iter().all(|count| *count >= 20), "{seen:?}");
}

/// S34: a node that was removed keeps its disk, and is welcome again: it goes on from what it
/// has, however often it goes and comes.
#[test]
fn a_removed_node_may_come_back_with_its_disk() {
    let mut cluster = Cluster::led(3);
    for round in 0..5 {
        cluster.change(1, &MembershipChange::new().remove(node(3)));
        for _ in 0..round {
            cluster.with(1, |peer| peer.propose(b"without 3"));
            cluster.tick(25);
        }
        cluster.change(1, &MembershipChange::new().learner(node(3)));
        cluster.change(1, &MembershipChange::new().voter(node(3)));
        cluster.tick(2);
        assert_eq!(cluster.peer(3).raft.commit(), cluster.peer(1).raft.commit());
        assert_eq!(cluster.peer(3).voters().1, [1, 2, 3]);
    }
    assert!(cluster.peer(1).raft.is_leader(), "nobody was disturbed");
}

/// S33 in the smallest group: of two nodes the leader removes itself, and the other is alone.
#[test]
fn one_of_two_leaves_the_other_alone() {
    let mut cluster = Cluster::led(2);
    cluster.change(1, &MembershipChange::new().remove(node(1)));
    assert_eq!(cluster.leader(), Some(2));
    cluster.peers.remove(&1);
    cluster.with(2, |peer| peer.propose(b"alone"));
    assert_eq!(cluster.peer(2).raft.commit(), cluster.peer(2).raft.last().index);
}
