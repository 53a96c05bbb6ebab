//! What nodes share: time, the network, everybody's disk, and the checker that sees it all.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;

use raft_proto::bytes::Bytes;
use raft_proto::prost::Message as _;
use raft_proto::v1;

use super::checker::Checker;
use super::disk::Disk;
use super::network::Network;
use super::plan::{Plan, happens};
use super::report::Report;
use crate::means::rng::Rng;
use crate::mem::MemLog;
use crate::words::ids::NodeId;
use crate::words::message::{Body, Message, SnapshotMeta};
use crate::words::persist::Persist;

/// The world outside of the nodes.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    /// Faults strike.
    pub(super) is_hostile: bool,
    pub(super) network: Network,
    pub(super) disks: BTreeMap<NodeId, Disk>,
    pub(super) checker: Checker,
    pub(super) report: Report,
    /// From this step on, clients ask for nothing more.
    pub(super) quiet_from: u64,
    /// How many entries were committed when the faults ended.
    pub(super) committed_before_calm: u64,
}

impl World {
    /// A node sends a message.
    pub(super) fn send(&mut self, message: &Message) {
        self.checker.on_send(message, &self.disks);
        let message = through_the_wire(message);
        let mut copies = 1;
        if self.is_hostile {
            if let Body::TimeoutNow = message.body
                && self.rng.between(0, 1) == 0
            {
                // It may not hear that it has been replaced.
                self.network.deafen(message.from, self.disks.keys());
            }
            if happens(&mut self.rng, self.plan.loss) {
                self.report.note("message lost");
                copies = 0;
            }
            if happens(&mut self.rng, self.plan.duplicate) {
                self.report.note("message duplicated");
                copies += self.rng.between(1, 3);
            }
            if happens(&mut self.rng, self.plan.replay)
                && let Some(old) = self.network.recall(&mut self.rng)
            {
                self.report.note("message replayed");
                self.network.fly(self.now + 1, old);
            }
        }
        for _ in 0..copies {
            let mut delay = 1;
            if self.is_hostile && happens(&mut self.rng, self.plan.delay) {
                self.report.note("message delayed");
                delay = u64::from(self.rng.between(1, self.plan.delay_steps_max));
            }
            self.network.fly(self.now + delay, message.clone());
        }
        self.network.remember(message, &mut self.rng);
    }

    /// A node asks its disk to make something durable.
    pub(super) fn persist(&mut self, node: NodeId, request: Persist, written: &MemLog) {
        self.checker.on_persist(node, self.plan.is_witness(node), &request, written);
        let steps = u64::from(self.rng.between(0, self.plan.disk_steps_max));
        let disk = self.disks.get_mut(&node).expect("every node has a disk");
        if self.is_hostile && happens(&mut self.rng, self.plan.disk_stall) {
            disk.stall(self.now + u64::from(self.rng.between(10, 600)));
            self.report.note("disk stall");
        }
        disk.write(self.now + steps, request);
    }
}

impl World {
    /// A node makes a snapshot durable; whether the medium has room for it.
    pub(super) fn write_snapshot(&mut self, node: NodeId, meta: SnapshotMeta, state: Bytes) -> bool {
        if self.is_hostile && happens(&mut self.rng, self.plan.snapshot_fail) {
            return false;
        }
        let steps = u64::from(self.rng.between(0, 4 * self.plan.disk_steps_max));
        let disk = self.disks.get_mut(&node).expect("every node has a disk");
        disk.write_snapshot(self.now + steps, meta, state);
        true
    }
}

/// Every message survives the wire as it is.
fn through_the_wire(message: &Message) -> Message {
    let bytes = v1::Message::from(message.clone()).encode_to_vec();
    let wire = v1::Message::decode(&bytes[..]).expect("what was encoded can be decoded");
    let decoded = Message::try_from(wire).expect("what a node sends is well formed");
    assert_eq!(decoded, *message, "a message changed on the wire");
    decoded
}

/// How nodes' stores and transports reach the world.
pub(super) type Shared = Rc<RefCell<World>>;
