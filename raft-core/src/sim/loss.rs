//! A full voter is lost for ever, and its group goes on with a witness in its place.

use alloc::vec::Vec;

use super::cluster::Cluster;
use super::plan::STEPS_PER_TICK;
use super::subject::Subject;
use super::violation::Violation;
use crate::words::ids::NodeId;
use crate::words::membership::Membership;

impl<S: Subject> Cluster<S> {
    /// One full voter ends for good, the leader or another. What it did last it did alone: for a
    /// moment the other full voters hear nothing from the leader, while the witnesses do.
    ///
    /// All of them kept up, so whoever is left can be elected and goes on.
    pub(super) fn lose_full_voter(&mut self, steps_max: u64) -> Result<(), Violation> {
        let Some((leader, membership)) = self.leader_and_membership() else { return Ok(()) };
        let voters: Vec<NodeId> = membership.voters().collect();
        let full: Vec<NodeId> = voters.iter().copied().filter(|id| !membership.is_witness(*id)).collect();
        let has_quorum = (voters.len() - 1) * 2 > voters.len();
        if membership.is_joint() || full.len() == voters.len() || full.len() < 2 || !has_quorum {
            return Ok(());
        }
        // Long enough for everybody to be seen to keep up.
        for _ in 0..60 * STEPS_PER_TICK {
            self.step()?;
        }
        // Shorter than the time between two checks, or the leader would take them to be gone.
        let patience = self.latest_leader().map_or(0, |node| node.raft().config().election_timeout_ticks_min);
        let patience = patience.saturating_sub(3);
        let (silence, victim) = {
            let world = &mut *self.world.borrow_mut();
            let silence = u64::from(world.dice.between(0, patience * (STEPS_PER_TICK - 1)));
            let picked = world.dice.between(0, u32::try_from(full.len() - 1).expect("few")) as usize;
            let victim = if world.dice.between(0, 1) == 0 { leader } else { full[picked] };
            for deaf in full.iter().filter(|id| **id != leader) {
                world.network.cut_link(leader, *deaf);
            }
            world.tell_of_cuts("other full voters hear nothing from the leader");
            (silence, victim)
        };
        for step in 0..silence {
            if step % 4 == 0 {
                self.propose(leader);
            }
            self.step()?;
        }
        self.crash(victim);
        self.ids.retain(|id| *id != victim);
        {
            let world = &mut *self.world.borrow_mut();
            world.heal();
            world.committed_before_calm = world.checker.committed_count() as u64;
            world.note("full voter lost for ever");
        }
        self.settle(steps_max)
    }

    fn leader_and_membership(&self) -> Option<(NodeId, Membership)> {
        let leader = self.latest_leader()?.raft();
        Some((leader.id(), leader.membership().clone()))
    }
}
