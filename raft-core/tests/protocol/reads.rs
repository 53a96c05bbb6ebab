//! Linearizable reads without the log (diss. §6.4).

use raft_core::{Action, Body, LogIndex, Offence, ReadError, ReadId, Refusal};

use crate::support::{
    Cluster, Peer, append, append_reply, at, config, heartbeat, heartbeat_reply, index, joint, kind, node,
    term, voters,
};

/// The reads that were answered: up to which one, and what they must see.
pub(crate) fn ready(peer: &Peer) -> Vec<(u64, u64)> {
    let of = |action: &Action| match action {
        Action::ReadReady { up_to, index } => Some((up_to.get(), index.get())),
        _ => None,
    };
    peer.told.iter().filter_map(of).collect()
}

/// The reads that were refused: up to which one.
pub(crate) fn refused(peer: &Peer) -> Vec<u64> {
    let of = |action: &Action| match action {
        Action::ReadRefused { up_to } => Some(up_to.get()),
        _ => None,
    };
    peer.told.iter().filter_map(of).collect()
}

/// Asks for a read, and works.
pub(crate) fn read(peer: &mut Peer) -> ReadId {
    let id = peer.raft.read().expect("a leader is known");
    peer.drain();
    id
}

/// A leader of three in term 1 whose opening entry is committed.
fn leader() -> Peer {
    let mut leader = Peer::voter(1, 3);
    leader.win(&[2]);
    leader.hear(2, 1, append_reply(0, 1, 1));
    leader.sent.clear();
    leader
}

/// The round of the newest heartbeat that left.
pub(crate) fn round(peer: &mut Peer) -> u64 {
    let beats = peer.take(|message| kind(message) == "heartbeat").into_iter();
    let round = |body| if let Body::Heartbeat(beat) = body { beat.round } else { 0 };
    beats.map(|beat| round(beat.body)).max().expect("a heartbeat left")
}

/// A read is confirmed by a round that began after it was asked for, and by no earlier one.
#[test]
fn a_read_waits_for_a_round_of_its_own() {
    let mut leader = leader();
    leader.tick(1);
    let before = round(&mut leader);
    read(&mut leader);
    let own = round(&mut leader);
    assert!(own > before);
    leader.hear(2, 1, heartbeat_reply(before, 1, 1));
    leader.hear(3, 1, heartbeat_reply(before, 1, 1));
    assert_eq!(ready(&leader), []);
    leader.hear(3, 1, heartbeat_reply(own, 0, 0));
    assert_eq!(ready(&leader), [(1, 1)]);
}

/// Any answer that was given after the round began confirms it: an append's as well.
#[test]
fn an_append_of_the_round_confirms_it_too() {
    let mut leader = leader();
    read(&mut leader);
    let own = round(&mut leader);
    leader.propose(b"x");
    leader.hear(2, 1, append_reply(own - 1, 1, 1));
    assert_eq!(ready(&leader), []);
    leader.hear(2, 1, append_reply(own, 2, 2));
    assert_eq!(ready(&leader), [(1, 1)], "it sees what was committed when the round began");
}

/// All reads between two drains share a round; all that wait are confirmed with a later one.
#[test]
fn reads_share_rounds() {
    let mut leader = leader();
    for _ in 0..100 {
        leader.raft.read().expect("leads");
    }
    leader.drain();
    assert_eq!(leader.take_kinds(), [("heartbeat", 2), ("heartbeat", 3)]);
    read(&mut leader);
    let newest = round(&mut leader);
    leader.hear(2, 1, heartbeat_reply(newest, 1, 1));
    assert_eq!(ready(&leader), [(100, 1), (101, 1)]);
}

/// N13: no more rounds wait than the limit says; the reads behind them share the next one.
#[test]
fn waiting_read_rounds_are_limited() {
    let mut config = config(1);
    config.read_rounds_max = 2;
    let mut leader = Peer::found(config, voters(3));
    leader.win(&[2]);
    leader.hear(2, 1, append_reply(0, 1, 1));
    leader.sent.clear();
    let mut beats = 0;
    for _ in 0..50 {
        read(&mut leader);
        beats += leader.take_kinds().len();
    }
    assert_eq!(beats, 4, "two rounds to two followers");
    leader.hear(2, 1, heartbeat_reply(2, 1, 1));
    let next = round(&mut leader);
    leader.hear(2, 1, heartbeat_reply(next, 1, 1));
    assert_eq!(ready(&leader).last(), Some(&(50, 1)));
}

/// Raft §8. S25, S86: before the first entry of the term is committed reads wait, and are answered
/// then.
#[test]
fn reads_wait_for_the_first_commit_of_the_term() {
    let mut leader = Peer::with_log(config(1), voters(3), (1, 0, 1), &[1, 1, 1]);
    leader.win(&[2]);
    read(&mut leader);
    leader.tick(1);
    let early = round(&mut leader);
    leader.hear(2, 2, heartbeat_reply(early, 1, 1));
    leader.hear(3, 2, heartbeat_reply(early, 1, 1));
    assert_eq!((ready(&leader), leader.raft.commit()), (vec![], index(1)));
    leader.hear(2, 2, append_reply(early, 4, 4));
    let own = round(&mut leader);
    leader.hear(2, 2, heartbeat_reply(own, 4, 4));
    assert_eq!(ready(&leader), [(1, 4)]);
}

/// S86: if it never comes to that, reads are refused, not forgotten.
#[test]
fn reads_are_refused_when_leadership_is_lost() {
    let mut leader = Peer::voter(1, 3);
    leader.win(&[2]);
    read(&mut leader);
    leader.hear(3, 2, heartbeat(0, 1));
    assert_eq!((ready(&leader), refused(&leader)), (vec![], vec![1]));
}

/// S48, S83: reads are numbered by the leader. Answers to earlier rounds, however often they come
/// and however late, do not confirm a read that was asked for since.
#[test]
fn late_answers_do_not_confirm_a_newer_read() {
    let mut leader = leader();
    read(&mut leader);
    let first = round(&mut leader);
    leader.hear(2, 1, heartbeat_reply(first, 1, 1));
    assert_eq!(ready(&leader), [(1, 1)]);
    // From here on nobody hears this leader; another one may commit.
    read(&mut leader);
    for _ in 0..5 {
        for from in [2, 3] {
            leader.hear(from, 1, heartbeat_reply(first, 1, 1));
            leader.hear(from, 1, append_reply(first, 1, 1));
        }
    }
    assert_eq!(ready(&leader), [(1, 1)]);
    leader.tick(20);
    assert_eq!(refused(&leader), [2]);
}

/// N5: confirmations count only from voters, and rounds that never began confirm nothing.
#[test]
fn only_voters_confirm_and_only_rounds_that_began() {
    let mut leader = Peer::found(config(1), crate::support::with_learner(3, 4));
    leader.win(&[2]);
    leader.hear(2, 1, append_reply(0, 1, 1));
    leader.sent.clear();
    read(&mut leader);
    let own = round(&mut leader);
    leader.hear(4, 1, heartbeat_reply(own, 1, 1));
    leader.hear(9, 1, heartbeat_reply(own, 1, 1));
    leader.hear(2, 1, heartbeat_reply(own + 1, 1, 1));
    leader.hear(3, 1, heartbeat_reply(u64::MAX, 1, 1));
    assert_eq!(ready(&leader), []);
    assert_eq!(leader.raft.offence_count(Offence::UnknownRound), 2);
    leader.hear(3, 1, heartbeat_reply(own, 1, 1));
    assert_eq!(ready(&leader), [(1, 1)]);
}

/// Raft §6, S53: in a joint configuration one half confirms nothing.
#[test]
fn a_joint_configuration_confirms_by_both_halves() {
    for (heard, is_ready) in [(vec![2, 3], false), (vec![4, 5], false), (vec![2, 5], true)] {
        let mut leader = Peer::found(config(1), joint(&[1, 2, 3], &[1, 4, 5]));
        leader.win(&[2, 4]);
        leader.hear(2, 1, append_reply(0, 1, 1));
        leader.hear(4, 1, append_reply(0, 1, 1));
        leader.sent.clear();
        read(&mut leader);
        let own = round(&mut leader);
        for from in heard {
            leader.hear(from, 1, heartbeat_reply(own, 1, 1));
        }
        assert_eq!(!ready(&leader).is_empty(), is_ready);
    }
}

/// A single voter is its own quorum, but its term must have begun for good.
#[test]
fn a_single_voter_confirms_by_itself_after_its_first_commit() {
    let mut only = Peer::voter(1, 1);
    only.win(&[]);
    only.is_disk_slow = true;
    let mut restarted = only.clone();
    restarted.restart();
    restarted.is_disk_slow = true;
    restarted.campaign();
    restarted.sync_one();
    restarted.drain();
    assert!(restarted.raft.is_leader());
    read(&mut restarted);
    assert_eq!(ready(&restarted), [], "S52: its commit index may be an old one");
    restarted.sync();
    assert_eq!(ready(&restarted), [(1, 2)]);
    read(&mut only);
    assert_eq!(ready(&only), [(1, 1)]);
}

/// S49: a leader that slept while another one committed confirms nothing when it wakes, neither
/// what was asked before nor what is asked then.
#[test]
fn a_leader_that_overslept_answers_no_read() {
    let mut cluster = Cluster::led(3);
    cluster.tick(2);
    cluster.with(1, read);
    cluster.partition(&[1]);
    cluster.lose_all();
    for _ in 0..100 {
        for id in [2, 3] {
            cluster.with(id, |peer| peer.tick(1));
        }
        cluster.settle();
    }
    let leader = [2, 3].into_iter().find(|id| cluster.peers[id].raft.is_leader()).expect("a new leader");
    cluster.with(leader, |peer| peer.propose(b"news"));
    cluster.settle();
    assert!(cluster.peer(1).raft.is_leader(), "no tick has passed for it");
    cluster.heal();
    cluster.with(1, read);
    cluster.settle();
    cluster.tick(2);
    assert_eq!((ready(cluster.peer(1)), refused(cluster.peer(1))), (vec![], vec![2]));
}

/// Diss. §6.4: followers serve reads that the leader confirmed.
#[test]
fn a_follower_asks_the_leader() {
    let mut cluster = Cluster::led(3);
    cluster.tick(1);
    cluster.with(1, |peer| peer.propose(b"x"));
    cluster.settle();
    cluster.with(2, read);
    cluster.settle();
    assert_eq!(ready(cluster.peer(2)), [(1, 2)]);
    assert_eq!(cluster.peer(2).raft.commit(), index(2), "it is told the commit index as well");
}

/// A lost question is asked again.
#[test]
fn a_follower_asks_again_when_nothing_comes_back() {
    let mut cluster = Cluster::led(3);
    cluster.with(2, read);
    cluster.lose_all();
    cluster.tick(12);
    assert_eq!(ready(cluster.peer(2)).last().map(|ready| ready.0), Some(1));
}

/// S50: only the leader of our own term answers, only what was asked since this start, once.
#[test]
fn answers_of_others_and_to_others_do_not_count() {
    let mut follower = Peer::voter(1, 3);
    follower.hear(2, 1, append(at(0, 0), 1, &[1]));
    read(&mut follower);
    let asked = follower.take(|message| kind(message) == "read").pop().expect("asked the leader");
    let Body::Read { epoch, request } = asked.body else { unreachable!("a read") };
    let answer =
        |epoch, request: u64| Body::ReadReply { epoch, request: ReadId::new(request), result: Ok(index(1)) };
    follower.hear(3, 1, answer(epoch, 1));
    follower.hear(2, 1, answer(epoch ^ 1, 1));
    follower.hear(2, 1, answer(epoch, 2));
    follower.hear(2, 1, answer(epoch, 0));
    assert_eq!(ready(&follower), []);
    let mut moved = follower.clone();
    follower.hear(2, 1, answer(epoch, request.get()));
    follower.hear(2, 1, answer(epoch, request.get()));
    assert_eq!(ready(&follower), [(1, 1)]);

    moved.hear(3, 2, heartbeat(1, 1));
    moved.hear(2, 1, answer(epoch, request.get()));
    assert_eq!(ready(&moved), [], "the old leader may not know what the new one committed");
    assert_eq!(moved.take(|message| kind(message) == "read").len(), 1, "asks the new leader");
}

/// A read that was forwarded to a leader that stepped down is asked again of the next one.
#[test]
fn a_forwarded_read_outlives_a_change_of_leader() {
    let mut cluster = Cluster::led(3);
    cluster.tick(1);
    cluster.partition(&[1]);
    cluster.with(2, read);
    cluster.tick(60);
    let answered = [ready(cluster.peer(2)).len(), refused(cluster.peer(2)).len()];
    assert_eq!(answered, [0, 1], "it lost the only leader it knew: refused, to be asked again");
    if cluster.leader() != Some(2) {
        cluster.with(2, read);
        cluster.tick(3);
        assert_eq!(ready(cluster.peer(2)).len(), 1);
    }
}

/// Reads are refused by who does not lead, whether it once did or not.
#[test]
fn who_does_not_lead_refuses_reads() {
    let mut follower = Peer::voter(1, 3);
    assert_eq!(follower.raft.read(), Err(ReadError::NoLeader));
    let ask = Body::Read { epoch: 5, request: ReadId::new(3) };
    follower.hear(2, 0, ask.clone());
    let refusal = Body::ReadReply { epoch: 5, request: ReadId::new(3), result: Err(Refusal::NotLeader) };
    assert_eq!(follower.take_bodies(2), std::slice::from_ref(&refusal));
    let mut asking = Peer::voter(2, 3);
    asking.hear(1, 0, heartbeat(0, 1));
    read(&mut asking);
    let Some(Body::Read { epoch, .. }) = asking.take_bodies(1).pop() else { panic!("asks the leader") };
    let result = Err::<LogIndex, _>(Refusal::NotLeader);
    asking.hear(1, 0, Body::ReadReply { epoch, request: ReadId::new(1), result });
    assert_eq!(refused(&asking), [1]);

    let mut newer = Peer::with_log(config(1), voters(3), (4, 0, 0), &[]);
    newer.hear(2, 3, ask);
    assert_eq!((newer.raft.term(), newer.take_bodies(2)), (term(4), vec![refusal]));
}

/// N5: who is not a member cannot make a leader work for it.
#[test]
fn strangers_cannot_read() {
    let mut leader = leader();
    leader.hear(9, 1, Body::Read { epoch: 1, request: ReadId::new(1) });
    assert_eq!(leader.raft.offence_count(Offence::OutsiderRequest), 1);
    let result = Err(Refusal::NotMember);
    let told = Body::ReadReply { epoch: 1, request: ReadId::new(1), result };
    assert_eq!(leader.take_bodies(9), [told]);
    assert_eq!(leader.raft.leader(), Some(node(1)));
}
