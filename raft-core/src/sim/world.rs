//! What nodes share: time, the network, everybody's account, and the checker that sees it all.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use raft_proto::prost::Message as _;
use raft_proto::v1;

use super::by_node::ByNode;
use super::checker::Checker;
use super::dice::Dice;
use super::digest::Digest;
use super::ledger::Ledger;
use super::network::Network;
use super::plan::Plan;
use super::recorder::{End, Flight, MarkKind, Origin, Recorder};
use super::report::Situations;
use crate::doors::transport::Arrival;
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
    pub(super) ledgers: ByNode<Ledger>,
    pub(super) checker: Checker,
    pub(super) situations: Situations,
    /// A digest of all that happened.
    pub(super) trace: Digest,
    /// Writes down what happens, if somebody wants to look into it. Whatever it is told costs nothing
    /// without one.
    pub(super) recorder: Option<Box<Recorder>>,
    /// The step of the last change of membership that somebody asked for.
    pub(super) changed_at: u64,
    /// From this step on, clients ask for nothing more.
    pub(super) quiet_from: u64,
    /// How many entries were committed when the faults ended.
    pub(super) committed_before_calm: u64,
    pub(super) trap: Option<Trap>,
}

/// A leader that hands over will be ambushed just when its order, which is late, gives it a rival.
#[derive(Debug)]
pub(super) struct Trap {
    pub(super) leader: NodeId,
    pub(super) due: u64,
}

impl World {
    pub(super) fn new(dice: Dice, plan: Plan) -> Self {
        let checker = Checker::new(plan.founders());
        Self {
            now: 0,
            dice,
            plan,
            is_hostile: true,
            network: Network::default(),
            ledgers: ByNode::default(),
            checker,
            situations: Situations::default(),
            trace: Digest::new(),
            recorder: None,
            changed_at: 0,
            committed_before_calm: 0,
            quiet_from: 0,
            trap: None,
        }
    }

    /// Opens an account for one more node.
    pub(super) fn add_node(&mut self) -> NodeId {
        let last = self.ledgers.iter().next_back().map_or(0, |(id, _)| id.get());
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
            if let Body::TimeoutNow = message.body {
                match self.dice.between(0, 3) {
                    0 | 1 => {
                        // It may not hear that it has been replaced.
                        let all: Vec<NodeId> = self.ledgers.iter().map(|(id, _)| id).collect();
                        self.network.deafen(message.from, all.iter());
                        self.tell_of_cuts("a leader that hands over hears nobody");
                    }
                    2 if self.plan.ambush > 0 => return self.delay_order(&message),
                    _ => {}
                }
            }
            if self.dice.happens(self.plan.loss) {
                self.note("message lost");
                copies = 0;
                self.fly(self.now + 1, &message, Origin::Node, End::Lost);
            }
            if self.dice.happens(self.plan.duplicate) {
                self.note("message duplicated");
                copies += self.dice.between(1, 3);
            }
            if self.dice.happens(self.plan.replay)
                && let Some(old) = self.network.recall(&mut self.dice)
            {
                self.note("message replayed");
                self.fly(self.now + 1, &old, Origin::Replay, End::UnderWay);
            }
        }
        for at in 0..copies {
            let mut delay = 1;
            if self.is_hostile && self.dice.happens(self.plan.delay) {
                self.note("message delayed");
                delay = u64::from(self.dice.between(1, self.plan.delay_steps_max));
            }
            let origin = if at == 0 { Origin::Node } else { Origin::Duplicate };
            self.fly(self.now + delay, &message, origin, End::UnderWay);
        }
        self.network.remember(message, &mut self.dice);
    }

    /// A leader's order to its heir arrives only after the leader has given up handing over (S51, S55). Until
    /// then some of the others do not hear the leader, so they may not know that it has.
    fn delay_order(&mut self, order: &Message) {
        self.note("order held back");
        let timeout = u32::try_from(self.plan.election_timeout_steps()).unwrap_or(u32::MAX);
        let due = self.now + u64::from(self.dice.between(timeout / 2, timeout));
        let others: Vec<NodeId> =
            self.ledgers.iter().map(|(id, _)| id).filter(|id| *id != order.to).collect();
        let cut: Vec<NodeId> = others.into_iter().filter(|_| self.dice.between(0, 3) > 0).collect();
        self.network.deafen(order.from, cut.iter());
        self.network.mute(order.from, cut.iter());
        self.tell_of_cuts("a leader's order comes late");
        self.trap = Some(Trap { leader: order.from, due });
        self.fly(due, order, Origin::Node, End::UnderWay);
    }

    /// A copy of a message is on its way, unless it is lost already.
    fn fly(&mut self, due: u64, message: &Message, origin: Origin, end: End) {
        let number = match end {
            End::UnderWay => self.network.fly(due, message.clone()),
            End::TakenIn | End::Lost | End::Cut | End::Crashed => 0,
        };
        self.record(|recorder, sent| {
            recorder.on_send(number, Flight { message: message.clone(), origin, sent, due, ended: due, end });
        });
    }

    /// Messages arrive that are due.
    pub(super) fn deliver(&mut self) {
        let (now, recorder) = (self.now, &mut self.recorder);
        self.network.deliver(now, |number| {
            if let Some(recorder) = recorder {
                recorder.on_end(number, End::Cut, now);
            }
        });
    }

    /// A node takes in the next thing that arrived for it.
    pub(super) fn poll(&mut self, node: NodeId) -> Option<Arrival> {
        let (number, arrival) = self.network.poll(node)?;
        self.record(|recorder, now| recorder.on_end(number, End::TakenIn, now));
        Some(arrival)
    }

    /// A crashed node receives nothing of what had arrived.
    pub(super) fn clear_inbox(&mut self, node: NodeId) {
        self.network.clear_inbox(node);
        self.record(|recorder, now| recorder.on_crash(node, now));
    }

    /// A node asks its store to make something durable.
    pub(super) fn persist(&mut self, node: NodeId, request: &Persist) {
        self.record(|recorder, _| recorder.on_persist(request));
        if let Some(new) = &request.mark {
            self.checker.marks.say(new.mark.last.index, &new.mark.membership);
        }
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

    /// A node has written a snapshot to its end.
    pub(super) fn snapshot_finished(&mut self, node: NodeId, meta: &SnapshotMeta) {
        self.checker.marks.say(meta.last.index, &meta.membership);
        self.ledger(node).on_snapshot_finished(meta);
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

    /// Has something written down, if anything is.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut Recorder, u64)) {
        if let Some(recorder) = &mut self.recorder {
            write(recorder, self.now);
        }
    }

    /// Tells what happens, at a node or to the network, for whoever looks into it.
    pub(super) fn tell(&mut self, kind: MarkKind, node: Option<NodeId>, line: fmt::Arguments<'_>) {
        self.record(|recorder, now| recorder.on_mark(now, kind, node, line));
    }

    /// Tells which links are cut now.
    pub(super) fn tell_of_cuts(&mut self, why: &str) {
        if let Some(recorder) = &mut self.recorder {
            let links: Vec<_> =
                self.network.cut_links().iter().map(|(from, to)| format!("{from}→{to}")).collect();
            let line = format_args!("{why}: {}", links.join(" "));
            recorder.on_mark(self.now, MarkKind::Network, None, line);
        }
    }

    /// Mends every link.
    pub(super) fn heal(&mut self) {
        if self.network.is_partitioned() {
            self.tell(MarkKind::Network, None, format_args!("the network is mended"));
        }
        self.network.heal();
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
