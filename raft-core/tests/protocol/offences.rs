//! Every rule that a message can break: dropped, counted, told, and nothing else happens (D9).

use raft_core::bytes::Bytes;
use raft_core::{
    Action, Body, EntryKind, InstallSnapshot, InstallSnapshotReply, Message, Notice, Offence, Position,
    SnapshotMeta, Status,
};

use crate::support::{
    Peer, append, append_reply, at, batch, config, crc32c, heartbeat, heartbeat_reply, hollow_append,
    message, node, refused, voters, with_learner, with_witness,
};

/// Every offence there is, so that a new one is not forgotten here.
const ALL: [Offence; Offence::COUNT] = [
    Offence::Misaddressed,
    Offence::FromSelf,
    Offence::TermJump,
    Offence::OutsiderTerm,
    Offence::OutsiderReply,
    Offence::OutsiderRequest,
    Offence::SecondLeader,
    Offence::CommittedConflict,
    Offence::LeaderConflict,
    Offence::AckBeyondLog,
    Offence::UnknownRound,
    Offence::MalformedAppend,
    Offence::MalformedProposal,
    Offence::MalformedChunk,
    Offence::SnapshotTooLarge,
    Offence::HollowForFullMember,
    Offence::PayloadForWitness,
];

/// A leader in term 4 of voters 1 to 3, with entry 1 committed.
fn leader() -> Peer {
    let mut leader = Peer::with_log(config(1), with_learner(3, 4), (3, 0, 1), &[1, 2]);
    leader.win(&[2]);
    leader.sent.clear();
    leader.told.clear();
    leader
}

/// A follower in term 4 that heard its leader, node 2, and compared entries 1 and 2.
fn follower() -> Peer {
    let mut follower = Peer::with_log(config(1), voters(3), (3, 0, 1), &[1, 2]);
    follower.hear(2, 4, append(at(0, 0), 1, &[1, 2]));
    follower.sent.clear();
    follower.told.clear();
    follower
}

/// A witness in term 4 that heard its leader, node 2, and has two hollow entries.
fn witness() -> Peer {
    let mut witness = Peer::found(config(3), with_witness(2, 3));
    witness.hear(2, 4, hollow_append(at(0, 0), 1, &[1, 2]));
    witness.sent.clear();
    witness.told.clear();
    witness
}

/// What a message must leave as it is.
fn essence(peer: &Peer) -> (Status, usize, u64) {
    let mut status = peer.status();
    for peer in &mut status.peers {
        peer.is_active = false;
    }
    (status, peer.applied.len(), peer.persists)
}

/// The first chunk of a snapshot up to `last`, of so many bytes.
fn snapshot(last: Position, size: u64, chunk: &'static [u8], chunk_crc32c: u32) -> Body {
    let meta = SnapshotMeta { last, membership: voters(3), size, crc32c: 0, is_hollow: false };
    let chunk = Bytes::from_static(chunk);
    Body::InstallSnapshot(Box::new(InstallSnapshot { meta, round: 1, offset: 0, chunk, chunk_crc32c }))
}

fn propose(payloads: &'static [u8]) -> Body {
    Body::Propose { epoch: 1, request: 1.into(), payloads: Bytes::from_static(payloads) }
}

/// Who is told what, and which rule that breaks.
fn cases() -> Vec<(Peer, Message, Offence)> {
    let beat = || heartbeat(1, 1);
    let read = Body::Read { epoch: 1, request: 1.into() };
    let install = InstallSnapshotReply { round: 0, last: at(1, 1), received: 1 };
    let late = InstallSnapshotReply { round: 9, ..install };
    vec![
        (follower(), message(2, 3, 4, beat()), Offence::Misaddressed),
        (follower(), message(1, 1, 4, beat()), Offence::FromSelf),
        (follower(), message(2, 1, u64::MAX, beat()), Offence::TermJump),
        (leader(), message(9, 1, 5, heartbeat_reply(0, 0, 0)), Offence::OutsiderTerm),
        (follower(), message(9, 1, 5, append_reply(0, 0, 0)), Offence::OutsiderTerm),
        (leader(), message(9, 1, 4, heartbeat_reply(0, 0, 0)), Offence::OutsiderReply),
        (leader(), message(9, 1, 4, append_reply(0, 1, 1)), Offence::OutsiderReply),
        (leader(), message(9, 1, 4, read), Offence::OutsiderRequest),
        (leader(), message(9, 1, 4, propose(b"\x01x")), Offence::OutsiderRequest),
        (leader(), message(2, 1, 4, beat()), Offence::SecondLeader),
        (leader(), message(2, 1, 4, append(at(0, 0), 0, &[1])), Offence::SecondLeader),
        (follower(), message(3, 1, 4, beat()), Offence::SecondLeader),
        (follower(), message(2, 1, 4, append(at(0, 0), 0, &[2, 2])), Offence::CommittedConflict),
        (follower(), message(2, 1, 4, append(at(1, 1), 0, &[3])), Offence::LeaderConflict),
        (leader(), message(2, 1, 4, append_reply(0, 4, 4)), Offence::AckBeyondLog),
        (leader(), message(2, 1, 4, append_reply(0, 2, 1)), Offence::AckBeyondLog),
        (leader(), message(2, 1, 4, heartbeat_reply(0, 0, u64::MAX - 1)), Offence::AckBeyondLog),
        (leader(), message(2, 1, 4, append_reply(1, 1, 1)), Offence::UnknownRound),
        (leader(), message(2, 1, 4, refused(7, 1, at(0, 0))), Offence::UnknownRound),
        (follower(), message(2, 1, 4, append(at(2, 2), 0, &[1])), Offence::MalformedAppend),
        (leader(), message(2, 1, 4, propose(b"\x09x")), Offence::MalformedProposal),
        (follower(), message(2, 1, 4, snapshot(at(4, 9), 1, b"x", 0)), Offence::MalformedChunk),
        (follower(), message(2, 1, 4, snapshot(at(4, 9), 1, b"xx", crc32c(b"xx"))), Offence::MalformedChunk),
        (follower(), message(2, 1, 4, snapshot(at(5, 9), 1, b"x", crc32c(b"x"))), Offence::MalformedChunk),
        (follower(), message(2, 1, 4, snapshot(at(4, u64::MAX - 1), 0, b"", 0)), Offence::MalformedChunk),
        (
            follower(),
            message(2, 1, 4, snapshot(at(4, 9), 1 << 41, b"x", crc32c(b"x"))),
            Offence::SnapshotTooLarge,
        ),
        (follower(), message(2, 1, 4, snapshot(at(2, 1), 0, b"", 0)), Offence::CommittedConflict),
        (leader(), message(9, 1, 4, Body::InstallSnapshotReply(install)), Offence::OutsiderReply),
        (leader(), message(2, 1, 4, Body::InstallSnapshotReply(late)), Offence::UnknownRound),
        (leader(), message(9, 1, 4, Body::SnapshotRequest { at_least: 1.into() }), Offence::OutsiderRequest),
        (follower(), message(2, 1, 4, hollow_append(at(2, 2), 1, &[4])), Offence::HollowForFullMember),
        (witness(), message(2, 3, 4, append(at(2, 2), 1, &[4])), Offence::PayloadForWitness),
    ]
}

/// N5, N10, N12: each offence is dropped, counted once and told once. Only who asked for something
/// is told that it is no member.
#[test]
fn each_offence_is_dropped_counted_and_told() {
    let cases = cases();
    for (mut peer, message, offence) in cases.clone() {
        let before = essence(&peer);
        let from = message.from;
        peer.receive(message.clone());
        assert_eq!(essence(&peer), before, "{message:?}");
        let is_answered =
            offence == Offence::OutsiderRequest && !matches!(message.body, Body::SnapshotRequest { .. });
        assert_eq!(peer.sent.len(), usize::from(is_answered), "{message:?}");
        assert_eq!(peer.told, [Action::Notice(Notice::Offended { from, offence })], "{message:?}");
        for other in ALL {
            assert_eq!(peer.raft.offence_count(other), u64::from(other == offence), "{message:?}");
        }
    }
    for offence in ALL {
        assert!(cases.iter().any(|case| case.2 == offence), "no case for {offence:?}");
        assert!(!offence.to_string().is_empty());
    }
}

/// N5: a learner is a member: it may read and propose.
#[test]
fn learners_are_served() {
    let mut leader = leader();
    leader.hear(4, 4, propose(b"\x01x"));
    assert_eq!(leader.raft.last(), at(4, 4));
    assert_eq!(leader.raft.offence_count(Offence::OutsiderRequest), 0);
    assert_eq!(leader.raft.leader(), Some(node(1)));
    assert_eq!(batch(4, 4, 1).kind(), EntryKind::Command);
}
