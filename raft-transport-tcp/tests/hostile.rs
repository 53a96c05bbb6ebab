//! Peers that misbehave: only their own connection suffers, and memory stays bounded.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::time::Duration;

use raft_core::{Message, NodeId, Term, Transport};
use raft_proto::bytes::Buf;
use raft_proto::framing::FRAME_HEADER_BYTES;
use raft_proto::v1;
use support::{
    Node, Raw, beat_frame, blob, cluster, hello, hello_frame, message_frame, options, raw_frame, round,
    until, wire_frame,
};

/// A node, and a peer that it hears all the time.
fn node_and_witness() -> (Node, Raw) {
    let node = Node::new(options(1));
    let witness = Raw::introduced(&node, 2);
    (node, witness)
}

#[track_caller]
fn assert_still_hears(node: &mut Node, witness: &mut Raw) {
    witness.write(&beat_frame(2, 1, 4711));
    let message = node.message();
    assert_eq!((message.from, round(&message)), (NodeId::new(2), 4711));
}

/// N6
#[test]
fn message_in_another_name_ends_the_connection_and_is_not_delivered() {
    let (mut node, mut witness) = node_and_witness();
    for (from, to) in [(2, 1), (3, 2)] {
        let mut liar = Raw::introduced(&node, 3);
        until("introduced", || node.counters(NodeId::new(3)).connects == 1);
        let peer = NodeId::new(3);
        node.transport.set_peer(peer, "127.0.0.1:1").unwrap();
        liar.write(&beat_frame(from, to, 1));
        liar.assert_closed();
        until("counted", || node.counters(peer).impersonations == 1);
        node.transport.remove_peer(peer);
    }
    assert_still_hears(&mut node, &mut witness);
}

/// N1, N2, S72: what is wrong with each frame ends the connection that brought it, and no other.
#[test]
fn malformed_frames_and_messages_end_only_their_connection() {
    let (mut node, mut witness) = node_and_witness();
    let peer = NodeId::new(3);
    node.transport.set_peer(peer, "127.0.0.1:1").unwrap();
    let good = beat_frame(3, 1, 1).to_vec();
    let with = |at: usize, byte: u8| {
        let mut frame = good.clone();
        frame[at] = byte;
        frame
    };
    let mut huge = good.clone();
    huge[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut over = good.clone();
    over[12..16].copy_from_slice(&((4 << 20) + 1u32).to_le_bytes());
    let wire = v1::Message {
        from: 3,
        to: 1,
        term: u64::MAX,
        body: Some(v1::message::Body::TimeoutNow(v1::TimeoutNow {})),
    };
    let missing = v1::message::Body::Append(v1::Append::default());
    let frames = [
        b"complete nonsense, longer than a header".to_vec(),
        with(0, b'X'),
        with(8, 9),
        with(9, 77),
        with(10, 1),
        with(30, 0xff),
        huge,
        over,
        raw_frame(1, &[]),
        raw_frame(1, &[0xff; 30]),
        raw_frame(1, &[0x08]),
        wire_frame(&wire).to_vec(),
        wire_frame(&v1::Message { term: 1, body: Some(missing), ..wire }).to_vec(),
        hello_frame(&hello(3, 1)).to_vec(),
    ];
    let count = frames.len() as u64;
    for (number, frame) in frames.into_iter().enumerate() {
        let mut raw = Raw::introduced(&node, 3);
        raw.write(&beat_frame(3, 1, number as u64));
        raw.write(&frame);
        raw.assert_closed();
        assert_eq!(round(&node.message()), number as u64, "what came before the offence is delivered");
    }
    until("each is counted", || node.counters(peer).malformed == count);
    assert_still_hears(&mut node, &mut witness);
}

/// N1: frames around random payloads, so that the checksum does not shield the decoder.
#[test]
fn random_payloads_never_break_a_reader() {
    let (mut node, mut witness) = node_and_witness();
    let peer = NodeId::new(3);
    node.transport.set_peer(peer, "127.0.0.1:1").unwrap();
    let seed: Vec<u8> =
        message_frame(Message { from: peer, to: node.id, term: Term::new(9), body: blob(20) })
            [FRAME_HEADER_BYTES..]
            .to_vec();
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for _ in 0..300 {
        let mut raw = Raw::introduced(&node, 3);
        let mut payload = seed.clone();
        for _ in 0..=draw(3) {
            let at = draw(payload.len());
            payload[at] = draw(256) as u8;
        }
        payload.truncate(draw(payload.len() + 1));
        raw.write(&raw_frame(1, &payload));
        raw.write(&hello_frame(&hello(3, 1)));
        raw.assert_closed();
    }
    until("each reader lived to close its connection", || {
        let counters = node.counters(peer);
        counters.malformed + counters.impersonations == 300
    });
    while node.group.poll().is_some() {}
    assert_still_hears(&mut node, &mut witness);
}

/// N15: a newer release may send what we do not know; that is no offence.
#[test]
fn unknown_body_is_dropped_and_counted_and_the_connection_stays() {
    let (mut node, _witness) = node_and_witness();
    let mut newer = Raw::introduced(&node, 3);
    newer.write(&wire_frame(&v1::Message { from: 3, to: 1, term: 1, body: None }));
    newer.write(&beat_frame(3, 1, 8));
    assert_eq!(round(&node.message()), 8);
    let counters = node.counters(NodeId::new(3));
    assert_eq!((counters.unknown_messages, counters.received_messages), (1, 1));
}

/// S72
#[test]
fn frames_split_at_every_byte_and_glued_together_arrive_the_same() {
    let (mut node, mut peer) = node_and_witness();
    let frame = beat_frame(2, 1, 5);
    for split in 0..=frame.len() {
        let (head, tail) = frame.split_at(split);
        peer.write(head);
        // The second half waits until the first was read, so that the split really happens.
        let read = node.counters(NodeId::new(2)).received_bytes;
        let whole = read - read % frame.len() as u64;
        until("the first half has arrived", || {
            let bytes = node.counters(NodeId::new(2)).received_bytes;
            bytes >= whole + split as u64 || split == frame.len()
        });
        peer.write(tail);
        assert_eq!(round(&node.message()), 5);
    }
    for byte in &frame[..] {
        peer.write(&[*byte]);
    }
    assert_eq!(round(&node.message()), 5);
    let mut glued = Vec::new();
    for number in 0..1000 {
        glued.extend_from_slice(&beat_frame(2, 1, number));
    }
    let mut rest = &glued[..];
    while rest.has_remaining() {
        let step = rest.len().min(777);
        peer.write(&rest[..step]);
        rest.advance(step);
    }
    for number in 0..1000 {
        assert_eq!(round(&node.message()), number);
    }
}

/// S72, N2: the limit itself fits, one byte more does not, at either end.
#[test]
fn longest_message_passes_and_one_byte_more_does_not() {
    let mut settings = options(1);
    settings.limits.frame_bytes_max = 1000;
    let mut node = Node::new(settings);
    assert_eq!(node.group.message_bytes_max(), 1000, "which a node's settings are held to");
    let (me, peer) = (node.id, NodeId::new(2));
    let frame = |bytes| message_frame(Message { from: peer, to: me, term: Term::new(1), body: blob(bytes) });
    let overhead = frame(900).len() - FRAME_HEADER_BYTES - 900;
    let fits = 1000 - overhead;
    let mut raw = Raw::introduced(&node, 2);
    raw.write(&frame(fits));
    assert_eq!(node.message().body, blob(fits));
    node.send(peer, blob(fits + 1));
    node.send(peer, blob(fits));
    node.group.flush();
    assert_eq!(raw.message().unwrap().body, blob(fits));
    assert_eq!(node.counters(peer).oversized_messages, 1);
    raw.write(&frame(fits + 1));
    raw.assert_closed();
}

/// N7, S73
#[test]
fn connections_are_capped_and_those_that_end_make_room() {
    let mut settings = options(1);
    settings.limits.connections_per_ip_max = 3;
    let mut node = Node::new(settings);
    let mut inside: Vec<_> = (2..5).map(|id| Raw::introduced(&node, id)).collect();
    for _ in 0..200 {
        Raw::connect(node.transport.local_address()).assert_closed();
    }
    assert_eq!(node.transport.counters().over_limit, 200);
    inside[2].write(&beat_frame(4, 1, 3));
    assert_eq!(round(&node.message()), 3, "those inside are not disturbed");
    inside.remove(0);
    until("there is room again", || !node.transport.peers().contains(&NodeId::new(2)));
    until("somebody else comes in", || {
        let mut raw = Raw::connect(node.transport.local_address());
        raw.write_or_closed(&hello_frame(&hello(6, 1)));
        raw.hello().is_some()
    });
}

/// S73: idle strangers do not disturb nodes that know each other.
#[test]
fn idle_connections_do_not_disturb_the_cluster() {
    let mut nodes = cluster(2);
    let [one, two] = &mut nodes[..] else { unreachable!() };
    one.send_beat(two.id, 1);
    assert_eq!(round(&two.message()), 1);
    let idle: Vec<_> = (0..400).map(|_| Raw::connect(two.transport.local_address())).collect();
    for number in 0..1000 {
        one.send_beat(two.id, number);
        assert_eq!(round(&two.message()), number);
    }
    until("the flood is capped", || two.transport.counters().over_limit >= 400 - 64);
    drop(idle);
}

#[test]
fn newer_connection_of_the_same_peer_replaces_the_older() {
    let mut node = Node::new(options(1));
    let mut first = Raw::introduced(&node, 9);
    node.send_beat(NodeId::new(9), 1);
    assert_eq!(round(&first.message().unwrap()), 1);
    let mut second = Raw::introduced(&node, 9);
    first.assert_closed();
    assert_eq!(node.unreachable(), NodeId::new(9), "what the old one carried may be lost");
    second.write(&beat_frame(9, 1, 2));
    assert_eq!(round(&node.message()), 2);
    node.send_beat(NodeId::new(9), 3);
    assert_eq!(round(&second.message().unwrap()), 3);
    let counters = node.counters(NodeId::new(9));
    assert_eq!((counters.connects, counters.disconnects), (2, 1));
}

/// S74: a replayed session can only repeat messages, which the core has to bear anyway (N9); the
/// true peer takes its place back.
#[test]
fn replayed_session_repeats_messages_and_harms_nothing_else() {
    let mut nodes = cluster(2);
    let [one, two] = &mut nodes[..] else { unreachable!() };
    one.send_beat(two.id, 1);
    assert_eq!(round(&two.message()), 1);
    let mut session = hello_frame(&hello(1, 2)).to_vec();
    for number in 10..20 {
        session.extend_from_slice(&beat_frame(1, 2, number));
    }
    let mut replay = Raw::connect(two.transport.local_address());
    replay.write(&session);
    for number in 10..20 {
        assert_eq!(round(&two.message()), number);
    }
    until("the true peer is heard again", || {
        one.send_beat(two.id, 99);
        two.next(Duration::from_millis(5)).is_some_and(|arrival| match arrival {
            raft_core::Arrival::Message(message) => round(&message) == 99,
            raft_core::Arrival::Unreachable(_) => false,
        })
    });
    replay.assert_closed();
}
