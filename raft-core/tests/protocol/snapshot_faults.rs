//! Snapshot transfers in which something goes wrong: lost and damaged chunks, changes of leaders,
//! restarts, stores that are slow or fail.

use raft_core::bytes::Bytes;
use raft_core::{Body, InstallSnapshot, Message, Notice, Offence, PeerMode, RoleName};

use crate::support::{
    Cluster, Dice, Peer, append, at, chunk, heartbeat_reply, index, kind, message, node, refused, small,
    snapshot_meta, snapshot_reply, voters,
};

fn is_chunk(message: &Message) -> bool {
    kind(message) == "install snapshot"
}

/// Delivers chunk by chunk until so many arrived.
fn deliver_chunks(cluster: &mut Cluster, count: u64) {
    for _ in 0..count {
        let first = cluster.bag.remove(0);
        cluster.deliver(first);
        cluster.settle_but("install snapshot");
    }
}

/// S43: a chunk is lost: what came behind it is not taken, and sent again once the loss shows.
#[test]
fn a_lost_chunk_is_sent_again() {
    let mut cluster = Cluster::in_transfer(10);
    deliver_chunks(&mut cluster, 3);
    drop(cluster.bag.remove(0));
    cluster.settle();
    cluster.assert_caught_up(1);

    // Everything that is under way is lost: that shows when nothing is heard for a time.
    let mut cluster = Cluster::in_transfer(10);
    deliver_chunks(&mut cluster, 3);
    cluster.lose_all();
    cluster.tick(12);
    cluster.assert_caught_up(1);
}

/// S43: chunks come twice and in any order: the state is the same.
#[test]
fn chunks_come_twice_and_in_any_order() {
    for seed in 0..200 {
        let mut cluster = Cluster::in_transfer(6);
        let mut dice = Dice::new(seed);
        cluster.shake(&mut dice, 60, 3);
        cluster.settle();
        cluster.tick(12);
        cluster.assert_caught_up(1);
    }
}

/// S43: the receiver restarts: it starts over.
#[test]
fn a_receiver_that_restarts_starts_over() {
    let mut cluster = Cluster::in_transfer(10);
    deliver_chunks(&mut cluster, 5);
    cluster.restart(3);
    cluster.settle();
    cluster.tick(2);
    cluster.assert_caught_up(1);
}

/// S43: the leader changes in mid transfer. Both have taken the same snapshot, so it goes on where
/// it stopped.
#[test]
fn the_same_snapshot_goes_on_under_another_leader() {
    let mut cluster = Cluster::led_small(3, |_| {});
    cluster.partition(&[3]);
    for _ in 0..10 {
        cluster.with(1, |peer| peer.propose(b"four"));
        cluster.settle();
    }
    cluster.with(1, |peer| peer.tick(1));
    cluster.settle();
    cluster.with(1, Peer::take_snapshot);
    cluster.with(2, Peer::take_snapshot);
    cluster.heal();
    cluster.with(1, |peer| peer.tick(1));
    cluster.settle_but("install snapshot");
    deliver_chunks(&mut cluster, 6);
    let stored = |cluster: &mut Cluster| cluster.peer(3).received_bytes();
    let before = stored(&mut cluster);
    assert!(before >= 24);
    cluster.lose_all();
    cluster.partition(&[1]);
    cluster.hand_over_by_silence(2);
    cluster.with(2, |peer| peer.tick(1));
    cluster.settle_but("install snapshot");
    assert_eq!(stored(&mut cluster), before);
    let from_two = |message: &&Message| message.from == node(2) && is_chunk(message);
    let offsets: Vec<u64> = cluster.bag.iter().filter(from_two).map(offset).collect();
    assert!(offsets.contains(&0), "it does not know yet how far it got");
    deliver_chunks(&mut cluster, 1);
    let offsets: Vec<u64> = cluster.bag.iter().filter(from_two).map(offset).collect();
    assert!(offsets.iter().any(|offset| *offset >= before), "{offsets:?}");
    cluster.settle();
    cluster.heal();
    cluster.tick(3);
    cluster.assert_caught_up(2);
}

fn offset(message: &Message) -> u64 {
    match &message.body {
        Body::InstallSnapshot(install) => install.offset,
        _ => 0,
    }
}

/// S43: the new leader has another snapshot: the old bytes are dropped, never mixed with the new.
#[test]
fn another_leaders_snapshot_starts_over() {
    for seed in 0..50 {
        let mut cluster = Cluster::in_transfer(10);
        let old = cluster.bag.clone();
        deliver_chunks(&mut cluster, 1 + seed % 10);
        cluster.lose_all();
        cluster.partition(&[1]);
        cluster.hand_over_by_silence(2);
        cluster.settle();
        cluster.with(2, |peer| peer.propose(b"more"));
        cluster.settle_but("install snapshot");
        cluster.with(2, Peer::take_snapshot);
        cluster.heal();
        cluster.bag.extend(old);
        cluster.tick(14);
        cluster.assert_caught_up(2);
    }
}

/// S43: the leader takes another snapshot in mid transfer: the one on its way is finished, for its
/// log is kept.
#[test]
fn a_transfer_outlives_the_next_snapshot() {
    let mut cluster = Cluster::in_transfer(10);
    deliver_chunks(&mut cluster, 3);
    for round in 0..3 {
        cluster.with(1, |peer| peer.propose(b"more"));
        cluster.settle_but("install snapshot");
        cluster.with(1, Peer::take_snapshot);
        cluster.settle_but("install snapshot");
        // The store has dropped what it was sending from, so it starts over with the newest.
        deliver_chunks(&mut cluster, 1 + round);
    }
    cluster.settle();
    cluster.tick(12);
    cluster.assert_caught_up(1);
}

/// S41, S101: old and repeated snapshots change nothing.
#[test]
fn an_old_snapshot_changes_nothing() {
    let mut follower = Peer::found(small(1), voters(3));
    let meta = snapshot_meta(at(2, 5), b"1234");
    follower.hear(2, 3, chunk(&meta, 0, b"1234"));
    follower.hear(2, 3, append(at(2, 5), 7, &[3, 3]));
    follower.sent.clear();
    let (before, state) = (follower.status(), follower.state());
    let old = [
        meta,
        snapshot_meta(at(1, 2), b"12"),
        snapshot_meta(at(3, 6), b"123456"),
        snapshot_meta(at(3, 7), b""),
    ];
    for meta in old {
        follower.hear(2, 3, chunk(&meta, 0, b""));
        // The leader is told that there is nothing to send.
        let answers = follower.take_bodies(2);
        assert!(answers.contains(&snapshot_reply(meta.last, meta.size)), "{answers:?}");
        assert_eq!((follower.status(), follower.state()), (before.clone(), state.clone()));
    }
    follower.raft.snapshot_stored(&snapshot_meta(at(1, 2), b"12"));
    follower.drain();
    follower.hear(2, 3, chunk(&snapshot_meta(at(2, 7), b"1234"), 0, b"1234"));
    assert_eq!(follower.raft.offence_count(Offence::CommittedConflict), 1);
    assert_eq!((follower.status(), follower.state()), (before, state));
}

/// A snapshot that the log leads up to is no news but that it is committed.
#[test]
fn a_snapshot_that_the_log_leads_up_to_commits() {
    let mut follower = Peer::found(small(1), voters(3));
    follower.hear(2, 1, append(at(0, 0), 1, &[1, 1, 1]));
    follower.hear(3, 2, chunk(&snapshot_meta(at(1, 2), b"12345678"), 0, b"1234"));
    assert_eq!((follower.raft.commit(), follower.raft.last()), (index(2), at(1, 3)));
    assert_eq!(follower.received_bytes(), 0);
}

/// S41: entries overtake a snapshot that is still being written. When it is durable it brings nothing but that
/// its end is committed; the log stays, and so does a campaign, whose votes were given to this very log.
#[test]
fn a_snapshot_that_entries_have_overtaken_commits_and_ends_no_campaign() {
    let mut follower = Peer::found(small(1), voters(3));
    follower.is_snapshot_slow = true;
    follower.hear(2, 1, chunk(&snapshot_meta(at(1, 3), b"1234"), 0, b"1234"));
    follower.hear(2, 1, append(at(0, 0), 0, &[1, 1, 1, 1]));
    assert_eq!((follower.raft.commit(), follower.raft.last()), (index(0), at(1, 4)));
    follower.tick(20);
    assert_eq!(follower.role(), RoleName::PreCandidate);
    follower.sync_snapshot();
    follower.drain();
    assert_eq!((follower.raft.commit(), follower.raft.last()), (index(3), at(1, 4)));
    assert_eq!(follower.raft.counters().snapshots_installed, 0);
    assert_eq!(follower.role(), RoleName::PreCandidate);
}

/// S45: two snapshots right after each other, both not yet durable.
#[test]
fn two_snapshots_in_quick_succession() {
    let mut follower = Peer::found(small(1), voters(3));
    follower.is_snapshot_slow = true;
    let (first, second) = (snapshot_meta(at(1, 5), b"1234"), snapshot_meta(at(2, 8), b"12345678"));
    follower.hear(2, 2, chunk(&first, 0, b"1234"));
    follower.hear(2, 2, chunk(&second, 0, b"1234"));
    // The late part of the first is not taken for a part of the second.
    follower.hear(2, 2, chunk(&first, 0, b"1234"));
    follower.sync_snapshot();
    follower.drain();
    assert_eq!(follower.raft.last(), at(1, 5));
    follower.hear(2, 2, chunk(&second, 4, b"5678"));
    follower.sync_snapshot();
    follower.drain();
    assert_eq!(follower.raft.last(), at(2, 8));
    assert_eq!(follower.state(), b"12345678");
}

/// S47: damaged on the way: the chunk is refused, and sent again.
#[test]
fn a_chunk_damaged_on_the_way_is_refused() {
    let mut cluster = Cluster::in_transfer(10);
    let mut damaged = cluster.bag.remove(0);
    let Body::InstallSnapshot(install) = &mut damaged.body else { panic!("a chunk") };
    install.chunk = Bytes::from_static(b"oops");
    cluster.deliver(damaged);
    assert_eq!(cluster.peer(3).raft.offence_count(Offence::MalformedChunk), 1);
    assert_eq!(cluster.peer(3).received_bytes(), 0);
    cluster.settle();
    cluster.tick(12);
    cluster.assert_caught_up(1);
}

/// S47: the whole is not what its meta says: it is dropped and sent again, all of it.
#[test]
fn a_damaged_whole_is_sent_again() {
    let mut cluster = Cluster::in_transfer(10);
    let meta = cluster.peer(1).durable.snapshot().expect("taken").clone();
    cluster.take(is_chunk);
    // Sound chunks of something else, as from a source that was damaged when it was read.
    let mut offset = 0;
    while offset < meta.size {
        let part = &b"oops"[..usize::try_from((meta.size - offset).min(4)).expect("few")];
        cluster.deliver(message(1, 3, 1, chunk(&meta, offset, part)));
        offset += part.len() as u64;
    }
    assert!(cluster.peer(3).status().snapshot.is_none(), "never installed");
    cluster.settle();
    cluster.tick(25);
    cluster.assert_caught_up(1);
}

/// S47: the snapshot cannot be read: another one is taken and sent; if taking it fails, it is tried
/// again. Once nobody asked again, so that the member waited for ever.
#[test]
fn an_unreadable_snapshot_is_replaced_by_another_one() {
    let mut cluster = Cluster::in_transfer(10);
    cluster.peer(1).is_snapshot_unreadable = true;
    cluster.peer(1).is_snapshot_slow = true;
    deliver_chunks(&mut cluster, 1);
    assert_eq!(cluster.peer(1).pictures, 2, "another one of the same state");
    cluster.lose_all();
    cluster.with(1, Peer::fail_snapshot);
    assert_eq!(cluster.peer(1).pictures, 2);
    cluster.tick(10);
    assert_eq!(cluster.peer(1).pictures, 3);
    cluster.peer(1).is_snapshot_unreadable = false;
    cluster.peer(1).is_snapshot_slow = false;
    cluster.with(1, |peer| {
        peer.sync_snapshot();
        peer.drain();
    });
    cluster.settle();
    cluster.tick(12);
    cluster.assert_caught_up(1);
}

/// The transport reports lost messages in mid transfer: what is not acknowledged is sent again.
#[test]
fn lost_messages_are_sent_again() {
    let mut cluster = Cluster::in_transfer(10);
    deliver_chunks(&mut cluster, 2);
    let before = cluster.take(|_| true);
    cluster.with(1, |peer| {
        peer.raft.unreachable(node(3));
        peer.drain();
    });
    let again: Vec<u64> = cluster.bag.iter().map(offset).collect();
    assert_eq!(again, before.iter().map(offset).collect::<Vec<_>>());
    cluster.settle();
    cluster.assert_caught_up(1);
}

/// F23, S102: a member that is stopped in mid transfer does not keep the log for ever.
#[test]
fn a_stopped_member_does_not_keep_the_log() {
    let mut leader = Peer::found(small(1), voters(3));
    leader.win(&[2]);
    leader.propose_times(4, b"four");
    leader.acknowledge(&[2]);
    leader.hear(3, 1, heartbeat_reply(0, 2, 2));
    leader.take_snapshot();
    leader.tick(2);
    leader.hear(3, 1, Body::SnapshotRequest { at_least: index(2) });
    assert_eq!(leader.progress(3).mode, PeerMode::Snapshot);
    leader.hear(3, 1, refused(2, 1, at(0, 0)));
    assert_eq!(leader.progress(3).mode, PeerMode::Stopped);
    leader.propose(b"more");
    leader.acknowledge(&[2]);
    leader.take_snapshot();
    assert_eq!(leader.status().mark, at(1, 6));
    leader.hear(3, 1, Body::SnapshotRequest { at_least: index(2) });
    assert_eq!(leader.progress(3).mode, PeerMode::Stopped, "nor is it sent anything");
}

/// Elections go on while a store is slow to take a snapshot; the membership may change as well.
#[test]
fn a_slow_store_holds_nothing_up() {
    let mut cluster = Cluster::led_small(3, |config| config.snapshot_log_entries = 3);
    for id in 1..=3 {
        cluster.peer(id).is_snapshot_slow = true;
    }
    let mut leader = 1;
    for next in [2, 3, 1, 2] {
        for _ in 0..5 {
            cluster.with(leader, |peer| peer.propose(b"more"));
            cluster.settle();
        }
        cluster.hand_over(leader, next);
        leader = next;
    }
    assert_eq!(cluster.peer(2).pictures, 1);
    cluster.change(leader, &raft_core::MembershipChange::new().remove(node(3)));
    cluster.tick(2);
    cluster.peer(1).is_snapshot_slow = false;
    cluster.with(1, |peer| {
        peer.sync_snapshot();
        peer.drain();
    });
    let status = cluster.peer(1).status();
    assert_eq!(status.snapshot.map(|last| last.index), Some(status.commit), "and the next one");
    let kept = cluster.peer(1).durable.snapshot().expect("taken").membership.clone();
    assert_eq!(kept, cluster.peer(2).raft.membership().clone());
}

/// A member that is removed in mid transfer is sent nothing more.
#[test]
fn a_removed_member_gets_no_more_chunks() {
    let mut cluster = Cluster::in_transfer(10);
    cluster
        .with(1, |peer| peer.change(&raft_core::MembershipChange::new().remove(node(3))))
        .expect("settled");
    cluster.settle_but("install snapshot");
    let late = cluster.take(is_chunk);
    for message in late {
        cluster.deliver(message);
    }
    cluster.settle();
    cluster.tick(20);
    assert_eq!(cluster.peer(1).voters().1, [1, 2]);
    assert!(!cluster.peer(3).has_noticed(|notice| matches!(notice, Notice::SnapshotInstalled { .. })));
    cluster.with(1, |peer| peer.propose(b"more"));
    cluster.settle();
    cluster.with(1, Peer::take_snapshot);
    let status = cluster.peer(1).status();
    assert_eq!(status.mark.index, status.commit);
}

/// S95: an answer that comes again and again makes the leader repeat itself once, until something
/// new arrives.
#[test]
fn a_repeated_answer_is_not_a_loss_each_time() {
    let mut cluster = Cluster::in_transfer(10);
    deliver_chunks(&mut cluster, 2);
    cluster.take(is_chunk);
    let last = cluster.peer(1).status().snapshot.expect("taken");
    for _ in 0..10 {
        cluster.with(1, |peer| peer.hear(3, 1, snapshot_reply(last, 8)));
    }
    assert_eq!(cluster.take(is_chunk).len(), 2, "one window");
}

/// Answers that cannot be true, or come late, move nothing.
#[test]
fn answers_that_do_not_fit_move_nothing() {
    let mut cluster = Cluster::in_transfer(10);
    let before = cluster.peer(1).progress(3);
    for body in [snapshot_reply(at(1, 10), 4), snapshot_reply(at(1, 11), 1000)] {
        cluster.with(1, |peer| peer.hear(3, 1, body));
        assert_eq!(cluster.peer(1).progress(3), before);
    }
    assert_eq!(cluster.peer(1).raft.offence_count(Offence::AckBeyondLog), 1);
    let Body::InstallSnapshot(first) = cluster.bag[0].body.clone() else { panic!("a chunk") };
    let InstallSnapshot { meta, .. } = *first;
    // A chunk behind a gap is answered with what is there.
    cluster.with(3, |peer| peer.hear(1, 1, chunk(&meta, 8, b"gap!")));
    let answers = cluster.take(|message| message.from == node(3));
    let Body::InstallSnapshotReply(reply) = &answers[0].body else { panic!("an answer") };
    assert_eq!((reply.last, reply.received), (meta.last, 0));
}
