//! Whole clusters whose clients lose answers and ask again, at whatever member they find.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use raft_core::mem::{MemLog, MemNetwork, MemTransport};
use raft_core::sessions::{
    Sequence, SessionClient, SessionCommand, SessionError, SessionLimits, SessionOutput, Sessions,
};
use raft_core::{
    Arrival, Config, Event, Membership, Message, Node, NodeId, Notice, Outcome, ProposalId, SnapshotError,
    Transport,
};

use crate::dice::Dice;
use crate::register::{Register, add_one, compare_and_set};
use crate::seen::Seen;

type Output = Result<SessionOutput<Option<u64>>, SessionError>;

/// Members that hear nobody and are heard by nobody.
type Cut = Rc<RefCell<BTreeSet<NodeId>>>;

/// A way into the network that can be cut.
#[derive(Debug)]
struct Link {
    end: MemTransport,
    cut: Cut,
}

impl Link {
    fn is_cut(&self, message: &Message) -> bool {
        let cut = self.cut.borrow();
        cut.contains(&message.from) || cut.contains(&message.to)
    }
}

impl Transport for Link {
    fn send(&mut self, message: Message) {
        if !self.is_cut(&message) {
            self.end.send(message);
        }
    }

    fn poll(&mut self) -> Option<Arrival> {
        while let Some(arrival) = self.end.poll() {
            match &arrival {
                Arrival::Message(message) if self.is_cut(message) => {}
                Arrival::Message(_) | Arrival::Unreachable(_) => return Some(arrival),
            }
        }
        None
    }

    fn message_bytes_max(&self) -> u64 {
        self.end.message_bytes_max()
    }
}

type Member = Node<MemLog, Link, Sessions<Register>>;

struct Cluster {
    network: MemNetwork,
    cut: Cut,
    nodes: Vec<Member>,
}

impl Cluster {
    fn new() -> Self {
        let (network, cut) = (MemNetwork::new(), Cut::default());
        let nodes = (1..=3).map(|id| open(NodeId::new(id), MemLog::new(), &network, &cut)).collect();
        Self { network, cut, nodes }
    }

    fn pump(&mut self) {
        for node in &mut self.nodes {
            node.pump().expect("memory does not fail");
        }
    }

    fn tick(&mut self) {
        self.nodes.iter_mut().for_each(Node::tick);
        self.pump();
    }

    fn isolate(&mut self, at: usize) {
        self.cut.borrow_mut().insert(id_of(at));
    }

    fn heal(&mut self) {
        self.cut.borrow_mut().clear();
    }

    /// Starts a member again from its log and its snapshot.
    fn restart(&mut self, at: usize) {
        let log = self.nodes[at].store_mut().clone();
        self.nodes[at] = open(id_of(at), log, &self.network, &self.cut);
    }

    /// Lets time pass until a member leads that is not cut off.
    fn leader(&mut self) -> usize {
        loop {
            let is_in_touch = |at: &usize| !self.cut.borrow().contains(&id_of(*at));
            let leads = |at: &usize| is_in_touch(at) && self.nodes[*at].raft().is_leader();
            if let Some(at) = (0..3).find(leads) {
                return at;
            }
            self.tick();
        }
    }

    /// Every member takes a snapshot, and then all are started again at once.
    fn restart_all_from_snapshots(&mut self) {
        for node in &mut self.nodes {
            let taken = node.take_snapshot();
            assert!(matches!(taken, Ok(()) | Err(SnapshotError::NothingNew)), "{taken:?}");
        }
        (0..20).for_each(|_| self.tick());
        (0..3).for_each(|at| self.restart(at));
    }

    fn assert_value(&self, value: u64) {
        for node in &self.nodes {
            assert_eq!(node.machine().machine().value, value, "at {}", node.raft().id());
        }
    }
}

fn id_of(at: usize) -> NodeId {
    NodeId::new(at as u64 + 1)
}

fn open(id: NodeId, log: MemLog, network: &MemNetwork, cut: &Cut) -> Member {
    let founders = Membership::of_voters([1, 2, 3].map(NodeId::new)).expect("valid ids");
    let link = Link { end: network.join(id), cut: cut.clone() };
    let machine = Sessions::new(Register::default(), SessionLimits::default());
    let mut config = Config::new(id);
    config.snapshot_log_entries = 40;
    config.retained_entries = 5;
    config.snapshot_chunk_bytes = 100;
    Node::open(config, Some(founders), log, link, machine).expect("a sound log")
}

/// Proposes through one member and waits for what comes of it.
fn ask(cluster: &mut Cluster, at: usize, payload: &[u8]) -> Outcome<Output> {
    let id = loop {
        match cluster.nodes[at].propose(payload) {
            Ok(id) => break id,
            Err(_) => cluster.tick(),
        }
    };
    loop {
        if let Some(outcome) = outcome_of(&mut cluster.nodes[at], id) {
            return outcome;
        }
        cluster.tick();
    }
}

/// What came of a proposal, if that is known; drops other events.
fn outcome_of(node: &mut Member, wanted: ProposalId) -> Option<Outcome<Output>> {
    std::iter::from_fn(|| node.poll_event()).find_map(|event| match event {
        Event::Proposed { id, outcome } if id == wanted => Some(outcome),
        Event::Proposed { .. } | Event::ReadReady { .. } | Event::ReadRefused { .. } | Event::Notice(_) => {
            None
        }
    })
}

fn register(cluster: &mut Cluster, at: usize) -> SessionClient {
    match ask(cluster, at, &SessionCommand::Register.to_payload()) {
        Outcome::Applied(Ok(SessionOutput::Registered(session))) => {
            SessionClient::new(session, SessionLimits::default().calls_max)
        }
        other => panic!("{other:?}"),
    }
}

fn applied(value: u64) -> Outcome<Output> {
    Outcome::Applied(Ok(SessionOutput::Applied(Some(value))))
}

/// S76: the answer is lost, the leader changes, all machines start again from a snapshot.
#[test]
fn a_lost_answer_is_got_from_the_next_leader_even_after_a_snapshot() {
    let mut cluster = Cluster::new();
    let old = cluster.leader();
    let mut client = register(&mut cluster, old);
    let call = client.call(&add_one()).unwrap();
    let payload = client.payload(call).unwrap();
    assert_eq!(ask(&mut cluster, old, &payload), applied(1));
    cluster.isolate(old);
    let new = cluster.leader();
    assert_eq!(ask(&mut cluster, new, &payload), applied(1));
    cluster.heal();
    (0..50).for_each(|_| cluster.tick());
    cluster.restart_all_from_snapshots();
    cluster.assert_value(1);
    for at in 0..3 {
        assert_eq!(ask(&mut cluster, at, &payload), applied(1));
    }
    (0..50).for_each(|_| cluster.tick());
    cluster.assert_value(1);
}

/// S77, S82: the old leader's copy reaches one follower and is committed by that one as the next
/// leader, together with the copy of the retry. The old leader says "applied", and never "failed".
#[test]
fn copies_of_two_leaders_in_one_log_count_once() {
    let mut cluster = Cluster::new();
    let old = cluster.leader();
    let mut client = register(&mut cluster, old);
    let call = client.call(&add_one()).unwrap();
    let first = cluster.nodes[old].propose(&client.payload(call).unwrap()).unwrap();
    let followers: Vec<_> = (0..3).filter(|at| *at != old).collect();
    cluster.nodes[old].pump().unwrap();
    followers.iter().for_each(|at| cluster.nodes[*at].pump().unwrap());
    cluster.isolate(old);
    let new = cluster.leader();
    assert_eq!(ask(&mut cluster, new, &client.payload(call).unwrap()), applied(1));
    assert_eq!(outcome_of(&mut cluster.nodes[old], first), None);
    cluster.heal();
    let outcome = loop {
        cluster.tick();
        if let Some(outcome) = outcome_of(&mut cluster.nodes[old], first) {
            break outcome;
        }
    };
    assert_eq!(outcome, applied(1));
    (0..50).for_each(|_| cluster.tick());
    cluster.assert_value(1);
}

/// A call that a client waits for.
#[derive(Debug)]
struct Pending {
    sequence: Sequence,
    /// The largest value that was known to anybody when it was made.
    floor: u64,
    is_add: bool,
}

/// Clients that add and compare-and-set while members are cut off, restarted and replaced.
struct Story {
    dice: Dice,
    cluster: Cluster,
    clients: Vec<(SessionClient, Option<Pending>)>,
    /// Copies under way: where, under which id, whose, which call.
    copies: BTreeMap<(usize, ProposalId), (usize, Sequence)>,
    /// What the calls that raised the value made of it.
    values: BTreeSet<u64>,
    known: u64,
    seen: Seen,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut cluster = Cluster::new();
        let at = cluster.leader();
        let clients = (0..3).map(|_| (register(&mut cluster, at), None)).collect();
        let (copies, values, seen) = (BTreeMap::new(), BTreeSet::new(), Seen::default());
        Self { dice: Dice::new(seed), cluster, clients, copies, values, known: 0, seen }
    }

    fn step(&mut self) {
        let at = self.dice.place(3);
        match self.dice.below(200) {
            0 => {
                if self.cluster.nodes[at].raft().is_leader() {
                    self.seen.note("leader cut off");
                }
                self.cluster.heal();
                self.cluster.isolate(at);
            }
            1 | 2 => self.cluster.heal(),
            3 => {
                self.copies.retain(|(node, _), _| *node != at);
                self.cluster.restart(at);
                self.seen.note("restart");
            }
            4 => {
                let to = id_of(self.dice.place(3));
                self.cluster.nodes[at].transfer_leadership(to).ok();
            }
            5..=40 => self.ask_at(at),
            _ => {
                self.cluster.tick();
                self.hear();
            }
        }
    }

    /// Some client makes a call if it waits for none, and asks a member for the first time or again.
    fn ask_at(&mut self, at: usize) {
        let who = self.dice.place(self.clients.len());
        let (client, pending) = &mut self.clients[who];
        if pending.is_none() {
            let (is_add, floor) = (self.dice.once_in(2), self.known);
            let command = if is_add { add_one() } else { compare_and_set(floor, floor + 1) };
            let sequence = client.call(&command).expect("one at a time");
            *pending = Some(Pending { sequence, floor, is_add });
        }
        self.propose_at(at, who);
    }

    /// A client that waits for an answer asks a member.
    fn propose_at(&mut self, at: usize, who: usize) {
        let (client, Some(Pending { sequence, .. })) = &self.clients[who] else { return };
        let payload = client.payload(*sequence).expect("not answered yet");
        if let Ok(id) = self.cluster.nodes[at].propose(&payload) {
            self.copies.insert((at, id), (who, *sequence));
        }
    }

    fn hear(&mut self) {
        for at in 0..3 {
            while let Some(event) = self.cluster.nodes[at].poll_event() {
                match event {
                    Event::Proposed { id, outcome } => {
                        if let Some((who, sequence)) = self.copies.remove(&(at, id)) {
                            self.on_outcome(who, sequence, outcome);
                        }
                    }
                    Event::Notice(Notice::SnapshotTaken { .. }) => self.seen.note("snapshot taken"),
                    Event::Notice(Notice::SnapshotInstalled { .. }) => self.seen.note("snapshot installed"),
                    Event::Notice(_) | Event::ReadReady { .. } | Event::ReadRefused { .. } => {}
                }
            }
        }
    }

    fn on_outcome(&mut self, who: usize, sequence: Sequence, outcome: Outcome<Output>) {
        let output = match outcome {
            Outcome::Applied(_) if self.dice.once_in(2) => {
                self.seen.note("answer lost");
                return;
            }
            Outcome::Applied(output) => output,
            Outcome::Unknown => {
                self.seen.note("unknown");
                return;
            }
            Outcome::Refused(_) | Outcome::Lost => {
                self.seen.note("never applied");
                return;
            }
        };
        let (client, pending) = &mut self.clients[who];
        let Some(value) = client.on_output(sequence, output).expect("nothing expires") else {
            self.seen.note("answered again");
            return;
        };
        let Pending { floor, is_add, .. } = pending.take().expect("not answered before");
        match value {
            Some(value) => {
                assert!(value > floor, "{value} is not after {floor}, which was known before");
                assert!(self.values.insert(value), "two calls made it {value}");
                self.known = self.known.max(value);
            }
            None => {
                assert!(!is_add, "an addition does not fail");
                self.seen.note("compare failed");
            }
        }
    }

    /// All is well again: every call gets its answer, and the value is the count of those that
    /// raised it.
    fn end(&mut self) {
        self.cluster.heal();
        while self.clients.iter().any(|(_, pending)| pending.is_some()) {
            let (at, who) = (self.dice.place(3), self.dice.place(self.clients.len()));
            self.propose_at(at, who);
            self.cluster.tick();
            self.hear();
        }
        // Old copies under way come to an end.
        (0..200).for_each(|_| self.cluster.tick());
        let value = self.values.len() as u64;
        self.cluster.assert_value(value);
        assert!(self.values.iter().copied().eq(1..=value), "{:?}", self.values);
    }
}

/// S80: each call that reports success raised the value once, and none did so in silence.
#[test]
fn additions_and_compares_are_linearizable_under_retries() {
    let mut total = Seen::default();
    for seed in 0..40 {
        println!("seed {seed}");
        let mut story = Story::new(seed);
        for _ in 0..3 {
            (0..2000).for_each(|_| story.step());
            story.end();
            story.cluster.restart_all_from_snapshots();
            story.cluster.assert_value(story.values.len() as u64);
        }
        total.add(&story.seen);
    }
    let told = ["answer lost", "answered again", "never applied", "unknown", "compare failed"];
    total.assert_each(told, 20);
    total.assert_each(["leader cut off", "restart", "snapshot taken", "snapshot installed"], 20);
}
