//! Who is let in: every refusal, from both ends, answered and logged.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::time::Duration;

use raft_core::NodeId;
use raft_proto::v1::{Hello, HelloRefusal};
use raft_transport_tcp::{BindError, RefusalCounters, TcpTransport};
use support::{Log, Node, Raw, RawNode, beat_frame, hello, hello_frame, options, raw_frame, round, until};

/// Connects to node 1 with the given hello; gives the refusal that came back.
fn refusal_of(node: &Node, hello: &Hello) -> HelloRefusal {
    let mut raw = Raw::connect(node.transport.local_address());
    raw.write(&hello_frame(hello));
    let answer = raw.hello().expect("a refusal is answered");
    assert_eq!(answer.from, node.id.get(), "the answer says who refuses");
    let refusal = HelloRefusal::try_from(answer.refusal).unwrap();
    if refusal != HelloRefusal::None {
        raw.assert_closed();
    }
    refusal
}

/// N3, N4
#[test]
fn each_kind_of_stranger_gets_its_refusal_and_a_log_line_with_both_ids() {
    let log = Log::default();
    let mut settings = options(1);
    settings.log = log.logger();
    let node = Node::new(settings);
    let refused = |hello: Hello| refusal_of(&node, &hello);
    assert_eq!(refused(hello(2, 1)), HelloRefusal::None);
    assert_eq!(refused(Hello { cluster: 78, ..hello(2, 1) }), HelloRefusal::Cluster);
    assert_eq!(refused(Hello { version_min: 2, version_max: 9, ..hello(2, 1) }), HelloRefusal::Version);
    assert_eq!(refused(Hello { version_min: 0, version_max: 0, ..hello(2, 1) }), HelloRefusal::Version);
    assert_eq!(refused(hello(2, 3)), HelloRefusal::Receiver);
    for impossible in [0, 1, u64::MAX] {
        assert_eq!(refused(hello(impossible, 1)), HelloRefusal::Sender);
    }
    let RefusalCounters { cluster, version, receiver, sender, .. } = node.transport.counters().refusals;
    assert_eq!((cluster, version, receiver, sender), (1, 2, 1, 3));
    assert!(log.has(&["another cluster", "our_cluster=77", "their_cluster=78", "our_id=1", "their_id=2"]));
    assert!(log.has(&["meant for another node", "our_id=1", "their_id=2", "they_wanted=3"]));
    assert!(log.has(&["this node's own", "our_id=1", "their_id=1"]));
    assert!(log.has(&["no valid one", "our_id=1", "their_id=0"]));
}

/// D13: a node that lost its disk has forgotten its votes and must not return under its old id.
#[test]
fn peer_that_returns_without_its_data_is_refused_while_the_id_is_known() {
    let log = Log::default();
    let mut settings = options(1);
    settings.log = log.logger();
    let node = Node::new(settings);
    node.transport.set_peer(NodeId::new(2), "127.0.0.1:1").unwrap();
    assert_eq!(refusal_of(&node, &hello(2, 1)), HelloRefusal::None);
    let wiped = Hello { incarnation: 5, ..hello(2, 1) };
    assert_eq!(refusal_of(&node, &wiped), HelloRefusal::Sender);
    assert!(log.has(&["two processes run under one id", "our_id=1", "their_id=2"]));
    assert_eq!(refusal_of(&node, &hello(2, 1)), HelloRefusal::None, "the true one is still welcome");
    node.transport.remove_peer(NodeId::new(2));
    node.transport.set_peer(NodeId::new(2), "127.0.0.1:1").unwrap();
    assert_eq!(refusal_of(&node, &wiped), HelloRefusal::None, "removing a peer forgets its life");
}

/// N3, N4: the dialing side judges the answer as well.
#[test]
fn dialing_node_refuses_and_is_refused() {
    let log = Log::default();
    let mut settings = options(1);
    settings.log = log.logger();
    let node = Node::new(settings);
    let peer = RawNode::new(2);
    node.transport.set_peer(peer.id, peer.address()).unwrap();
    let answers = [
        Hello { refusal: HelloRefusal::Cluster.into(), ..hello(2, 1) },
        Hello { refusal: HelloRefusal::Receiver.into(), ..hello(3, 1) },
        Hello { cluster: 78, ..hello(2, 1) },
        hello(3, 1),
        Hello { version_min: 2, version_max: 2, ..hello(2, 1) },
        Hello { refusal: 99, ..hello(2, 1) },
    ];
    for answer in answers {
        let (mut raw, theirs) = peer.accept();
        assert_eq!((theirs.from, theirs.to, theirs.cluster), (1, 2, 77));
        raw.write(&hello_frame(&answer));
        raw.assert_closed();
    }
    let _good = peer.welcome();
    until("the node connects in the end", || node.counters(peer.id).connects == 1);
    let counters = node.counters(peer.id);
    assert_eq!(counters.failed_attempts, 6);
    let RefusalCounters { cluster, version, receiver, sender, .. } = counters.refusals;
    assert_eq!((cluster, version, receiver, sender), (2, 1, 2, 0));
    assert!(log.has(&["refused by the peer", "another cluster", "our_id=1", "their_id=2"]));
    assert!(log.has(&["meant for another node", "our_id=1", "their_id=3"]));
}

#[test]
fn node_that_dials_itself_is_refused() {
    let node = Node::new(options(1));
    node.transport.set_peer(NodeId::new(2), node.address()).unwrap();
    until("refused as the wrong receiver", || node.counters(NodeId::new(2)).refusals.receiver > 0);
    node.transport.set_peer(NodeId::new(1), node.address()).unwrap();
    until("refused as the wrong sender", || node.counters(NodeId::new(1)).refusals.sender > 0);
}

/// N15: during a rolling upgrade old and new releases talk.
#[test]
fn neighbouring_releases_find_a_common_version() {
    let mut settings = options(1);
    settings.versions = 1..=2;
    let mut old = Node::new(settings);
    let mut settings = options(2);
    settings.versions = 2..=3;
    let mut new = Node::new(settings);
    old.knows(&new);
    new.knows(&old);
    old.send_beat(new.id, 1);
    new.send_beat(old.id, 2);
    assert_eq!((round(&new.message()), round(&old.message())), (1, 2));
}

/// N7: also one byte at a time does not hold a connection open.
#[test]
fn slow_introduction_is_cut_off_at_the_deadline() {
    let mut settings = options(1);
    settings.limits.handshake_deadline = Duration::from_millis(100);
    let node = Node::new(settings);
    let mut silent = Raw::connect(node.transport.local_address());
    let mut dripping = Raw::connect(node.transport.local_address());
    let endless = raw_frame(2, &[0; 1000]);
    let mut bytes = endless.iter();
    until("the dripping connection is cut off", || {
        use std::io::Write;
        let _ = dripping.stream.write(&[*bytes.next().expect("cut off before all is sent")]);
        node.transport.counters().handshake_timeouts >= 1 && dripping.is_closed()
    });
    silent.assert_closed();
    until("both are counted", || node.transport.counters().handshake_timeouts == 2);
}

/// N7, the other way round: whoever accepts but never answers is given up and tried again.
#[test]
fn silent_acceptor_is_given_up_at_the_deadline() {
    let mut settings = options(1);
    settings.limits.handshake_deadline = Duration::from_millis(50);
    let node = Node::new(settings);
    let peer = RawNode::new(2);
    node.transport.set_peer(peer.id, peer.address()).unwrap();
    let (mut first, _) = peer.accept();
    first.assert_closed();
    let _second = peer.welcome();
    until("the next attempt succeeds", || node.counters(peer.id).connects == 1);
}

/// N1, N2
#[test]
fn anything_but_a_hello_ends_the_connection() {
    let node = Node::new(options(1));
    let mut oversized = raw_frame(2, &[]);
    oversized[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut corrupt = hello_frame(&hello(2, 1)).to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    let openings: [&[u8]; 7] = [
        // Shorter than a header, and not waited with for more.
        b"PING\r\n",
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        &beat_frame(2, 1, 1),
        &oversized,
        &corrupt,
        &raw_frame(2, &[0xff; 40]),
        &raw_frame(9, &[]),
    ];
    for opening in openings {
        let mut raw = Raw::connect(node.transport.local_address());
        raw.write(opening);
        raw.assert_closed();
    }
    drop(Raw::connect(node.transport.local_address()));
    until("each is counted", || node.transport.counters().handshake_failures == 8);
}

#[test]
fn options_that_cannot_work_are_refused_by_name() {
    let refused = |change: fn(&mut raft_transport_tcp::Options)| {
        let mut settings = options(1);
        change(&mut settings);
        TcpTransport::bind(settings, || {}).expect_err("must be refused")
    };
    assert!(matches!(refused(|o| o.id = NodeId::ZERO), BindError::InvalidId(_)));
    assert!(matches!(refused(|o| o.versions = 0..=1), BindError::InvalidVersions(_)));
    #[allow(clippy::reversed_empty_ranges)]
    let empty = refused(|o| o.versions = 2..=1);
    assert!(matches!(empty, BindError::InvalidVersions(_)));
    let small = refused(|o| o.limits.queue_bytes_max = 1000);
    assert_eq!(small.to_string(), "limit `queue_bytes_max` is too small");
    assert!(matches!(refused(|o| o.limits.write_deadline = Duration::ZERO), BindError::InvalidLimit(_)));
    let taken = Node::new(options(2));
    let mut settings = options(1);
    settings.listen = taken.transport.local_address();
    let error = TcpTransport::bind(settings, || {}).expect_err("the address is taken");
    assert!(matches!(error, BindError::Listen(_)));
    assert!(std::error::Error::source(&error).is_some());
}
