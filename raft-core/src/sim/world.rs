//! What nodes share: time, the network, everybody's account, and the checker that sees it all.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;

use raft_proto::prost::Message as _;
use raft_proto::v1;

use super::checker::Checker;
use super::dice::Dice;
use super::digest::Digest;
use super::ledger::Ledger;
use super::network::Network;
use super::plan::Plan;
use super::report::Situations;
use super::story::Story;
use crate::words::entries::Entries;
use crate::words::ids::{NodeId, PersistId};
use crate::words::message::{Body, Message, SnapshotMeta};
use crate::words::persist::{Persist, Recovered};

/// The world outside of the nodes.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) dice: Dice,
    pub(super) plan: Plan,
    /// Faults strike.
    pub(super) is_hostile: bool,
    pub(super) network: Network,
    pub(super) ledgers: BTreeMap<NodeId, Ledger>,
    pub(super) checker: Checker,
    pub(super) situations: Situations,
    /// A digest of all that happened.
    pub(super) trace: Digest,
    pub(super) story: Story,
    /// The step of the last change of membership that somebody asked for.
    pub(super) changed_at: u64,
    /// From this step on, clients ask for nothing more.
    pub(super) quiet_from: u64,
    /// How many entries were committed when the faults ended.
    pub(super) committed_before_calm: u64,
}

impl World {
    pub(super) fn new(dice: Dice, plan: Plan) -> Self {
        Self {
            now: 0,
            dice,
            plan,
            is_hostile: true,
            network: Network::default(),
            ledgers: BTreeMap::new(),
            checker: Checker::default(),
            situations: Situations::default(),
            trace: Digest::new(),
            story: Story::default(),
            changed_at: 0,
            committed_before_calm: 0,
            quiet_from: 0,
        }
    }

    /// Opens an account for one more node.
    pub(super) fn add_node(&mut self) -> NodeId {
        let last = self.ledgers.keys().next_back().map_or(0, |id| id.get());
        let id = NodeId::new(last + 1);
        self.ledgers.insert(id, Ledger::default());
        id
    }

    /// A node sends a message.
    pub(super) fn send(&mut self, message: &Message) {
        self.checker.on_send(message, &self.ledgers);
        let message = through_the_wire(message, self.now, &mut self.trace);
        let mut copies = 1;
        if self.is_hostile {
            if let Body::TimeoutNow = message.body
                && self.dice.between(0, 1) == 0
            {
                // It may not hear that it has been replaced.
                self.network.deafen(message.from, self.ledgers.keys());
            }
            if self.dice.happens(self.plan.loss) {
                self.note("message lost");
                copies = 0;
            }
            if self.dice.happens(self.plan.duplicate) {
                self.note("message duplicated");
                copies += self.dice.between(1, 3);
            }
            if self.dice.happens(self.plan.replay)
                && let Some(old) = self.network.recall(&mut self.dice)
            {
                self.note("message replayed");
                self.network.fly(self.now + 1, old);
            }
        }
        for _ in 0..copies {
            let mut delay = 1;
            if self.is_hostile && self.dice.happens(self.plan.delay) {
                self.note("message delayed");
                delay = u64::from(self.dice.between(1, self.plan.delay_steps_max));
            }
            self.network.fly(self.now + delay, message.clone());
        }
        self.network.remember(message, &mut self.dice);
    }

    /// A node asks its store to make something durable.
    pub(super) fn persist(&mut self, node: NodeId, request: &Persist) {
        let ledger = self.ledgers.get_mut(&node).expect("every node has an account");
        ledger.on_persist(request);
        self.checker.on_persist(node, self.plan.is_witness(node), request, ledger.written());
        self.trace.number(node.get() ^ request.id.get() << 8);
    }

    /// A node's store reports that everything up to a request is durable.
    pub(super) fn persisted(&mut self, node: NodeId, id: PersistId) {
        self.ledger(node).on_persisted(id);
        self.trace.number(node.get() ^ id.get() << 8 ^ self.now << 32);
    }

    /// A node's store tells what it holds.
    pub(super) fn recover(
        &mut self,
        node: NodeId,
        recovered: &Recovered,
        entries: &[Entries],
        snapshot: Option<&SnapshotMeta>,
    ) {
        if let Err(details) = self.ledger(node).on_recover(recovered, entries, snapshot) {
            self.checker.violate("what was reported durable survives", format!("node {node}: {details}"));
        }
    }

    /// A node's account.
    pub(super) fn ledger(&mut self, node: NodeId) -> &mut Ledger {
        self.ledgers.get_mut(&node).expect("every node has an account")
    }

    /// Tells what happens, for whoever looks into a failure.
    pub(super) fn tell(&mut self, line: fmt::Arguments<'_>) {
        self.story.tell(self.now, line);
    }

    /// Notes that a situation was reached.
    pub(super) fn note(&self, situation: &'static str) {
        self.situations.note(situation);
    }
}

/// Every message survives the wire as it is.
fn through_the_wire(message: &Message, now: u64, trace: &mut Digest) -> Message {
    let bytes = v1::Message::from(message.clone()).encode_to_vec();
    trace.number(now);
    trace.bytes(&bytes);
    let wire = v1::Message::decode(&bytes[..]).expect("what was encoded can be decoded");
    let decoded = Message::try_from(wire).expect("what a node sends is well formed");
    assert_eq!(decoded, *message, "a message changed on the wire");
    decoded
}

/// How nodes' stores and transports reach the world.
pub(super) type Shared = Rc<RefCell<World>>;
