//! How logs become equal (Raft §5.3), whatever the network does to the messages.

use raft_core::{Body, Message, Notice, Offence, PeerMode};

use crate::support::{
    Cluster, Dice, Peer, append, append_reply, at, carries_entries, config, ends_at, heartbeat,
    heartbeat_reply, index, kind, message, refused, store_behind, term, voters,
};

fn acks(peer: &mut Peer) -> Vec<(u64, u64)> {
    let replies = peer.take(|message| kind(message) == "append reply").into_iter();
    replies
        .filter_map(|message| match message.body {
            Body::AppendReply(reply) if reply.conflict.is_none() => {
                Some((reply.durable.get(), reply.received.get()))
            }
            _ => None,
        })
        .collect()
}

/// The entries and the end of each append that left for a node.
fn appends(peer: &mut Peer, to: u64) -> Vec<(u64, u64)> {
    let bodies = peer.take_bodies(to).into_iter();
    bodies
        .filter_map(|body| match body {
            Body::Append(append) => Some((append.batches.entry_count(), ends_at(&append.batches))),
            _ => None,
        })
        .collect()
}

/// A leader in term 1 whose follower 2 has acknowledged its opening entry; 3 is silent.
fn leader() -> Peer {
    leader_with(|_| {})
}

fn leader_with(change: impl Fn(&mut raft_core::Config)) -> Peer {
    let mut config = config(1);
    change(&mut config);
    let mut leader = Peer::found(config, voters(3));
    leader.win(&[2]);
    leader.hear(2, 1, append_reply(0, 1, 1));
    leader.sent.clear();
    leader
}

#[test]
fn proposals_reach_everybody_and_are_applied_everywhere() {
    let mut cluster = Cluster::led(5);
    for text in ["a", "b", "c"] {
        cluster.with(1, |peer| peer.propose(text.as_bytes()));
        cluster.settle();
    }
    cluster.tick(1);
    for id in cluster.ids() {
        assert_eq!(cluster.commands(id), [b"a", b"b", b"c"]);
    }
}

/// Batching needs no timer: what is proposed between two drains leaves together.
#[test]
fn proposals_before_a_drain_are_one_message_per_follower_and_one_write() {
    let mut cluster = Cluster::led(5);
    let leader = cluster.peer(1);
    let before = leader.persists;
    for number in 0..256u32 {
        leader.raft.propose(&number.to_be_bytes()).expect("leads");
    }
    leader.drain();
    assert_eq!(leader.persists - before, 1);
    for to in 2..=5 {
        assert_eq!(appends(leader, to), [(256, 257)]);
    }
}

/// S15: an acknowledgement covers what was compared, not what happens to be in the log behind it.
#[test]
fn an_ack_covers_only_what_was_compared() {
    let mut follower = Peer::with_log(config(1), voters(3), (2, 0, 0), &[1, 1, 1, 2, 2]);
    follower.hear(2, 3, append(at(1, 1), 0, &[1]));
    assert_eq!(acks(&mut follower), [(2, 2)]);
    follower.hear(2, 3, heartbeat(5, 1));
    assert_eq!(follower.take_bodies(2), [heartbeat_reply(1, 2, 2)]);
}

/// S14: what a newer append brought stays when an older, shorter one arrives after it.
#[test]
fn a_late_shorter_append_cuts_nothing_off() {
    let mut follower = Peer::voter(1, 3);
    follower.hear(2, 1, append(at(0, 0), 0, &[1, 1, 1, 1, 1]));
    follower.hear(2, 1, append(at(0, 0), 0, &[1, 1]));
    follower.hear(2, 1, append(at(1, 1), 0, &[]));
    follower.hear(2, 1, append(at(1, 2), 0, &[1]));
    assert_eq!(follower.log_terms(), [1, 1, 1, 1, 1]);
    assert_eq!(acks(&mut follower).last(), Some(&(5, 5)));
    assert!(!follower.has_noticed(|notice| matches!(notice, Notice::Truncated { .. })));
}

/// Raft §5.3: entries that contradict the leader's give way, those before them stay.
#[test]
fn contradicting_entries_give_way() {
    let mut follower = Peer::with_log(config(1), voters(3), (2, 0, 1), &[1, 1, 2, 2]);
    follower.hear(2, 3, append(at(1, 1), 0, &[1, 3]));
    assert_eq!(follower.log_terms(), [1, 1, 3]);
    assert_eq!(acks(&mut follower), [(3, 3)]);
    let cut = Notice::Truncated { from: index(3), last: at(2, 4) };
    assert!(follower.has_noticed(|notice| *notice == cut));
}

/// S16, N12: a commit index beyond what is known to be equal commits only what is.
#[test]
fn a_heartbeat_commits_no_further_than_what_was_compared() {
    let mut follower = Peer::with_log(config(1), voters(3), (2, 0, 0), &[1, 1, 2, 2]);
    follower.hear(2, 3, heartbeat(4, 1));
    assert_eq!(follower.raft.commit(), index(0));
    follower.hear(2, 3, append(at(0, 0), 4, &[1, 1]));
    assert_eq!(follower.raft.commit(), index(2));
    follower.hear(2, 3, heartbeat(u64::MAX - 1, 2));
    assert_eq!(follower.raft.commit(), index(2));
    follower.hear(2, 3, append(at(1, 2), u64::MAX - 1, &[3]));
    assert_eq!(follower.raft.commit(), index(3));
    follower.hear(2, 3, heartbeat(1, 3));
    assert_eq!(follower.raft.commit(), index(3), "S101: never back");
}

/// S13: a refusal from before an acknowledgement moves nothing back.
#[test]
fn a_late_refusal_moves_nothing_back() {
    let mut leader = leader();
    leader.propose(b"x");
    leader.hear(2, 1, append_reply(0, 2, 2));
    leader.sent.clear();
    for rejected in 0..=2 {
        leader.hear(2, 1, refused(0, rejected, at(0, 0)));
    }
    let progress = leader.progress(2);
    assert_eq!((progress.matched, progress.next, progress.mode), (index(2), index(3), PeerMode::Replicate));
    assert_eq!(appends(&mut leader, 2), []);
}

/// S13: while the place where the logs meet is looked for, only the answer to the probe that is out
/// says anything about it: a repeated or late refusal starts nothing over.
#[test]
fn a_refusal_of_another_probe_is_ignored() {
    let mut leader = Peer::with_log(config(1), voters(3), (9, 0, 0), &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    leader.win(&[2]);
    leader.hear(3, 10, refused(0, 9, at(6, 8)));
    leader.sent.clear();
    let progress = leader.progress(3);
    assert_eq!((progress.mode, progress.next), (PeerMode::Probe, index(7)));
    for rejected in [9, 8, 7, 5, 1] {
        leader.hear(3, 10, refused(0, rejected, at(1, 1)));
        assert_eq!((leader.progress(3), appends(&mut leader, 3)), (progress, vec![]), "{rejected}");
    }
    leader.hear(3, 10, refused(0, 6, at(1, 5)));
    assert_eq!((leader.progress(3).next, appends(&mut leader, 3)), (index(2), vec![(0, 0)]));
}

/// S13: nor does a late acknowledgement, or one that a restarted follower sends, which only knows
/// what is committed to be equal.
#[test]
fn progress_never_goes_below_what_was_acknowledged() {
    let mut leader = leader();
    for _ in 0..5 {
        leader.propose(b"x");
    }
    leader.hear(2, 1, append_reply(0, 6, 6));
    leader.hear(2, 1, append_reply(0, 1, 1));
    assert_eq!((leader.progress(2).matched, leader.progress(2).next), (index(6), index(7)));
    leader.tick(1);
    leader.sent.clear();
    leader.hear(2, 1, heartbeat_reply(1, 1, 1));
    let progress = leader.progress(2);
    assert_eq!((progress.matched, progress.next), (index(6), index(7)));
    assert_eq!(appends(&mut leader, 2), [(0, 0)], "a probe of what is known to match");
}

/// S17: an acknowledgement counts in the term of the leader that it was given to.
#[test]
fn acks_to_an_earlier_leadership_do_not_count() {
    let mut config = config(1);
    config.pre_vote = false;
    let mut leader = Peer::found(config, voters(3));
    leader.win(&[2]);
    leader.propose(b"x");
    leader.hear(3, 2, Body::Vote(crate::support::vote(1, at(0, 0))));
    assert!(leader.raft.is_leader(), "a leader that is heard stays");
    leader.tick(20);
    leader.win(&[3]);
    assert_eq!(leader.raft.term(), term(2));
    leader.hear(2, 1, append_reply(0, 2, 2));
    assert_eq!(leader.progress(2).matched, index(0));
    leader.hear(2, 2, append_reply(99, 3, 3));
    assert_eq!(leader.progress(2).matched, index(0), "nobody was asked in that round");
    assert_eq!(leader.raft.offence_count(Offence::UnknownRound), 1);
    assert_eq!(leader.raft.commit(), index(0));
}

/// N5: an acknowledgement from outside of the configuration counts nowhere.
#[test]
fn acks_of_strangers_do_not_count() {
    let mut leader = leader();
    leader.propose(b"x");
    leader.hear(9, 1, append_reply(0, 2, 2));
    assert_eq!((leader.raft.commit(), leader.raft.offence_count(Offence::OutsiderReply)), (index(1), 1));
}

/// S18: logs that differ in a thousand terms meet after one round trip per term at most.
#[test]
fn logs_with_a_thousand_differing_terms_meet_in_as_many_round_trips() {
    for (run, terms) in [(1, 1000), (20, 100)] {
        let log = |offset: u64| -> Vec<u64> {
            let runs = (1..=terms).flat_map(|at| std::iter::repeat_n(2 * at + offset, run));
            std::iter::once(1).chain(runs).collect()
        };
        let (even, odd) = (log(0), log(1));
        let leader = Peer::with_log(config(1), voters(2), (3000, 0, 0), &odd);
        let follower = Peer::with_log(config(2), voters(2), (3000, 0, 0), &even);
        let mut cluster = Cluster::from_peers([leader, follower]);
        cluster.with(1, Peer::campaign);
        let mut refusals = 0;
        while !cluster.bag.is_empty() {
            let message = cluster.bag.remove(0);
            refusals += u64::from(matches!(&message.body, Body::AppendReply(r) if r.conflict.is_some()));
            cluster.deliver(message);
        }
        assert_eq!(cluster.peer(2).log_terms(), cluster.peer(1).log_terms());
        assert!(refusals <= terms + 1, "{refusals} refusals for {terms} terms of {run} entries");
    }
}

/// A follower that is merely behind costs one refusal, however far behind it is.
#[test]
fn a_follower_that_is_far_behind_costs_one_refusal() {
    let leader = Peer::with_log(config(1), voters(2), (9, 0, 0), &[1; 500]);
    let mut cluster = Cluster::from_peers([leader, Peer::voter(2, 2)]);
    cluster.with(1, Peer::campaign);
    let mut refusals = 0;
    while !cluster.bag.is_empty() {
        let message = cluster.bag.remove(0);
        refusals += u64::from(matches!(&message.body, Body::AppendReply(r) if r.conflict.is_some()));
        cluster.deliver(message);
    }
    assert_eq!((refusals, cluster.peer(2).raft.last()), (1, at(10, 501)));
}

/// S20: appends around the position where the retained log begins.
#[test]
fn appends_around_the_mark_fit_or_are_refused() {
    let follower = || {
        let store = store_behind(at(2, 5), voters(3));
        let mut peer = Peer::reopen(config(1), store);
        peer.is_apply_slow = true;
        peer
    };
    let end_after = |prev, terms: &[u64]| {
        let mut follower = follower();
        follower.hear(2, 3, append(prev, 0, terms));
        (follower.raft.last(), acks(&mut follower))
    };
    assert_eq!(end_after(at(2, 5), &[3, 3]), (at(3, 7), vec![(7, 7)]));
    assert_eq!(end_after(at(2, 4), &[2, 3, 3]), (at(3, 7), vec![(7, 7)]));
    assert_eq!(end_after(at(0, 0), &[1, 1, 2, 2, 2, 3]), (at(3, 6), vec![(6, 6)]));
    assert_eq!(end_after(at(1, 1), &[1]), (at(2, 5), vec![(5, 5)]), "all of it is committed");
    assert_eq!(end_after(at(2, 6), &[3]), (at(2, 5), vec![]), "there is no entry 6");
    assert_eq!(end_after(at(3, 5), &[3]), (at(2, 5), vec![]), "the mark is of term 2");
}

/// N12: what contradicts committed entries is refused and counted.
#[test]
fn committed_entries_are_never_contradicted() {
    let mut follower = Peer::with_log(config(1), voters(3), (2, 0, 3), &[1, 1, 2, 2]);
    follower.hear(2, 3, append(at(1, 1), 3, &[3, 3]));
    assert_eq!(follower.log_terms(), [1, 1, 2, 2]);
    assert_eq!(follower.raft.offence_count(Offence::CommittedConflict), 1);
    assert_eq!(acks(&mut follower), []);
}

/// S21: when a whole window is lost, heartbeats find out, without a new proposal.
#[test]
fn a_lost_window_is_sent_again() {
    let mut cluster = Cluster::led(3);
    cluster.with(1, |peer| {
        for _ in 0..10 {
            peer.propose(b"x");
        }
    });
    cluster.lose_all();
    assert_eq!(cluster.peer(1).progress(2).inflight_messages, 10);
    cluster.tick(3);
    for id in [2, 3] {
        assert_eq!(cluster.peer(id).raft.last(), at(1, 11));
        let progress = cluster.peer(1).progress(id);
        assert_eq!((progress.matched, progress.inflight_messages), (index(11), 0));
    }
}

/// S22, N9: repeats and any order, within and across terms, change nothing about the outcome.
#[test]
fn repeated_and_reordered_messages_change_nothing() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut cluster = Cluster::of(3);
        let mut proposed = Vec::new();
        for round in 0..40u32 {
            let id = 1 + dice.below(3);
            match dice.below(8) {
                0 => cluster.with(id, |peer| peer.tick(25)),
                1 => cluster.restart(id),
                _ => cluster.with(id, |peer| {
                    if peer.raft.propose(&round.to_be_bytes()).is_ok() {
                        proposed.push(round.to_be_bytes().to_vec());
                    }
                    peer.tick(1);
                }),
            }
            let copies_max = if dice.once_in(8) { 50 } else { 3 };
            cluster.shake(&mut dice, 20, copies_max);
        }
        cluster.settle();
        cluster.tick(80);
        let commands = cluster.commands(1);
        assert_eq!((&commands, &commands), (&cluster.commands(2), &cluster.commands(3)), "seed {seed}");
        let mut unique = commands.clone();
        unique.dedup();
        assert!(unique == commands && commands.iter().all(|command| proposed.contains(command)));
    }
}

/// S87: heartbeats do not push entries past the window at a follower that loses every append.
#[test]
fn a_follower_that_loses_appends_gets_empty_probes() {
    let mut leader = leader_with(|config| config.inflight_messages_max = 2);
    for _ in 0..5 {
        leader.propose(b"x");
    }
    assert_eq!(appends(&mut leader, 2).len(), 2);
    for round in 1..=20 {
        leader.tick(1);
        leader.hear(2, 1, heartbeat_reply(round, 1, 1));
        assert!(appends(&mut leader, 2).iter().all(|append| *append == (0, 0)), "round {round}");
    }
}

/// S88: a follower that was reported unreachable replicates again after one round trip.
#[test]
fn an_unreachable_report_costs_one_round_trip() {
    let mut cluster = Cluster::led(3);
    cluster.with(1, |peer| {
        peer.raft.unreachable(crate::support::node(2));
        peer.drain();
    });
    assert_eq!(cluster.peer(1).progress(2).mode, PeerMode::Probe);
    cluster.settle();
    assert_eq!(cluster.peer(1).progress(2).mode, PeerMode::Replicate);
}

/// S95: every entry is sent once per follower unless it is lost, however many acks come in.
#[test]
fn acks_send_nothing_twice() {
    let mut leader = leader();
    for _ in 0..100 {
        leader.propose(b"x");
    }
    let sent: u64 = appends(&mut leader, 2).iter().map(|append| append.0).sum();
    assert_eq!(sent, 100);
    for ack in 2..=101 {
        leader.hear(2, 1, append_reply(0, ack, 101));
    }
    assert_eq!(appends(&mut leader, 2), []);
    assert_eq!(leader.raft.commit(), index(101));
}

/// Windows count messages and bytes, and open by what is acknowledged.
#[test]
fn windows_hold_by_messages_and_by_bytes() {
    let mut by_count = leader_with(|config| config.inflight_messages_max = 3);
    for _ in 0..10 {
        by_count.propose(b"x");
    }
    assert_eq!(appends(&mut by_count, 2), [(1, 2), (1, 3), (1, 4)]);
    by_count.hear(2, 1, append_reply(0, 3, 4));
    assert_eq!(appends(&mut by_count, 2), [(7, 11)], "all that waited, at once");
    assert_eq!(by_count.progress(2).inflight_messages, 2);

    let mut by_bytes = leader_with(|config| config.inflight_bytes_max = 100);
    for _ in 0..10 {
        by_bytes.propose(&[0; 59]);
    }
    assert_eq!(appends(&mut by_bytes, 2), [(1, 2), (1, 3)], "one may go over");
    assert_eq!(by_bytes.progress(2).inflight_bytes, 120);
    by_bytes.hear(2, 1, append_reply(0, 2, 3));
    assert_eq!(appends(&mut by_bytes, 2), [(8, 11)]);
}

/// One message holds at most so many bytes, or a single larger entry.
#[test]
fn appends_hold_to_their_size() {
    let mut leader = leader_with(|config| config.append_bytes_max = 100);
    for size in [30, 30, 30, 300, 30] {
        leader.raft.propose(&vec![0; size]).expect("leads");
    }
    leader.drain();
    assert_eq!(appends(&mut leader, 2), [(3, 4), (1, 5), (1, 6)]);
}

/// S85, F23: a follower that lost what it had acknowledged gets nothing more; nobody else suffers.
#[test]
fn a_follower_that_forgot_is_stopped_loudly() {
    let mut cluster = Cluster::led(3);
    cluster.with(1, |peer| peer.propose(b"x"));
    cluster.tick(2);
    *cluster.peer(2) = Peer::voter(2, 3);
    cluster.tick(5);
    let stopped =
        Notice::PeerRegressed { peer: crate::support::node(2), acknowledged: index(2), reported: index(0) };
    assert!(cluster.peer(1).has_noticed(|notice| *notice == stopped));
    assert_eq!(cluster.peer(1).progress(2).mode, PeerMode::Stopped);
    cluster.with(1, |peer| peer.propose(b"y"));
    assert!(!cluster.bag.iter().any(|message| carries_entries(message) && message.to.get() == 2));
    cluster.tick(5);
    assert_eq!(cluster.peer(3).raft.commit(), index(3));
    assert_eq!(cluster.peer(2).raft.last(), at(0, 0));
}

/// F14, F23: an older copy of a follower's directory was put back. The leader to which it acknowledged
/// more notices. A later one cannot know: it sends what is missing.
#[test]
fn a_follower_whose_log_is_an_older_copy_is_stopped_by_the_leader_that_knows_better() {
    let mut cluster = Cluster::led(3);
    cluster.with(1, |peer| peer.propose(b"x"));
    cluster.tick(2);
    let (config, copy) = (cluster.peer(2).raft.config().clone(), cluster.peer(2).durable.clone());
    for payload in [b"y", b"z"] {
        cluster.with(1, |peer| peer.propose(payload));
        cluster.tick(2);
    }
    *cluster.peer(2) = Peer::reopen(config, copy);
    cluster.tick(5);
    let regressed =
        Notice::PeerRegressed { peer: crate::support::node(2), acknowledged: index(4), reported: index(2) };
    assert!(cluster.peer(1).has_noticed(|notice| *notice == regressed));
    assert_eq!(cluster.peer(1).progress(2).mode, PeerMode::Stopped);
    assert_eq!(cluster.peer(2).raft.last().index, index(2));
    cluster.partition(&[1]);
    cluster.tick(100);
    assert!(cluster.peer(3).raft.is_leader());
    assert_eq!(cluster.peer(2).raft.last(), cluster.peer(3).raft.last());
    assert!(!cluster.peer(3).has_noticed(|notice| matches!(notice, Notice::PeerRegressed { .. })));
}

/// N9: an append of an earlier term is answered with the term, and changes nothing.
#[test]
fn leaders_of_earlier_terms_learn_that_they_are_over() {
    let mut follower = Peer::voter(1, 3);
    follower.hear(2, 5, append(at(0, 0), 0, &[5]));
    follower.sent.clear();
    follower.hear(3, 4, append(at(0, 0), 0, &[4, 4]));
    follower.hear(3, 4, heartbeat(1, 1));
    let answers = follower.take(|_| true);
    assert!(answers.iter().all(|answer| answer.term == term(5) && answer.to.get() == 3));
    assert_eq!((answers.len(), follower.raft.last(), follower.raft.commit()), (2, at(5, 1), index(0)));

    let mut old = leader();
    let Message { body, .. } = answers.into_iter().next().expect("an answer");
    old.receive(message(3, 1, 5, body));
    assert_eq!((old.raft.is_leader(), old.raft.term()), (false, term(5)));
}
