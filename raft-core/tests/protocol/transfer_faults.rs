//! Hand-overs in which messages are lost, repeated or late, and nodes crash (S57).

use raft_core::{MembershipChange, Message};

use crate::support::{Cluster, Dice, Peer, kind, node, term};

/// Node 1 leads three nodes, has a command acknowledged and one under way, and hands over to 3.
fn handing_over() -> Cluster {
    let mut cluster = Cluster::led(3);
    cluster.with(1, |peer| peer.propose(b"acknowledged"));
    cluster.settle();
    cluster.with(1, |peer| peer.propose(b"under way"));
    cluster.with(1, |peer| peer.transfer(3)).expect("a voter");
    cluster
}

/// One leader is found, the acknowledged command is there once, and writes go on.
fn assert_goes_on(cluster: &mut Cluster) {
    cluster.tick(120);
    let leader = cluster.leader().expect("a quorum is alive");
    assert!(cluster.all_follow(leader));
    cluster.with(leader, |peer| peer.propose(b"after"));
    cluster.settle();
    cluster.tick(2);
    for id in cluster.ids() {
        let commands = cluster.commands(id);
        assert_eq!(commands.first().map(Vec::as_slice), Some(&b"acknowledged"[..]), "node {id}");
        assert_eq!(commands.last().map(Vec::as_slice), Some(&b"after"[..]), "node {id}");
        assert!(commands.len() <= 3, "node {id}: {commands:?}");
    }
}

/// Plays the hand-over up to its `step`th message; whether that was all of it.
fn play(cluster: &mut Cluster, step: usize) -> bool {
    for _ in 0..step {
        if cluster.bag.is_empty() {
            return true;
        }
        let message = cluster.bag.remove(0);
        cluster.deliver(message);
    }
    cluster.bag.is_empty()
}

/// S57: source, target, or both crash after any message, with or without what they still had under
/// way.
#[test]
fn source_and_target_may_crash_at_any_message() {
    let mut leaders = std::collections::BTreeSet::new();
    for crashing in [&[1][..], &[3], &[1, 3]] {
        for loses in [false, true] {
            for step in 0.. {
                let mut cluster = handing_over();
                let is_over = play(&mut cluster, step);
                for id in crashing {
                    if loses {
                        cluster.take(|message| message.from == node(*id));
                    }
                    cluster.restart(*id);
                }
                assert_goes_on(&mut cluster);
                leaders.insert(cluster.leader());
                if is_over {
                    break;
                }
            }
        }
    }
    assert!(leaders.contains(&Some(1)) && leaders.contains(&Some(3)), "{leaders:?}");
}

/// S57 with slow disks: what the target or the source had not made durable when it crashed is gone.
#[test]
fn source_and_target_may_crash_before_their_disks_are_done() {
    for slow in 0..1_u64 << 3 {
        for step in 0..24 {
            let mut cluster = handing_over();
            for id in (1..=3).filter(|id| slow >> (id - 1) & 1 == 1) {
                cluster.peer(id).is_disk_slow = true;
            }
            play(&mut cluster, step);
            for id in cluster.ids() {
                if cluster.peer(id).is_disk_slow {
                    cluster.restart(id);
                }
            }
            assert_goes_on(&mut cluster);
        }
    }
}

/// S55, S57: any single message of a hand-over is lost, doubled, or comes a long time later.
#[test]
fn any_message_of_a_transfer_may_be_lost_doubled_or_late() {
    for fate in ["lost", "doubled", "late"] {
        for step in 0.. {
            let mut cluster = handing_over();
            let is_over = play(&mut cluster, step);
            let mut late: Option<Message> = None;
            if !cluster.bag.is_empty() {
                let message = cluster.bag.remove(0);
                match fate {
                    "doubled" => {
                        cluster.deliver(message.clone());
                        cluster.deliver(message);
                    }
                    "late" => late = Some(message),
                    _ => {}
                }
            }
            cluster.settle();
            cluster.tick(40);
            let before = cluster.leader();
            if let Some(message) = late {
                let is_order = kind(&message) == "timeout now";
                cluster.deliver(message);
                cluster.settle();
                if !is_order {
                    assert_eq!(cluster.leader(), before, "step {step}");
                }
            }
            assert_goes_on(&mut cluster);
            if is_over {
                break;
            }
        }
    }
}

/// S55: an order that comes after the hand-over was given up still comes from the leader of the
/// term. The candidacy may cost an election, but no second leader and no entry.
#[test]
fn an_order_that_comes_after_the_transfer_was_given_up_is_harmless() {
    let mut cluster = handing_over();
    cluster.settle_but("timeout now");
    let order = cluster.take(|message| kind(message) == "timeout now").pop().expect("3 is up to date");
    for _ in 0..12 {
        cluster.tick(1);
    }
    assert_eq!(cluster.leader(), Some(1));
    cluster.with(1, |peer| peer.propose(b"meanwhile"));
    cluster.deliver(order);
    cluster.settle();
    cluster.tick(120);
    let leader = cluster.leader().expect("all are alive");
    assert!(cluster.all_follow(leader));
    assert!(cluster.peer(leader).raft.term() <= term(4));
    let commands = cluster.commands(leader);
    assert_eq!(commands[..2], [b"acknowledged".to_vec(), b"under way".to_vec()]);
}

/// Leadership goes round under loss, reordering and repetition, with writes and changes between.
/// The harness checks after every message that no term has two leaders and no two nodes apply
/// different entries.
#[test]
fn transfers_at_random_keep_one_leader_and_every_entry() {
    let mut handed_over = 0;
    for seed in 0..150 {
        let mut dice = Dice::new(seed);
        let mut cluster = Cluster::led(4);
        for round in 0..12_u32 {
            let Some(leader) = cluster.leader() else { break };
            if dice.once_in(2) {
                let _ = cluster.with(leader, |peer| peer.raft.propose(&round.to_be_bytes()));
            }
            if dice.once_in(4) {
                let change = MembershipChange::new().domain(node(2), dice.below(1000));
                let _ = cluster.with(leader, |peer| peer.change(&change));
            }
            let to = 1 + dice.below(4);
            let _ = cluster.with(leader, |peer| peer.transfer(to));
            cluster.shake(&mut dice, 40, 2);
            if dice.once_in(5) {
                let id = 1 + dice.below(4);
                cluster.restart(id);
            }
            cluster.tick(4);
            handed_over += u32::from(cluster.leader() == Some(to) && to != leader);
        }
        cluster.tick(150);
        let leader = cluster.leader().expect("a quiet network");
        cluster.with(leader, |peer| peer.propose(b"last"));
        cluster.settle();
        cluster.tick(2);
        let commands = cluster.commands(leader);
        for id in 1..=4 {
            assert_eq!(cluster.commands(id), commands, "seed {seed}, node {id}");
        }
    }
    assert!(handed_over > 100, "{handed_over}");
}

/// The only follower takes over from the only other voter, and back, many times.
#[test]
fn two_nodes_hand_over_back_and_forth() {
    let mut cluster = Cluster::led(2);
    for round in 0..20 {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        cluster.with(from, |peer| peer.transfer(to)).expect("a voter");
        cluster.settle();
        assert_eq!(cluster.leader(), Some(to));
        cluster.with(to, |peer| Peer::propose(peer, b"x"));
        cluster.settle();
    }
    assert_eq!(cluster.peer(1).raft.term(), term(21));
}
