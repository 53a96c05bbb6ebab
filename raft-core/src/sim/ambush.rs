//! The worst that can happen to a leader that answers reads: another one, quickly and unheard.

use alloc::vec::Vec;

use super::cluster::Cluster;
use super::subject::Subject;
use crate::words::ids::NodeId;

impl<S: Subject> Cluster<S> {
    /// A leader hears nobody and is heard by nobody from now on. Of the others some restart, so that
    /// they forget whom they heard, and one campaigns at once, if it is free to.
    ///
    /// Chance alone brings all of that together too seldom, within the few ticks of a lease.
    pub(super) fn ambush(&mut self, leader: NodeId) {
        let leads = self.node(leader).is_some_and(|node| node.raft().is_leader());
        let others: Vec<NodeId> = self.ids.iter().copied().filter(|id| *id != leader).collect();
        let restarts: Vec<bool> = {
            let world = &mut *self.world.borrow_mut();
            if !leads || !world.dice.happens(world.plan.ambush) {
                return;
            }
            world.note("ambush");
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
