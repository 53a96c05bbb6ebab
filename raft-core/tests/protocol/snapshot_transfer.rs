//! Snapshots on their way to members that the log does not reach back to (Raft §7), when nothing
//! goes wrong.

use raft_core::{Body, InstallSnapshotReply, MembershipChange, Message, Notice, PeerMode, SnapshotError};

use crate::support::{
    Cluster, Peer, append, append_reply, at, carries_entries, chunk, index, kind, node, refused, small,
    snapshot_meta, voters, with_learner,
};

/// Bytes of snapshots in a message.
fn chunk_bytes(message: &Message) -> usize {
    match &message.body {
        Body::InstallSnapshot(install) => install.chunk.len(),
        _ => 0,
    }
}

fn is_chunk(message: &Message) -> bool {
    kind(message) == "install snapshot"
}

/// A leader of three in term 1 with a snapshot of ten commands of four bytes, and nothing else; node
/// 3 has heard nothing of them.
fn one_left_behind() -> Cluster {
    let mut cluster = Cluster::led_small(3, |_| {});
    cluster.partition(&[3]);
    cluster.fill(10);
    assert_eq!(cluster.peer(1).status().mark, at(1, 11));
    cluster.heal();
    cluster
}

fn has_caught_up(cluster: &mut Cluster, id: u64) -> bool {
    let state = cluster.peer(1).state();
    cluster.peer(id).state() == state
}

/// S42: everything is compacted, nothing is known of the follower, nothing is proposed: it is sent
/// the snapshot, and entries from there on.
#[test]
fn a_follower_behind_the_log_gets_the_snapshot() {
    let mut cluster = one_left_behind();
    cluster.restart(1);
    cluster.hand_over_by_silence(1);
    cluster.settle();
    assert!(has_caught_up(&mut cluster, 3));
    let last = cluster.peer(1).raft.last();
    assert_eq!(cluster.peer(3).status().mark, at(1, 11));
    assert_eq!(cluster.peer(1).progress(3).matched, last.index);
    assert_eq!(cluster.peer(1).progress(3).mode, PeerMode::Replicate);
    assert!(cluster.peer(3).has_noticed(|notice| matches!(notice, Notice::SnapshotInstalled { .. })));
    cluster.with(1, |peer| peer.propose(b"more"));
    cluster.settle();
    cluster.tick(1);
    assert!(has_caught_up(&mut cluster, 3));
}

/// S95: every byte is sent once, in chunks of the set size, a window of them at a time.
#[test]
fn every_byte_is_sent_once_and_in_a_window() {
    let mut cluster = one_left_behind();
    let size = cluster.peer(1).durable.snapshot().expect("taken").size;
    cluster.with(1, |peer| peer.tick(1));
    cluster.settle_but("install snapshot");
    let mut sent = 0;
    while cluster.bag.iter().any(is_chunk) {
        let under_way: Vec<usize> = cluster.bag.iter().map(chunk_bytes).collect();
        assert!(under_way.len() <= 2 && under_way.iter().all(|len| *len <= 4), "{under_way:?}");
        let progress = cluster.peer(1).progress(3).snapshot.expect("on its way");
        assert!(progress.sent_bytes - progress.acknowledged_bytes <= 8, "{progress:?}");
        assert_eq!((progress.last, progress.size_bytes), (at(1, 11), size));
        let first = cluster.bag.remove(0);
        sent += chunk_bytes(&first);
        cluster.deliver(first);
        cluster.settle_but("install snapshot");
    }
    assert_eq!(sent as u64, size);
    assert!(has_caught_up(&mut cluster, 3));
}

/// Two members at once, one snapshot each; heartbeats go on beside it and count for the quorum.
#[test]
fn each_member_has_one_snapshot_on_its_way() {
    let mut cluster = Cluster::led_small(5, |_| {});
    cluster.partition(&[4, 5]);
    cluster.fill(10);
    cluster.heal();
    cluster.with(1, |peer| peer.tick(1));
    cluster.settle_but("install snapshot");
    for id in [4, 5] {
        let to_it = cluster.bag.iter().filter(|message| message.to == node(id)).count();
        assert_eq!(to_it, 2, "a window for {id}");
    }
    for _ in 0..30 {
        cluster.with(1, |peer| peer.tick(1));
        cluster.settle_but("install snapshot");
    }
    let notices = |cluster: &mut Cluster, to: u64| {
        let told = &cluster.peer(1).told;
        let is_begin = |action: &&raft_core::Action| matches!(action, raft_core::Action::Notice(Notice::SnapshotSending { to: id, .. }) if *id == node(to));
        told.iter().filter(is_begin).count()
    };
    assert_eq!((notices(&mut cluster, 4), notices(&mut cluster, 5)), (1, 1));
    assert_eq!(cluster.leader(), Some(1));
    cluster.settle();
    cluster.tick(1);
    assert!(has_caught_up(&mut cluster, 4) && has_caught_up(&mut cluster, 5));
}

/// S36: an empty node is added as a learner that needs a snapshot: the old quorum commits on while it
/// comes, and the learner becomes a voter afterwards.
#[test]
fn the_old_quorum_goes_on_while_a_learner_gets_a_snapshot() {
    let mut cluster = Cluster::led_small(3, |_| {});
    cluster.fill(10);
    cluster.join(4);
    cluster.with(1, |peer| peer.change(&MembershipChange::new().learner(node(4)))).expect("settled");
    cluster.settle_but("install snapshot");
    assert!(cluster.bag.iter().any(is_chunk));
    for _ in 0..20 {
        let position = cluster.with(1, |peer| peer.propose(b"on"));
        cluster.settle_but("install snapshot");
        assert_eq!(cluster.peer(1).raft.commit(), position.index);
    }
    cluster.settle();
    cluster.tick(1);
    assert!(has_caught_up(&mut cluster, 4));
    cluster.change(1, &MembershipChange::new().voter(node(4)));
    cluster.tick(1);
    assert_eq!(cluster.peer(4).voters().1, [1, 2, 3, 4]);
    cluster.hand_over(1, 4);
}

/// S36: with a voter that is empty and its membership empty as well, the snapshot brings both.
#[test]
fn a_newcomer_gets_its_membership_from_the_snapshot() {
    let mut cluster = Cluster::led_small(3, |_| {});
    cluster.join(4);
    cluster.partition(&[4]);
    cluster.change(1, &MembershipChange::new().voter(node(4)));
    cluster.fill(5);
    cluster.heal();
    assert_eq!(cluster.peer(4).voters().1, [0; 0]);
    cluster.tick(2);
    assert!(has_caught_up(&mut cluster, 4));
    assert_eq!(cluster.peer(4).voters().1, [1, 2, 3, 4]);
    cluster.restart(4);
    cluster.tick(2);
    cluster.hand_over(1, 4);
}

/// S32: a snapshot covers a membership that was never seen committed here: the snapshot's is in
/// force, whatever the log said.
#[test]
fn the_membership_of_the_snapshot_takes_the_place_of_an_uncommitted_one() {
    let mut follower = Peer::found(small(1), voters(3));
    let mut leader = Peer::found(small(2), voters(3));
    leader.win(&[1]);
    leader.acknowledge(&[1]);
    leader.change(&MembershipChange::new().learner(node(9))).expect("settled");
    for message in leader.take(|message| message.to == node(1)) {
        follower.receive(message);
    }
    assert_eq!(follower.raft.membership(), &with_learner(3, 9));
    let mut meta = snapshot_meta(at(2, 4), b"1234");
    meta.membership = with_learner(3, 8);
    follower.hear(3, 2, chunk(&meta, 0, b"1234"));
    assert_eq!(follower.raft.membership(), &with_learner(3, 8));
    follower.restart();
    assert_eq!(follower.raft.membership(), &with_learner(3, 8));
}

/// S40: the uncommitted log disagrees with the snapshot at its last index, ends before it, or goes
/// on behind it: it is discarded, and one snapshot suffices.
#[test]
fn one_snapshot_replaces_a_log_that_disagrees() {
    for terms in [&[1, 1, 1][..], &[1, 1, 1, 1, 2, 2], &[1], &[1, 2, 2, 2, 2, 2, 2, 2, 2]] {
        let mut follower = Peer::with_log(small(1), voters(3), (2, 0, 1), terms);
        follower.drain();
        follower.hear(2, 4, chunk(&snapshot_meta(at(3, 4), b"1234"), 0, b"1234"));
        let status = follower.status();
        assert_eq!((status.mark, status.last, status.commit), (at(3, 4), at(3, 4), index(4)), "{terms:?}");
        assert_eq!(status.applied, index(4));
        let replies = follower.take_bodies(2);
        assert!(replies.contains(&append_reply(0, 4, 4)), "{replies:?}");
        follower.restart();
        assert_eq!(follower.raft.last(), at(3, 4));
        follower.hear(2, 4, append(at(3, 4), 5, &[4]));
        assert_eq!((follower.raft.last(), follower.raft.commit()), (at(4, 5), index(5)));
    }
}

/// S20: appends before, at and behind the mark of a follower.
#[test]
fn appends_around_the_mark_are_judged_rightly() {
    let behind = |last| {
        let mut follower = Peer::found(small(1), voters(3));
        follower.hear(2, 4, chunk(&snapshot_meta(last, b"1234"), 0, b"1234"));
        follower.sent.clear();
        follower
    };
    let cases = [
        // What the snapshot covers is known to be equal, wherever an append begins.
        (1, append(at(0, 0), 6, &[1; 6]), 6),
        (2, append(at(0, 0), 3, &[1; 3]), 5),
        (2, append(at(1, 4), 6, &[2, 2]), 6),
        (2, append(at(2, 5), 6, &[2]), 6),
    ];
    for (mark_term, body, last) in cases {
        let mut follower = behind(at(mark_term, 5));
        follower.hear(2, 4, body.clone());
        assert_eq!(follower.raft.last().index, index(last), "{body:?}");
        assert_eq!(follower.applied.len() as u64, last - 4, "{body:?}");
        let answers = follower.take_bodies(2);
        assert_eq!(answers, [append_reply(0, last, last)], "{body:?}");
    }
    let mut follower = behind(at(2, 5));
    follower.hear(2, 4, append(at(2, 6), 7, &[2]));
    let Body::AppendReply(reply) = &follower.take_bodies(2)[0] else { panic!("an answer") };
    assert_eq!(reply.conflict.expect("a gap").hint, at(2, 5));
}

/// S20: a leader whose follower is right at its mark sends entries, one below it the snapshot.
#[test]
fn a_leader_sends_a_snapshot_only_below_its_mark() {
    for (has, is_snapshot) in [(11, false), (10, true), (0, true)] {
        let mut leader = Peer::found(small(1), voters(2));
        leader.win(&[2]);
        leader.propose_times(10, b"four");
        leader.acknowledge(&[2]);
        leader.take_snapshot();
        leader.propose(b"more");
        leader.sent.clear();
        let mut again = Peer::reopen(small(1), leader.durable.clone());
        again.win(&[2]);
        again.sent.clear();
        let hint = at(u64::from(has > 0), has);
        again.hear(2, 2, refused(0, 12, hint));
        let Body::Append(probe) = again.take_bodies(2).remove(0) else { panic!("a probe at the mark") };
        assert_eq!(probe.prev, at(1, 11));
        again.hear(2, 2, if has == 11 { append_reply(0, 11, 11) } else { refused(0, 11, hint) });
        let body = again.take_bodies(2).remove(0);
        assert_eq!(matches!(body, Body::InstallSnapshot(_)), is_snapshot, "{has}: {body:?}");
    }
}

/// A state without a byte is a snapshot like any other.
#[test]
fn an_empty_state_is_sent_as_well() {
    let mut cluster = Cluster::led_small(3, |_| {});
    cluster.partition(&[3]);
    cluster.hand_over(1, 2);
    cluster.hand_over(2, 1);
    cluster.with(1, Peer::take_snapshot);
    assert_eq!(cluster.peer(1).durable.snapshot().expect("taken").size, 0);
    cluster.heal();
    cluster.tick(2);
    assert_eq!(cluster.peer(3).raft.commit(), cluster.peer(1).raft.commit());
    assert!(cluster.peer(3).has_noticed(|notice| matches!(notice, Notice::SnapshotInstalled { .. })));
    assert_eq!(cluster.peer(1).progress(3).mode, PeerMode::Replicate);
}

/// The rate is for all members together, and per tick.
#[test]
fn a_leader_keeps_to_the_rate() {
    let mut cluster = Cluster::led_small(5, |config| {
        (config.snapshot_bytes_per_tick, config.snapshot_chunks_max) = (8, 100);
    });
    cluster.partition(&[4, 5]);
    cluster.fill(10);
    cluster.heal();
    let size = cluster.peer(1).durable.snapshot().expect("taken").size;
    let (mut ticks, mut sent) = (0, 0);
    while !(has_caught_up(&mut cluster, 4) && has_caught_up(&mut cluster, 5)) {
        assert_eq!(cluster.peer(1).raft.ticks_until_due(), 1);
        cluster.with(1, |peer| peer.tick(1));
        cluster.settle_but("install snapshot");
        let mut in_tick = 0;
        while let Some(at) = cluster.bag.iter().position(is_chunk) {
            let message = cluster.bag.remove(at);
            in_tick += chunk_bytes(&message);
            cluster.deliver(message);
            cluster.settle_but("install snapshot");
        }
        (ticks, sent) = (ticks + 1, sent + in_tick);
        // The last chunk may go over it; the next tick pays for that.
        assert!(in_tick <= 8 + 3 && sent <= 8 * ticks + 3, "{in_tick} bytes in a tick, {sent} in {ticks}");
        assert!(ticks < 100, "comes to an end");
    }
    assert_eq!(sent as u64, 2 * size);
}

/// A disk that takes the first chunk and fails with the second is sent both again and again. That goes on
/// the account of all members together, and must not use it up: the other one gets every second chunk.
#[test]
fn a_member_that_always_fails_leaves_the_others_their_share() {
    let mut cluster = Cluster::led_small(5, |config| config.snapshot_bytes_per_tick = 4);
    cluster.partition(&[4, 5]);
    cluster.fill(10);
    cluster.heal();
    let mut ticks = 0;
    while !has_caught_up(&mut cluster, 5) {
        cluster.with(1, |peer| peer.tick(1));
        cluster.settle_but("install snapshot");
        while let Some(at) = cluster.bag.iter().position(is_chunk) {
            let message = cluster.bag.remove(at);
            match &message.body {
                Body::InstallSnapshot(install) if message.to == node(4) => {
                    let received = if install.offset == 0 { install.chunk.len() as u64 } else { 0 };
                    let (round, last) = (install.round, install.meta.last);
                    let reply = InstallSnapshotReply { round, last, received };
                    cluster.with(1, |peer| peer.hear(4, 1, Body::InstallSnapshotReply(reply)));
                }
                _ => cluster.deliver(message),
            }
            cluster.settle_but("install snapshot");
        }
        ticks += 1;
        assert!(ticks < 100, "node 5 gets nothing");
    }
    assert!(!has_caught_up(&mut cluster, 4));
}

/// The log is kept behind a snapshot that is on its way, or it would arrive only to be useless (S43);
/// not for a member that has fallen silent, which is sent nothing more until it is heard (S102).
#[test]
fn the_log_waits_for_a_snapshot_on_its_way_but_not_for_the_dead() {
    let mut cluster = one_left_behind();
    cluster.with(1, |peer| peer.tick(1));
    cluster.settle_but("install snapshot");
    assert_eq!(cluster.peer(1).progress(3).mode, PeerMode::Snapshot);
    cluster.partition(&[3]);
    cluster.lose_all();
    for _ in 0..3 {
        cluster.with(1, |peer| peer.propose(b"more"));
        cluster.settle();
    }
    cluster.with(1, Peer::take_snapshot);
    assert_eq!(cluster.peer(1).status().mark, at(1, 11));
    cluster.tick(20);
    assert_eq!(cluster.peer(1).progress(3).mode, PeerMode::Probe);
    let mut sent = 0;
    for _ in 0..50 {
        cluster.with(1, |peer| peer.tick(1));
        sent +=
            cluster.take(|message| message.to == node(3)).iter().filter(|message| is_chunk(message)).count();
        cluster.settle();
    }
    assert_eq!(sent, 0, "chunks for a dead member");
    cluster.with(1, |peer| peer.propose(b"last"));
    cluster.settle();
    cluster.with(1, Peer::take_snapshot);
    assert_eq!(cluster.peer(1).status().mark, at(1, 15));
    cluster.heal();
    cluster.tick(2);
    assert!(has_caught_up(&mut cluster, 3));
}

/// A node whose state is lost asks for a snapshot, though its log would do; until it is in force it
/// applies nothing and does not campaign. The leader goes on where the log was.
#[test]
fn a_lost_state_is_asked_for() {
    let mut cluster = Cluster::led_small(3, |_| {});
    cluster.fill(5);
    cluster.with(3, Peer::request_snapshot);
    assert!(cluster.peer(3).status().awaits_snapshot);
    assert_eq!(cluster.peer(1).raft.clone().request_snapshot(), Err(SnapshotError::Leading));
    assert!(cluster.peer(3).raft.campaign().is_err());
    let asked = cluster.take(|message| kind(message) == "snapshot request");
    assert_eq!(asked.len(), 1);
    cluster.with(1, |peer| peer.propose(b"more"));
    cluster.settle();
    let applied = cluster.peer(3).applied.len();
    cluster.tick(9);
    assert_eq!(cluster.peer(3).applied.len(), applied, "nothing is applied meanwhile");
    // The question was lost; it is asked again.
    cluster.tick(5);
    assert!(!cluster.peer(3).status().awaits_snapshot);
    assert!(has_caught_up(&mut cluster, 3));
    assert_eq!(cluster.peer(3).raft.last(), at(1, 7), "its log goes on");
    assert_eq!(cluster.peer(1).progress(3).mode, PeerMode::Replicate);
}

/// The next leader is asked as well, and takes a snapshot if it has none that reaches far enough.
#[test]
fn a_lost_state_is_asked_for_again_of_the_next_leader() {
    let mut cluster = Cluster::led_small(3, |_| {});
    cluster.with(1, |peer| peer.propose(b"four"));
    cluster.settle();
    cluster.with(3, Peer::request_snapshot);
    cluster.lose_all();
    cluster.hand_over(1, 2);
    cluster.tick(30);
    assert_eq!(cluster.leader(), Some(2));
    assert!(!cluster.peer(3).status().awaits_snapshot);
    assert_eq!(cluster.peer(2).pictures, 1);
    let state = cluster.peer(2).state();
    assert_eq!(cluster.peer(3).state(), state);
}

/// An empty state that was asked for never counted as arrived, so its receiver stayed out of
/// replication.
#[test]
fn an_empty_state_that_was_asked_for_arrives() {
    let mut cluster = Cluster::led_small(3, |_| {});
    cluster.with(3, Peer::request_snapshot);
    cluster.settle();
    cluster.tick(25);
    assert!(!cluster.peer(3).status().awaits_snapshot);
    let position = cluster.with(1, |peer| peer.propose(b"more"));
    cluster.settle();
    assert_eq!(cluster.peer(1).progress(3).matched, position.index);
    assert_eq!(cluster.peer(3).raft.last().index, position.index);
}

/// While a snapshot is on its way its receiver gets no entries, and chunks acknowledge none: only
/// what is in force is counted.
#[test]
fn chunks_acknowledge_no_entries() {
    let mut cluster = one_left_behind();
    cluster.peer(3).is_snapshot_slow = true;
    cluster.tick(2);
    let progress = cluster.peer(1).progress(3);
    let snapshot = progress.snapshot.expect("on its way");
    assert_eq!(snapshot.acknowledged_bytes, snapshot.size_bytes);
    assert_eq!((progress.mode, progress.matched), (PeerMode::Snapshot, index(1)));
    cluster.with(1, |peer| peer.propose(b"more"));
    assert!(!cluster.bag.iter().any(|message| message.to == node(3) && carries_entries(message)));
    cluster.settle();
    cluster.with(3, |peer| {
        peer.sync_snapshot();
        peer.drain();
    });
    cluster.settle();
    cluster.tick(1);
    assert!(has_caught_up(&mut cluster, 3));
}
