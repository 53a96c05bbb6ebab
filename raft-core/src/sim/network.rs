//! A simulated network: loses, delays, duplicates, reorders, replays, and cuts links one way.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use raft_proto::prost::Message as _;
use raft_proto::v1;

use super::plan::happens;
use super::world::{Shared, World};
use crate::doors::transport::{Arrival, Transport};
use crate::means::rng::Rng;
use crate::words::ids::NodeId;
use crate::words::message::Message;

/// The network between the nodes.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// By the step at which they arrive, then by the order in which they were sent.
    flying: BTreeMap<(u64, u64), Message>,
    sent: u64,
    inboxes: BTreeMap<NodeId, VecDeque<Arrival>>,
    /// Links that are cut, each in one direction.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Some old messages, to be replayed.
    memory: Vec<Message>,
}

/// How many old messages are remembered.
const MEMORY: usize = 32;

impl Network {
    /// Cuts a random set of links.
    pub(super) fn partition(&mut self, nodes: &[NodeId], rng: &mut Rng) {
        let is_one_way = rng.between(0, 2) == 0;
        let side: Vec<bool> = nodes.iter().map(|_| rng.between(0, 1) == 0).collect();
        for (a, from) in nodes.iter().enumerate() {
            for (b, to) in nodes.iter().enumerate() {
                if side[a] != side[b] && (!is_one_way || side[a]) {
                    self.cut.insert((*from, *to));
                }
            }
        }
    }

    /// Mends every link.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn is_partitioned(&self) -> bool {
        !self.cut.is_empty()
    }

    /// Brings in what is due by `now`.
    pub(super) fn deliver(&mut self, now: u64) {
        while let Some(flight) = self.flying.first_entry().filter(|flight| flight.key().0 <= now) {
            let message = flight.remove();
            if !self.cut.contains(&(message.from, message.to)) {
                self.inboxes.entry(message.to).or_default().push_back(Arrival::Message(message));
            }
        }
    }

    /// Tells a node that messages to a peer may have been lost.
    pub(super) fn report_unreachable(&mut self, node: NodeId, peer: NodeId) {
        self.inboxes.entry(node).or_default().push_back(Arrival::Unreachable(peer));
    }

    /// A crashed node receives nothing.
    pub(super) fn clear_inbox(&mut self, node: NodeId) {
        self.inboxes.remove(&node);
    }

    fn fly(&mut self, arrival: u64, message: Message) {
        self.sent += 1;
        self.flying.insert((arrival, self.sent), message);
    }
}

impl World {
    fn send(&mut self, message: Message) {
        self.checker.on_send(&message, &self.disks);
        let message = through_the_wire(message);
        let (mut copies, mut delay) = (1, 1);
        if self.is_hostile {
            if happens(&mut self.rng, self.plan.loss) {
                self.report.note("message lost");
                copies = 0;
            }
            if happens(&mut self.rng, self.plan.duplicate) {
                self.report.note("message duplicated");
                copies += self.rng.between(1, 3);
            }
            if happens(&mut self.rng, self.plan.replay) {
                self.replay();
            }
        }
        for _ in 0..copies {
            if self.is_hostile && happens(&mut self.rng, self.plan.delay) {
                self.report.note("message delayed");
                delay = u64::from(self.rng.between(1, self.plan.delay_steps_max));
            }
            self.network.fly(self.now + delay, message.clone());
        }
        let memory = &mut self.network.memory;
        if memory.len() < MEMORY {
            memory.push(message);
        } else if self.rng.between(0, 63) == 0 {
            memory[self.rng.between(0, 31) as usize] = message;
        }
    }

    fn replay(&mut self) {
        let count = u32::try_from(self.network.memory.len()).expect("a few");
        if count > 0 {
            self.report.note("message replayed");
            let at = self.rng.between(0, count - 1) as usize;
            let message = self.network.memory[at].clone();
            self.network.fly(self.now + 1, message);
        }
    }
}

/// One node's end of the network.
#[derive(Debug)]
pub(super) struct SimTransport {
    id: NodeId,
    world: Shared,
}

impl SimTransport {
    pub(super) fn new(id: NodeId, world: Shared) -> Self {
        Self { id, world }
    }
}

impl Transport for SimTransport {
    fn send(&mut self, message: Message) {
        self.world.borrow_mut().send(message);
    }

    fn poll(&mut self) -> Option<Arrival> {
        self.world.borrow_mut().network.inboxes.get_mut(&self.id)?.pop_front()
    }
}

/// Every message survives the wire as it is.
fn through_the_wire(message: Message) -> Message {
    let bytes = v1::Message::from(message.clone()).encode_to_vec();
    let wire = v1::Message::decode(&bytes[..]).expect("what was encoded can be decoded");
    let decoded = Message::try_from(wire).expect("what a node sends is well formed");
    assert_eq!(decoded, message, "a message changed on the wire");
    decoded
}
