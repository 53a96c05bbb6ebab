//! Nodes restart one by one while the group works (S63).

use raft_core::{CommitStatus, Position};

use crate::support::{Cluster, Dice, Peer};

/// What the leader says is committed: from then on a client has been told.
fn take_told(cluster: &mut Cluster, leader: u64, waiting: &mut Vec<(Position, Vec<u8>)>) -> Vec<Vec<u8>> {
    let leader = &cluster.peer(leader).raft;
    let is_told = |(at, _): &(Position, Vec<u8>)| leader.commit_status(*at) == CommitStatus::Committed;
    let (told, left) = std::mem::take(waiting).into_iter().partition(is_told);
    *waiting = left;
    let told: Vec<(Position, Vec<u8>)> = told;
    told.into_iter().map(|(_, payload)| payload).collect()
}

/// S63: every node restarts in its turn, each time with a proposal somewhere on its way. Nothing that
/// was acknowledged is lost, nothing is applied twice, and after each restart the group works on.
#[test]
fn a_rolling_restart_loses_nothing() {
    let (mut led, mut lost) = (0, 0);
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let count = 3 + 2 * dice.below(2);
        let mut cluster = Cluster::led(count);
        let (mut waiting, mut acknowledged) = (Vec::new(), Vec::new());
        for id in 1..=count {
            let leader = cluster.leader().expect("the group works");
            cluster.peer(id).is_disk_slow = dice.once_in(3);
            let payload = format!("{seed}, {id}").into_bytes();
            let position = cluster.with(leader, |peer| peer.propose(&payload));
            waiting.push((position, payload));
            cluster.shake(&mut dice, 8, 1);
            acknowledged.extend(take_told(&mut cluster, leader, &mut waiting));
            led += u64::from(id == leader);
            cluster.restart(id);
            cluster.with(id, Peer::drain);
            cluster.tick(60);
            let leader = cluster.leader().expect("all are up");
            assert!(cluster.all_follow(leader), "seed {seed}, node {id}");
            acknowledged.extend(take_told(&mut cluster, leader, &mut waiting));
            let position = cluster.with(leader, |peer| peer.propose(b"after"));
            cluster.tick(2);
            assert_eq!(
                cluster.peer(leader).raft.commit_status(position),
                CommitStatus::Committed,
                "seed {seed}"
            );
        }
        lost += waiting.len();
        let commands = cluster.commands(1);
        for payload in &acknowledged {
            let times = commands.iter().filter(|command| *command == payload).count();
            assert_eq!(times, 1, "seed {seed}: {}", String::from_utf8_lossy(payload));
        }
        for id in cluster.ids() {
            assert_eq!(cluster.commands(id), commands, "seed {seed}, node {id}");
        }
    }
    assert!(led >= 200 && lost > 10, "{led} restarts of leaders, {lost} proposals lost");
}
