//! Faults around one node: crashes, pauses, partitions, and disks that are lost or spoilt.

use super::cluster::{Cluster, Seat};
use super::plan::STEPS_PER_TICK;
use super::recorder::MarkKind;
use super::subject::{Fate, Medium, Subject};
use crate::words::ids::NodeId;

/// How many disks a run loses at most.
const LOST_MAX: usize = 2;

/// A disk is lost only when nobody asked for another membership for so many steps, so that no change
/// that counts on it is under way.
const SETTLED_STEPS: u64 = 600;

impl<S: Subject> Cluster<S> {
    /// Lets faults strike around one node.
    pub(super) fn faults(&mut self, id: NodeId) {
        if !self.world.borrow().is_hostile {
            // Its medium may not have let it start at once.
            if self.seats[&id].node.is_none() && !self.away.contains(&id) {
                self.start(id);
            }
            return;
        }
        self.strike_network(id);
        self.ambush(id);
        let is_up = self.seats[&id].node.is_some();
        let (crash, restart, pause, campaign, snapshot, lose_state, lose_disk) = {
            let world = &mut *self.world.borrow_mut();
            let (dice, plan) = (&mut world.dice, &world.plan);
            (
                is_up && dice.happens(plan.crash),
                !is_up && dice.happens(plan.restart),
                is_up && dice.happens(plan.pause),
                is_up && dice.happens(plan.campaign),
                is_up && dice.happens(plan.snapshot),
                is_up && dice.happens(plan.lose_state),
                dice.happens(plan.lose_disk),
            )
        };
        if snapshot && let Some(node) = self.node(id) {
            // There may be nothing new to take one of.
            let _refusal = node.take_snapshot();
        }
        if lose_state && self.node(id).is_some_and(|node| node.request_snapshot().is_ok()) {
            self.world.borrow().note("snapshot requested");
        }
        if lose_disk && self.can_do_without(id) {
            self.crash(id);
            self.replace(id);
        } else if crash {
            self.crash(id);
            self.damage(id);
        } else if restart {
            self.start(id);
        } else if pause {
            let world = &mut *self.world.borrow_mut();
            world.note("pause");
            let until = world.now + u64::from(world.dice.between(10, 800));
            world.tell(MarkKind::Fault, Some(id), format_args!("node {id} pauses until step {until}"));
            self.seats.get_mut(&id).expect("every node has a seat").paused_until = until;
        } else if campaign && let Some(node) = self.node(id) {
            // A leader, and a node whose disk does not answer, say no; that is fine.
            if node.campaign().is_ok() {
                let text = format_args!("node {id} is told to campaign");
                self.world.borrow_mut().tell(MarkKind::Order, Some(id), text);
            }
        }
    }

    fn strike_network(&mut self, id: NodeId) {
        let world = &mut *self.world.borrow_mut();
        if world.dice.happens(world.plan.partition) {
            world.note("partition");
            world.network.partition(&self.ids, &mut world.dice);
            world.tell_of_cuts("the network is cut");
        }
        if world.network.is_partitioned() && world.trap.is_none() && world.dice.happens(world.plan.heal) {
            world.heal();
        }
        if world.dice.happens(world.plan.unreachable) {
            let peer = *world.dice.pick(&self.ids);
            world.network.report_unreachable(id, peer);
        }
    }

    /// The process ends. What its medium keeps, the medium decides.
    pub(super) fn crash(&mut self, id: NodeId) {
        #[cfg(feature = "trace")]
        self.collect_trace(id);
        let seat = self.seats.get_mut(&id).expect("every node has a seat");
        seat.medium.crash();
        seat.node = None;
        self.forget_requests(id);
        let world = &mut *self.world.borrow_mut();
        world.clear_inbox(id);
        world.note("crash");
        world.tell(MarkKind::Fault, Some(id), format_args!("node {id} crashes"));
        if world.ledger(id).is_waiting() {
            world.note("crash with unreported writes");
        }
    }

    /// Something durable decays while its node is down.
    fn damage(&mut self, id: NodeId) {
        let is_damaged = {
            let world = &mut *self.world.borrow_mut();
            world.dice.happens(world.plan.damage)
        };
        if is_damaged && self.can_do_without(id) {
            let seat = self.seats.get_mut(&id).expect("every node has a seat");
            if seat.medium.damage() {
                let world = &mut *self.world.borrow_mut();
                world.note("disk damaged");
                world.tell(MarkKind::Fault, Some(id), format_args!("the disk of node {id} is spoilt"));
                world.ledger(id).is_damaged = true;
                self.damaged = Some(id);
            }
        }
    }

    /// A node's store has failed.
    pub(super) fn on_fate(&mut self, id: NodeId, fate: Fate) {
        match fate {
            Fate::Restart => self.world.borrow().note("store failed"),
            Fate::Lost => {
                self.world.borrow().note("damage found");
                self.replace(id);
            }
            Fate::Violation(violation) => self.world.borrow_mut().checker.report(violation),
        }
    }

    /// Whether the group goes on if this node never returns: nobody else is missing, whoever has votes
    /// is running and agrees on the membership, and no change of it is under way.
    fn can_do_without(&self, id: NodeId) -> bool {
        let world = self.world.borrow();
        let is_spared = self.lost.len() >= LOST_MAX || self.damaged.is_some();
        if is_spared || world.now < world.changed_at + SETTLED_STEPS || world.plan.has_witnesses() {
            return false;
        }
        let Some(leader) = self.latest_leader() else { return false };
        let membership = leader.raft().membership();
        let is_agreed = self.ids.iter().filter(|other| **other != id).all(|other| {
            let node = self.seats[other].node.as_ref();
            node.is_some_and(|node| {
                node.raft().membership() == membership || membership.member(*other).is_none()
            })
        });
        let is_whole = self.lost.iter().all(|lost| membership.member(*lost).is_none());
        is_agreed && is_whole && !membership.is_joint() && membership.voters().count() > 2
    }

    /// A disk is gone for ever. Its node never returns; another one, with an empty disk and a new id,
    /// waits to be taken in in its place.
    fn replace(&mut self, id: NodeId) {
        self.seats.remove(&id);
        self.ids.retain(|other| *other != id);
        self.lost.push(id);
        self.damaged = None;
        let newcomer = {
            let world = &mut *self.world.borrow_mut();
            world.note("disk lost");
            world.tell(MarkKind::Fault, Some(id), format_args!("the disk of node {id} is lost for ever"));
            world.add_node()
        };
        let seat = {
            let world = &mut *self.world.borrow_mut();
            let mut medium = self.subject.medium(newcomer, world.dice.split(), &world.situations);
            if world.plan.has_calm_disks {
                medium.calm();
            }
            Seat::new(medium, u64::from(STEPS_PER_TICK))
        };
        self.seats.insert(newcomer, seat);
        self.ids.push(newcomer);
        self.start(newcomer);
    }
}
