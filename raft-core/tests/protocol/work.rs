//! How much is done for how much: bytes on the wire, messages and loads, counted (S95, S96).

use raft_core::{Body, Config, Entries, LogStore, Message};

use crate::support::{
    Cluster, Dice, Peer, append_reply, at, config, heartbeat_reply, index, node, refused, voters,
};

/// The payload bytes of a message.
fn entry_bytes(message: &Message) -> usize {
    match &message.body {
        Body::Append(append) => append.batches.byte_count(),
        _ => 0,
    }
}

/// Small windows and messages, and little memory, so that every way of sending is taken.
fn narrow(id: u64) -> Config {
    let mut config = config(id);
    config.append_bytes_max = 300;
    config.inflight_messages_max = 4;
    config.tail_bytes_max = 500;
    config.apply_bytes_max = 1000;
    config
}

/// S95: over links that lose nothing and keep their order, each byte of the log goes to each follower
/// once: however acknowledgements, heartbeats and proposals come in between, and wherever the bytes
/// come from, memory or the store.
#[test]
fn every_byte_is_sent_to_each_follower_once() {
    let mut loads = 0;
    for seed in 0..100 {
        let mut dice = Dice::new(seed);
        let mut cluster = Cluster::from_peers((1..=3).map(|id| Peer::found(narrow(id), voters(3))));
        cluster.elect(1);
        cluster.peer(1).is_store_slow = true;
        let mut sent = [0; 4];
        for _ in 0..600 {
            match dice.below(5) {
                0 => {
                    let payload = vec![b'x'; dice.place(200)];
                    cluster.with(1, |peer| peer.propose(&payload));
                }
                1 => loads += answer_loads(&mut cluster),
                2 if dice.once_in(10) => cluster.with(1, |peer| peer.tick(1)),
                _ => deliver_in_order(&mut cluster, &mut dice, &mut sent),
            }
        }
        while !(cluster.bag.is_empty() && cluster.peer(1).loads.is_empty()) {
            loads += answer_loads(&mut cluster);
            deliver_in_order(&mut cluster, &mut dice, &mut sent);
        }
        let leader = cluster.peer(1);
        assert_eq!(leader.raft.commit(), leader.raft.last().index, "seed {seed}");
        let proposed = leader.written.load(index(2), leader.raft.last().index.next(), usize::MAX);
        let bytes: usize = proposed.expect("in memory").iter().map(Entries::byte_count).sum();
        assert_eq!(sent[2..], [bytes, bytes], "seed {seed}");
    }
    assert!(loads > 100, "{loads} loads");
}

/// S95: what is lost is sent again, and what is sent again is no more than what was under way.
#[test]
fn a_loss_costs_at_most_a_window() {
    let mut cluster = Cluster::from_peers((1..=3).map(|id| Peer::found(narrow(id), voters(3))));
    cluster.elect(1);
    let (mut sent, mut losses) = (0, 0);
    for round in 0..200 {
        for _ in 0..3 {
            cluster.with(1, |peer| peer.propose(&[b'x'; 99]));
        }
        if round % 10 == 0 {
            let lost = cluster.bag.iter().position(|message| message.to == node(2)).expect("an append");
            sent += entry_bytes(&cluster.bag.remove(lost));
            losses += 1;
        }
        while !cluster.bag.is_empty() {
            let message = cluster.bag.remove(0);
            sent += if message.to == node(2) { entry_bytes(&message) } else { 0 };
            cluster.deliver(message);
        }
        cluster.with(1, |peer| peer.tick(1));
    }
    cluster.tick(5);
    assert_eq!(cluster.peer(2).raft.last(), at(1, 601));
    let (bytes, window) = (600 * 100, 4 * 300);
    assert!(sent >= bytes && sent <= bytes + losses * window, "{sent} bytes, {losses} losses");
}

/// A leader with a log of a hundred thousand entries in a thousand terms, most of it not in memory.
fn leader_of_a_long_log() -> Peer {
    let terms: Vec<u64> = (0..LONG).map(|at| 1 + at / 100).collect();
    let mut leader = Peer::with_log(config(1), voters(5), (1000, 0, 0), &terms);
    (leader.is_store_slow, leader.is_apply_slow) = (true, true);
    leader.win(&[2, 3]);
    leader.sent.clear();
    leader
}

/// S96: an acknowledgement, however little or much it covers, leads to nothing but the commit.
#[test]
fn an_acknowledgement_leads_to_nothing_but_the_commit() {
    let mut leader = leader_of_a_long_log();
    for from in 2..=5 {
        leader.hear(from, 1001, append_reply(0, LONG + 1, LONG + 1));
    }
    let loads = leader.loads.len();
    for _ in 0..1000 {
        leader.raft.propose(b"x").expect("leads");
    }
    leader.drain();
    leader.take_kinds();
    for ack in LONG + 2..=LONG + 1001 {
        for from in 2..=5 {
            leader.hear(from, 1001, append_reply(0, ack, LONG + 1001));
            leader.hear(from, 1001, heartbeat_reply(0, ack, LONG + 1001));
        }
        assert_eq!(leader.raft.commit(), index(ack));
    }
    assert_eq!((leader.take_kinds(), leader.loads.len()), (vec![], loads));
}

/// S96, S18: a refusal leads to one append without entries, wherever in the log it points, and to
/// no load; the answer to that to one load.
#[test]
fn a_refusal_leads_to_one_empty_append() {
    let leader = leader_of_a_long_log();
    for end in [LONG - 1, 50_000, 1234, 100, 1, 0] {
        let mut leader = leader.clone();
        let hint = at(leader.raft.term_at(index(end)).expect("in the log").get(), end);
        leader.hear(4, 1001, refused(0, LONG, hint));
        let bodies = leader.take_bodies(4);
        assert!(
            matches!(&bodies[..], [Body::Append(probe)] if probe.prev == hint && probe.batches.is_empty())
        );
        assert_eq!((leader.take_kinds(), leader.loads.len()), (vec![], 0));
        leader.hear(4, 1001, append_reply(0, end, end));
        assert_eq!((leader.take_kinds(), leader.loads.len()), (vec![], 1));
        assert_eq!(leader.loads[0].first, index(end + 1));
    }
}

/// Answers what the leader asked its store for; how much that was.
fn answer_loads(cluster: &mut Cluster) -> usize {
    let waiting = cluster.peer(1).loads.len();
    cluster.with(1, |peer| {
        (0..waiting).for_each(|_| peer.answer_load());
        peer.drain();
    });
    waiting
}

/// Delivers the oldest message of some link.
fn deliver_in_order(cluster: &mut Cluster, dice: &mut Dice, sent: &mut [usize; 4]) {
    if cluster.bag.is_empty() {
        return;
    }
    let picked = &cluster.bag[dice.place(cluster.bag.len())];
    let link = (picked.from, picked.to);
    let oldest = cluster.bag.iter().position(|message| (message.from, message.to) == link);
    let message = cluster.bag.remove(oldest.expect("at least the picked one"));
    sent[usize::try_from(message.to.get()).expect("small")] += entry_bytes(&message);
    cluster.deliver(message);
}

/// The last entry of a long log.
const LONG: u64 = 100_000;
