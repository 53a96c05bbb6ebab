//! What is committed, when, and who may say so (Raft §5.3, §5.4.2; diss. §10.2.1).

use raft_core::{CommitStatus, EntryKind, Position, StepDown};

use crate::support::{
    Cluster, Dice, Peer, append, append_reply, at, config, heartbeat, index, joint, kind, node, term, voters,
};

fn leader(count: u64) -> Peer {
    let mut leader = Peer::voter(1, count);
    leader.win(&(2..=count / 2 + 1).collect::<Vec<_>>());
    leader.sent.clear();
    leader
}

/// Raft §8. S25: a new leader commits an empty entry of its own, without waiting for proposals.
#[test]
fn a_new_leader_commits_an_entry_of_its_own_without_traffic() {
    let mut cluster = Cluster::led(3);
    cluster.tick(1);
    for id in cluster.ids() {
        assert_eq!(cluster.peer(id).raft.commit(), index(1));
        let opening = cluster.peer(id).applied.pop().expect("applied");
        assert_eq!((opening.position, opening.kind, opening.payload), (at(1, 1), EntryKind::Empty, vec![]));
    }
}

/// Raft §5.4.2. S23: acknowledged entries of earlier terms wait for one of the leader's own.
#[test]
fn a_leader_counts_only_entries_of_its_own_term() {
    let mut leader = Peer::with_log(config(1), voters(3), (2, 0, 0), &[1, 2, 2]);
    leader.win(&[2]);
    for follower in [2, 3] {
        leader.hear(follower, 3, append_reply(0, 3, 3));
        assert_eq!(leader.raft.commit(), index(0));
    }
    leader.hear(2, 3, append_reply(0, 4, 4));
    assert_eq!(leader.raft.commit(), index(4));
}

/// S24: the commit index equals its definition after each of many random acknowledgements: the
/// highest entry of the leader's term that is durable on a majority.
#[test]
fn the_commit_index_equals_its_definition() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let count = 1 + dice.below(7);
        let mut leader = Peer::with_log(config(1), voters(count), (2, 0, 0), &[1, 1, 2]);
        leader.win(&(2..=count / 2 + 1).collect::<Vec<_>>());
        leader.is_disk_slow = true;
        for _ in 0..60 {
            match dice.below(4) {
                0 => drop(leader.propose(b"x")),
                1 if !leader.queue.is_empty() => {
                    leader.sync_one();
                    leader.drain();
                }
                _ if count > 1 => {
                    let received = dice.below(leader.raft.last().index.get() + 1);
                    let durable = dice.below(received + 1);
                    leader.hear(2 + dice.below(count - 1), 3, append_reply(0, durable, received));
                }
                _ => {}
            }
            let status = leader.status();
            let is_committed = |at: &u64| {
                let holders = status.peers.iter().filter(|peer| peer.matched.get() >= *at).count() as u64;
                holders * 2 > count && leader.raft.term_at(index(*at)) == Some(term(3))
            };
            let expected = (1..=status.last.index.get()).filter(is_committed).max().unwrap_or(0);
            assert_eq!(status.commit.get(), expected, "seed {seed}: {status:?}");
            assert_eq!(leader.progress(1).matched, status.durable, "its own disk counts like any other");
        }
    }
}

/// S26, S94: a single voter commits what its own disk has, and nothing before.
#[test]
fn a_single_voter_commits_after_its_own_disk_write() {
    let mut only = Peer::voter(1, 1);
    only.is_disk_slow = true;
    only.campaign();
    assert!(!only.raft.is_leader(), "its vote for itself is not durable");
    only.sync();
    assert!(only.raft.is_leader());
    let position = only.propose(b"x");
    assert_eq!((only.raft.commit(), only.applied.len()), (index(1), 1));
    assert_eq!(only.raft.commit_status(position), CommitStatus::Pending);
    only.sync();
    assert_eq!((only.raft.commit(), only.applied.len()), (index(2), 2));
}

/// S27: a leader whose disk lags does not count itself; fast followers may commit without it. What
/// is not durable here is not applied here either.
#[test]
fn a_leader_does_not_count_what_its_own_disk_lacks() {
    let mut leader = leader(3);
    leader.hear(2, 1, append_reply(0, 1, 1));
    leader.is_disk_slow = true;
    leader.propose(b"x");
    leader.hear(2, 1, append_reply(0, 2, 2));
    assert_eq!(leader.raft.commit(), index(1), "one durable copy of two");
    let mut quick = leader.clone();
    leader.hear(3, 1, append_reply(0, 2, 2));
    assert_eq!((leader.raft.commit(), leader.applied.len()), (index(2), 1));
    leader.sync();
    assert_eq!(leader.applied.len(), 2);
    quick.sync();
    assert_eq!(quick.raft.commit(), index(2), "its own disk was the second");
}

/// Raft §6, S30: in a joint configuration neither half commits alone.
#[test]
fn a_joint_configuration_commits_by_both_halves() {
    for (acks, commit) in [(vec![2, 3], 0), (vec![4, 5], 0), (vec![2, 4], 1), (vec![3, 5], 1)] {
        let mut leader = Peer::found(config(1), joint(&[1, 2, 3], &[1, 4, 5]));
        leader.win(&[2, 4]);
        for from in acks {
            leader.hear(from, 1, append_reply(0, 1, 1));
        }
        assert_eq!(leader.raft.commit(), index(commit));
    }
}

/// S30: check-quorum asks both halves as well.
#[test]
fn a_joint_configuration_is_led_only_while_both_halves_are_heard() {
    for (heard, leads) in [(vec![2, 3], false), (vec![4, 5], false), (vec![3, 4], true)] {
        let mut leader = Peer::found(config(1), joint(&[1, 2, 3], &[1, 4, 5]));
        leader.win(&[2, 4]);
        for round in 1..=25 {
            leader.tick(1);
            for from in &heard {
                leader.hear(*from, 1, crate::support::heartbeat_reply(round, 0, 0));
            }
            if !leader.raft.is_leader() {
                break;
            }
        }
        assert_eq!(leader.raft.is_leader(), leads, "heard {heard:?}");
    }
}

/// S105, S28: the completion of a write says nothing of entries that replaced what it carried.
#[test]
fn a_completion_does_not_count_for_what_was_rewritten_since() {
    let mut follower = Peer::voter(1, 3);
    follower.is_disk_slow = true;
    follower.hear(2, 1, append(at(0, 0), 0, &[1, 1, 1, 1, 1]));
    follower.hear(3, 2, append(at(1, 2), 0, &[2, 2, 2]));
    assert_eq!((follower.queue.len(), follower.log_terms()), (2, vec![1, 1, 2, 2, 2]));
    follower.sync_one();
    follower.drain();
    assert_eq!(follower.status().durable, index(2), "entries 3 to 5 are others now");
    assert_eq!(follower.take(|message| kind(message) == "append reply"), []);
    follower.sync();
    assert_eq!(follower.status().durable, index(5));
    assert_eq!(follower.take_bodies(3), [append_reply(0, 5, 5)]);
}

/// S105: also when term and index look alike, because the same leader sent the entries again.
#[test]
fn entries_that_came_back_are_durable_by_their_own_write_only() {
    let mut follower = Peer::voter(1, 5);
    follower.is_disk_slow = true;
    follower.hear(2, 1, append(at(0, 0), 0, &[1, 1, 1]));
    follower.hear(3, 2, append(at(0, 0), 0, &[2]));
    follower.hear(4, 3, append(at(0, 0), 0, &[1, 1, 1]));
    assert_eq!(follower.queue.len(), 3);
    follower.sync_one();
    follower.drain();
    assert_eq!((follower.log_terms(), follower.status().durable), (vec![1, 1, 1], index(0)));
    follower.sync_one();
    follower.drain();
    assert_eq!(follower.status().durable, index(0));
    follower.sync();
    assert_eq!(follower.status().durable, index(3));
    assert_eq!(follower.take_bodies(4), [append_reply(0, 3, 3)]);
}

/// S28: an id completes everything before it, ids of the past change nothing, and ids that were
/// never given out count for what was.
#[test]
fn completions_may_be_skipped_and_repeated() {
    let mut leader = leader(1);
    leader.is_disk_slow = true;
    for _ in 0..3 {
        leader.propose(b"x");
    }
    let ids: Vec<_> = leader.queue.iter().map(|request| request.id).collect();
    leader.raft.persisted(ids[1]);
    assert_eq!(leader.raft.commit(), index(3));
    leader.raft.persisted(ids[0]);
    assert_eq!(leader.raft.commit(), index(3));
    leader.raft.persisted(raft_core::PersistId::new(u64::MAX));
    assert_eq!((leader.raft.commit(), leader.status().durable), (index(4), index(4)));
}

/// S93: two leaders' appends before a drain give one write of what holds, and one answer, to the
/// leader that holds.
#[test]
fn appends_of_two_leaders_before_a_drain_do_not_mix() {
    let mut follower = Peer::voter(1, 3);
    follower.is_disk_slow = true;
    let hear = |follower: &mut Peer, from, term, body| {
        follower.raft.receive(crate::support::message(from, 1, term, body));
    };
    hear(&mut follower, 2, 1, append(at(0, 0), 0, &[1, 1, 1]));
    hear(&mut follower, 3, 2, append(at(1, 1), 0, &[2]));
    hear(&mut follower, 3, 2, heartbeat(2, 1));
    follower.drain();
    assert_eq!(follower.queue.len(), 1);
    let request = &follower.queue[0];
    let written: Vec<Position> =
        request.entries.entries().map(|entry| Position::new(entry.term, entry.index)).collect();
    assert_eq!((written, request.truncate_from), (vec![at(1, 1), at(2, 2)], None));
    assert_eq!(follower.take_kinds(), [], "the term is not durable");
    follower.sync();
    let answers = follower.take(|_| true);
    assert!(answers.iter().all(|answer| answer.to == node(3) && answer.term == term(2)), "{answers:?}");
    let acks = answers.iter().filter(|answer| answer.body == append_reply(0, 2, 2)).count();
    assert_eq!((acks, follower.durable.term_at(index(2))), (1, Some(term(2))));
}

/// D2: an acknowledgement leaves when entries and term are durable; what is acknowledged survives.
#[test]
fn an_ack_leaves_only_once_the_entries_are_durable() {
    let mut follower = Peer::voter(1, 3);
    follower.is_disk_slow = true;
    follower.hear(2, 1, append(at(0, 0), 0, &[1]));
    follower.hear(2, 1, append(at(1, 1), 0, &[1]));
    follower.hear(2, 1, heartbeat(0, 1));
    assert_eq!(follower.take_kinds(), []);
    follower.sync_one();
    follower.drain();
    let bodies = follower.take_bodies(2);
    assert!(bodies.contains(&append_reply(0, 1, 2)), "{bodies:?}");
    follower.sync();
    assert!(follower.take_bodies(2).contains(&append_reply(0, 2, 2)));
    follower.restart();
    assert_eq!(follower.raft.last(), at(1, 2));
}

/// S10, S107, F25: a leader whose disk stalls steps down within two election timeouts, though its
/// network works, and does not come back before its disk does.
#[test]
fn a_leader_with_a_stalled_disk_is_replaced() {
    let mut cluster = Cluster::led(3);
    cluster.peer(1).is_disk_slow = true;
    cluster.with(1, |peer| peer.propose(b"x"));
    cluster.tick(20);
    let stalled = StepDown::DiskStalled;
    assert!(cluster.peer(1).has_noticed(
        |notice| matches!(notice, raft_core::Notice::SteppedDown { cause, .. } if *cause == stalled)
    ));
    assert_eq!(cluster.peer(1).raft.campaign(), Err(raft_core::CampaignError::DiskStalled));
    cluster.tick(200);
    let leader = cluster.leader().expect("two disks work");
    assert!(leader != 1);
    let position = cluster.with(leader, |peer| peer.propose(b"y"));
    cluster.tick(2);
    assert!(cluster.peer(leader).raft.commit() >= position.index);
    cluster.with(1, Peer::sync);
    cluster.peer(1).is_disk_slow = false;
    cluster.tick(5);
    assert_eq!(cluster.peer(1).raft.commit(), cluster.peer(leader).raft.commit());
}

/// F25, D7: a disk that answers now and then, but falls ever further behind, is stalled as well. Its
/// age used to be counted from the last answer, so that a leader with such a disk was never replaced.
#[test]
fn a_disk_that_falls_behind_counts_as_stalled() {
    let mut leader = leader(3);
    leader.is_disk_slow = true;
    for tick in 1..=40 {
        if !leader.raft.is_leader() {
            assert!(tick >= 11, "the oldest write was not late at tick {tick}");
            return;
        }
        leader.propose(b"x");
        leader.hear(2, 1, append_reply(0, 1, 1));
        if tick % 5 == 0 {
            leader.sync_one();
        }
        leader.tick(1);
    }
    panic!("{} writes are late", leader.queue.len());
}

/// S108: ticks do not wait for the disk: a partitioned leader with a stalled one steps down.
#[test]
fn ticks_do_not_wait_for_the_disk() {
    let mut leader = leader(3);
    leader.is_disk_slow = true;
    leader.propose(b"x");
    leader.tick(20);
    assert!(!leader.raft.is_leader());
}

/// D7: a single voter has nobody to hand over to, and stays.
#[test]
fn a_single_voter_leads_on_while_its_disk_is_stalled() {
    let mut only = leader(1);
    only.is_disk_slow = true;
    only.propose(b"x");
    only.tick(50);
    assert!(only.raft.is_leader());
    only.sync();
    assert_eq!(only.raft.commit(), index(2));
}

/// What became of a position: pending, committed, lost, or not for this log to tell.
#[test]
fn commit_status_tells_what_the_log_knows() {
    let mut leader = leader(3);
    leader.hear(2, 1, append_reply(0, 1, 1));
    let position = leader.propose(b"x");
    assert_eq!(leader.raft.commit_status(at(0, 0)), CommitStatus::Committed);
    assert_eq!(leader.raft.commit_status(at(1, 1)), CommitStatus::Committed);
    assert_eq!(leader.raft.commit_status(position), CommitStatus::Pending);
    assert_eq!(leader.raft.commit_status(at(1, 3)), CommitStatus::Unknown, "not in this log yet");
    leader.hear(3, 2, append(at(1, 1), 1, &[2]));
    assert_eq!(leader.raft.commit_status(position), CommitStatus::Unknown, "replaced, not for good");
    leader.hear(3, 2, heartbeat(2, 1));
    assert_eq!(leader.raft.commit_status(position), CommitStatus::Lost);
    assert_eq!(leader.raft.commit_status(at(2, 2)), CommitStatus::Committed);
}

/// S52, S58: all nodes crash; what was acknowledged is there and is applied again, once.
#[test]
fn what_was_acknowledged_survives_a_crash_of_all() {
    let mut cluster = Cluster::led(3);
    for number in 0..10u8 {
        cluster.with(1, |peer| peer.propose(&[number]));
        cluster.settle();
    }
    cluster.peer(2).is_disk_slow = true;
    cluster.with(1, |peer| peer.propose(b"to 1 and 3 only"));
    cluster.settle();
    assert_eq!(cluster.peer(1).raft.commit(), index(12));
    cluster.lose_all();
    for id in cluster.ids() {
        cluster.restart(id);
    }
    assert_eq!(cluster.peer(2).raft.last(), at(1, 11), "its last write was not durable");
    cluster.tick(60);
    let leader = cluster.leader().expect("all are up");
    assert!(leader != 2, "its log is too short");
    for id in cluster.ids() {
        assert_eq!(cluster.commands(id).len(), 11);
        assert_eq!(cluster.commands(id)[10], b"to 1 and 3 only");
    }
}

/// S101: an old commit index, at a follower or at a restarted node, moves nothing back.
#[test]
fn the_commit_index_never_goes_back() {
    let mut follower = Peer::voter(1, 3);
    follower.hear(2, 1, append(at(0, 0), 3, &[1, 1, 1]));
    follower.hear(2, 1, append(at(0, 0), 1, &[1]));
    follower.hear(3, 2, heartbeat(0, 1));
    assert_eq!((follower.raft.commit(), follower.applied.len()), (index(3), 3));
}
