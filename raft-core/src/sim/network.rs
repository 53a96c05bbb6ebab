//! A simulated network: loses, delays, duplicates, reorders, replays, and cuts links one way.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::by_node::ByNode;
use super::dice::Dice;
use crate::doors::transport::Arrival;
use crate::words::ids::NodeId;
use crate::words::message::Message;

/// The network between the nodes.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// By the step at which they arrive, with their numbers, in the order in which they were sent.
    flying: BTreeMap<u64, Vec<(u64, Message)>>,
    /// Numbers of those that were held back: they arrive at last, whatever links are cut by then.
    held_back: BTreeSet<u64>,
    sent: u64,
    /// What has arrived, messages with their number.
    inboxes: ByNode<VecDeque<(u64, Arrival)>>,
    /// Links that are cut, each in one direction.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Some old messages, to be replayed.
    memory: Vec<Message>,
}

/// How many old messages are remembered.
const MEMORY: usize = 32;
const MEMORY_LAST: u32 = 31;

impl Network {
    /// Cuts a random set of links.
    pub(super) fn partition(&mut self, nodes: &[NodeId], dice: &mut Dice) {
        let is_one_way = dice.between(0, 2) == 0;
        let side: Vec<bool> = nodes.iter().map(|_| dice.between(0, 1) == 0).collect();
        for (a, from) in nodes.iter().enumerate() {
            for (b, to) in nodes.iter().enumerate() {
                if side[a] != side[b] && (!is_one_way || side[a]) {
                    self.cut.insert((*from, *to));
                }
            }
        }
    }

    /// Cuts every link to a node; it can still be heard.
    pub(super) fn deafen<'a>(&mut self, node: NodeId, nodes: impl Iterator<Item = &'a NodeId>) {
        self.cut.extend(nodes.filter(|from| **from != node).map(|from| (*from, node)));
    }

    /// Cuts every link from a node; it can still hear.
    pub(super) fn mute<'a>(&mut self, node: NodeId, nodes: impl Iterator<Item = &'a NodeId>) {
        self.cut.extend(nodes.filter(|to| **to != node).map(|to| (node, *to)));
    }

    /// What is on its way to a node, or has arrived and was not taken in, arrives later, although the link
    /// may be cut by then.
    pub(super) fn hold_back(&mut self, node: NodeId, arrival: u64) {
        let mut held = Vec::new();
        for flights in self.flying.values_mut() {
            held.extend(flights.extract_if(.., |(_, message)| message.to == node));
        }
        for (number, arrived) in self.inboxes.remove(&node).unwrap_or_default() {
            if let Arrival::Message(message) = arrived {
                held.push((number, message));
            }
        }
        self.held_back.extend(held.iter().map(|(number, _)| *number));
        let flights = self.flying.entry(arrival).or_default();
        flights.extend(held);
        flights.sort_by_key(|(number, _)| *number);
    }

    /// Cuts one link, in one direction.
    pub(super) fn cut_link(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    /// Mends every link.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn is_partitioned(&self) -> bool {
        !self.cut.is_empty()
    }

    /// Brings in what is due by `now`, and tells the numbers of what gets lost on links that are cut.
    pub(super) fn deliver(&mut self, now: u64, mut on_cut: impl FnMut(u64)) {
        while let Some(flights) = self.flying.first_entry().filter(|flights| *flights.key() <= now) {
            for (number, message) in flights.remove() {
                let was_held_back = self.held_back.remove(&number);
                if self.cut.contains(&(message.from, message.to)) && !was_held_back {
                    on_cut(number);
                } else {
                    let inbox = self.inboxes.or_default(message.to);
                    inbox.push_back((number, Arrival::Message(message)));
                }
            }
        }
    }

    /// Tells a node that messages to a peer may have been lost.
    pub(super) fn report_unreachable(&mut self, node: NodeId, peer: NodeId) {
        self.inboxes.or_default(node).push_back((0, Arrival::Unreachable(peer)));
    }

    /// A crashed node receives nothing.
    pub(super) fn clear_inbox(&mut self, node: NodeId) {
        self.inboxes.remove(&node);
    }

    /// The next thing that arrived for a node, with its number if it is a message.
    pub(super) fn poll(&mut self, node: NodeId) -> Option<(u64, Arrival)> {
        self.inboxes.get_mut(&node)?.pop_front()
    }

    /// Loses everything that is under way, and tells the numbers.
    pub(super) fn lose_all(&mut self, mut on_lost: impl FnMut(u64)) {
        self.held_back.clear();
        let flying = core::mem::take(&mut self.flying).into_values().flatten().map(|(number, _)| number);
        let arrived = core::mem::take(&mut self.inboxes).into_values().flatten().map(|(number, _)| number);
        flying.chain(arrived).for_each(&mut on_lost);
    }

    /// Remembers a message, in place of an older one.
    pub(super) fn remember(&mut self, message: Message, dice: &mut Dice) {
        if self.memory.len() < MEMORY {
            self.memory.push(message);
        } else if dice.between(0, 63) == 0 {
            self.memory[dice.between(0, MEMORY_LAST) as usize] = message;
        }
    }

    /// A message that was sent before.
    pub(super) fn recall(&self, dice: &mut Dice) -> Option<Message> {
        let last = u32::try_from(self.memory.len().checked_sub(1)?).expect("a few messages");
        self.memory.get(dice.between(0, last) as usize).cloned()
    }

    /// A message is on its way, under the number that is returned.
    pub(super) fn fly(&mut self, arrival: u64, message: Message) -> u64 {
        self.sent += 1;
        self.flying.entry(arrival).or_default().push((self.sent, message));
        self.sent
    }

    /// The links that are cut.
    pub(super) fn cut_links(&self) -> &BTreeSet<(NodeId, NodeId)> {
        &self.cut
    }
}
