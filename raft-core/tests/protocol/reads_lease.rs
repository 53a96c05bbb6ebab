//! Reads without a round, while clocks bear it (diss. §6.4.1; S51, N18).
//!
//! The shortest election timeout is 10 ticks, the lease 5, and a heartbeat leaves with every tick.

use raft_core::{Body, CampaignError, Heartbeat, MembershipChange, RoleName, VoteReply, VoteRequest};

use crate::reads::{read, ready, refused, round};
use crate::support::{
    Cluster, Peer, append, append_reply, at, config, heartbeat, heartbeat_reply, joint, kind, node, term,
    vote, voters,
};

const LEASE: u32 = 5;
const PATIENCE: u32 = 10;

fn leased(id: u64) -> raft_core::Config {
    let mut config = config(id);
    config.read_lease_ticks = LEASE;
    config
}

/// A leader of three in term 1 whose opening entry is committed, and that has no lease yet.
pub(crate) fn leader() -> Peer {
    let mut leader = Peer::found(leased(1), voters(3));
    leader.win(&[2]);
    leader.hear(2, 1, append_reply(0, 1, 1));
    leader.sent.clear();
    leader
}

/// A voter that hears node 1, the leader of term 1.
pub(crate) fn follower() -> Peer {
    let mut follower = Peer::found(leased(2), voters(3));
    follower.hear(1, 1, append(at(0, 0), 0, &[1]));
    follower.sent.clear();
    follower
}

/// A tick passes, and node 2 confirms its round.
pub(crate) fn lend(leader: &mut Peer) {
    leader.tick(1);
    let own = round(leader);
    leader.hear(2, leader.raft.term().get(), heartbeat_reply(own, 1, 1));
    leader.sent.clear();
}

/// Whether a read is answered without any message; if not, nothing was answered at all.
fn is_served(leader: &mut Peer) -> bool {
    leader.sent.clear();
    let before = ready(leader).len();
    let id = read(leader);
    let is_silent = leader.take_kinds().is_empty();
    match ready(leader).get(before) {
        Some((up_to, _)) => assert_eq!((*up_to, is_silent), (id.get(), true)),
        None => assert!(!is_silent, "it waits, so a round must have begun"),
    }
    refused(leader).is_empty() && is_silent
}

/// Whether a voter would vote for another candidate in this term.
fn votes(voter: &Peer, its_term: u64) -> bool {
    let mut voter = voter.clone();
    voter.hear(3, its_term, Body::Vote(vote(1, at(9, 9))));
    let granted = |body| matches!(body, Body::VoteReply(VoteReply { granted: true, .. }));
    voter.take_bodies(3).into_iter().any(granted)
}

fn announce(round: u64, heir: Option<u64>) -> Body {
    let transferee = heir.map(node);
    Body::Heartbeat(Heartbeat { commit: raft_core::LogIndex::ZERO, round, transferee })
}

/// The point of it: once a quorum has confirmed a round, reads take no messages.
#[test]
fn a_lease_spares_reads_their_round() {
    let mut leader = leader();
    assert!(!is_served(&mut leader), "nobody confirmed anything yet");
    lend(&mut leader);
    for _ in 0..10 {
        assert!(is_served(&mut leader));
    }
    assert_eq!(leader.raft.counters().lease_reads, 10);
    assert_eq!(ready(&leader).last(), Some(&(11, 1)), "reads are answered in order");
}

/// Off by default: then every read has a round.
#[test]
fn without_the_setting_there_is_no_lease() {
    let mut leader = Peer::voter(1, 3);
    leader.win(&[2]);
    leader.hear(2, 1, append_reply(0, 1, 1));
    lend(&mut leader);
    assert!(!is_served(&mut leader));
    assert_eq!(leader.raft.counters().lease_reads, 0);
}

/// A lease counts from when the round was sent, not from when it was confirmed, however late that is;
/// and from the newest round that was, however many have begun since.
#[test]
fn a_lease_counts_from_when_its_round_was_sent() {
    for late in 0..8 {
        let mut leader = leader();
        leader.tick(1);
        let sent = round(&mut leader);
        leader.tick(late);
        leader.hear(2, 1, heartbeat_reply(sent, 1, 1));
        for elapsed in late..8 {
            assert_eq!(is_served(&mut leader), elapsed <= LEASE, "{elapsed} ticks, confirmed after {late}");
            leader.tick(1);
        }
    }
}

/// Rounds that begin within one tick do not make a lease longer, nor does a confirmed append.
#[test]
fn appends_and_read_rounds_confirm_leases_as_well() {
    let mut leader = leader();
    leader.tick(1);
    for _ in 0..3 {
        assert!(!is_served(&mut leader), "each begins a round");
    }
    leader.hear(3, 1, append_reply(4, 1, 1));
    leader.tick(LEASE);
    assert!(is_served(&mut leader));
    leader.tick(1);
    assert!(!is_served(&mut leader));
}

/// A lease that is over costs a round, not the read.
#[test]
fn a_lease_that_is_over_means_a_round() {
    let mut leader = leader();
    lend(&mut leader);
    leader.tick(LEASE + 1);
    leader.sent.clear();
    read(&mut leader);
    assert_eq!(ready(&leader), []);
    let own = round(&mut leader);
    leader.hear(3, 1, heartbeat_reply(own, 1, 1));
    assert_eq!((ready(&leader), refused(&leader)), (vec![(1, 1)], vec![]));
    assert!(is_served(&mut leader), "that round is a lease in turn");
}

/// Raft §8, S25: what earlier leaders committed is not known before the first commit of the term.
#[test]
fn there_is_no_lease_before_the_first_commit_of_the_term() {
    let mut leader = Peer::found(leased(1), voters(3));
    leader.win(&[2]);
    leader.tick(1);
    let own = round(&mut leader);
    leader.hear(2, 1, heartbeat_reply(own, 0, 0));
    read(&mut leader);
    assert_eq!(ready(&leader), []);
    leader.hear(2, 1, append_reply(own, 1, 1));
    assert_eq!(ready(&leader), [(1, 1)]);
}

/// S51: a leader that hands over wants voters to break their word, so it has no lease; nor do the
/// rounds that it began before it gave up handing over count, whenever they are confirmed.
#[test]
fn a_transfer_ends_the_lease() {
    let mut leader = leader();
    lend(&mut leader);
    assert!(is_served(&mut leader));
    leader.transfer(3).expect("a voter");
    assert!(!is_served(&mut leader));
    for _ in 1..PATIENCE {
        lend(&mut leader);
        assert!(!is_served(&mut leader), "confirmed while it hands over");
    }
    read(&mut leader);
    let last_before = round(&mut leader);
    assert!(leader.raft.propose(b"x").is_err(), "still handing over");
    leader.tick(1);
    leader.hear(2, 1, heartbeat_reply(last_before, 1, 1));
    leader.hear(3, 1, heartbeat_reply(last_before, 1, 1));
    leader.raft.propose(b"x").expect("it has given up");
    leader.drain();
    assert!(!is_served(&mut leader), "confirmed after, but begun before");
    lend(&mut leader);
    assert!(is_served(&mut leader));
}

/// S53: the quorum is that of the configurations in force when the read is asked for.
#[test]
fn a_change_of_voters_counts_the_lease_anew() {
    let mut leader = leader();
    lend(&mut leader);
    let larger = MembershipChange::new().voter(node(4)).voter(node(5));
    leader.change(&larger).expect("settled");
    assert!(!is_served(&mut leader), "two of three, but only two of five");
    leader.tick(LEASE + 1);
    let own = round(&mut leader);
    leader.hear(4, 1, heartbeat_reply(own, 0, 0));
    leader.hear(5, 1, heartbeat_reply(own, 0, 0));
    assert!(!is_served(&mut leader), "three of five, but only one of three");
    leader.hear(3, 1, heartbeat_reply(own, 0, 0));
    assert!(is_served(&mut leader));
}

/// The other way around: what was confirmed by a quorum of both halves holds when one is left.
#[test]
fn a_joint_lease_outlives_the_joint_configuration() {
    let mut leader = Peer::found(leased(1), joint(&[1, 2, 3], &[1, 4, 5]));
    leader.win(&[2, 4]);
    leader.acknowledge(&[2, 4]);
    leader.tick(1);
    let own = round(&mut leader);
    leader.hear(2, 1, heartbeat_reply(own, 1, 1));
    assert!(!is_served(&mut leader));
    leader.hear(4, 1, heartbeat_reply(own, 1, 1));
    assert!(is_served(&mut leader));
    leader.raft.leave_joint().expect("committed");
    leader.drain();
    assert_eq!(leader.voters(), (vec![], vec![1, 4, 5]));
    assert!(is_served(&mut leader));
}

/// A lone voter is its own quorum.
#[test]
fn a_single_voter_has_a_lease() {
    let mut only = Peer::found(leased(1), voters(1));
    only.win(&[]);
    only.tick(1);
    assert!(is_served(&mut only));
}

/// N18, S51: a read from another member may have been asked for while this process slept between its
/// ticks and its messages, so it gets a round, whatever the lease says.
#[test]
fn reads_of_other_members_wait_for_a_round_in_spite_of_a_lease() {
    let mut cluster = Cluster::from_peers((1..=3).map(|id| Peer::found(leased(id), voters(3))));
    cluster.elect(1);
    cluster.tick(2);
    cluster.with(2, read);
    let question = cluster.bag.remove(0);
    cluster.deliver(question);
    let sent: Vec<_> = cluster.bag.iter().map(|message| (kind(message), message.to.get())).collect();
    assert_eq!(sent, [("heartbeat", 2), ("heartbeat", 3)]);
    cluster.settle();
    assert_eq!(ready(cluster.peer(2)), [(1, 1)]);
    assert_eq!(cluster.peer(1).raft.counters().lease_reads, 0);
}

/// N18, S51: a leader that was paused and gets the ticks it missed first finds its lease to be over.
#[test]
fn a_leader_that_gets_its_missed_ticks_first_answers_nothing_stale() {
    let mut cluster = Cluster::from_peers((1..=3).map(|id| Peer::found(leased(id), voters(3))));
    cluster.elect(1);
    cluster.tick(2);
    cluster.partition(&[1]);
    let mut slept = 0;
    while cluster.leader() == Some(1) {
        for id in [2, 3] {
            cluster.with(id, |peer| peer.tick(1));
        }
        cluster.settle();
        slept += 1;
    }
    cluster.heal();
    assert!(slept >= PATIENCE, "they kept their word for {slept} ticks");
    cluster.with(1, |peer| {
        peer.raft.tick_many(slept);
        read(peer);
    });
    assert_eq!(ready(cluster.peer(1)), []);
    cluster.settle();
    cluster.tick(1);
    assert_eq!((ready(cluster.peer(1)), refused(cluster.peer(1))), (vec![], vec![1]));
}

/// What a lease rests on: whoever heard a leader votes for nobody else for an election timeout,
/// counted from when it heard, though it adopt a later term or give up its leader meanwhile.
#[test]
fn a_voter_keeps_its_word_though_the_term_changes() {
    let mut voter = follower();
    voter.tick(3);
    // A late answer to a pre-vote of its own, from a node that has been through some elections.
    voter.hear(3, 5, Body::PreVoteReply(VoteReply { campaign: 1, granted: false }));
    assert_eq!((voter.raft.term(), voter.raft.leader()), (term(5), None));
    for its_term in [5, 6] {
        for ticks in 3..PATIENCE {
            let mut then = voter.clone();
            then.tick(ticks - 3);
            assert!(!votes(&then, its_term), "term {its_term}, {ticks} ticks");
            assert_eq!(then.raft.campaign(), Err(CampaignError::LeaseGiven));
            then.hear(3, its_term, Body::PreVote(vote(2, at(9, 9))));
            let denied = Body::PreVoteReply(VoteReply { campaign: 2, granted: false });
            assert_eq!(then.take_bodies(3), [denied]);
        }
        let mut then = voter.clone();
        then.tick(PATIENCE - 3);
        assert!(votes(&then, its_term));
        then.campaign();
    }
}

/// Without leases nobody gave its word.
#[test]
fn without_leases_a_later_term_frees_the_voter() {
    let mut voter = Peer::voter(2, 3);
    voter.hear(1, 1, append(at(0, 0), 0, &[1]));
    voter.hear(3, 5, Body::PreVoteReply(VoteReply { campaign: 1, granted: false }));
    assert!(votes(&voter, 5));
    voter.restart();
    assert!(votes(&voter, 6));
    voter.campaign();
}

/// S51: a voter that restarted may have heard a leader just before.
#[test]
fn a_restarted_voter_keeps_the_word_it_forgot() {
    let mut voter = follower();
    voter.restart();
    voter.tick(PATIENCE - 1);
    assert!(!votes(&voter, 1) && !votes(&voter, 2));
    assert_eq!(voter.raft.campaign(), Err(CampaignError::LeaseGiven));
    assert!(!CampaignError::LeaseGiven.to_string().is_empty());
    assert_eq!((voter.raft.term(), voter.role()), (term(1), RoleName::Follower));
    let mut quiet = voter.clone();
    quiet.tick(1);
    assert!(votes(&quiet, 1) && votes(&quiet, 2));
    // A leader that it hears since is followed at once, and counts from then on.
    voter.hear(3, 2, heartbeat(0, 1));
    assert_eq!(voter.raft.leader(), Some(node(3)));
    voter.tick(PATIENCE - 1);
    voter.hear(1, 3, Body::Vote(vote(1, at(9, 9))));
    assert_eq!(voter.raft.term(), term(2));
}

/// A restarted node that is the only voter waits for nobody, once that membership is committed.
#[test]
fn the_only_voter_starts_at_once() {
    let mut only = Peer::found(leased(1), voters(1));
    only.win(&[]);
    only.restart();
    only.campaign();
    assert!(only.raft.is_leader());

    // Node 2 has led so far and removes itself and node 3, but has not heard that it is committed.
    let mut heir = Peer::found(leased(1), joint(&[1, 2, 3], &[1]));
    let mut leader = Peer::found(leased(2), joint(&[1, 2, 3], &[1]));
    leader.win(&[1, 3]);
    let deliver = |leader: &mut Peer, heir: &mut Peer| {
        let sent = leader.take(|message| message.to == node(1));
        sent.into_iter().for_each(|message| heir.receive(message));
        let sent = heir.take(|message| message.to == node(2));
        sent.into_iter().for_each(|message| leader.receive(message));
    };
    deliver(&mut leader, &mut heir);
    leader.hear(3, 1, append_reply(0, 1, 1));
    leader.raft.leave_joint().expect("committed");
    leader.drain();
    let sent = leader.take(|message| message.to == node(1));
    sent.into_iter().for_each(|message| heir.receive(message));
    assert_eq!(heir.voters(), (vec![], vec![1]));
    heir.restart();
    assert_eq!(heir.raft.campaign(), Err(CampaignError::LeaseGiven));
    heir.tick(20);
    assert!(heir.raft.is_leader());
}

/// Diss. §3.10: whom the leader wants is voted for all the same.
#[test]
fn a_wanted_candidate_is_exempt() {
    let mut voter = follower();
    voter.hear(1, 1, announce(1, Some(3)));
    voter.sent.clear();
    assert!(!votes(&voter, 2), "it does not say that it is wanted");
    let request = VoteRequest { transfer: true, ..vote(1, at(9, 9)) };
    voter.hear(3, 2, Body::Vote(request));
    let granted = Body::VoteReply(VoteReply { campaign: 1, granted: true });
    assert_eq!(voter.take_bodies(3), [granted]);

    let mut cluster = Cluster::from_peers((1..=3).map(|id| Peer::found(leased(id), voters(3))));
    cluster.elect(1);
    cluster.tick(1);
    cluster.with(1, |peer| peer.transfer(3)).expect("a voter");
    cluster.settle();
    assert_eq!(cluster.leader(), Some(3));
    cluster.tick(2);
    assert!(is_served(cluster.peer(3)));
}

/// S51: whoever answers a round that began after a transfer was given up no longer listens to its
/// target, in whatever order the messages of before come in.
#[test]
fn a_confirmed_round_takes_an_earlier_transfer_back() {
    let wanted = Body::Vote(VoteRequest { transfer: true, ..vote(1, at(9, 9)) });
    let appended = |round| {
        let Body::Append(append) = append(at(1, 1), 0, &[]) else { unreachable!("an append") };
        Body::Append(raft_core::Append { round, ..append })
    };
    for newer in [announce(7, None), appended(7)] {
        let mut voter = follower();
        voter.hear(1, 1, announce(6, Some(3)));
        voter.hear(1, 1, newer);
        voter.hear(1, 1, announce(6, Some(3)));
        voter.hear(3, 2, wanted.clone());
        assert_eq!(voter.raft.term(), term(1), "it does not listen");
        // The append came first, the heartbeat of the same round second.
        voter.hear(1, 1, announce(7, Some(3)));
        voter.hear(3, 2, wanted.clone());
        assert_eq!(voter.raft.term(), term(2));
    }
}

/// S51, S55: an order to campaign that comes after the transfer was given up is not obeyed.
#[test]
fn a_late_order_to_campaign_is_ignored() {
    for (heir, is_obeyed) in [(Some(2), true), (Some(3), false), (None, false)] {
        let mut target = follower();
        target.hear(1, 1, announce(6, Some(2)));
        target.hear(1, 1, announce(7, heir));
        target.hear(1, 1, Body::TimeoutNow);
        assert_eq!(target.role() == RoleName::Candidate, is_obeyed, "{heir:?}");
    }
}

/// S51: whoever hands over has no lease, so nobody's word for it stands any more once the next term is
/// known, whatever message brought it, neither at voters, nor at the old leader, nor at the heir.
#[test]
fn the_word_for_a_lease_ends_with_a_transfer() {
    let answer = |request| Body::ReadReply { epoch: 1, request, result: Err(raft_core::Refusal::NotLeader) };
    let news = answer(raft_core::ReadId::ZERO);
    for (heir, is_free) in [(Some(3), true), (None, false)] {
        let mut voter = follower();
        voter.hear(1, 1, announce(6, heir));
        voter.hear(3, 2, news.clone());
        assert_eq!((voter.raft.term(), votes(&voter, 2)), (term(2), is_free), "{heir:?}");
    }

    let mut first = follower();
    first.hear(1, 1, announce(6, Some(2)));
    first.hear(1, 1, Body::TimeoutNow);
    first.hear(1, 2, Body::VoteReply(VoteReply { campaign: 1, granted: true }));
    first.transfer(3).expect("a voter");
    first.hear(3, 3, news);
    assert_eq!((first.role(), votes(&first, 3)), (RoleName::Follower, true));
}
