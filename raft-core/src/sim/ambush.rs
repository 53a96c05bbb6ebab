//! The worst that can happen to a leader that answers reads: another one, quickly and unheard.

use alloc::vec::Vec;

use super::cluster::Cluster;
use super::dice::Chance;
use super::plan::STEPS_PER_TICK;
use super::subject::Subject;
use crate::words::ids::NodeId;

/// How long the leader is stopped at most: long enough for somebody else to be elected and to commit.
const STOPPED_STEPS_MAX: u32 = 40 * STEPS_PER_TICK;

/// How much likelier an ambush is while the leader changes the membership or hands over: then it matters
/// most, and not for long.
const CHANGING_FACTOR: Chance = 16;

impl<S: Subject> Cluster<S> {
    /// A leader hears nobody and is heard by nobody from now on. Of the others some restart, so that
    /// they forget whom they heard, and one campaigns at once, if it is free to. Whoever joins with a
    /// joint configuration stays with the leader, which may have a majority of that half (S53).
    ///
    /// Or the leader is stopped, and what was on its way to it comes just after it goes on and was asked
    /// something: old answers, which confirm nothing that is new (S48, S49).
    ///
    /// Chance alone brings all of that together too seldom, within the few ticks of a lease.
    pub(super) fn ambush(&mut self, leader: NodeId) {
        self.spring(leader);
        let Some(raft) = self.node(leader).map(|node| node.raft()).filter(|raft| raft.is_leader()) else {
            return;
        };
        let (hands_over, commit) = (raft.transferee().is_some(), raft.commit());
        let strikes = {
            let world = &mut *self.world.borrow_mut();
            let is_changing = hands_over || world.ledger(leader).changes_behind(commit) > 0;
            world.dice.happens(world.plan.ambush * if is_changing { CHANGING_FACTOR } else { 1 })
        };
        if strikes {
            self.depose(leader);
        }
    }

    /// An order of this leader that came late is there: from now on nobody hears the leader.
    fn spring(&mut self, leader: NodeId) {
        let world = &mut *self.world.borrow_mut();
        if world.trap.take_if(|trap| trap.leader == leader && trap.due <= world.now).is_some() {
            world.network.deafen(leader, self.ids.iter());
            world.network.mute(leader, self.ids.iter());
            world.tell_of_cuts("a leader is ambushed");
        }
    }

    /// Somebody else is elected, and the leader does not hear of it.
    fn depose(&mut self, leader: NodeId) {
        let membership = self.node(leader).map(|node| node.raft().membership().clone()).unwrap_or_default();
        let outgoing: Vec<NodeId> = membership.outgoing_voters().collect();
        let joins = |id: &NodeId| membership.is_joint() && !outgoing.contains(id) && membership.is_voter(*id);
        let others: Vec<NodeId> = self.ids.iter().copied().filter(|id| *id != leader && !joins(id)).collect();
        let restarts: Vec<bool> = {
            let world = &mut *self.world.borrow_mut();
            world.note("ambush");
            if world.dice.between(0, 1) == 0 {
                world.note("answers held back");
                let goes_on = world.now + u64::from(world.dice.between(1, STOPPED_STEPS_MAX));
                world.network.hold_back(leader, goes_on + 2);
                self.seats.get_mut(&leader).expect("every node has a seat").paused_until = goes_on;
            }
            world.network.deafen(leader, others.iter());
            world.network.mute(leader, others.iter());
            world.tell_of_cuts("a leader is ambushed");
            others.iter().map(|_| world.dice.between(0, 1) == 0).collect()
        };
        for (id, restarts) in others.iter().zip(restarts) {
            if restarts && self.node(*id).is_some() {
                self.crash(*id);
                self.start(*id);
            }
        }
        // Whoever gave its word, has no vote or a disk that does not answer says no; that is fine.
        let _rival = others.into_iter().find(|id| self.node(*id).is_some_and(|node| node.campaign().is_ok()));
    }
}
