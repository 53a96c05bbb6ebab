//! Entries that are no longer in memory: asked for with `Load`, checked when they come.

use raft_core::bytes::Bytes;
use raft_core::{Body, InstallSnapshot, LoadError, LogStore, SnapshotMeta};

use crate::support::{
    Cluster, Peer, append_reply, at, batch, config, crc32c, heartbeat, heartbeat_reply, index, node, refused,
    voters,
};

/// A leader of two in term 3 with entries 1 to 9 of earlier terms on disk only, whose follower is at
/// index 2 and now gets what it lacks.
fn leader_of_a_lagging_follower() -> Peer {
    let mut leader = Peer::with_log(config(1), voters(2), (2, 0, 0), &[1, 1, 1, 1, 2, 2, 2, 2, 2]);
    leader.is_store_slow = true;
    leader.win(&[2]);
    leader.hear(2, 3, refused(0, 9, at(1, 2)));
    leader.hear(2, 3, append_reply(0, 2, 2));
    leader.sent.clear();
    leader
}

/// Restarted nodes hold no entries in memory: what a lagging follower lacks is loaded, up to what
/// is in memory, and sent.
///
/// A leader once asked for everything up to the end of its log. Entries that were appended since the
/// last drain are not in the store yet, so under load the store refused the range, and the healthy
/// leader of a lagging follower stopped.
#[test]
fn a_lagging_follower_is_served_from_the_store() {
    let mut leader = leader_of_a_lagging_follower();
    assert_eq!(leader.loads.len(), 1);
    let load = leader.loads[0];
    assert_eq!((load.first, load.end), (index(3), index(10)));
    leader.answer_load();
    leader.drain();
    let bodies = leader.take_bodies(2);
    let Some(Body::Append(first)) = bodies.first() else { panic!("an append, not {bodies:?}") };
    assert_eq!((first.prev, first.batches.first()), (at(1, 2), Some(index(3))));
}

/// One load per follower at a time, however long it takes.
#[test]
fn a_follower_is_loaded_for_once_at_a_time() {
    let mut leader = leader_of_a_lagging_follower();
    for _ in 0..10 {
        leader.propose(b"x");
        leader.hear(2, 3, append_reply(0, 2, 2));
    }
    assert_eq!(leader.loads.len(), 1);
}

/// S109, F13: what the store gives is compared with the log; a made-up entry is never sent.
#[test]
fn wrong_entries_are_refused() {
    let leader = leader_of_a_lagging_follower();
    let id = leader.loads[0].id;
    let wrong_entries = |at| Err(LoadError::WrongEntries { first: index(at) });
    let wrong_term = |at| Err(LoadError::WrongTerm { at: index(at) });
    let cases = [
        (vec![], wrong_entries(3)),
        (vec![batch(1, 2, 3)], wrong_entries(3)),
        (vec![batch(1, 4, 1)], wrong_entries(3)),
        (vec![batch(2, 3, 1)], wrong_term(3)),
        (vec![batch(1, 3, 3)], wrong_term(5)),
        (vec![batch(1, 3, 2), batch(2, 6, 1)], wrong_entries(6)),
        (vec![batch(1, 3, 2), batch(2, 5, 50)], wrong_entries(3)),
        (vec![batch(1, 3, 1)], Ok(())),
        (vec![batch(1, 3, 2), batch(2, 5, 5)], Ok(())),
    ];
    for (batches, expected) in cases {
        let mut leader = leader.clone();
        assert_eq!(leader.raft.loaded(id, &batches), expected, "{batches:?}");
        leader.drain();
        assert_eq!(leader.take_bodies(2).is_empty(), expected.is_err());
    }
}

/// Entries behind what was asked for may not be committed yet: they are not applied.
#[test]
fn a_store_that_gives_more_than_it_was_asked_for_is_refused() {
    let mut node = Peer::with_log(config(1), voters(3), (1, 0, 2), &[1, 1, 1, 1]);
    node.is_store_slow = true;
    node.drain();
    let load = node.loads[0];
    assert_eq!((load.first, load.end), (index(1), index(3)));
    let loaded = node.raft.loaded(load.id, &[batch(1, 1, 4)]);
    assert_eq!(loaded, Err(LoadError::WrongEntries { first: index(1) }));
    node.drain();
    assert_eq!(node.applied, []);
}

/// What was asked for by a leadership that is over, or twice, is ignored.
#[test]
fn answers_that_nobody_waits_for_are_ignored() {
    let mut leader = leader_of_a_lagging_follower();
    let id = leader.loads[0].id;
    assert_eq!(leader.raft.loaded(raft_core::LoadId::new(99), &[batch(9, 9, 9)]), Ok(()));
    leader.answer_load();
    assert_eq!(leader.raft.loaded(id, &[batch(9, 9, 9)]), Ok(()));

    let mut deposed = leader_of_a_lagging_follower();
    deposed.hear(2, 4, crate::support::append(at(1, 2), 0, &[4]));
    deposed.sent.clear();
    deposed.answer_load_after_the_fact();
    assert!(deposed.take_bodies(2).iter().all(|body| !matches!(body, Body::Append(_))));
}

impl Peer {
    /// Answers a load as a store does that still has the entries of then.
    fn answer_load_after_the_fact(&mut self) {
        let load = self.loads.remove(0);
        let batches = [batch(1, 3, 2), batch(2, 5, 5)];
        self.raft.loaded(load.id, &batches).expect("nobody waits for it");
        self.drain();
    }
}

/// What a follower no longer needs when it comes is not sent.
#[test]
fn a_load_that_was_overtaken_is_dropped() {
    let mut leader = leader_of_a_lagging_follower();
    leader.raft.unreachable(node(2));
    leader.drain();
    leader.sent.clear();
    leader.answer_load();
    leader.drain();
    assert!(leader.sent.is_empty(), "{:?}", leader.sent);
    leader.hear(2, 3, append_reply(0, 5, 5));
    assert_eq!((leader.loads.len(), leader.loads[0].first), (1, index(6)));
}

/// S52, S62: after a restart everything committed is applied again, from the store, in order, in
/// pieces of the allowed size.
#[test]
fn a_restarted_node_applies_again_from_the_store() {
    let mut config = config(1);
    config.apply_bytes_max = 10;
    let mut peer = Peer::with_log(config, voters(1), (2, 0, 7), &[1, 1, 1, 2, 2, 2, 2, 2]);
    peer.is_store_slow = true;
    peer.drain();
    let mut pieces = 0;
    while !peer.loads.is_empty() {
        pieces += 1;
        peer.answer_load();
        peer.drain();
    }
    let applied: Vec<_> = peer.applied.iter().map(|applied| applied.position.index.get()).collect();
    assert_eq!((applied, pieces), ((1..=7).collect(), 4));
    assert!(peer.applied.iter().all(|applied| applied.payload == crate::support::payload(applied.position)));
    peer.is_store_slow = false;
    peer.win(&[]);
    assert_eq!(peer.applied.len(), 9);
}

/// N13: entries leave memory once they are durable and applied, and come back for who needs them.
#[test]
fn memory_is_bounded_and_a_late_follower_still_gets_everything() {
    let mut small = config(1);
    (small.tail_bytes_max, small.append_bytes_max) = (2000, 500);
    let peers = [Peer::found(small, voters(3)), Peer::voter(2, 3), Peer::voter(3, 3)];
    let mut cluster = Cluster::from_peers(peers);
    cluster.partition(&[3]);
    cluster.elect(1);
    for number in 0..300u32 {
        cluster.with(1, |peer| peer.propose(&[&number.to_be_bytes()[..], &[0; 60]].concat()));
        cluster.settle();
    }
    cluster.peer(1).is_store_slow = true;
    cluster.heal();
    cluster.tick(3);
    assert!(!cluster.peer(1).loads.is_empty(), "the beginning is no longer in memory");
    cluster.peer(1).is_store_slow = false;
    cluster.with(1, |peer| {
        peer.answer_load();
        peer.drain();
    });
    cluster.settle();
    cluster.tick(3);
    assert_eq!(cluster.commands(3).len(), 300);
    assert_eq!(cluster.commands(3), cluster.commands(1));
}

/// N13: what is handed out for applying is limited; one batch may go over.
#[test]
fn what_is_being_applied_is_limited() {
    let mut config = config(1);
    config.apply_bytes_max = 100;
    let mut only = Peer::found(config, voters(1));
    only.win(&[]);
    only.is_apply_slow = true;
    for _ in 0..20 {
        only.propose(&[0; 29]);
    }
    assert_eq!((only.raft.commit(), only.applied.len()), (index(21), 5));
    only.raft.applied(index(2));
    only.drain();
    assert_eq!((only.applied.len(), only.status().applied), (8, index(2)));
    only.raft.applied(index(u64::MAX));
    only.drain();
    assert_eq!(only.status().applied, index(8), "more than was handed out counts as all of it");
}

/// N13: loads that were overtaken are forgotten, however often the follower goes and comes back.
#[test]
fn overtaken_loads_leave_nothing_behind() {
    let mut leader = leader_of_a_lagging_follower();
    for _ in 0..1000 {
        leader.raft.unreachable(node(2));
        leader.drain();
        leader.hear(2, 3, append_reply(0, 2, 2));
        leader.sent.clear();
    }
    assert!(leader.loads.len() > 900);
    let picture = format!("{:?}", leader.raft);
    assert!(picture.len() < 20_000, "{} characters", picture.len());
}

/// A store that never answers costs no memory: loads that were overtaken are forgotten.
#[test]
fn unanswered_loads_do_not_pile_up() {
    let mut leader = leader_of_a_lagging_follower();
    for round in 1..500 {
        leader.tick(1);
        leader.hear(2, 3, heartbeat_reply(round, 2, 2));
        leader.hear(2, 3, append_reply(round, 2, 2));
        leader.sent.clear();
    }
    assert!(leader.loads.len() < 10, "{} loads were asked for", leader.loads.len());
    let last = leader.written.load(index(3), index(10), usize::MAX).expect("written");
    let id = leader.loads.last().expect("asked for").id;
    assert_eq!(leader.raft.loaded(id, &last), Ok(()));
    leader.drain();
    assert!(!leader.take_bodies(2).is_empty());
}

/// A node asked its store for entries to apply, and then its leader for a snapshot. The entries came
/// first and were handed out, past the snapshot, which made the node panic when it was put in force.
#[test]
fn what_was_loaded_for_applying_does_not_overtake_a_snapshot_that_is_awaited() {
    let mut follower = Peer::with_log(config(1), voters(3), (2, 0, 8), &[1, 1, 1, 1, 2, 2, 2, 2]);
    follower.is_store_slow = true;
    follower.drain();
    assert_eq!(follower.loads.len(), 1);
    follower.hear(2, 2, heartbeat(8, 1));
    follower.raft.request_snapshot().expect("follows, and has a state to lose");
    follower.answer_load();
    follower.drain();
    assert_eq!(follower.applied, [], "it has no state to apply them to");
    let chunk = Bytes::from_static(b"state");
    let (size, crc32c) = (chunk.len() as u64, crc32c(&chunk));
    let meta = SnapshotMeta { last: at(1, 3), membership: voters(3), size, crc32c, is_hollow: false };
    let install = InstallSnapshot { meta, round: 1, offset: 0, chunk, chunk_crc32c: crc32c };
    follower.hear(2, 2, Body::InstallSnapshot(Box::new(install)));
    assert_eq!(follower.status().applied, index(3));
    assert_eq!(follower.loads[0].first, index(4));
    follower.answer_load();
    follower.drain();
    assert_eq!(follower.status().applied, index(8));
}
