//! In calm times, a leader that is told to hand over is followed by whom it was told.

use alloc::format;
use alloc::vec::Vec;

use super::cluster::Cluster;
use super::plan::STEPS_PER_TICK;
use super::subject::Subject;
use super::violation::Violation;
use crate::doors::node::Node;
use crate::words::ids::NodeId;

/// A transfer is given up after an election timeout. One of fewer ticks may be over before all disks
/// have answered.
const TIMEOUT_TICKS_MIN: u32 = 10;

impl<S: Subject> Cluster<S> {
    /// A leader hands over to a voter that lacks nothing (diss. §3.10). Neither the word that others
    /// gave for a lease, nor that they hear a leader, keeps them from electing it.
    pub(super) fn hand_over(&mut self) -> Result<(), Violation> {
        let Some((leader, heirs)) = self.leader_and_heirs() else { return Ok(()) };
        let Some(last) = u32::try_from(heirs.len()).ok().and_then(|count| count.checked_sub(1)) else {
            return Ok(());
        };
        let heir = heirs[self.world.borrow_mut().dice.between(0, last) as usize];
        if let Err(error) = self.node(leader).map_or(Ok(()), |node| node.transfer_leadership(heir)) {
            let details = format!("node {leader} does not hand over to {heir}: {error}");
            return Err(Violation::new("leadership is handed over", details));
        }
        for _ in 0..TIMEOUT_TICKS_MIN * STEPS_PER_TICK {
            self.step()?;
            if self.latest_leader().is_some_and(|node| node.raft().id() == heir) {
                self.world.borrow().note("leadership handed over in calm times");
                return Ok(());
            }
        }
        let now = self.latest_leader().map(|node| (node.raft().id(), node.raft().term()));
        let details = format!("node {leader} was told to hand over to {heir}, but {now:?} leads");
        Err(Violation::new("leadership is handed over", details))
    }

    /// Who leads and goes on doing so, and who has all that it has.
    fn leader_and_heirs(&self) -> Option<(NodeId, Vec<NodeId>)> {
        let (leader, term) = self.common_leader()?;
        let status = self.latest_leader()?.status();
        let membership = &status.membership;
        let is_settled = self.is_undisturbed()
            && !membership.is_joint()
            && membership.can_lead(leader)
            && status.transferee.is_none()
            && status.commit == status.last.index
            && self.latest_leader()?.raft().config().election_timeout_ticks_min >= TIMEOUT_TICKS_MIN;
        let heirs = self.members_of(membership).map(Node::status).filter(|other| {
            let has_all = other.term == term && other.last == status.last && other.durable == status.durable;
            other.id != leader && membership.can_lead(other.id) && has_all && !other.awaits_snapshot
        });
        let heirs = heirs.map(|other| other.id).collect();
        is_settled.then_some((leader, heirs))
    }
}
