//! Messages between nodes that behave: what is sent arrives, in order, in its own group.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use raft_core::{Arrival, Body, GroupId, Message, NodeId, Term, Transport};
use raft_transport_tcp::{GroupTransport, TcpTransport};
use support::{Node, beat, blob, cluster, options, round, until};

#[test]
fn three_nodes_exchange_messages_in_all_directions() {
    let mut nodes = cluster(3);
    let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
    for node in &mut nodes {
        let own = node.id;
        for to in ids.iter().filter(|id| **id != own) {
            node.send(*to, beat(own.get()));
        }
        node.group.flush();
    }
    for node in &mut nodes {
        let mut from = [node.message(), node.message()].map(|message| {
            assert_eq!(round(&message), message.from.get());
            message.from
        });
        from.sort_unstable();
        let others: Vec<_> = ids.iter().copied().filter(|id| *id != node.id).collect();
        assert_eq!(from.to_vec(), others);
    }
}

#[test]
fn messages_arrive_in_the_order_they_were_sent() {
    let mut nodes = cluster(2);
    let [one, two] = &mut nodes[..] else { unreachable!() };
    for first in (0..20_000).step_by(100) {
        for number in first..first + 100 {
            one.send(two.id, beat(number));
        }
        one.group.flush();
        for number in first..first + 100 {
            assert_eq!(round(&two.message()), number);
        }
    }
    let counters = one.counters(two.id);
    assert_eq!((counters.sent_messages, counters.dropped_messages), (20_000, 0));
    assert!(counters.writes <= 400, "a hundred messages leave with one write: {counters:?}");
}

#[test]
fn large_and_small_messages_arrive_whole() {
    let mut nodes = cluster(2);
    let [one, two] = &mut nodes[..] else { unreachable!() };
    for size in [0, 1, 127, 128, 16_000, 17_000, 65_536, 1 << 20, 4_194_000] {
        one.send(two.id, blob(size));
        one.group.flush();
        let Body::Propose { payloads, .. } = two.message().body else { panic!("another body") };
        assert_eq!(payloads.len(), size);
        assert!(payloads.iter().all(|byte| *byte == 7));
    }
}

#[test]
fn many_groups_share_the_connections_and_get_only_their_own() {
    const GROUPS: u64 = 500;
    let nodes = cluster(2);
    let (one, two) = (&nodes[0], &nodes[1]);
    let open =
        |node: &Node| (0..GROUPS).map(|id| node.transport.group(GroupId::new(1000 + id))).collect::<Vec<_>>();
    let (mut senders, mut receivers) = (open(one), open(two));
    for (number, sender) in senders.iter_mut().enumerate() {
        let term = Term::new(number as u64);
        sender.send(Message { from: one.id, to: two.id, term, body: Body::TimeoutNow });
        sender.flush();
    }
    for (number, receiver) in receivers.iter_mut().enumerate() {
        let mut arrival = None;
        until("each group gets its message", || {
            arrival = receiver.poll();
            arrival.is_some()
        });
        let Some(Arrival::Message(message)) = arrival else { panic!("{arrival:?}") };
        assert_eq!(message.term, Term::new(number as u64));
        assert_eq!(receiver.poll(), None);
    }
    assert!(one.counters(two.id).connects <= 2, "one connection per direction for all groups");
}

#[test]
fn messages_for_a_group_that_is_not_there_are_dropped_and_counted() {
    let mut nodes = cluster(2);
    let [one, two] = &mut nodes[..] else { unreachable!() };
    let mut elsewhere = one.transport.group(GroupId::new(404));
    elsewhere.send(Message { from: one.id, to: two.id, term: Term::new(1), body: Body::TimeoutNow });
    elsewhere.flush();
    one.send_beat(two.id, 1);
    assert_eq!(round(&two.message()), 1);
    assert_eq!(two.transport.counters().unknown_group_messages, 1);
}

/// N5: a follower may learn from a leader that it has no address of, and has to answer.
#[test]
fn stranger_is_heard_and_answered_over_its_own_connection() {
    let mut one = Node::new(options(1));
    let mut stranger = Node::new(options(9));
    stranger.knows(&one);
    stranger.send_beat(one.id, 1);
    assert_eq!(one.message().from, stranger.id);
    one.send_beat(stranger.id, 2);
    assert_eq!(round(&stranger.message()), 2);
    let stranger_id = stranger.id;
    drop(stranger);
    until("a stranger that has gone is forgotten", || !one.transport.peers().contains(&stranger_id));
}

#[test]
fn message_to_an_unknown_node_is_dropped_and_reported_once() {
    let mut one = Node::new(options(1));
    for number in 0..100 {
        one.send_beat(NodeId::new(8), number);
    }
    assert_eq!(one.unreachable(), NodeId::new(8));
    assert_eq!(one.group.poll(), None);
    assert_eq!(one.transport.counters().unroutable_messages, 100);
}

#[test]
fn removed_peer_is_gone_and_can_come_back() {
    let mut nodes = cluster(2);
    let [one, two] = &mut nodes[..] else { unreachable!() };
    one.send_beat(two.id, 1);
    assert_eq!(round(&two.message()), 1);
    two.transport.remove_peer(one.id);
    one.transport.remove_peer(two.id);
    one.send_beat(two.id, 2);
    assert_eq!(one.unreachable(), two.id);
    one.knows(two);
    until("messages flow again", || {
        one.send_beat(two.id, 3);
        two.next(Duration::from_millis(5)).is_some()
    });
}

#[test]
fn peer_that_moved_is_found_at_its_new_address() {
    let mut one = Node::new(options(1));
    let mut old = Node::new(options(2));
    one.knows(&old);
    one.send_beat(old.id, 1);
    assert_eq!(round(&old.message()), 1);
    let mut new = Node::new(options(2));
    one.knows(&new);
    until("messages flow to the new address", || {
        one.send_beat(new.id, 2);
        new.next(Duration::from_millis(5)).is_some()
    });
    assert!(old.group.poll().is_none());
}

#[test]
fn shutdown_is_prompt_whatever_the_connections_do() {
    let mut nodes = cluster(3);
    // A connection that never speaks, an address where nobody answers, and one where nobody listens.
    let _silent = support::Raw::connect(nodes[0].transport.local_address());
    nodes[0].transport.set_peer(NodeId::new(8), "192.0.2.1:9").unwrap();
    nodes[0].transport.set_peer(NodeId::new(9), "127.0.0.1:1").unwrap();
    let to = nodes[1].id;
    nodes[0].send_beat(to, 1);
    nodes[1].message();
    let begin = Instant::now();
    for node in &nodes {
        node.transport.shutdown();
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "took {:?}", begin.elapsed());
    nodes[0].send_beat(to, 2);
    nodes[0].transport.shutdown();
    let refused = nodes[0].transport.set_peer(to, "127.0.0.1:1");
    assert!(refused.is_err(), "nothing begins after the end");
}

/// The node may be driven from the thread that read, which saves a thread switch.
#[test]
fn wake_may_call_back_into_the_transport() {
    let handle = Arc::new(OnceLock::<TcpTransport>::new());
    let (report, heard) = crossbeam_channel::unbounded();
    let inner = Arc::clone(&handle);
    let group = Arc::new(Mutex::new(None::<GroupTransport>));
    let inner_group = Arc::clone(&group);
    let transport = TcpTransport::bind(options(1), move || {
        let transport = inner.wait();
        transport.set_peer(NodeId::new(77), "127.0.0.1:1").unwrap();
        transport.remove_peer(NodeId::new(77));
        assert!(transport.counters().over_limit == 0);
        // Busy if this thread caused the report itself while it polls or sends.
        let Ok(mut group) = inner_group.try_lock() else { return };
        let Some(group) = group.as_mut() else { return };
        while let Some(arrival) = group.poll() {
            if let Arrival::Message(Message { from, to, term, body }) = arrival {
                group.send(Message { from: to, to: from, term, body });
                group.flush();
            }
            report.send(()).unwrap();
        }
    })
    .unwrap();
    *group.lock().unwrap() = Some(transport.group(support::GROUP));
    handle.set(transport).unwrap();
    let transport = handle.wait();
    let mut other = Node::new(options(2));
    let old = Node::new(options(3));
    transport.set_peer(other.id, other.address()).unwrap();
    transport.set_peer(old.id, old.address()).unwrap();
    other.transport.set_peer(NodeId::new(1), transport.local_address().to_string()).unwrap();
    for number in 0..100 {
        other.send_beat(NodeId::new(1), number);
        assert_eq!(round(&other.message()), number);
    }
    // A changed address ends a connection, and the loss is reported to who has sent.
    transport.set_peer(other.id, old.address()).unwrap();
    for _ in 0..101 {
        heard.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}

/// Threads of several groups flush into the same connection: no frame is cut in two by another.
#[test]
fn groups_that_send_at_the_same_time_do_not_disturb_each_other() {
    const GROUPS: u64 = 4;
    const COUNT: u64 = 20_000;
    let node = |id| {
        let mut settings = options(id);
        settings.limits.queue_messages_max = (GROUPS * COUNT) as usize;
        settings.limits.inbox_messages_max = (GROUPS * COUNT) as usize;
        Node::new(settings)
    };
    let (one, two) = (node(1), node(2));
    one.knows(&two);
    let (from, to) = (one.id, two.id);
    let mut receivers: Vec<_> = (0..GROUPS).map(|id| two.transport.group(GroupId::new(100 + id))).collect();
    std::thread::scope(|scope| {
        for id in 0..GROUPS {
            let mut group = one.transport.group(GroupId::new(100 + id));
            scope.spawn(move || {
                for number in 0..COUNT {
                    group.send(Message { from, to, term: Term::new(1), body: beat(number) });
                    if number % (id + 1) == 0 {
                        group.flush();
                    }
                }
                group.flush();
            });
        }
        for receiver in &mut receivers {
            let mut expected = 0;
            until("all messages of the group arrive", || {
                while let Some(arrival) = receiver.poll() {
                    let Arrival::Message(message) = arrival else { panic!("{arrival:?}") };
                    assert_eq!(round(&message), expected);
                    expected += 1;
                }
                expected == COUNT
            });
        }
    });
    let counters = one.counters(to);
    assert_eq!((counters.sent_messages, counters.dropped_messages), (GROUPS * COUNT, 0));
}
