//! Proposals made at nodes that do not lead: never twice, and what their proposers are told is true.

use raft_core::bytes::Bytes;
use raft_core::{Action, Body, ForwardId, ForwardResult, Message, Offence, ProposeError, Refusal};

use crate::support::{Cluster, Dice, Peer, append_reply, at, config, heartbeat, index, kind, node, voters};

fn results(peer: &Peer) -> Vec<(u64, u32, ForwardResult)> {
    let of = |action: &Action| match action {
        Action::Forwarded { first, count, result } => Some((first.get(), *count, *result)),
        _ => None,
    };
    peer.told.iter().filter_map(of).collect()
}

fn follower() -> Peer {
    let mut follower = Peer::voter(2, 3);
    follower.hear(1, 1, heartbeat(0, 1));
    follower.sent.clear();
    follower
}

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

fn forward(peer: &mut Peer, payload: &[u8]) {
    peer.raft.forward(payload).expect("a leader is known");
    peer.drain();
}

fn propose(epoch: u64, request: u64, payloads: &'static [u8]) -> Body {
    Body::Propose { epoch, request: ForwardId::new(request), payloads: Bytes::from_static(payloads) }
}

fn replies(peer: &mut Peer) -> Vec<Body> {
    let replies = peer.take(|message| kind(message) == "propose reply");
    replies.into_iter().map(|message| message.body).collect()
}

/// What is proposed before a drain is one message, gets consecutive positions, and one answer.
#[test]
fn forwarded_proposals_are_applied_and_answered_once() {
    let mut cluster = Cluster::led(3);
    cluster.tick(1);
    for number in 0..50u8 {
        cluster.peer(2).raft.forward(&[number]).expect("a leader is known");
    }
    cluster.with(2, Peer::drain);
    let proposes = cluster.bag.iter().filter(|message| kind(message) == "propose").count();
    assert_eq!(proposes, 1);
    cluster.settle();
    assert_eq!(results(cluster.peer(2)), [(1, 50, ForwardResult::Appended(at(1, 2)))]);
    let expected: Vec<Vec<u8>> = (0..50).map(|number| vec![number]).collect();
    assert_eq!(cluster.commands(2), expected, "the asker is told the commit index at once");
}

/// S22, N9: proposals that come twice, or late, are appended once.
#[test]
fn repeated_proposals_are_appended_once() {
    let mut leader = leader();
    for _ in 0..3 {
        leader.hear(2, 1, propose(7, 1, b"\x01a\x01b"));
    }
    leader.hear(2, 1, propose(7, 4, b"\x01d"));
    leader.hear(2, 1, propose(7, 3, b"\x01c"));
    assert_eq!(leader.raft.last(), at(1, 4), "a, b and d; c came late and nobody knows of it");
    assert_eq!(replies(&mut leader).len(), 2);
    // Another member has numbers of its own, and so has the same one after a restart.
    leader.hear(3, 1, propose(7, 1, b"\x01e"));
    leader.hear(2, 1, propose(8, 1, b"\x01f"));
    assert_eq!(leader.raft.last(), at(1, 6));
    leader.hear(2, 1, propose(7, 9, b"\x01g"));
    leader.hear(2, 1, propose(8, 1, b"\x01f"));
    assert_eq!(leader.raft.last(), at(1, 6), "a message from before the restart, and a repetition");
}

/// S82, S79: when the leader changes, nobody knows what became of what was sent to it.
#[test]
fn what_was_sent_is_unknown_when_the_leader_changes() {
    let mut follower = follower();
    forward(&mut follower, b"a");
    forward(&mut follower, b"b");
    follower.hear(3, 2, heartbeat(0, 1));
    assert_eq!(results(&follower), [(1, 1, ForwardResult::Unknown), (2, 1, ForwardResult::Unknown)]);
    follower.hear(
        1,
        1,
        Body::ProposeReply { epoch: 0, request: ForwardId::new(1), count: 1, result: Ok(at(1, 2)) },
    );
    assert_eq!(results(&follower).len(), 2, "one outcome per proposal");
}

/// What was not sent was certainly not appended, and is refused when there is nobody to send it to.
#[test]
fn what_was_not_sent_is_refused_when_the_leader_is_lost() {
    let mut follower = follower();
    for payload in [b"a", b"b"] {
        follower.raft.forward(payload).expect("a leader is known");
    }
    for _ in 0..21 {
        follower.raft.tick();
    }
    follower.drain();
    assert_eq!(results(&follower), [(1, 2, ForwardResult::Refused(Refusal::NotLeader))]);
    assert!(!follower.sent.iter().any(|message| kind(message) == "propose"));
    assert_eq!(follower.raft.forward(b"c"), Err(ProposeError::NoLeader));
}

/// What was not sent yet goes to the next leader.
#[test]
fn what_was_not_sent_goes_to_the_next_leader() {
    let mut follower = follower();
    follower.raft.forward(b"a").expect("a leader is known");
    follower.raft.receive(crate::support::message(3, 2, 2, heartbeat(0, 1)));
    follower.drain();
    assert_eq!(results(&follower), []);
    let sent = follower.take(|message| kind(message) == "propose");
    assert_eq!(sent.iter().map(|message| message.to).collect::<Vec<_>>(), [node(3)]);
}

/// A lost connection to the leader may have lost the answer with it.
#[test]
fn what_was_sent_is_unknown_when_the_leader_is_unreachable() {
    let mut follower = follower();
    forward(&mut follower, b"a");
    follower.raft.unreachable(node(3));
    follower.raft.unreachable(node(1));
    follower.drain();
    assert_eq!(results(&follower), [(1, 1, ForwardResult::Unknown)]);
}

/// An answer counts for what was sent since this start and not answered, and for nothing else.
#[test]
fn answers_that_nobody_waits_for_are_ignored() {
    let mut follower = follower();
    forward(&mut follower, b"a");
    let sent = follower.take_bodies(1).pop().expect("sent on");
    let Body::Propose { epoch, request, .. } = sent else { unreachable!("a proposal") };
    let answer = |epoch, request, count| Body::ProposeReply { epoch, request, count, result: Ok(at(1, 2)) };
    follower.hear(1, 1, answer(epoch ^ 1, request, 1));
    follower.hear(1, 1, answer(epoch, request, 2));
    follower.hear(1, 1, answer(epoch, ForwardId::new(2), 1));
    assert_eq!(results(&follower), []);
    follower.hear(1, 1, answer(epoch, request, 1));
    follower.hear(1, 1, answer(epoch, request, 1));
    assert_eq!(results(&follower), [(1, 1, ForwardResult::Appended(at(1, 2)))]);
}

/// Who does not lead, or led another term, says nothing: a refusal would promise that the proposal
/// is nowhere, and somebody else may have taken it.
#[test]
fn who_does_not_lead_gives_no_refusal() {
    let mut follower = follower();
    follower.hear(3, 1, propose(1, 1, b"\x01a"));
    assert_eq!(replies(&mut follower), []);
    let mut newer = leader();
    newer.hear(2, 0, propose(1, 1, b"\x01a"));
    assert_eq!((replies(&mut newer), newer.raft.last()), (vec![], at(1, 1)));
}

/// Refused whole, appended not at all: over the entry limit, or over what may wait.
#[test]
fn a_leader_refuses_whole_messages() {
    let mut leader = leader_with(|config| {
        config.entry_bytes_max = 4;
        config.proposals_bytes_max = 10;
    });
    let refusal = |request, count, refusal| Body::ProposeReply {
        epoch: 1,
        request: ForwardId::new(request),
        count,
        result: Err(refusal),
    };
    leader.hear(2, 1, propose(1, 1, b"\x01a\x05abcde"));
    assert_eq!(replies(&mut leader), [refusal(1, 2, Refusal::TooLarge)]);
    leader.hear(2, 1, propose(1, 3, b"\x04abcd"));
    assert_eq!(leader.raft.last(), at(1, 2));
    replies(&mut leader);
    leader.hear(2, 1, propose(1, 4, b"\x04abcd\x04abcd"));
    assert_eq!(replies(&mut leader), [refusal(4, 2, Refusal::Busy)]);
    assert_eq!(leader.raft.last(), at(1, 2));
}

/// N5, N12: strangers are told so and not served, and malformed proposals are counted.
#[test]
fn strangers_and_malformed_proposals_are_dropped() {
    let mut leader = leader();
    leader.hear(9, 1, propose(1, 1, b"\x01a"));
    leader.hear(2, 1, propose(1, 1, b"\x05a"));
    leader.hear(2, 1, propose(1, 1, b""));
    let (epoch, request) = (1, ForwardId::new(1));
    let told = Body::ProposeReply { epoch, request, count: 1, result: Err(Refusal::NotMember) };
    assert_eq!((leader.raft.last(), replies(&mut leader)), (at(1, 1), vec![told]));
    assert_eq!(leader.raft.offence_count(Offence::OutsiderRequest), 1);
    assert_eq!(leader.raft.offence_count(Offence::MalformedProposal), 2);
}

/// N13: what waits to be sent on, or to be answered, is limited, and not for ever.
#[test]
fn unsent_proposals_are_limited() {
    let mut config = config(2);
    config.forward_bytes_max = 10;
    config.entry_bytes_max = 50;
    let mut follower = Peer::found(config, voters(3));
    assert_eq!(follower.raft.forward(b"a"), Err(ProposeError::NoLeader));
    follower.hear(1, 1, heartbeat(0, 1));
    assert_eq!(follower.raft.forward(&[0; 51]), Err(ProposeError::TooLarge { bytes_max: 50 }));
    follower.raft.forward(&[0; 50]).expect("one may go over");
    assert_eq!(follower.raft.forward(b"a"), Err(ProposeError::Busy { bytes_max: 10 }));
    follower.drain();
    assert_eq!(follower.raft.forward(b"a"), Err(ProposeError::Busy { bytes_max: 10 }), "not answered");
    for _ in 0..follower.raft.config().proposal_timeout_ticks {
        follower.hear(1, 1, heartbeat(0, 1));
        follower.raft.tick();
    }
    follower.raft.forward(b"a").expect("the other one is given up");
}

/// S79: however messages are lost, repeated and reordered, what was refused is nowhere and what was
/// appended stands where the answer says, unless it was lost to another leader.
#[test]
fn forwarding_never_lies() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut cluster = Cluster::of(3);
        let mut payloads = std::collections::BTreeMap::new();
        for round in 0..60u32 {
            let id = 1 + dice.below(3);
            let payload = round.to_be_bytes();
            cluster.with(id, |peer| {
                if let Ok(forward) = peer.raft.forward(&payload) {
                    payloads.insert((id, forward.get()), payload.to_vec());
                }
                let ticks = if dice.once_in(10) { 25 } else { 1 };
                peer.tick(ticks);
            });
            cluster.shake(&mut dice, 15, 3);
        }
        cluster.settle();
        cluster.tick(80);
        let commands = cluster.commands(1);
        for id in cluster.ids() {
            for (first, count, result) in results(cluster.peer(id)) {
                for number in first..first + u64::from(count) {
                    let payload = &payloads[&(id, number)];
                    let found = commands.iter().filter(|command| *command == payload).count();
                    let most = usize::from(!matches!(result, ForwardResult::Refused(_)));
                    assert!(found <= most, "seed {seed}: {result:?}, found {found} times");
                }
            }
        }
    }
}

/// A proposal of the leader itself does not go through a message.
#[test]
fn a_leader_forwards_nothing() {
    let mut leader = leader();
    assert_eq!(leader.raft.forward(b"a"), Err(ProposeError::NoLeader));
    let sent: Vec<Message> = leader.take(|_| true);
    assert_eq!((sent, leader.raft.last().index), (vec![], index(1)));
}
