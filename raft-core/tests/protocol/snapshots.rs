//! Snapshots of a node's own state, what the log may forget, and what a restart makes of both
//! (Raft §7).

use raft_core::mem::MemLog;
use raft_core::{
    Batches, HardState, LogStore, MembershipChange, Notice, Persist, PersistId, Position, Raft, RestoreError,
    SnapshotError, StartError,
};

use crate::support::{
    Peer, append, at, batches, chunk, config, index, keep, new_log, node, small, snapshot_meta, term, voters,
    with_learner,
};

/// The only voter, leading, with so many commands behind the entry that opened its term.
fn alone(commands: u64) -> Peer {
    let mut peer = Peer::found(small(1), voters(1));
    peer.win(&[]);
    for _ in 0..commands {
        peer.propose(b"x");
    }
    peer
}

fn snapshot_of(peer: &Peer) -> Position {
    peer.status().snapshot.expect("a snapshot is durable")
}

/// S44: the membership in a snapshot is the one in force at its index, not one that is under way.
#[test]
fn a_snapshot_has_the_membership_of_its_index() {
    let mut leader = Peer::found(small(1), voters(3));
    leader.win(&[2]);
    leader.acknowledge(&[2]);
    leader.change(&MembershipChange::new().learner(node(4))).expect("settled");
    leader.take_snapshot();
    let meta = leader.durable.snapshot().expect("taken").clone();
    assert_eq!((meta.last, &meta.membership), (at(1, 1), &voters(3)));
    assert_ne!(leader.raft.membership(), &voters(3));
}

/// It covers what was handed out for applying, and the log forgets just that.
#[test]
fn the_log_forgets_what_a_snapshot_covers() {
    let mut leader = alone(9);
    leader.take_snapshot();
    assert_eq!((snapshot_of(&leader), leader.status().mark), (at(1, 10), at(1, 10)));
    assert!(
        leader.has_noticed(|notice| matches!(notice, Notice::SnapshotTaken { last } if *last == at(1, 10)))
    );
    assert_eq!(leader.durable.term_at(index(9)), None, "nor does the store keep it");
    assert_eq!(leader.raft.term_at(index(10)), Some(term(1)), "the mark's term is known");
    leader.propose(b"y");
    assert_eq!(leader.raft.commit(), index(11));
}

/// A number of entries stays behind the snapshot, for members that are a little behind.
#[test]
fn retained_entries_stay_behind_the_snapshot() {
    let mut settings = small(1);
    settings.retained_entries = 4;
    let mut leader = Peer::found(settings, voters(1));
    leader.win(&[]);
    leader.take_snapshot();
    assert_eq!(leader.status().mark, at(0, 0), "there are not so many");
    leader.propose_times(9, b"x");
    leader.take_snapshot();
    assert_eq!((snapshot_of(&leader), leader.status().mark), (at(1, 10), at(1, 6)));
}

/// S102: large entries do not stay in such numbers.
#[test]
fn no_more_bytes_stay_than_allowed() {
    let mut settings = small(1);
    (settings.retained_entries, settings.retained_bytes) = (1000, 80);
    let mut leader = Peer::found(settings, voters(1));
    leader.win(&[]);
    leader.propose_times(20, b"123456789"); // ten bytes with its length
    leader.take_snapshot();
    assert_eq!((snapshot_of(&leader), leader.status().mark), (at(1, 21), at(1, 14)));
    leader.raft.update_config(|config| config.retained_bytes = 0).expect("within bounds");
    leader.propose(b"123456789");
    leader.take_snapshot();
    assert_eq!(leader.status().mark, at(1, 22), "none stays");
}

/// S44: the same goes for the beginning of the log, which lies before the end of the snapshot.
#[test]
fn the_mark_has_the_membership_of_its_index() {
    let mut settings = small(1);
    settings.retained_entries = 4;
    let mut leader = Peer::found(settings, voters(1));
    leader.win(&[]);
    leader.propose_times(4, b"x");
    leader.change(&MembershipChange::new().learner(node(4))).expect("settled");
    leader.propose_times(2, b"x");
    leader.take_snapshot();
    let mark = leader.durable.recover().expect("memory does not fail").mark.expect("begun");
    assert_eq!((mark.last, mark.membership), (at(1, 4), voters(1)));
    let snapshot = leader.durable.snapshot().expect("taken");
    assert_eq!((snapshot.last, &snapshot.membership), (at(1, 8), &with_learner(1, 4)));
    leader.restart();
    assert_eq!(leader.raft.membership(), &with_learner(1, 4));
}

/// The log keeps what is not applied, even if a leader's snapshot reaches further.
#[test]
fn what_is_not_handed_out_is_kept() {
    let mut follower = Peer::found(small(1), voters(3));
    follower.is_apply_slow = true;
    follower.is_snapshot_slow = true;
    let state = b"1234";
    let meta = snapshot_meta(at(2, 4), state);
    follower.hear(2, 2, chunk(&meta, 0, state));
    follower.is_disk_slow = true;
    follower.hear(2, 2, append(at(0, 0), 5, &[1, 1, 2, 2, 2]));
    follower.sync_snapshot();
    follower.drain();
    assert_eq!((snapshot_of(&follower), follower.status().mark), (at(2, 4), at(0, 0)));
    follower.sync();
    assert_eq!(follower.applied.len(), 5);

    // Durable, but the machine takes one entry at a time.
    let mut settings = small(1);
    settings.apply_bytes_max = 1;
    let mut follower = Peer::found(settings, voters(3));
    (follower.is_apply_slow, follower.is_snapshot_slow) = (true, true);
    follower.hear(2, 2, chunk(&meta, 0, state));
    follower.hear(2, 2, append(at(0, 0), 5, &[1, 1, 2, 2, 2]));
    follower.sync_snapshot();
    follower.drain();
    assert_eq!((snapshot_of(&follower), follower.status().mark), (at(2, 4), at(1, 1)));
}

/// S31: a change that is cut off after the log was compacted: the membership before it is back.
#[test]
fn a_membership_rolls_back_to_the_one_at_the_mark() {
    let mut leader = Peer::found(small(1), voters(3));
    leader.win(&[2]);
    leader.acknowledge(&[2]);
    leader.change(&MembershipChange::new().learner(node(4))).expect("settled");
    leader.take_snapshot();
    assert_eq!(leader.status().mark, at(1, 1));
    leader.hear(2, 2, append(at(1, 1), 1, &[2]));
    assert_eq!((leader.raft.last(), leader.raft.membership()), (at(2, 2), &voters(3)));
}

/// Every way of having no snapshot to take.
#[test]
fn snapshots_are_refused_with_the_reason() {
    let mut leader = alone(0);
    let mut newcomer = Peer::join(small(4));
    assert_eq!(newcomer.raft.take_snapshot(), Err(SnapshotError::NothingNew));
    newcomer.hear(1, 1, append(at(0, 0), 2, &[1, 1]));
    assert_eq!(newcomer.applied.len(), 2);
    assert_eq!(newcomer.raft.take_snapshot(), Err(SnapshotError::NothingNew), "nobody founded this (S100)");

    leader.is_snapshot_slow = true;
    leader.take_snapshot();
    assert_eq!(leader.raft.take_snapshot(), Err(SnapshotError::InProgress));
    leader.sync_snapshot();
    assert_eq!(leader.raft.take_snapshot(), Err(SnapshotError::NothingNew));
    leader.propose(b"x");
    leader.take_snapshot();
    leader.fail_snapshot();
    assert!(
        leader.has_noticed(|notice| matches!(notice, Notice::SnapshotFailed { last } if *last == at(1, 2)))
    );
    assert_eq!(snapshot_of(&leader), at(1, 1));
    leader.take_snapshot();
    assert_eq!(leader.raft.request_snapshot(), Err(SnapshotError::Leading));

    let mut follower = Peer::found(small(1), voters(3));
    follower.hear(2, 1, append(at(0, 0), 1, &[1]));
    follower.request_snapshot();
    assert_eq!(follower.raft.request_snapshot(), Err(SnapshotError::InProgress));
    assert_eq!(follower.raft.take_snapshot(), Err(SnapshotError::InProgress));
    for error in [SnapshotError::InProgress, SnapshotError::NothingNew, SnapshotError::Leading] {
        assert!(!error.to_string().is_empty());
    }
}

/// The policy, by entries and by bytes, zero for never; each counts from the last snapshot on.
#[test]
fn snapshots_are_taken_when_enough_was_applied() {
    // A command of one byte counts for two, since its length is told as well, and adds two to the
    // state. So by bytes pictures are due after 10, 20, and 40 commands.
    for (entries, bytes, pictures) in [(10, 0, 3), (0, 20, 2), (30, 20, 2), (10, 1000, 3), (0, 0, 0)] {
        let mut settings = small(1);
        (settings.snapshot_log_entries, settings.snapshot_log_bytes) = (entries, bytes);
        let mut leader = Peer::found(settings, voters(1));
        leader.win(&[]);
        leader.propose_times(35, b"x");
        assert_eq!(leader.pictures, pictures, "{entries} entries, {bytes} bytes");
    }
}

/// S102: under load log and disk are bounded by what is retained and what one snapshot is due for.
#[test]
fn the_log_stays_bounded_under_load() {
    let mut settings = small(1);
    (settings.snapshot_log_entries, settings.retained_entries) = (10, 5);
    let mut leader = Peer::found(settings, voters(1));
    leader.win(&[]);
    for _ in 0..1000 {
        leader.propose(b"some bytes");
        let status = leader.status();
        assert!(status.last.index.get() - status.mark.index.get() <= 15, "{status:?}");
        let forgotten = leader.durable.clone().load(index(1), index(2), 1);
        assert_eq!(forgotten.is_err(), status.mark != at(0, 0), "{status:?}");
    }
}

/// Proposals do not wait for a snapshot, however long the store takes; nor is another one begun.
#[test]
fn proposals_never_wait_for_a_snapshot() {
    let mut settings = small(1);
    settings.snapshot_log_entries = 10;
    let mut leader = Peer::found(settings, voters(1));
    leader.is_snapshot_slow = true;
    leader.win(&[]);
    leader.propose_times(100, b"x");
    assert_eq!((leader.applied.len(), leader.pictures), (101, 1));
    assert_eq!(leader.status().mark, at(0, 0));
    leader.sync_snapshot();
    leader.drain();
    assert_eq!((leader.status().mark, leader.pictures), (at(1, 10), 2), "the next one is due already");
}

/// After a restart the state is that of the snapshot and what the log has behind it.
#[test]
fn a_node_restarts_from_its_snapshot() {
    let mut leader = alone(5);
    leader.take_snapshot();
    leader.propose(b"y");
    let state = leader.state();
    leader.restart();
    assert_eq!(leader.status().applied, index(6));
    leader.drain();
    assert_eq!(leader.raft.commit(), index(6), "what is behind is committed by the next leader");
    leader.win(&[]);
    assert_eq!(leader.state(), state);
    assert_eq!(leader.raft.last(), at(2, 8));
}

/// A node in this term and commit whose log is of these terms, behind a snapshot at `mark` if there
/// is one, and with a snapshot up to `last`.
fn past(mark: Position, hard: (u64, u64), terms: &[u64], last: Position) -> MemLog {
    let mut store = MemLog::new();
    if last != Position::ZERO {
        keep(&mut store, &snapshot_meta(last, b"state"), b"state");
    }
    let request = Persist {
        id: PersistId::new(1),
        mark: Some(new_log(mark, voters(3))),
        truncate_from: None,
        entries: if terms.is_empty() { Batches::new() } else { batches(mark.index.get(), terms) },
        hard_state: Some(HardState { term: term(hard.0), vote: Some(node(2)), commit: index(hard.1) }),
    };
    store.persist(request).expect("an empty log");
    store
}

/// S62, S106, F19: a snapshot that the log does not lead up to was stored just before a crash: the
/// log begins behind it, at each start until that is durable.
#[test]
fn a_snapshot_newer_than_the_log_takes_its_place() {
    let cases = [
        // It ends behind the log; it ends within it, where nothing is committed.
        (past(at(0, 0), (2, 1), &[1, 1, 2], at(2, 9)), at(2, 9)),
        (past(at(0, 0), (2, 1), &[1, 1, 1, 1], at(2, 3)), at(2, 3)),
        (past(at(1, 5), (2, 5), &[1, 1], at(2, 9)), at(2, 9)),
    ];
    for (store, last) in cases {
        let mut peer = Peer::reopen(config(1), store);
        for _ in 0..2 {
            let status = peer.status();
            assert_eq!((status.mark, status.last, status.commit), (last, last, last.index));
            assert_eq!((status.term, status.vote), (term(2), Some(node(2))), "its vote is kept");
            assert_eq!(status.applied, last.index);
            peer.is_disk_slow = true;
            peer.drain();
            peer.restart();
        }
        peer.drain();
        assert_eq!(peer.durable.last(), last.index);
        peer.hear(2, 2, append(last, last.index.get() + 1, &[2]));
        assert_eq!(peer.applied.len(), 2);
    }
}

/// S62: the term of the snapshot may be one that the node had not noted before it crashed; it has
/// not voted in it then.
#[test]
fn a_restart_takes_over_the_term_of_its_snapshot() {
    let mut peer = Peer::reopen(config(1), past(at(0, 0), (2, 1), &[1, 1, 2], at(5, 9)));
    assert_eq!((peer.raft.term(), peer.status().vote), (term(5), None));
    peer.drain();
    assert_eq!(peer.durable.hard_state().term, term(5));
}

/// S62: a log that leads up to the snapshot is kept, with what it has behind it.
#[test]
fn a_log_that_leads_up_to_the_snapshot_is_kept() {
    for (mark, terms) in [(at(0, 0), &[1, 1, 1, 2, 2][..]), (at(1, 2), &[1, 2, 2]), (at(1, 3), &[2, 2])] {
        let mut peer = Peer::reopen(config(1), past(mark, (2, 3), terms, at(1, 3)));
        let status = peer.status();
        assert_eq!((status.mark, status.last, status.commit), (mark, at(2, 5), index(3)));
        peer.drain();
        peer.hear(2, 2, append(at(2, 5), 5, &[]));
        assert_eq!(peer.applied.len(), 3, "the snapshot and two entries");
    }
}

/// S62, F6: what fits no past is refused.
#[test]
fn snapshots_that_contradict_the_log_are_refused() {
    let cases = [
        (past(at(0, 0), (2, 3), &[1, 1, 1], at(2, 2)), RestoreError::SnapshotContradictsLog { at: index(2) }),
        (past(at(1, 5), (2, 6), &[1, 1], at(2, 6)), RestoreError::SnapshotContradictsLog { at: index(6) }),
        (past(at(1, 5), (2, 5), &[1], at(1, 4)), RestoreError::SnapshotMissing { mark: index(5) }),
        (past(at(1, 5), (2, 5), &[1], at(0, 0)), RestoreError::SnapshotMissing { mark: index(5) }),
        (past(at(1, 5), (2, 5), &[1], at(2, 5)), RestoreError::SnapshotContradictsLog { at: index(5) }),
    ];
    for (mut store, error) in cases {
        let recovered = store.recover().expect("memory does not fail");
        let snapshot = store.snapshot().cloned();
        let refused =
            Raft::restore(config(1), recovered, snapshot, Vec::new()).map(drop).expect_err("no past");
        assert_eq!(refused, StartError::Restore(error));
        assert!(!error.to_string().is_empty());
    }
}

/// A follower that had stored all of its leader's snapshot took one of its own that reached less
/// far, because the log led up to the leader's meanwhile. A store calls the one that came last its
/// newest, so the node was left with a log that began behind its only snapshot.
#[test]
fn a_snapshot_never_takes_the_place_of_one_that_reaches_further() {
    let mut follower = Peer::found(small(1), voters(3));
    follower.is_snapshot_slow = true;
    follower.hear(2, 1, append(at(0, 0), 2, &[1, 1]));
    let meta = snapshot_meta(at(1, 6), b"1234");
    follower.hear(2, 1, chunk(&meta, 0, b"1234"));
    follower.is_apply_slow = true;
    follower.is_disk_slow = true;
    follower.hear(2, 1, append(at(1, 2), 8, &[1; 6]));
    assert_eq!(follower.raft.commit(), index(8));
    assert_eq!(follower.raft.take_snapshot(), Err(SnapshotError::InProgress));
    follower.sync_snapshot();
    follower.drain();
    assert_eq!(follower.raft.take_snapshot(), Err(SnapshotError::NothingNew), "it would reach up to 2");
    follower.sync();
    follower.take_snapshot();
    assert_eq!(follower.pictures, 1);

    // Nor does a leader's that reaches less far, if all of the other is there.
    let mut follower = Peer::found(small(1), voters(3));
    follower.is_snapshot_slow = true;
    follower.hear(2, 1, chunk(&meta, 0, b"1234"));
    follower.hear(3, 2, chunk(&snapshot_meta(at(1, 4), b"1"), 0, b"1"));
    follower.sync_snapshot();
    follower.drain();
    assert_eq!(follower.raft.last(), at(1, 6));
}

/// A snapshot that was begun by a leader and never finished kept a node from taking one of its own,
/// even when all of it was long applied.
#[test]
fn an_overtaken_snapshot_does_not_stand_in_the_way() {
    let mut follower = Peer::found(small(1), voters(3));
    follower.hear(2, 1, chunk(&snapshot_meta(at(1, 6), b"12345678"), 0, b"1234"));
    follower.hear(2, 1, append(at(0, 0), 5, &[1; 8]));
    assert_eq!(follower.raft.take_snapshot(), Err(SnapshotError::InProgress));
    follower.hear(2, 1, append(at(1, 8), 7, &[]));
    follower.take_snapshot();
    assert_eq!(snapshot_of(&follower), at(1, 7));
}
