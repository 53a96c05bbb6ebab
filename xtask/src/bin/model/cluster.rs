//! The model: a few real cores, a network that loses, repeats and reorders, and what may happen next.
//!
//! How often things may happen is bounded, but for arrivals of letters, so there are finitely many
//! states.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use raft_core::{Membership, NodeId, Raft};
use stateright::{Model, Property};

use crate::history::{Broken, History};
use crate::network::Letter;
use crate::node::{self, Node};
use crate::properties;
use crate::steps::{Conditions, Input, Step, Steps};

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
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) voters: Vec<u64>,
    /// Nodes without a group yet.
    pub(crate) spares: Vec<u64>,
    /// Voters that the change removes.
    pub(crate) removed: Vec<u64>,
    pub(crate) bounds: Bounds,
    pub(crate) conditions: Conditions,
    /// Whether states with the same future are made one. If not, every letter that was ever sent tells
    /// them apart; a test compares the two.
    pub(crate) is_reduced: bool,
    pub(crate) steps: Steps,
}

/// Something that may happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happening {
    Campaign(NodeId),
    Propose(NodeId),
    Heartbeat(NodeId),
    Deliver(Arc<Letter>),
    /// The oldest write under way is durable.
    Write(NodeId),
    /// The node dies when so many of the writes under way have reached the disk, and starts again.
    Crash(NodeId, usize),
    Change(NodeId),
    Snapshot(NodeId),
}

/// A node, and the letters that may arrive at it, in the order of their digests.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) node: Arc<Node>,
    inbox: Arc<Vec<Arc<Letter>>>,
}

/// A state of the model.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) places: Vec<Place>,
    /// What may still happen.
    pub(crate) left: Bounds,
    pub(crate) history: Arc<History>,
    pub(crate) broken: Option<Broken>,
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { places, left, history, broken } = self;
        for Place { node, inbox } in places {
            (node.digest, inbox.len()).hash(state);
            for letter in &**inbox {
                letter.digest.hash(state);
            }
        }
        (left, history, broken).hash(state);
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |(a, b): (&Place, &Place)| a.node.digest == b.node.digest && a.inbox == b.inbox;
        self.places.iter().zip(&other.places).all(is_same)
            && (self.left, &self.history, self.broken) == (other.left, &other.history, other.broken)
    }
}

impl Cluster {
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.places.iter().map(|place| &*place.node)
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes().find(|node| node.id() == id)
    }

    fn place_of(&self, id: NodeId) -> Option<usize> {
        self.places.iter().position(|place| place.node.id() == id)
    }

    /// What the node does to which this happens.
    fn step(&self, setup: &Setup, happening: &Happening) -> Option<(usize, Arc<Step>)> {
        let at = self.place_of(happening.whose())?;
        let proposed = setup.bounds.proposals - self.left.proposals;
        Some((at, setup.take(&self.places[at].node, &happening.input(proposed))))
    }

    /// The state after a step of the node at `at`.
    fn advance(&mut self, setup: &Setup, at: usize, step: &Step) {
        let before = Arc::clone(&self.places[at].node);
        let mut history = History::clone(&self.history);
        let noted = history.note_step(self, &before, step);
        if history != *self.history {
            self.history = Arc::new(history);
        }
        self.broken = step.broken.or(noted.err());
        self.places[at].node = Arc::clone(&step.node);
        let mut due = Vec::new();
        if setup.is_reduced {
            self.clear_inbox(setup, at, &mut due);
        }
        self.post(setup, &step.sent, &mut due);
        if setup.is_reduced {
            self.answer(setup, due);
        }
    }

    /// Keeps of the letters to a node what still matters to it.
    fn clear_inbox(&mut self, setup: &Setup, at: usize, due: &mut Vec<(usize, Arc<Letter>)>) {
        let letters = std::mem::take(&mut self.places[at].inbox);
        let mut kept: Vec<_> =
            letters.iter().filter_map(|letter| self.remainder(setup, at, letter)).collect();
        kept.sort_unstable_by_key(|letter| letter.digest);
        kept.dedup();
        due.extend(kept.iter().map(|letter| (at, Arc::clone(letter))));
        self.places[at].inbox = Arc::new(kept);
    }

    /// Takes letters into the network.
    fn post(&mut self, setup: &Setup, letters: &[Arc<Letter>], due: &mut Vec<(usize, Arc<Letter>)>) {
        for letter in letters {
            let Some(at) = self.place_of(letter.message.to) else { continue };
            let Some(letter) = self.remainder(setup, at, letter) else { continue };
            let inbox = &mut self.places[at].inbox;
            if let Err(gap) = inbox.binary_search_by_key(&letter.digest, |known| known.digest) {
                due.push((at, Arc::clone(&letter)));
                Arc::make_mut(inbox).insert(gap, letter);
            }
        }
    }

    /// What of a letter still matters to the node at `at`. The rest must not matter: then the node does
    /// with it just what it does without.
    fn remainder(&mut self, setup: &Setup, at: usize, letter: &Arc<Letter>) -> Option<Arc<Letter>> {
        if !setup.is_reduced {
            return Some(Arc::clone(letter));
        }
        let node = &self.places[at].node;
        let remainder = letter.remainder(node);
        if remainder.as_ref() != Some(letter) && !setup.is_same(node, letter, remainder.as_ref()) {
            self.broken = Some(Broken::LateMatters);
        }
        remainder
    }

    /// Lets nodes answer what they can answer without changing.
    ///
    /// Nothing is missed by that: such an answer may be given at any time until the node changes, and
    /// once it is in the network nobody need ever get it. And states that differ only in who has
    /// answered what become one.
    fn answer(&mut self, setup: &Setup, mut due: Vec<(usize, Arc<Letter>)>) {
        while let Some((at, letter)) = due.pop() {
            let step = setup.take(&self.places[at].node, &Input::Deliver(letter));
            if !step.is_change {
                self.broken = self.broken.or(step.broken);
                self.post(setup, &step.sent, &mut due);
            }
        }
    }
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
            Self::Deliver(letter) => letter.message.to,
        }
    }

    /// What its node is given, after so many proposals.
    fn input(&self, proposed: u8) -> Input {
        match self {
            Self::Campaign(_) => Input::Campaign,
            Self::Propose(_) => Input::Propose(proposed),
            Self::Heartbeat(_) => Input::Heartbeat,
            Self::Deliver(letter) => Input::Deliver(Arc::clone(letter)),
            Self::Write(_) => Input::Write,
            Self::Crash(_, kept) => Input::Crash(*kept),
            Self::Change(_) => Input::Change,
            Self::Snapshot(_) => Input::Snapshot,
        }
    }
}

impl Setup {
    fn take(&self, node: &Arc<Node>, input: &Input) -> Arc<Step> {
        self.steps.take(node, input, &self.conditions)
    }

    /// As long as nobody did anything all voters are alike but for those that a change removes: which of
    /// them is the first to do something does not matter.
    fn is_first_of_its_kind(&self, id: NodeId) -> bool {
        let is_removed = |id: &u64| self.removed.contains(id);
        let alike = self.voters.iter().find(|voter| is_removed(voter) == is_removed(&id.get()));
        alike == Some(&id.get())
    }

    /// Whether a letter does to a node just what another one, or none, does: at most an answer.
    fn is_same(&self, node: &Arc<Node>, letter: &Arc<Letter>, other: Option<&Arc<Letter>>) -> bool {
        let step = self.take(node, &Input::Deliver(Arc::clone(letter)));
        let is_as_sent = match other {
            Some(other) => self.take(node, &Input::Deliver(Arc::clone(other))).sent == step.sent,
            None => step.sent.is_empty(),
        };
        !step.is_change && is_as_sent
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
        let places = rafts.map(|raft| Place {
            node: Arc::new(Node::new(raft.expect("the settings are in bounds"))),
            inbox: Arc::default(),
        });
        let (places, history) = (places.collect(), Arc::default());
        vec![Cluster { places, left: self.bounds, history, broken: None }]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Happening>) {
        if state.broken.is_some() {
            return;
        }
        let left = state.left;
        for Place { node, inbox } in &state.places {
            let (id, leads) = (node.id(), node.raft.is_leader());
            let is_first = left.campaigns == self.bounds.campaigns;
            let is_pointless = is_first && !self.is_first_of_its_kind(id);
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
            let news = inbox.iter().filter(|letter| {
                !self.is_reduced || self.take(node, &Input::Deliver(Arc::clone(letter))).is_change
            });
            actions.extend(news.map(|letter| Happening::Deliver(Arc::clone(letter))));
        }
    }

    fn next_state(&self, last: &Cluster, happening: Happening) -> Option<Cluster> {
        let (at, step) = last.step(self, &happening)?;
        if !step.is_change && step.sent.is_empty() {
            return None;
        }
        let mut next = last.clone();
        next.left.spend(&happening);
        next.advance(self, at, &step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::DefaultHasher;

    use raft_core::MembershipChange;

    use super::*;

    /// How many states there are, and what is in them, whatever is in the network.
    fn explore(setup: &Setup) -> (usize, HashSet<(Vec<u64>, Bounds, History)>) {
        let mut due = setup.init_states();
        let (mut known, mut reached) = (HashSet::new(), HashSet::new());
        while let Some(state) = due.pop() {
            assert_eq!(state.broken, None);
            let digests = state.nodes().map(|node| node.digest).collect();
            reached.insert((digests, state.left, History::clone(&state.history)));
            let (_, next): (Vec<_>, Vec<_>) = setup.next_steps(&state).into_iter().unzip();
            due.extend(next.into_iter().filter(|next| {
                let mut hasher = DefaultHasher::new();
                next.hash(&mut hasher);
                known.insert(hasher.finish())
            }));
        }
        (known.len(), reached)
    }

    /// Two voters leave room for more to happen to them.
    #[test]
    fn states_that_are_left_out_reach_nothing_else() {
        let none = Bounds::default();
        let two_terms = Bounds { campaigns: 2, ..none };
        let one_term = Bounds { campaigns: 1, proposals: 1, ..none };
        let cases = [
            (3, false, two_terms),
            (3, false, Bounds { crashes: 1, ..one_term }),
            (3, false, Bounds { snapshots: 1, ..one_term }),
            (3, false, Bounds { campaigns: 1, changes: 1, ..none }),
            (3, true, Bounds { campaigns: 1, crashes: 1, ..none }),
            (2, true, Bounds { crashes: 1, ..two_terms }),
            (2, false, Bounds { proposals: 1, crashes: 1, ..two_terms }),
            (2, false, Bounds { proposals: 1, snapshots: 1, ..two_terms }),
            (2, false, Bounds { heartbeats: 1, ..two_terms }),
        ];
        for (voters, has_slow_disks, bounds) in cases {
            let (voters, spares): (Vec<u64>, _) =
                ((1..=voters).collect(), vec![4; usize::from(bounds.changes)]);
            let change = MembershipChange::new().voter(NodeId::new(4)).remove(NodeId::new(2));
            let (conditions, steps) = (Conditions { has_slow_disks, change }, Steps::default());
            let mut setup =
                Setup { voters, spares, removed: vec![], bounds, conditions, is_reduced: true, steps };
            let (few, reached) = explore(&setup);
            setup.is_reduced = false;
            let (many, expected) = explore(&setup);
            let (voters, clusters) = (setup.voters.len(), reached.len());
            println!("{voters} voters, {bounds:?}: {few} states instead of {many}, {clusters} clusters");
            assert!(few < many, "{few} states, not less than {many}");
            assert!(reached == expected, "{clusters} clusters instead of {}", expected.len());
        }
    }
}
