//! Snapshots through a whole node: its store, its state machine and its clients.

use raft_core::bytes::Bytes;
use raft_core::mem::{MemLog, MemLogError, MemNetwork, MemTransport};
use raft_core::{
    Arrival, Body, Config, Entry, Event, InvalidSnapshot, Membership, MembershipChange, Node, NodeError,
    Notice, Outcome, Position, ProposalId, SnapshotMeta, SnapshotPiece, SnapshotSource, StateMachine,
    Transport, VoteReply,
};

use crate::support::{
    Shelf, append, at, chunk, crc32c, heartbeat, index, keep, message, node, small, snapshot_reply, voters,
};

/// All commands, one after the other.
#[derive(Debug, Default)]
struct Words {
    text: Vec<u8>,
    restored: Vec<u8>,
    /// The state is being replaced: it must not be read.
    is_half_restored: bool,
}

impl StateMachine for Words {
    type Output = usize;

    fn apply(&mut self, entry: &Entry<'_>) -> usize {
        assert!(!self.is_half_restored, "applied to half a state");
        self.text.extend_from_slice(entry.payload);
        self.text.len()
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        assert!(!self.is_half_restored, "half a state is no picture");
        Some(Box::new(Bytes::from(self.text.clone())))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            self.restored.clear();
        }
        assert_eq!(self.restored.len() as u64, piece.offset, "pieces come in order");
        self.restored.extend_from_slice(piece.bytes);
        self.is_half_restored = !piece.is_last;
        if piece.is_last {
            if self.restored.starts_with(b"?") {
                return Err(InvalidSnapshot);
            }
            self.text = std::mem::take(&mut self.restored);
        }
        Ok(())
    }
}

type WordsNode = Node<Shelf, MemTransport, Words>;

fn open(config: Config, founders: Membership, log: MemLog, network: &MemNetwork) -> WordsNode {
    let id = config.id;
    Node::open(config, Some(founders), Shelf::of(log), network.join(id), Words::default()).expect("opens")
}

/// Pumps until there is nothing to do.
fn rest(nodes: &mut [WordsNode], network: &MemNetwork) {
    loop {
        for node in &mut *nodes {
            node.pump().expect("works");
        }
        if !network.has_messages() && !nodes.iter().any(Node::has_work) {
            return;
        }
    }
}

fn events(node: &mut WordsNode) -> Vec<Event<usize>> {
    std::iter::from_fn(|| node.poll_event()).collect()
}

/// A node of voters 1 to 3 of which the others are played by the test, as node 2.
struct Played {
    node: WordsNode,
    end: MemTransport,
}

impl Played {
    fn new() -> Self {
        let network = MemNetwork::new();
        let end = network.join(node(2));
        let mut node = open(small(1), voters(3), MemLog::new(), &network);
        node.pump().expect("works");
        Self { node, end }
    }

    fn hear(&mut self, term: u64, body: Body) {
        self.end.send(message(2, 1, term, body));
        self.node.pump().expect("works");
    }

    fn heard(&mut self) -> Vec<Body> {
        let arrivals = std::iter::from_fn(|| self.end.poll());
        let body = |arrival| match arrival {
            Arrival::Message(message) => Some(message.body),
            Arrival::Unreachable(_) => None,
        };
        arrivals.filter_map(body).collect()
    }

    /// Sends a whole snapshot in two chunks.
    fn send(&mut self, term: u64, meta: &SnapshotMeta, state: &[u8]) {
        let (first, second) = state.split_at(state.len() / 2);
        self.hear(term, chunk(meta, 0, first));
        self.hear(term, chunk(meta, first.len() as u64, second));
    }

    fn outcome(&mut self, wanted: ProposalId) -> Option<Outcome<usize>> {
        events(&mut self.node).into_iter().find_map(|event| match event {
            Event::Proposed { id, outcome } if id == wanted => Some(outcome),
            _ => None,
        })
    }

    fn rest(&mut self) {
        while self.node.has_work() {
            self.node.pump().expect("works");
        }
    }
}

/// A snapshot of a state of a mebibyte: several pieces of work.
fn large(last: Position) -> (SnapshotMeta, Vec<u8>) {
    let state = vec![b'x'; 1 << 20];
    (
        SnapshotMeta { last, membership: voters(3), size: 1 << 20, crc32c: crc32c(&state), is_hollow: false },
        state,
    )
}

/// The only voter takes snapshots by the policy, forgets its log, and restarts from both.
#[test]
fn a_node_restarts_from_its_snapshot_and_its_log() {
    for (entries, bytes) in [(4, 0), (0, 10)] {
        let network = MemNetwork::new();
        let mut settings = small(1);
        (settings.snapshot_log_entries, settings.snapshot_log_bytes) = (entries, bytes);
        let mut nodes = [open(settings.clone(), voters(1), MemLog::new(), &network)];
        nodes[0].campaign().expect("the only voter");
        rest(&mut nodes, &network);
        for word in [b"aa", b"bb", b"cc", b"dd", b"ee"] {
            nodes[0].propose(word).expect("leads");
            rest(&mut nodes, &network);
        }
        let [mut node] = nodes;
        let status = node.status();
        assert_eq!((status.snapshot, status.mark), (Some(at(1, 4)), at(1, 4)), "{entries}, {bytes}");
        assert_eq!(node.take_snapshot(), Ok(()));
        assert!(!node.has_work(), "nothing was pumped yet");
        let log = node.store_mut().log.clone();
        let mut node = open(settings, voters(1), log, &network);
        assert_eq!((&node.machine().text[..], node.status().applied), (&b"aabbcc"[..], index(4)));
        node.campaign().expect("the only voter");
        node.pump().expect("works");
        assert_eq!(node.machine().text, b"aabbccddee");
    }
}

/// A new member gets a large state, piece by piece; nobody waits for it.
#[test]
fn a_new_member_gets_a_large_state() {
    let network = MemNetwork::new();
    let mut settings = small(1);
    settings.snapshot_chunk_bytes = 100 << 10;
    let mut nodes = vec![open(settings, voters(1), MemLog::new(), &network)];
    nodes[0].campaign().expect("the only voter");
    for _ in 0..10 {
        nodes[0].pump().expect("works");
        nodes[0].propose(&[b'w'; 100 << 10]).expect("leads");
    }
    nodes[0].pump().expect("works");
    nodes[0].take_snapshot().expect("something new");
    rest(&mut nodes, &network);
    assert_eq!(nodes[0].status().mark, at(1, 11));
    let newcomer = Node::join(small(2), Shelf::default(), network.join(node(2)), Words::default());
    nodes.push(newcomer.expect("nothing there"));
    nodes[0].change_membership(&MembershipChange::new().learner(node(2))).expect("settled");
    let mut steps = 0;
    while nodes[1].machine().text.is_empty() {
        nodes.iter_mut().for_each(|node| node.pump().expect("works"));
        steps += u32::from(nodes[1].machine().is_half_restored);
        assert!(nodes[1].has_work() || !nodes[1].machine().is_half_restored);
    }
    assert!(steps > 1, "piece by piece");
    nodes[0].propose(b"end").expect("leads");
    rest(&mut nodes, &network);
    // The next sign of life tells how far it is committed.
    nodes.iter_mut().for_each(Node::tick);
    rest(&mut nodes, &network);
    assert!(nodes[1].machine().text == nodes[0].machine().text, "{:?}", nodes[1].status());
    let log = nodes[1].store_mut().log.clone();
    let again =
        Node::join(small(2), Shelf::of(log), network.join(node(2)), Words::default()).expect("a past");
    assert_eq!(again.machine().text.len(), 10 * (100 << 10));
}

struct Echo;

impl StateMachine for Echo {
    type Output = Vec<u8>;

    fn apply(&mut self, entry: &Entry<'_>) -> Vec<u8> {
        entry.payload.to_vec()
    }
}

/// A machine without snapshots works on, and its log is kept.
#[test]
fn a_machine_without_snapshots_keeps_its_log() {
    let mut settings = small(1);
    settings.snapshot_log_entries = 2;
    let transport = MemNetwork::new().join(node(1));
    let mut node = Node::open(settings, Some(voters(1)), MemLog::new(), transport, Echo).expect("founded");
    node.campaign().expect("the only voter");
    for _ in 0..9 {
        node.pump().expect("works");
        node.propose(b"x").expect("leads");
    }
    node.pump().expect("works");
    let told: Vec<_> = std::iter::from_fn(|| node.poll_event()).collect();
    let failed = |event: &&Event<_>| matches!(event, Event::Notice(Notice::SnapshotFailed { .. }));
    assert_eq!(told.iter().filter(failed).count(), 5);
    let status = node.status();
    assert_eq!((status.mark, status.snapshot, status.applied), (at(0, 0), None, index(10)));
    // Nor can it be given one.
    assert_eq!(Echo.restore(SnapshotPiece { offset: 0, bytes: b"", is_last: true }), Err(InvalidSnapshot));
}

/// What is no state of the machine, or is gone, stops the node: at the start, and later.
#[test]
fn a_state_that_cannot_be_restored_stops_the_node() {
    let meta = SnapshotMeta {
        last: at(1, 5),
        membership: voters(3),
        size: 3,
        crc32c: crc32c(b"???"),
        is_hollow: false,
    };
    let with_snapshot = || {
        let mut log = MemLog::new();
        keep(&mut log, &meta, b"???");
        Shelf::of(log)
    };
    let start = |store: Shelf| {
        let opened = Node::open(small(1), None, store, MemNetwork::new().join(node(1)), Words::default());
        opened.map(drop).expect_err("cannot be restored")
    };
    let invalid = |error: &NodeError<MemLogError>| {
        assert!(matches!(error, NodeError::Snapshot(InvalidSnapshot)), "{error:?}");
        assert!(std::error::Error::source(error).is_some() && !error.to_string().is_empty());
        assert!(!InvalidSnapshot.to_string().is_empty());
    };
    invalid(&start(with_snapshot()));
    let lost = start(Shelf { lies: true, ..with_snapshot() });
    assert!(matches!(lost, NodeError::SnapshotLost(last) if last == at(1, 5)), "{lost:?}");
    assert!(std::error::Error::source(&lost).is_none() && !lost.to_string().is_empty());

    let mut played = Played::new();
    played.send(1, &meta, b"???");
    invalid(&played.node.pump().expect_err("no state of it"));
    assert!(matches!(played.node.pump(), Err(NodeError::Stopped)));

    let mut played = Played::new();
    let (meta, state) = large(at(1, 5));
    played.send(1, &meta, &state);
    played.node.store_mut().lies = true;
    assert!(matches!(played.node.pump(), Err(NodeError::SnapshotLost(_))));
}

/// S46: proposals whose entries a snapshot covers are of unknown outcome.
#[test]
fn proposals_that_a_snapshot_covers_are_of_unknown_outcome() {
    let mut played = Played::new();
    played.node.campaign().expect("a voter");
    played.node.pump().expect("works");
    let grant = VoteReply { campaign: 1, granted: true };
    played.hear(1, Body::PreVoteReply(grant));
    played.hear(1, Body::VoteReply(VoteReply { campaign: 2, granted: true }));
    assert!(played.node.raft().is_leader());
    let (covered, later) =
        (played.node.propose(b"x").expect("leads"), played.node.propose(b"y").expect("leads"));
    played.send(
        2,
        &SnapshotMeta {
            last: at(2, 2),
            membership: voters(3),
            size: 2,
            crc32c: crc32c(b"ab"),
            is_hollow: false,
        },
        b"ab",
    );
    played.rest();
    assert_eq!(played.outcome(covered), Some(Outcome::Unknown));
    played.hear(2, append(at(2, 2), 3, &[2]));
    assert_eq!(played.outcome(later), Some(Outcome::Lost), "another entry is in its place");
}

/// A proposal that was sent on learnt its place while a snapshot that covers it was being restored.
/// It was applied, and reported as lost.
#[test]
fn a_proposal_that_learns_its_place_too_late_is_not_lost() {
    let mut played = Played::new();
    played.hear(1, heartbeat(0, 1));
    let id = played.node.propose(b"x").expect("a leader is known");
    played.node.pump().expect("works");
    let sent = played.heard();
    let Some(Body::Propose { epoch, request, .. }) = sent.last() else { panic!("sent on: {sent:?}") };
    let (meta, state) = large(at(1, 5));
    let reply = Body::ProposeReply { epoch: *epoch, request: *request, count: 1, result: Ok(at(1, 3)) };
    played.send(1, &meta, &state);
    played.node.pump().expect("works");
    assert!(played.node.machine().is_half_restored);
    played.hear(1, reply);
    played.hear(1, append(at(1, 5), 6, &[1]));
    assert!(played.node.machine().is_half_restored);
    played.rest();
    assert_eq!(played.node.status().applied, index(6));
    assert_eq!(played.outcome(id), Some(Outcome::Unknown));
}

/// Reads are reported when the state is whole, and stays so until the owner had a chance to read.
#[test]
fn no_read_is_served_from_half_a_state() {
    let mut played = Played::new();
    played.hear(1, append(at(0, 0), 1, &[1]));
    let (meta, state) = large(at(1, 5));
    let mut reads = 0;
    let half = state.len() / 2;
    played.hear(1, chunk(&meta, 0, &state[..half]));
    let first = played.node.read().expect("a leader is known");
    played.node.pump().expect("works");
    let epoch = played.heard().into_iter().find_map(|body| match body {
        Body::Read { epoch, .. } => Some(epoch),
        _ => None,
    });
    let reply = |request| Body::ReadReply { epoch: epoch.expect("asked"), request, result: Ok(index(1)) };
    // The answer and the end of the snapshot come in the same pump; a late answer while it is restored.
    played.end.send(message(2, 1, 1, reply(first)));
    played.hear(1, chunk(&meta, half as u64, &state[half..]));
    let second = played.node.read().expect("a leader is known");
    let mut is_answered = false;
    loop {
        for event in events(&mut played.node) {
            if matches!(event, Event::ReadReady { .. }) {
                assert!(!played.node.machine().is_half_restored, "read {reads}");
                reads += 1;
            }
        }
        if !played.node.has_work() {
            break;
        }
        played.node.pump().expect("works");
        if played.node.machine().is_half_restored && !is_answered {
            is_answered = true;
            played.hear(1, reply(second));
        }
    }
    assert_eq!((reads, is_answered), (2, true));
}

/// A store without room is given no more, and the leader is told only when there is room again.
#[test]
fn a_busy_store_holds_the_leader_back() {
    let mut played = Played::new();
    played.node.store_mut().is_busy = true;
    let meta = SnapshotMeta {
        last: at(1, 5),
        membership: voters(3),
        size: 8,
        crc32c: crc32c(b"12345678"),
        is_hollow: false,
    };
    played.hear(1, chunk(&meta, 0, b"1234"));
    assert_eq!(played.heard(), []);
    assert!(!played.node.has_work());
    played.node.store_mut().is_busy = false;
    assert!(played.node.has_work());
    played.rest();
    played.node.pump().expect("works");
    assert_eq!(played.heard(), [snapshot_reply(meta.last, 4)]);
    assert!(!played.node.has_work());
}

/// S47: a whole that is not what its meta says is dropped; the leader is told that nothing arrived.
#[test]
fn a_damaged_whole_is_dropped() {
    let mut played = Played::new();
    let meta = SnapshotMeta {
        last: at(1, 5),
        membership: voters(3),
        size: 4,
        crc32c: crc32c(b"1234"),
        is_hollow: false,
    };
    played.hear(1, chunk(&meta, 0, b"oops"));
    assert_eq!(played.heard(), [snapshot_reply(meta.last, 0)]);
    assert_eq!(played.node.status().snapshot, None);
    let told = events(&mut played.node);
    assert!(told.contains(&Event::Notice(Notice::SnapshotFailed { last: meta.last })), "{told:?}");
    played.hear(1, chunk(&meta, 0, b"1234"));
    played.rest();
    assert_eq!(played.node.machine().text, b"1234");
}

/// F12: a store without space fails the snapshot, not the node; the next one may succeed. One of the
/// node's own gives way to the leader's.
#[test]
fn a_full_store_fails_only_the_snapshot() {
    let mut played = Played::new();
    played.hear(1, append(at(0, 0), 2, &[1, 1]));
    let own = played.node.machine().text.clone();
    assert!(!own.is_empty());
    played.node.store_mut().is_full = true;
    played.node.take_snapshot().expect("something new");
    played.node.pump().expect("works");
    assert!(played.node.has_work());
    played.rest();
    let told = events(&mut played.node);
    assert!(told.contains(&Event::Notice(Notice::SnapshotFailed { last: at(1, 2) })), "{told:?}");
    played.node.store_mut().is_full = false;

    played.node.store_mut().is_busy = true;
    played.node.take_snapshot().expect("something new");
    played.node.pump().expect("works");
    played.node.store_mut().is_busy = false;
    let meta = SnapshotMeta {
        last: at(1, 5),
        membership: voters(3),
        size: 4,
        crc32c: crc32c(b"1234"),
        is_hollow: false,
    };
    played.end.send(message(2, 1, 1, chunk(&meta, 0, b"12")));
    played.hear(1, chunk(&meta, 2, b"34"));
    played.rest();
    assert_eq!(played.node.machine().text, b"1234");
    assert_eq!(played.node.status().snapshot, Some(at(1, 5)));
}
