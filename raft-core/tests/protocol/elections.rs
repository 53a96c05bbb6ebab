//! Who gets a vote, and who wins (Raft §5.2, §5.4.1; diss. §9.6).

use raft_core::{Body, CampaignError, Notice, Offence, RoleName, VoteReply};

use crate::support::{
    Cluster, Dice, Peer, append, at, config, heartbeat, index, joint, kind, node, term, vote, voters,
    with_learner,
};

fn vote_replies(peer: &mut Peer) -> Vec<(u64, bool)> {
    let replies = peer.take(|message| kind(message) == "vote reply");
    let granted = |body| matches!(body, Body::VoteReply(VoteReply { granted: true, .. }));
    replies.into_iter().map(|message| (message.to.get(), granted(message.body))).collect()
}

fn pre_vote_replies(peer: &mut Peer) -> Vec<(u64, u64, bool)> {
    let replies = peer.take(|message| kind(message) == "pre-vote reply");
    let granted = |body| matches!(body, Body::PreVoteReply(VoteReply { granted: true, .. }));
    replies.into_iter().map(|message| (message.to.get(), message.term.get(), granted(message.body))).collect()
}

/// Raft §5.2, figure 2. S1: a vote that was not durable was never given.
#[test]
fn a_vote_leaves_only_once_it_is_durable() {
    let mut voter = Peer::voter(1, 3);
    voter.is_disk_slow = true;
    voter.hear(2, 1, Body::Vote(vote(1, at(0, 0))));
    assert_eq!(vote_replies(&mut voter), []);
    let mut forgetful = voter.clone();
    voter.sync();
    assert_eq!(vote_replies(&mut voter), [(2, true)]);

    forgetful.restart();
    assert_eq!(forgetful.status().vote, None);
    forgetful.hear(3, 1, Body::Vote(vote(1, at(0, 0))));
    assert_eq!(vote_replies(&mut forgetful), [(3, true)], "nobody ever saw the first vote");
}

/// Raft figure 2, "rules for followers": only a leader, and a vote that is given, put an own candidacy off.
/// Else a candidate that nobody can elect keeps those from standing who could win.
#[test]
fn a_hopeless_candidate_puts_nobody_off() {
    let mut voter = Peer::voter(1, 3);
    voter.hear(2, 1, append(at(0, 0), 0, &[1]));
    let timeout = u64::from(voter.raft.ticks_until_due());
    for elapsed in 1..timeout {
        voter.tick(1);
        // Its log is empty, and it does not ask before it enters the next term.
        voter.hear(3, 1 + elapsed, Body::Vote(vote(elapsed, at(0, 0))));
        assert_eq!(voter.role(), RoleName::Follower, "{elapsed} of {timeout}");
    }
    voter.tick(1);
    assert_eq!(voter.role(), RoleName::PreCandidate);
    assert!(voter.raft.term() > term(1));
}

/// Raft §5.2: what a candidate knows of its chances can be watched.
#[test]
fn the_votes_of_a_campaign_can_be_seen_while_it_lasts() {
    let mut config = config(1);
    config.pre_vote = false;
    let mut candidate = Peer::found(config, voters(5));
    candidate.is_disk_slow = true;
    candidate.campaign();
    assert_eq!(candidate.status().votes, [], "its own vote is not durable yet");
    candidate.sync();
    let reply = |granted| Body::VoteReply(VoteReply { campaign: 1, granted });
    candidate.hear(3, 1, reply(false));
    candidate.hear(2, 1, reply(true));
    candidate.hear(3, 1, reply(true)); // The first answer counts.
    assert_eq!(candidate.status().votes, [(node(1), true), (node(3), false), (node(2), true)]);
    candidate.hear(4, 1, reply(true));
    assert_eq!((candidate.role(), candidate.status().votes), (RoleName::Leader, Vec::new()));
}

/// S1: one vote per term, also across a crash and also when asked again.
#[test]
fn a_durable_vote_outlives_a_crash() {
    let mut voter = Peer::voter(1, 3);
    voter.hear(2, 1, Body::Vote(vote(1, at(0, 0))));
    assert_eq!(vote_replies(&mut voter), [(2, true)]);
    voter.restart();
    voter.hear(3, 1, Body::Vote(vote(1, at(9, 9))));
    voter.hear(2, 1, Body::Vote(vote(1, at(0, 0))));
    assert_eq!(vote_replies(&mut voter), [(3, false), (2, true)]);
    voter.hear(3, 2, Body::Vote(vote(2, at(9, 9))));
    assert_eq!(vote_replies(&mut voter), [(3, true)], "a later term is another vote");
}

/// S2: following a leader, and giving up on it, leaves the vote of the term as it is.
#[test]
fn a_step_down_within_a_term_does_not_clear_the_vote() {
    let mut config = config(1);
    config.pre_vote = false;
    let mut voter = Peer::found(config, voters(3));
    voter.campaign();
    assert_eq!((voter.role(), voter.status().vote), (RoleName::Candidate, Some(node(1))));
    voter.hear(2, 1, heartbeat(0, 1));
    assert_eq!((voter.role(), voter.status().vote), (RoleName::Follower, Some(node(1))));
    voter.hear(3, 1, Body::Vote(vote(1, at(5, 5))));
    assert_eq!(vote_replies(&mut voter), [(3, false)]);
}

/// S2: the vote also stays when the leader of the term is no longer heard.
#[test]
fn a_vote_stays_when_the_leader_of_its_term_falls_silent() {
    let mut voter = Peer::voter(1, 3);
    voter.hear(2, 1, Body::Vote(vote(1, at(0, 0))));
    voter.hear(2, 1, append(at(0, 0), 0, &[1]));
    voter.tick(20);
    assert_eq!(voter.role(), RoleName::PreCandidate);
    voter.hear(3, 1, Body::Vote(vote(1, at(5, 5))));
    assert_eq!(vote_replies(&mut voter), [(2, true), (3, false)]);
    assert_eq!(voter.status().vote, Some(node(2)));
}

/// S3: a vote counts in the campaign that it answers and in no other.
#[test]
fn late_votes_of_an_earlier_campaign_do_not_count() {
    let mut config = config(1);
    config.pre_vote = false;
    let mut candidate = Peer::found(config, voters(3));
    candidate.campaign();
    candidate.campaign();
    assert_eq!(candidate.raft.term(), term(2));
    let grant = |campaign| Body::VoteReply(VoteReply { campaign, granted: true });
    candidate.hear(2, 1, grant(1));
    candidate.hear(2, 2, grant(1));
    candidate.hear(3, 2, grant(3));
    assert_eq!(candidate.role(), RoleName::Candidate);
    candidate.hear(3, 2, grant(2));
    assert!(candidate.raft.is_leader());
}

/// S3, S4: nor do answers to pre-votes of another campaign, before or after the election is won.
#[test]
fn late_pre_votes_start_no_campaign() {
    let mut candidate = Peer::voter(1, 3);
    candidate.campaign();
    candidate.campaign();
    let grant = |campaign| Body::PreVoteReply(VoteReply { campaign, granted: true });
    candidate.hear(2, 0, grant(1));
    assert_eq!((candidate.role(), candidate.raft.term()), (RoleName::PreCandidate, term(0)));
    candidate.win(&[2]);
    for campaign in 1..=4 {
        candidate.hear(3, 0, grant(campaign));
        candidate.hear(3, 1, grant(campaign));
    }
    assert_eq!((candidate.role(), candidate.raft.term()), (RoleName::Leader, term(1)));
}

/// S5: a candidate that fell behind learns the term from a refusal, instead of asking for ever.
#[test]
fn a_refused_pre_vote_teaches_the_term() {
    let mut voter = Peer::with_log(config(1), voters(3), (7, 0, 0), &[3]);
    voter.hear(2, 2, Body::PreVote(vote(1, at(2, 2))));
    assert_eq!(pre_vote_replies(&mut voter), [(2, 7, false)]);
    assert_eq!(voter.raft.term(), term(7));

    let mut candidate = Peer::voter(2, 3);
    candidate.campaign();
    candidate.sent.clear();
    let refusal = |campaign| Body::PreVoteReply(VoteReply { campaign, granted: false });
    candidate.hear(1, 7, refusal(1));
    assert_eq!((candidate.role(), candidate.raft.term()), (RoleName::PreCandidate, term(7)));
    assert_eq!(candidate.take_kinds(), [("pre-vote", 1), ("pre-vote", 3)], "it asks again at once");
    candidate.hear(1, 7, refusal(2));
    candidate.hear(3, 7, refusal(2));
    assert_eq!(candidate.role(), RoleName::Follower, "but not who knows no later term");
    assert_eq!(candidate.take_kinds(), []);
}

/// Raft §5.4.1. S6: the later last term wins, then the longer log. S84: priority decides between
/// equal logs and nothing else.
#[test]
fn votes_go_to_logs_that_are_at_least_as_complete() {
    let cases = [
        // The candidate's log and priority, and whether a log of (term 3, index 3) votes for it.
        (at(2, 9), 0, false),
        (at(4, 1), 0, true),
        (at(3, 2), 0, false),
        (at(3, 3), 0, true),
        (at(3, 4), 0, true),
        (at(3, 3), -1, false),
        (at(3, 3), 1, true),
        (at(3, 2), i64::MAX, false),
        (at(3, 4), i64::MIN, true),
        (at(4, 1), i64::MIN, true),
    ];
    for (last, priority, is_granted) in cases {
        let mut voter = Peer::with_log(config(1), voters(3), (5, 0, 0), &[1, 2, 3]);
        let request = raft_core::VoteRequest { priority, ..vote(1, last) };
        voter.hear(2, 5, Body::PreVote(request));
        assert_eq!(pre_vote_replies(&mut voter), [(2, 5, is_granted)], "{last}, priority {priority}");
        voter.hear(2, 6, Body::Vote(request));
        assert_eq!(vote_replies(&mut voter), [(2, is_granted)], "{last}, priority {priority}");
    }
}

/// A candidate asks for votes only when its term, its vote and its log are durable: after a crash
/// it could stand in the same term with a shorter log.
#[test]
fn a_candidacy_leaves_only_once_it_is_durable() {
    let mut candidate = Peer::with_log(config(1), voters(3), (1, 0, 0), &[1]);
    candidate.is_disk_slow = true;
    candidate.hear(2, 1, append(at(1, 1), 0, &[1, 1]));
    candidate.campaign();
    let grant = Body::PreVoteReply(VoteReply { campaign: 1, granted: true });
    candidate.hear(2, 1, grant);
    assert_eq!(candidate.role(), RoleName::Candidate);
    assert!(candidate.take_kinds().iter().all(|(kind, _)| *kind != "vote"));
    candidate.sync_one();
    candidate.drain();
    assert_eq!(candidate.take_kinds(), [], "the log is durable, the term is not");
    candidate.sync();
    assert_eq!(candidate.take_kinds(), [("vote", 2), ("vote", 3)]);
}

/// A candidacy that ended while the disk was busy is not announced any more.
#[test]
fn a_candidacy_that_is_over_is_not_announced() {
    let mut candidate = Peer::voter(1, 3);
    candidate.is_disk_slow = true;
    candidate.campaign();
    candidate.hear(2, 0, Body::PreVoteReply(VoteReply { campaign: 1, granted: true }));
    assert_eq!(candidate.role(), RoleName::Candidate);
    candidate.hear(3, 2, heartbeat(0, 1));
    candidate.take_kinds();
    candidate.sync();
    assert_eq!(candidate.take_kinds(), [("heartbeat reply", 3)]);
}

/// Diss. §9.6. S7: a node that was alone for ten thousand timeouts returns without a new term.
#[test]
fn a_partitioned_node_returns_without_disturbance() {
    let mut cluster = Cluster::led(3);
    cluster.partition(&[3]);
    for _ in 0..10_000 {
        cluster.with(3, |peer| peer.tick(20));
        cluster.settle();
    }
    assert_eq!(cluster.peer(3).raft.term(), term(1));
    cluster.heal();
    cluster.tick(60);
    assert!(cluster.all_follow(1));
    assert_eq!(cluster.peer(1).raft.term(), term(1));
}

/// Diss. §4.2.3: who hears a leader supports nobody else, by pre-vote or by vote.
#[test]
fn a_live_leader_is_not_deposed_by_a_candidate() {
    let mut cluster = Cluster::led(3);
    cluster.tick(3);
    for id in [1, 2] {
        cluster.with(id, |peer| {
            peer.hear(3, 1, Body::PreVote(vote(9, at(9, 9))));
            assert_eq!(pre_vote_replies(peer), [(3, 1, false)]);
            peer.hear(3, 9, Body::Vote(vote(9, at(9, 9))));
            assert_eq!(vote_replies(peer), []);
            assert_eq!(peer.raft.term(), term(1));
        });
    }
    assert!(cluster.all_follow(1));
}

/// Once the leader has been silent for an election timeout, others are listened to again.
#[test]
fn a_silent_leader_protects_nobody() {
    let mut voter = Peer::voter(1, 3);
    voter.hear(2, 1, append(at(0, 0), 0, &[]));
    voter.tick(9);
    voter.hear(3, 1, Body::PreVote(vote(1, at(1, 1))));
    voter.tick(1);
    voter.hear(3, 1, Body::PreVote(vote(2, at(1, 1))));
    assert_eq!(pre_vote_replies(&mut voter), [(3, 1, false), (3, 1, true)]);
}

/// S8: a node that hears the leader but is not heard, or the other way round, changes nothing for
/// long: one leader, at work, within five election timeouts.
#[test]
fn one_way_links_do_not_shake_the_cluster() {
    for (from, to) in [(1, 2), (2, 1), (2, 3), (3, 2)] {
        let mut cluster = Cluster::led(3);
        cluster.cut(from, to);
        cluster.tick(100);
        let leader = cluster.leader().expect("a quorum hears each other");
        let term = cluster.peer(leader).raft.term();
        cluster.tick(200);
        assert_eq!(cluster.leader(), Some(leader), "link from {from} to {to}");
        assert_eq!(cluster.peer(leader).raft.term(), term);
        let position = cluster.with(leader, |peer| peer.propose(b"still at work"));
        cluster.tick(3);
        assert!(cluster.peer(leader).raft.commit() >= position.index);
    }
}

/// S9: the leader loses its quorum but one node still reaches everybody: that one takes over.
#[test]
fn the_node_that_reaches_a_quorum_takes_over() {
    let mut cluster = Cluster::led(5);
    for (a, b) in [(1, 3), (1, 4), (1, 5), (3, 4), (3, 5), (4, 5)] {
        cluster.cut(a, b);
        cluster.cut(b, a);
    }
    cluster.tick(200);
    assert_eq!(cluster.leader(), Some(2));
    let position = cluster.with(2, |peer| peer.propose(b"x"));
    cluster.tick(5);
    assert!(cluster.peer(2).raft.commit() >= position.index);
    assert_eq!(cluster.peer(1).role(), RoleName::Follower, "it follows the one it still hears");
}

/// S9: in a chain the middle hears both ends, and the ends cannot shake a leader at the other end.
#[test]
fn a_chain_keeps_its_leader() {
    let mut cluster = Cluster::led(3);
    cluster.cut(1, 3);
    cluster.cut(3, 1);
    cluster.tick(300);
    assert_eq!((cluster.leader(), cluster.peer(1).raft.term()), (Some(1), term(1)));
}

/// Diss. §6.2: a leader without a quorum steps down within two election timeouts.
#[test]
fn a_leader_that_hears_no_quorum_steps_down() {
    let mut cluster = Cluster::led(3);
    cluster.partition(&[1]);
    cluster.tick(20);
    assert_eq!(cluster.peer(1).role(), RoleName::Follower);
    let lost = |notice: &Notice| {
        matches!(notice, Notice::SteppedDown { cause: raft_core::StepDown::QuorumLost, .. })
    };
    assert!(cluster.peer(1).has_noticed(lost));
}

/// S11: half of an even cluster elects nobody; one and two nodes work.
#[test]
fn half_a_cluster_elects_nobody() {
    let mut cluster = Cluster::of(4);
    cluster.partition(&[1, 2]);
    cluster.tick(300);
    assert_eq!(cluster.leader(), None);
    cluster.heal();
    cluster.tick(100);
    assert!(cluster.leader().is_some());
    for count in [1, 2] {
        let mut cluster = Cluster::of(count);
        cluster.tick(60);
        let leader = cluster.leader().expect("all are up");
        let position = cluster.with(leader, |peer| peer.propose(b"x"));
        cluster.settle();
        assert!(cluster.peer(leader).raft.commit() >= position.index);
    }
}

/// S11: candidates that all rise in the same tick split the votes, but not for ever.
#[test]
fn candidates_of_one_tick_end_with_one_leader() {
    let mut cluster = Cluster::of(4);
    for _ in 0..100 {
        for id in cluster.ids() {
            if cluster.peer(id).raft.campaign().is_ok() {
                cluster.with(id, Peer::drain);
            }
        }
        cluster.settle();
    }
    cluster.tick(100);
    assert!(cluster.leader().is_some());
}

/// S11: whatever the order of messages, no term has two leaders (checked by the cluster).
#[test]
fn random_elections_elect_one_leader_per_term() {
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let mut cluster = Cluster::of(2 + dice.below(4));
        for _ in 0..60 {
            let ids = cluster.ids();
            let id = ids[dice.place(ids.len())];
            match dice.below(4) {
                0 => cluster.with(id, |peer| {
                    if peer.raft.campaign().is_ok() {
                        peer.drain();
                    }
                }),
                1 => cluster.restart(id),
                _ => cluster.with(id, |peer| peer.tick(3)),
            }
            cluster.shake(&mut dice, 6, 2);
        }
    }
}

/// S12, S92: who does not vote does not campaign, by itself or by hand.
#[test]
fn learners_and_strangers_never_campaign() {
    for id in [3, 9] {
        let mut peer = Peer::found(config(id), with_learner(2, 3));
        assert_eq!(peer.raft.campaign(), Err(CampaignError::NotVoter));
        peer.tick(500);
        assert_eq!(
            (peer.role(), peer.raft.term(), peer.take_kinds().len()),
            (RoleName::Follower, term(0), 0)
        );
    }
}

/// S12, N5: nor does their higher term, or their vote, mean anything to a cluster that has a leader.
#[test]
fn learners_and_strangers_do_not_disturb() {
    let mut leader = Peer::found(config(1), with_learner(3, 4));
    leader.win(&[2]);
    for from in [4, 9] {
        leader.hear(from, 50, Body::Vote(vote(1, at(50, 50))));
        leader.hear(from, 50, Body::PreVote(vote(1, at(50, 50))));
    }
    leader.hear(9, 50, Body::VoteReply(VoteReply { campaign: 1, granted: false }));
    leader.hear(9, 50, crate::support::heartbeat_reply(1, 0, 0));
    assert_eq!((leader.role(), leader.raft.term()), (RoleName::Leader, term(1)));
    assert_eq!(leader.raft.offence_count(Offence::OutsiderTerm), 3);

    let mut candidate = Peer::found(config(1), with_learner(3, 4));
    candidate.campaign();
    for from in [4, 9] {
        candidate.hear(from, 0, Body::PreVoteReply(VoteReply { campaign: 1, granted: true }));
    }
    assert_eq!(candidate.role(), RoleName::PreCandidate);
}

/// N5, diss. §4.2.2: a candidate outside of our configuration, which may be old, is judged by its
/// term and log when no leader is heard.
#[test]
fn a_stranger_may_be_voted_for_when_no_leader_is_heard() {
    let mut voter = Peer::voter(1, 3);
    voter.hear(9, 4, Body::Vote(vote(1, at(3, 3))));
    assert_eq!(vote_replies(&mut voter), [(9, true)]);
    voter.hear(9, 4, append(at(0, 0), 0, &[4]));
    assert_eq!(voter.raft.leader(), Some(node(9)));
    assert_eq!(voter.raft.last(), at(4, 1));
}

/// Raft §6, S30: in a joint configuration a majority of one half elects nobody.
#[test]
fn a_joint_configuration_elects_by_both_halves() {
    let found = || Peer::found(config(1), joint(&[1, 2, 3], &[1, 4, 5]));
    let grant = Body::PreVoteReply(VoteReply { campaign: 1, granted: true });
    for (helpers, role) in [
        (vec![2, 3], RoleName::PreCandidate),
        (vec![4, 5], RoleName::PreCandidate),
        (vec![2, 4], RoleName::Candidate),
    ] {
        let mut candidate = found();
        candidate.campaign();
        for helper in helpers {
            candidate.hear(helper, 0, grant.clone());
        }
        assert_eq!(candidate.role(), role);
    }
}

/// Raft §5.2: a candidate that a majority refuses stops at once, in the same term.
#[test]
fn a_refused_candidate_becomes_a_follower() {
    let mut config = config(1);
    config.pre_vote = false;
    let mut candidate = Peer::found(config, voters(3));
    candidate.campaign();
    for from in [2, 3] {
        candidate.hear(from, 1, Body::VoteReply(VoteReply { campaign: 1, granted: false }));
    }
    assert_eq!((candidate.role(), candidate.raft.term()), (RoleName::Follower, term(1)));
    assert_eq!(candidate.raft.commit(), index(0));
}
