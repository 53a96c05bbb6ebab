//! Peers that are slow, stuck, dead or back again: senders never wait, and memory stays bounded.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use raft_core::{Arrival, NodeId, Transport};
use support::{Node, RawNode, beat, blob, cluster, options, round, until};

/// N8: what was lost on the way is reported, once, however long the outage lasts.
#[test]
fn unreachable_is_reported_once_per_outage() {
    let mut one = Node::new(options(1));
    let two_id = NodeId::new(2);
    let address = Node::new(options(2)).address();
    one.transport.set_peer(two_id, address.clone()).unwrap();
    let mut reports = 0;
    until("ten attempts have failed", || {
        one.send_beat(two_id, 1);
        reports += u32::from(one.next(Duration::from_millis(1)) == Some(Arrival::Unreachable(two_id)));
        one.counters(two_id).failed_attempts >= 10
    });
    assert_eq!(reports, 1);
    assert!(one.counters(two_id).dropped_messages > 0);

    let mut settings = options(2);
    settings.listen = address.parse().unwrap();
    let mut two = Node::new(settings);
    until("the peer that came up is found", || {
        one.send_beat(two_id, 2);
        two.next(Duration::from_millis(5)).is_some()
    });
    assert_eq!(one.group.poll(), None, "coming back is no outage");
    drop(two);
    assert_eq!(one.unreachable(), two_id, "the next outage is reported again");
}

/// N8
#[test]
fn restarted_peer_is_reconnected_in_both_directions() {
    let mut nodes = cluster(2);
    let mut two = nodes.pop().unwrap();
    let mut one = nodes.pop().unwrap();
    for life in 0..5 {
        until("messages flow", || {
            one.send_beat(two.id, life);
            two.send_beat(one.id, life);
            let heard = |node: &mut Node| matches!(node.next(Duration::from_millis(5)), Some(Arrival::Message(message)) if round(&message) == life);
            heard(&mut two) && heard(&mut one)
        });
        let mut settings = options(2);
        settings.listen = two.transport.local_address();
        drop(two);
        two = Node::new(settings);
        two.knows(&one);
    }
    assert!(one.counters(two.id).connects >= 5);
}

/// N8, N13, S75: a peer that never reads costs its sender neither time nor unbounded memory, and
/// nobody else notices.
#[test]
fn peer_that_never_reads_blocks_nobody() {
    const WAITING_MAX: u64 = 500;
    let mut settings = options(1);
    settings.limits.queue_messages_max = WAITING_MAX as usize;
    settings.limits.write_deadline = Duration::from_secs(30);
    let mut one = Node::new(settings);
    let mut healthy = Node::new(options(3));
    one.knows(&healthy);
    let stuck = RawNode::new(2);
    one.transport.set_peer(stuck.id, stuck.address()).unwrap();
    let _silent = stuck.welcome();
    until("connected", || one.counters(stuck.id).connects == 1 && one.counters(healthy.id).connects > 0);

    let (mut sent, mut reports, mut slowest) = (0, 0, Duration::ZERO);
    while one.counters(stuck.id).dropped_messages < 20_000 {
        let begin = Instant::now();
        one.send(stuck.id, blob(4096));
        one.send(healthy.id, beat(sent));
        one.group.flush();
        slowest = slowest.max(begin.elapsed());
        sent += 1;
        assert_eq!(round(&healthy.message()), sent - 1, "the healthy peer hears everything");
        while let Some(arrival) = one.group.poll() {
            assert_eq!(arrival, Arrival::Unreachable(stuck.id));
            reports += 1;
        }
    }
    let counters = one.counters(stuck.id);
    assert!(sent - counters.dropped_messages - counters.sent_messages <= WAITING_MAX);
    assert_eq!(reports, 1, "one episode of dropping, one report");
    // Far below the write deadline; a loaded machine may take a time slice away from us.
    assert!(slowest < Duration::from_secs(1), "a send took {slowest:?}");
    let begin = Instant::now();
    one.transport.shutdown();
    assert!(begin.elapsed() < Duration::from_secs(1), "a stuck writer is not waited for");
}

/// N8: the write deadline ends a half-open connection, and a new one is tried.
#[test]
fn write_deadline_ends_a_connection_that_takes_nothing() {
    let mut settings = options(1);
    settings.limits.write_deadline = Duration::from_millis(100);
    let mut one = Node::new(settings);
    let stuck = RawNode::new(2);
    one.transport.set_peer(stuck.id, stuck.address()).unwrap();
    let _silent = stuck.welcome();
    until("the stuck connection is given up", || {
        one.send(stuck.id, blob(60_000));
        one.group.flush();
        one.counters(stuck.id).disconnects == 1
    });
    assert_eq!(one.unreachable(), stuck.id);
    let mut again = stuck.welcome();
    until("the new connection is used", || {
        one.send_beat(stuck.id, 5);
        one.counters(stuck.id).connects == 2
    });
    one.send_beat(stuck.id, 6);
    while again.message().unwrap().body != beat(6) {}
}

/// S75: a slow peer loses messages, but what it gets is in order, and it catches up once it reads.
#[test]
fn slow_reader_gets_messages_in_order_with_gaps() {
    let mut settings = options(1);
    settings.limits.queue_messages_max = 2000;
    let mut one = Node::new(settings);
    let slow = RawNode::new(2);
    one.transport.set_peer(slow.id, slow.address()).unwrap();
    let mut raw = slow.welcome();
    until("connected", || one.counters(slow.id).connects == 1);
    let mut number = 0;
    let mut taken = vec![0; 1024];
    let mut stream = raw.stream.try_clone().unwrap();
    while one.counters(slow.id).dropped_messages < 10_000 {
        for _ in 0..1000 {
            number += 1;
            one.send(slow.id, beat(number));
        }
        one.group.flush();
        let read = stream.read(&mut taken).unwrap();
        raw.feed(&taken[..read]);
    }
    let mut last = 0;
    until("it catches up with what is sent now", || {
        number += 1;
        one.send_beat(slow.id, number);
        for _ in 0..500 {
            let heard = round(&raw.message().unwrap());
            assert!(heard > last, "{heard} after {last}");
            last = heard;
            if last == number {
                break;
            }
        }
        last == number
    });
    assert_eq!(one.counters(slow.id).disconnects, 0, "slow is not dead");
}

/// N13: a node that does not poll costs bounded memory, and its peers nothing.
#[test]
fn node_that_never_polls_drops_what_its_inbox_cannot_hold() {
    let mut settings = options(2);
    settings.limits.inbox_messages_max = 100;
    let mut one = Node::new(options(1));
    let mut two = Node::new(settings);
    one.knows(&two);
    until("connected", || one.counters(two.id).connects == 1);
    for number in 0..1000 {
        one.send_beat(two.id, number);
    }
    until("the rest is dropped", || two.transport.counters().inbox_overflow_messages == 900);
    for number in 0..100 {
        assert_eq!(round(&two.message()), number);
    }
    one.send_beat(two.id, 5000);
    assert_eq!(round(&two.message()), 5000);
}

/// Every message is either handed to the kernel or counted as dropped, whatever happens meanwhile.
#[test]
fn flapping_peer_leaves_no_message_uncounted() {
    let mut one = Node::new(options(1));
    let two_id = NodeId::new(2);
    let mut two = Node::new(options(2));
    let address = two.transport.local_address();
    one.knows(&two);
    two.knows(&one);
    let mut total = 0;
    for life in 1..=20 {
        until("connected in this life", || {
            for _ in 0..50 {
                one.send(two_id, blob(500));
                total += 1;
            }
            one.group.flush();
            two.group.poll().is_some()
        });
        // Strangers and replaced connections at the same time.
        let _usurper = support::Raw::introduced(&one, 2);
        let mut settings = options(2);
        settings.listen = address;
        drop(two);
        for _ in 0..life {
            one.send(two_id, blob(500));
            total += 1;
        }
        one.group.flush();
        two = Node::new(settings);
        two.knows(&one);
    }
    until("each message is accounted for", || {
        one.group.flush();
        let counters = one.counters(two_id);
        counters.sent_messages + counters.dropped_messages == total
    });
    let counters = one.counters(two_id);
    assert!(counters.connects > 20 && counters.disconnects >= counters.connects - 2, "{counters:?}");
}

/// A back-off spares a peer that is away; one that shows itself, or has moved, is not away.
#[test]
fn sign_of_life_and_new_address_cut_the_back_off_short() {
    let mut settings = options(1);
    settings.limits.backoff_min = Duration::from_secs(3600);
    settings.limits.backoff_max = Duration::from_secs(3600);
    let one = Node::new(settings);
    let peer = RawNode::new(2);
    one.transport.set_peer(peer.id, peer.address()).unwrap();
    drop(peer.accept());
    until("the first attempt has failed", || one.counters(peer.id).failed_attempts == 1);
    let _sign_of_life = support::Raw::introduced(&one, 2);
    drop(peer.accept());
    until("the second attempt has failed", || one.counters(peer.id).failed_attempts == 2);
    let moved = RawNode::new(2);
    one.transport.set_peer(moved.id, moved.address()).unwrap();
    let _connection = moved.welcome();
    until("connected at the new address", || one.counters(moved.id).connects == 2);
}
