//! Snapshots and what else a node does meanwhile: it stands for election, loses its state, restores an
//! older one.

use raft_core::{CampaignError, RoleName};

use crate::support::{
    Cluster, Peer, append, at, chunk, heartbeat, index, message, small, snapshot_meta, snapshot_reply, voters,
};

/// A store that fails while its node stands for election: the snapshot counts as not received for
/// whoever leads next. Once it counted as received, and was never stored.
#[test]
fn a_store_that_fails_in_an_election_is_sent_the_snapshot_again() {
    let mut cluster = Cluster::in_transfer(10);
    cluster.peer(3).is_snapshot_slow = true;
    cluster.settle();
    cluster.partition(&[3]);
    cluster.with(3, |peer| peer.tick(40));
    assert_eq!(cluster.peer(3).role(), RoleName::PreCandidate);
    cluster.with(3, Peer::fail_snapshot);
    cluster.lose_all();
    cluster.heal();
    cluster.peer(3).is_snapshot_slow = false;
    cluster.tick(40);
    let leader = cluster.leader().expect("one leads");
    cluster.assert_caught_up(leader);
}

/// What the store has taken is noted in every role. Once a candidate forgot it; with a window of one
/// chunk the next leader's transfer never went on.
#[test]
fn what_is_written_in_an_election_is_noted() {
    let mut follower = Peer::found(small(1), voters(3));
    let meta = snapshot_meta(at(1, 5), b"12345678");
    follower.hear(2, 1, heartbeat(0, 1));
    follower.raft.receive(message(2, 1, 1, chunk(&meta, 0, b"1234")));
    follower.raft.receive(message(2, 1, 1, chunk(&meta, 4, b"5678")));
    let mut stored = 0;
    while let Some(action) = follower.raft.poll_action() {
        stored += usize::from(matches!(action, raft_core::Action::StoreChunk(_)));
    }
    assert_eq!(stored, 2);
    follower.tick(40);
    assert_eq!(follower.role(), RoleName::PreCandidate);
    follower.raft.snapshot_written(meta.last, 4);
    follower.drain();
    follower.sent.clear();
    follower.hear(3, 1, heartbeat(0, 1));
    follower.hear(3, 1, chunk(&meta, 0, b"1234"));
    let answers = follower.take_bodies(3);
    assert!(answers.contains(&snapshot_reply(meta.last, 4)), "{answers:?}");
}

/// The votes that a candidate has were given to another log.
#[test]
fn a_candidate_that_installs_a_snapshot_follows_again() {
    let mut peer = Peer::found(small(1), voters(3));
    peer.is_snapshot_slow = true;
    peer.hear(2, 1, chunk(&snapshot_meta(at(1, 5), b"1234"), 0, b"1234"));
    peer.tick(40);
    assert_eq!(peer.role(), RoleName::PreCandidate);
    peer.sync_snapshot();
    peer.drain();
    assert_eq!((peer.role(), peer.raft.last()), (RoleName::Follower, at(1, 5)));
    peer.win(&[2]);
    assert_eq!(peer.raft.last(), at(2, 6));
}

/// A state that is lost while entries are being loaded for it gets none of them. Once they were
/// handed out all the same, and the snapshot that came then found more applied than it replaced.
#[test]
fn entries_under_way_do_not_reach_a_lost_state() {
    let mut peer = Peer::with_log(small(1), voters(3), (1, 0, 3), &[1, 1, 1, 1]);
    peer.is_store_slow = true;
    peer.drain();
    assert_eq!(peer.loads.len(), 1);
    peer.request_snapshot();
    assert_eq!(peer.raft.campaign(), Err(CampaignError::AwaitsSnapshot));
    peer.answer_load();
    peer.drain();
    assert_eq!(peer.applied, []);
    peer.is_store_slow = false;
    peer.hear(2, 1, append(at(1, 4), 4, &[]));
    peer.hear(2, 1, chunk(&snapshot_meta(at(1, 2), b"1234"), 0, b"1234"));
    assert_eq!(peer.applied.len(), 3, "the snapshot, and two entries behind it");
    assert_eq!(peer.raft.last(), at(1, 4));
}

/// A candidate whose request is refused goes on with its campaign.
#[test]
fn a_refused_request_leaves_a_campaign_alone() {
    let mut peer = Peer::found(small(1), voters(3));
    let meta = snapshot_meta(at(1, 5), b"1234");
    peer.raft.snapshot_stored(&meta);
    while peer.raft.poll_action().is_some() {}
    peer.raft.campaign().expect("a voter");
    assert_eq!(peer.raft.request_snapshot(), Err(raft_core::SnapshotError::InProgress));
    assert_eq!(peer.raft.role(), RoleName::PreCandidate);
}

/// N12: a snapshot that contradicts what was committed while it came cannot do harm.
#[test]
fn a_snapshot_that_was_contradicted_meanwhile_is_not_installed() {
    for awaits in [false, true] {
        let mut follower = Peer::found(small(1), voters(3));
        follower.is_snapshot_slow = true;
        follower.hear(2, 2, append(at(0, 0), 1, &[1]));
        if awaits {
            follower.request_snapshot();
        }
        follower.hear(2, 2, chunk(&snapshot_meta(at(2, 3), b"1234"), 0, b"1234"));
        follower.hear(2, 2, append(at(1, 1), 4, &[1, 1, 2]));
        assert_eq!(follower.raft.commit(), index(4));
        follower.sync_snapshot();
        follower.drain();
        assert_eq!((follower.raft.last(), follower.raft.commit()), (at(2, 4), index(4)));
        assert_eq!(follower.status().awaits_snapshot, awaits);
    }
}

/// A newer snapshot takes the place of one that is still being restored, even if the log leads up to
/// it by then: the store may drop the older one.
#[test]
fn a_newer_snapshot_replaces_one_that_is_being_restored() {
    let mut follower = Peer::found(small(1), voters(3));
    let (old, new) = (snapshot_meta(at(1, 5), b"1234"), snapshot_meta(at(1, 7), b"123456"));
    follower.raft.snapshot_stored(&old);
    while follower.raft.poll_action().is_some() {}
    follower.raft.receive(message(2, 1, 1, append(at(1, 5), 8, &[1, 1, 1])));
    follower.raft.snapshot_stored(&new);
    let actions: Vec<_> = std::iter::from_fn(|| follower.raft.poll_action()).collect();
    assert!(actions.contains(&raft_core::Action::RestoreSnapshot(new)), "{actions:?}");
    assert_eq!(follower.raft.last(), at(1, 8), "the log is kept");
}
