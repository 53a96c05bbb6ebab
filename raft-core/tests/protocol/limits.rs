//! Limits have names: over the limit is `Busy` or `TooLarge`, never growth (N13).

use raft_core::mem::MemLog;
use raft_core::{
    Body, ConfigError, Entries, Entry, EntryKind, LogIndex, Membership, Message, Node, NodeError,
    ProposeError, RoleName, StartError, StateMachine, Transport,
};
use raft_proto::prost::Message as _;
use raft_proto::v1;

use crate::support::{Peer, append_reply, at, config, heartbeat, index, message, node, term, vote, voters};

fn leader_with(change: impl Fn(&mut raft_core::Config)) -> Peer {
    let mut config = config(1);
    change(&mut config);
    let mut leader = Peer::found(config, voters(3));
    leader.win(&[2]);
    leader.hear(2, 1, append_reply(0, 1, 1));
    leader
}

/// N13: what a leader holds and has not handed out for applying is limited, and room comes back.
#[test]
fn proposals_are_limited_until_they_are_applied() {
    let mut leader = leader_with(|config| config.proposals_bytes_max = 100);
    for _ in 0..3 {
        leader.propose(&[0; 29]);
    }
    let busy = Err(ProposeError::Busy { bytes_max: 100 });
    assert_eq!(leader.raft.propose(&[0; 29]), busy);
    let last = leader.raft.last();
    assert_eq!(leader.raft.propose(&[0; 11]), busy);
    assert_eq!(leader.raft.last(), last, "nothing was appended");
    leader.raft.propose(&[0; 9]).expect("fits");
    leader.hear(2, 1, append_reply(0, 5, 5));
    assert_eq!(leader.raft.commit(), index(5));
    for _ in 0..3 {
        leader.propose(&[0; 29]);
    }
}

/// One proposal may be larger than all that may wait, as long as nothing else waits.
#[test]
fn a_single_large_proposal_is_taken_when_nothing_waits() {
    let mut leader = leader_with(|config| config.proposals_bytes_max = 10);
    leader.propose(&[0; 500]);
    assert_eq!(leader.raft.propose(b"x"), Err(ProposeError::Busy { bytes_max: 10 }));
}

/// S103: an entry over the limit is refused at once, with the limit in the error.
#[test]
fn entries_over_the_limit_are_refused() {
    let mut leader = leader_with(|config| config.entry_bytes_max = 8);
    assert_eq!(leader.raft.propose(&[0; 9]), Err(ProposeError::TooLarge { bytes_max: 8 }));
    assert_eq!(leader.raft.propose(&[0; 8]), Ok(at(1, 2)));
}

/// Who does not lead says who does.
#[test]
fn proposals_are_refused_with_the_leaders_name() {
    let mut peer = Peer::voter(1, 3);
    assert_eq!(peer.raft.propose(b"x"), Err(ProposeError::NoLeader));
    peer.hear(2, 1, heartbeat(0, 1));
    assert_eq!(peer.raft.propose(b"x"), Err(ProposeError::NotLeader { leader: node(2) }));
    peer.tick(20);
    assert_eq!((peer.role(), peer.raft.propose(b"x")), (RoleName::PreCandidate, Err(ProposeError::NoLeader)));
}

/// N13: while a disk does not answer, held answers do not pile up, however often somebody asks.
#[test]
fn answers_that_wait_for_the_disk_do_not_pile_up() {
    let mut follower = Peer::voter(1, 3);
    follower.is_disk_slow = true;
    for round in 1..10_000 {
        follower.raft.receive(message(2, 1, 5, heartbeat(0, round)));
        follower.raft.receive(message(2, 1, 5, crate::support::append(at(1, 1), 0, &[])));
    }
    follower.drain();
    follower.sync();
    let kinds = follower.take_kinds();
    assert!(kinds.len() < 10, "{} messages leave at once", kinds.len());

    let mut voter = Peer::voter(1, 3);
    voter.is_disk_slow = true;
    for campaign in 1..10_000 {
        voter.raft.receive(message(2, 1, 5, raft_core::Body::Vote(vote(campaign, at(0, 0)))));
    }
    voter.drain();
    voter.sync();
    assert_eq!((voter.take_kinds().len(), voter.raft.term()), (1, term(5)));
}

/// The size of a message on the wire.
fn wire_bytes(message: &Message) -> u64 {
    v1::Message::from(message.clone()).encoded_len() as u64
}

/// N13: no message is longer than its settings say, whatever the entries are like: a transport that drops
/// what is too long would drop it again and again.
#[test]
fn messages_are_as_long_as_settings_say() {
    let small = |config: &mut raft_core::Config| {
        (config.append_bytes_max, config.entry_bytes_max, config.snapshot_chunk_bytes) = (8000, 8000, 8000);
    };
    for bytes in [0, 1, 30, 1000, 7998, 8000] {
        let mut leader = leader_with(small);
        let bytes_max = leader.raft.config().message_bytes_max() - Membership::BYTES_MAX as u64;
        // Each a batch of its own, for each is made durable before the next one is proposed.
        let payload = vec![7; bytes];
        for _ in 0..1000 {
            leader.propose(&payload);
        }
        leader.tick(1);
        leader.hear(3, 1, append_reply(0, 1, 1));
        let mut received = 1;
        while received < 1000 {
            let sent = std::mem::take(&mut leader.sent);
            let appends = sent.iter().filter(|message| message.to == node(3));
            let longest = appends.clone().map(wire_bytes).max().expect("there is more to send");
            assert!(longest <= bytes_max, "{longest} bytes of {bytes_max}, entries of {bytes}");
            let last = appends.filter_map(|message| match &message.body {
                Body::Append(append) => append.batches.last(),
                _ => None,
            });
            received = last.max().map_or(received, LogIndex::get);
            leader.hear(3, 1, append_reply(0, received, received));
        }
    }
}

/// Forwarded proposals travel in messages like appends, each proposal in one of them.
#[test]
fn forwarded_proposals_are_cut_into_messages() {
    let mut config = config(1);
    (config.append_bytes_max, config.entry_bytes_max, config.snapshot_chunk_bytes) = (2000, 5000, 100);
    let mut follower = Peer::found(config, voters(3));
    follower.hear(2, 1, heartbeat(0, 1));
    let sizes: Vec<usize> = [5000, 1, 1999].into_iter().chain((0..300).map(|at| at * 7 % 900)).collect();
    for size in &sizes {
        follower.raft.forward(&vec![1; *size]).expect("there is a leader");
    }
    follower.drain();
    let bytes_max = follower.raft.config().message_bytes_max() - Membership::BYTES_MAX as u64;
    let mut forwarded = Vec::new();
    for message in &follower.sent {
        assert!(wire_bytes(message) <= bytes_max);
        if let Body::Propose { request, payloads, .. } = &message.body {
            assert_eq!(request.get(), forwarded.len() as u64 + 1);
            let batch = Entries::parse(index(1), term(1), EntryKind::Command, payloads.clone());
            forwarded.extend(batch.expect("whole proposals").iter().map(|entry| entry.payload.len()));
        }
    }
    assert_eq!(forwarded, sizes);
}

/// A node does not start, or change its settings, if its messages can be too long for its transport.
#[test]
fn a_transport_that_takes_less_is_refused() {
    struct Narrow;
    impl Transport for Narrow {
        fn send(&mut self, _: Message) {}
        fn poll(&mut self) -> Option<raft_core::Arrival> {
            None
        }
        fn message_bytes_max(&self) -> u64 {
            1 << 20
        }
    }
    struct Nothing;
    impl StateMachine for Nothing {
        type Output = ();
        fn apply(&mut self, _: &Entry<'_>) {}
    }
    let open = |config| Node::open(config, Some(voters(3)), MemLog::new(), Narrow, Nothing);
    let Err(NodeError::Start(StartError::Config(refused))) = open(config(1)) else {
        panic!("a node whose messages do not fit has started");
    };
    let bytes = config(1).message_bytes_max();
    assert_eq!(refused, ConfigError::Messages { bytes, bytes_max: 1 << 20 });
    let mut fitting = config(1);
    (fitting.append_bytes_max, fitting.entry_bytes_max) = (500_000, 500_000);
    let mut node = open(fitting).expect("fits");
    let refused = node.update_config(|config| config.entry_bytes_max = 1 << 20);
    assert!(matches!(refused, Err(ConfigError::Messages { .. })), "{refused:?}");
    assert_eq!(node.raft().config().entry_bytes_max, 500_000, "nothing changed");
}
