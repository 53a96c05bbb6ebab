//! The paper's figures 7 and 8, played out.

use raft_core::{Body, VoteReply};

use crate::support::{Cluster, Peer, at, config, index, kind, node, term, voters};

/// Figure 7: the new leader of term 8, and followers a to f as nodes 2 to 7.
const LEADER: [u64; 10] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FOLLOWERS: [&[u64]; 6] = [
    &[1, 1, 1, 4, 4, 5, 5, 6, 6],
    &[1, 1, 1, 4],
    &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    &[1, 1, 1, 4, 4, 4, 4],
    &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
];

fn figure_7() -> Cluster {
    let followers = FOLLOWERS.iter().zip(2..);
    let followers = followers.map(|(log, id)| Peer::with_log(config(id), voters(7), (7, 0, 0), log));
    let leader = Peer::with_log(config(1), voters(7), (7, 0, 0), &LEADER);
    Cluster::from_peers(std::iter::once(leader).chain(followers))
}

/// Raft §5.4.1: of the followers of figure 7, those with less complete logs vote for the leader.
#[test]
fn in_figure_7_the_votes_come_from_a_b_e_and_f() {
    let mut cluster = figure_7();
    cluster.with(1, Peer::campaign);
    for request in cluster.take(|message| kind(message) == "pre-vote") {
        cluster.deliver(request);
    }
    let granted = |granted: bool, cluster: &mut Cluster| -> Vec<u64> {
        let is_so =
            |body: &Body| matches!(body, Body::PreVoteReply(VoteReply { granted: is, .. }) if *is == granted);
        cluster.bag.iter().filter(|message| is_so(&message.body)).map(|message| message.from.get()).collect()
    };
    assert_eq!(granted(true, &mut cluster), [2, 3, 6, 7]);
    assert_eq!(granted(false, &mut cluster), [4, 5]);
}

/// Raft §5.3, figure 7: the leader makes every follower's log equal its own; what is missing is
/// brought, what is extra is cut off. S18: no follower refuses more often than there are terms.
#[test]
fn in_figure_7_every_follower_is_repaired() {
    let mut cluster = figure_7();
    cluster.with(1, Peer::campaign);
    let mut refusals = [0; 8];
    while !cluster.bag.is_empty() {
        let message = cluster.bag.remove(0);
        if matches!(&message.body, Body::AppendReply(reply) if reply.conflict.is_some()) {
            refusals[usize::try_from(message.from.get()).expect("small")] += 1;
        }
        cluster.deliver(message);
    }
    cluster.tick(1);
    let expected: Vec<u64> = LEADER.into_iter().chain([8]).collect();
    for id in cluster.ids() {
        assert_eq!(cluster.peer(id).log_terms(), expected, "node {id}");
        assert_eq!(cluster.peer(id).raft.commit(), index(11), "node {id}");
    }
    // Nodes c and d hold the leader's last entry. The others are asked where their log may meet it.
    assert_eq!(refusals[2..], [1, 1, 0, 0, 1, 1]);
}

/// Figure 8 up to (c): node 1 leads term 4, and the entry of term 2 is on nodes 1, 2 and 3; its own
/// entry of term 4 only on node 1. Node 5 holds an entry of term 3 instead.
fn figure_8_c() -> Cluster {
    let mut first = config(1);
    first.append_bytes_max = 1;
    let mut cluster = Cluster::from_peers([
        Peer::with_log(first, voters(5), (3, 0, 1), &[1, 2]),
        Peer::with_log(config(2), voters(5), (2, 1, 1), &[1, 2]),
        Peer::with_log(config(3), voters(5), (3, 5, 1), &[1]),
        Peer::with_log(config(4), voters(5), (3, 5, 1), &[1]),
        Peer::with_log(config(5), voters(5), (3, 5, 1), &[1, 3]),
    ]);
    cluster.cut(1, 4);
    cluster.cut(1, 5);
    cluster.with(1, Peer::campaign);
    // Everything moves but the entry of term 4.
    for _ in 0..3 {
        for _ in 0..20 {
            let is_own = |message: &raft_core::Message| matches!(&message.body, Body::Append(append) if append.batches.last() == Some(index(3)));
            cluster.take(is_own);
            if !cluster.bag.is_empty() {
                let message = cluster.bag.remove(0);
                cluster.deliver(message);
            }
        }
        cluster.with(1, |peer| peer.tick(1));
    }
    assert_eq!((cluster.leader(), cluster.peer(1).raft.term()), (Some(1), term(4)));
    cluster
}

/// Raft §5.4.2, figure 8. S23: an entry of an earlier term is not committed by counting, for it can
/// be on a majority and still be overwritten.
#[test]
fn in_figure_8_an_entry_of_an_earlier_term_on_a_majority_is_not_committed() {
    let mut cluster = figure_8_c();
    for id in [1, 2, 3] {
        assert_eq!(cluster.peer(id).raft.term_at(index(2)), Some(term(2)), "node {id} has the entry");
    }
    for id in [2, 3] {
        assert_eq!(cluster.peer(1).progress(id).matched, index(2));
    }
    assert_eq!(cluster.peer(1).raft.commit(), index(1));

    // (d): node 1 is gone, node 5 is elected by 3 and 4 and 2, and overwrites the entry.
    cluster.lose_all();
    cluster.partition(&[1]);
    cluster.with(5, |peer| peer.tick(40));
    cluster.tick(80);
    let leader = cluster.leader().expect("four nodes are left");
    assert!(leader != 1);
    cluster.heal();
    cluster.tick(80);
    let logs: Vec<_> = cluster.ids().into_iter().map(|id| cluster.peer(id).log_terms()).collect();
    assert!(logs.windows(2).all(|pair| pair[0] == pair[1]), "{logs:?}");
}

/// Figure 8 (d): node 5 can indeed be elected then, and the entry of term 2 disappears.
#[test]
fn in_figure_8_d_the_entry_is_overwritten() {
    let mut cluster = figure_8_c();
    cluster.lose_all();
    cluster.restart(1);
    for id in [2, 3, 4] {
        cluster.with(id, |peer| peer.tick(9));
    }
    cluster.heal();
    cluster.with(5, Peer::campaign);
    cluster.settle();
    for id in [2, 3, 4] {
        cluster.with(id, |peer| peer.tick(1));
        cluster.lose_all();
    }
    cluster.elect(5);
    cluster.tick(2);
    for id in cluster.ids() {
        assert_eq!(cluster.peer(id).raft.term_at(index(2)), Some(term(3)), "node {id}");
        assert!(cluster.peer(id).raft.commit() >= index(3));
    }
}

/// Figure 8 (e): once the leader's own entry is on a majority, everything before it is committed
/// with it, and node 5 can no longer win.
#[test]
fn in_figure_8_e_an_entry_of_the_own_term_commits_everything_before_it() {
    let mut cluster = figure_8_c();
    cluster.lose_all();
    cluster.tick(4);
    assert_eq!(cluster.peer(1).raft.commit(), index(3));
    assert_eq!(cluster.peer(3).applied.last().map(|applied| applied.position), Some(at(4, 3)));
    cluster.lose_all();
    cluster.restart(1);
    cluster.heal();
    for _ in 0..5 {
        for id in [2, 3, 4] {
            cluster.with(id, |peer| peer.tick(12));
        }
        cluster.lose_all();
        if cluster.peer(5).raft.campaign().is_ok() {
            cluster.with(5, Peer::drain);
        }
        cluster.settle();
        assert!(!cluster.peer(5).raft.is_leader(), "{:?}", cluster.peer(5).status());
    }
    assert_eq!(cluster.peer(5).raft.leader().filter(|leader| *leader == node(5)), None);
}
