//! The model: a few real cores, a network that loses, repeats and reorders, and what may happen next.
//!
//! A message that was sent stays in the network for good, and may arrive at any time, any number of
//! times or never: that is loss, duplication and delay in one. How often the rest may happen is
//! bounded, so there are finitely many states.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use raft_core::{Membership, MembershipChange, Message, NodeId, Raft};
use stateright::{Model, Property};

use crate::history::{Broken, History};
use crate::node::{self, Node, Output};
use crate::properties;

/// How often things may happen, in all nodes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// Campaigns; each begins a term.
    pub(crate) campaigns: u8,
    /// Commands proposed.
    pub(crate) proposals: u8,
    /// Heartbeats of leaders.
    pub(crate) heartbeats: u8,
    /// Crashes, each followed by a restart at once: a node that is down is one nothing arrives at.
    pub(crate) crashes: u8,
    /// Changes of membership.
    pub(crate) changes: u8,
    /// Snapshots taken, with the log compacted behind them.
    pub(crate) snapshots: u8,
}

/// What is explored.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) voters: Vec<u64>,
    /// Nodes without a group yet.
    pub(crate) spares: Vec<u64>,
    pub(crate) bounds: Bounds,
    /// Whether writes take time, so that crashes, messages and other writes may come before their
    /// end. If not, every write is durable at once.
    pub(crate) has_slow_disks: bool,
    /// The change that is tried.
    pub(crate) change: MembershipChange,
}

/// Something that may happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happening {
    Campaign(NodeId),
    Propose(NodeId),
    Heartbeat(NodeId),
    Deliver(Arc<Message>),
    /// The oldest write under way is durable.
    Write(NodeId),
    /// The node dies when so many of the writes under way have reached the disk, and starts again.
    Crash(NodeId, usize),
    Change(NodeId),
    Snapshot(NodeId),
}

/// A state of the model.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Every message ever sent, by its digest.
    network: BTreeMap<u64, Arc<Message>>,
    /// What may still happen.
    left: Bounds,
    pub(crate) history: History,
    pub(crate) broken: Option<Broken>,
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { nodes, network, left, history, broken } = self;
        for node in nodes {
            node.digest.hash(state);
        }
        for digest in network.keys() {
            digest.hash(state);
        }
        (left, history, broken).hash(state);
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        let digests = |cluster: &Self| cluster.nodes.iter().map(|node| node.digest).collect::<Vec<_>>();
        digests(self) == digests(other)
            && self.network.keys().eq(other.network.keys())
            && (self.left, &self.history, self.broken) == (other.left, &other.history, other.broken)
    }
}

impl Cluster {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id() == id).map(|node| &**node)
    }

    fn step(&mut self, setup: &Setup, happening: &Happening) {
        let id = happening.whose();
        let Some(at) = self.nodes.iter().position(|node| node.id() == id) else { return };
        let before = Arc::clone(&self.nodes[at]);
        self.left.spend(happening);
        let payload = [setup.bounds.proposals - self.left.proposals];
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            let mut node = Node::clone(&before);
            let mut output = act(&mut node, happening, setup, &payload);
            while !setup.has_slow_disks && !node.queue.is_empty() {
                output.append(node.complete_write());
            }
            (node, output)
        }));
        let Ok((node, output)) = stepped else {
            self.broken = Some(Broken::Panicked);
            return;
        };
        let mut history = self.history.clone();
        let mut result = history.note_step(self, &before, &node, &output);
        for message in output.sent {
            result = result.and(history.note_message(&message));
            self.network.insert(digest(&message), Arc::new(message));
        }
        (self.history, self.broken) = (history, result.err());
        self.nodes[at] = Arc::new(node);
    }
}

/// Gives the node its input and lets it do what follows.
fn act(node: &mut Node, happening: &Happening, setup: &Setup, payload: &[u8]) -> Output {
    // A refusal changes nothing, and what changes nothing is no new state.
    match happening {
        Happening::Campaign(_) => drop(node.raft.campaign()),
        Happening::Propose(_) => drop(node.raft.propose(payload)),
        Happening::Heartbeat(_) => node.raft.tick(),
        Happening::Deliver(message) => node.raft.receive(Message::clone(message)),
        Happening::Write(_) => return node.complete_write(),
        Happening::Crash(_, kept) => return node.crash(*kept),
        Happening::Change(_) => drop(node.raft.change_membership(&setup.change)),
        Happening::Snapshot(_) => drop(node.raft.take_snapshot()),
    }
    node.settle()
}

impl Happening {
    /// The node that takes the step.
    fn whose(&self) -> NodeId {
        match self {
            Self::Campaign(id)
            | Self::Propose(id)
            | Self::Heartbeat(id)
            | Self::Write(id)
            | Self::Crash(id, _)
            | Self::Change(id)
            | Self::Snapshot(id) => *id,
            Self::Deliver(message) => message.to,
        }
    }
}

impl Bounds {
    fn spend(&mut self, happening: &Happening) {
        let budget = match happening {
            Happening::Campaign(_) => &mut self.campaigns,
            Happening::Propose(_) => &mut self.proposals,
            Happening::Heartbeat(_) => &mut self.heartbeats,
            Happening::Crash(..) => &mut self.crashes,
            Happening::Change(_) => &mut self.changes,
            Happening::Snapshot(_) => &mut self.snapshots,
            Happening::Deliver(_) | Happening::Write(_) => return,
        };
        *budget -= 1;
    }
}

impl Model for Setup {
    type State = Cluster;
    type Action = Happening;

    fn init_states(&self) -> Vec<Cluster> {
        let voters = self.voters.iter().map(|id| NodeId::new(*id));
        let membership = Membership::of_voters(voters).expect("the setup names voters");
        let found = |id: &u64| Raft::found(node::config(*id), membership.clone());
        let join = |id: &u64| Raft::join(node::config(*id));
        let rafts = self.voters.iter().map(found).chain(self.spares.iter().map(join));
        let nodes = rafts.map(|raft| Arc::new(Node::new(raft.expect("the settings are in bounds"))));
        vec![Cluster {
            nodes: nodes.collect(),
            network: BTreeMap::new(),
            left: self.bounds,
            history: History::default(),
            broken: None,
        }]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Happening>) {
        if state.broken.is_some() {
            return;
        }
        let left = state.left;
        for node in &state.nodes {
            let (id, leads) = (node.id(), node.raft.is_leader());
            // As long as nobody did anything the voters are alike: who is first does not matter.
            let is_first = left.campaigns == self.bounds.campaigns;
            let is_pointless = is_first && id.get() != self.voters[0];
            if left.campaigns > 0 && !leads && !is_pointless {
                actions.push(Happening::Campaign(id));
            }
            if leads && left.proposals > 0 {
                actions.push(Happening::Propose(id));
            }
            if leads && left.heartbeats > 0 {
                actions.push(Happening::Heartbeat(id));
            }
            if leads && left.changes > 0 {
                actions.push(Happening::Change(id));
            }
            if left.snapshots > 0 {
                actions.push(Happening::Snapshot(id));
            }
            if !node.queue.is_empty() {
                actions.push(Happening::Write(id));
            }
            if left.crashes > 0 && !is_first {
                actions.extend((0..=node.queue.len()).map(|kept| Happening::Crash(id, kept)));
            }
        }
        actions.extend(state.network.values().map(|message| Happening::Deliver(Arc::clone(message))));
    }

    fn next_state(&self, last: &Cluster, happening: Happening) -> Option<Cluster> {
        let mut next = last.clone();
        next.step(self, &happening);
        let is_same = |(old, new): (&Arc<Node>, &Arc<Node>)| old.digest == new.digest;
        let is_still = last.nodes.iter().zip(&next.nodes).all(is_same)
            && last.network.len() == next.network.len()
            && next.broken.is_none();
        (!is_still).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

fn digest(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}
