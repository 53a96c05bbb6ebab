//! What nodes do when they are given something, each case worked out once.
//!
//! A node is deterministic: the same node given the same does the same. There are far fewer nodes than
//! clusters of them, so the core runs once for each, and not once for each cluster.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, RwLock};

use raft_core::{LogIndex, MembershipChange};

use crate::history::Broken;
use crate::network::Letter;
use crate::node::{Node, Output, Record};

/// What a node is given.
#[derive(Debug)]
pub(crate) enum Input {
    Campaign,
    Propose(u8),
    Heartbeat,
    Deliver(Arc<Letter>),
    Write,
    Crash(usize),
    Change,
    Snapshot,
}

/// What a node did.
#[derive(Debug)]
pub(crate) struct Step {
    /// The node afterwards.
    pub(crate) node: Arc<Node>,
    /// Whether the node is another one now.
    pub(crate) is_change: bool,
    pub(crate) sent: Vec<Arc<Letter>>,
    pub(crate) applied: Vec<Record>,
    /// The state was replaced by that of a snapshot up to here.
    pub(crate) restored: Option<LogIndex>,
    /// What is wrong with it, whatever the others do.
    pub(crate) broken: Option<Broken>,
}

/// All steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    nodes: RwLock<HashMap<u64, Arc<Node>>>,
    taken: RwLock<HashMap<(u64, u64), Arc<Step>>>,
}

/// What all nodes run under.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    /// Whether writes take time. If not, every write is durable at once.
    pub(crate) has_slow_disks: bool,
    /// The change of membership that is tried.
    pub(crate) change: MembershipChange,
}

impl Steps {
    /// What this node does when it is given this.
    pub(crate) fn take(&self, node: &Arc<Node>, input: &Input, conditions: &Conditions) -> Arc<Step> {
        let key = (node.digest, input.digest());
        if let Some(step) = self.taken.read().expect(UNPOISONED).get(&key) {
            return Arc::clone(step);
        }
        let step = Arc::new(self.work_out(node, input, conditions));
        Arc::clone(self.taken.write().expect(UNPOISONED).entry(key).or_insert(step))
    }

    /// How many nodes, and steps of theirs, there were.
    pub(crate) fn count(&self) -> (usize, usize) {
        let nodes = self.nodes.read().expect(UNPOISONED).len();
        (nodes, self.taken.read().expect(UNPOISONED).len())
    }

    fn work_out(&self, before: &Arc<Node>, input: &Input, conditions: &Conditions) -> Step {
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            let mut node = Node::clone(before);
            let mut output = act(&mut node, input, conditions);
            while !conditions.has_slow_disks && !node.queue.is_empty() {
                output.append(node.complete_write());
            }
            (node, output)
        }));
        let Ok((node, Output { sent, applied, restored })) = stepped else {
            let (node, broken) = (Arc::clone(before), Some(Broken::Panicked));
            return Step { node, is_change: true, sent: vec![], applied: vec![], restored: None, broken };
        };
        let broken = node.judge(before, &sent).err();
        let is_change = node.digest != before.digest;
        let sent = sent.into_iter().map(Letter::new).collect();
        Step { node: self.intern(node), is_change, sent, applied, restored, broken }
    }

    fn intern(&self, node: Node) -> Arc<Node> {
        let mut nodes = self.nodes.write().expect(UNPOISONED);
        Arc::clone(nodes.entry(node.digest).or_insert_with(|| Arc::new(node)))
    }
}

impl Input {
    fn digest(&self) -> u64 {
        match self {
            Self::Deliver(letter) => letter.digest,
            Self::Campaign => 0,
            Self::Heartbeat => 1,
            Self::Write => 2,
            Self::Change => 3,
            Self::Snapshot => 4,
            Self::Propose(payload) => 1 << 8 | u64::from(*payload),
            Self::Crash(kept) => 2 << 8 | *kept as u64,
        }
    }
}

/// Gives the node its input and lets it do what follows.
fn act(node: &mut Node, input: &Input, conditions: &Conditions) -> Output {
    // A refusal changes nothing, and what changes nothing is no new state.
    match input {
        Input::Campaign => drop(node.raft.campaign()),
        Input::Propose(payload) => drop(node.raft.propose(&[*payload])),
        Input::Heartbeat => node.raft.tick(),
        Input::Deliver(letter) => node.raft.receive(letter.message.clone()),
        Input::Write => return node.complete_write(),
        Input::Crash(kept) => return node.crash(*kept),
        Input::Change => drop(node.raft.change_membership(&conditions.change)),
        Input::Snapshot => drop(node.raft.take_snapshot()),
    }
    node.settle()
}

/// Why no lock is poisoned: nothing in this file panics while it holds one.
const UNPOISONED: &str = "the core runs outside of the lock";
