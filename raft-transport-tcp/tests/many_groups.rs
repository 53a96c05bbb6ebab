//! What many groups send to one peer shares its connection and its writes.

#![allow(clippy::unwrap_used)]

mod support;

use raft_core::{Arrival, GroupId, Message, Term, Transport};
use raft_transport_tcp::GroupTransport;
use support::{Node, beat, cluster, round, until};

const GROUPS: u64 = 1000;

fn open(node: &Node) -> Vec<GroupTransport> {
    (0..GROUPS).map(|id| node.transport.group(GroupId::new(1000 + id))).collect()
}

#[test]
fn heartbeats_of_many_groups_to_one_peer_leave_with_one_write() {
    let mut nodes = cluster(2);
    let [one, two] = &mut nodes[..] else { unreachable!() };
    let (mut senders, mut receivers) = (open(one), open(two));
    // Both connections stand: what waits is written when one comes. What was written arrives before it is
    // counted.
    one.send_beat(two.id, 1);
    assert_eq!(round(&two.message()), 1);
    until("both connections stand and the write is counted", || {
        let counted = one.counters(two.id);
        counted.connects == 2 && counted.sent_messages == 1 && counted.writes > 0
    });
    let before = one.counters(two.id);
    for sender in &mut senders {
        sender.send(Message { from: one.id, to: two.id, term: Term::new(3), body: beat(70) });
    }
    for sender in &mut senders {
        sender.flush();
    }
    for receiver in &mut receivers {
        let mut arrival = None;
        until("each group gets its heartbeat", || {
            arrival = receiver.poll();
            arrival.is_some()
        });
        let Some(Arrival::Message(message)) = arrival else { panic!("{arrival:?}") };
        assert_eq!(round(&message), 70);
    }
    let after = one.counters(two.id);
    assert_eq!(after.sent_messages - before.sent_messages, GROUPS);
    assert_eq!(after.writes - before.writes, 1);
    let bytes = after.sent_bytes - before.sent_bytes;
    assert!(bytes <= 40 * GROUPS, "{bytes} bytes for {GROUPS} heartbeats");
}
