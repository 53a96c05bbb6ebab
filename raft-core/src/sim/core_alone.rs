//! Faults end for a core of the nodes first: just enough to elect a leader and to commit. The others stay
//! down or cut off meanwhile, and the core has to serve without them.

use alloc::vec::Vec;

use super::cluster::{Cluster, SimNode};
use super::plan::is_joining;
use super::recorder::End;
use super::subject::Subject;
use super::violation::Violation;
use crate::doors::node::Node;
use crate::doors::raft::Raft;
use crate::means::quorum::{self, Tally};
use crate::words::ids::NodeId;
use crate::words::membership::Membership;

impl<S: Subject> Cluster<S> {
    /// Has a core of the nodes serve alone, if the seed wants that and it can be expected of fewer than
    /// all of them; whether it had to. Faults have ended for all; the others are to be brought back.
    pub(super) fn serve_by_core(&mut self) -> Result<bool, Violation> {
        let core = self.draw_core();
        let away: Vec<NodeId> = self.ids.iter().copied().filter(|id| !core.contains(id)).collect();
        if away.is_empty() {
            return Ok(false);
        }
        self.lose_messages();
        let (mut down, mut cut) = (Vec::new(), Vec::new());
        for id in &away {
            let is_down = self.world.borrow_mut().dice.between(0, 1) == 0;
            if is_down {
                self.crash(*id);
                down.push(*id);
            } else {
                self.leave_readers(*id);
                let world = &mut *self.world.borrow_mut();
                world.network.deafen(*id, self.ids.iter());
                world.network.mute(*id, self.ids.iter());
                cut.push(*id);
            }
        }
        self.world.borrow_mut().tell_of_cuts("only a core of the nodes is left");
        self.away = away;
        self.serve()?;
        let world = self.world.borrow();
        let voters = self.latest_leader().map(|leader| leader.raft().membership().clone());
        let has_voter = |ids: &[NodeId]| voters.iter().any(|all| ids.iter().any(|id| all.is_voter(*id)));
        if has_voter(&down) {
            world.note("served by a core while others were down");
        }
        if has_voter(&cut) {
            world.note("served by a core while others were cut off");
        }
        drop(world);
        self.away.clear();
        Ok(true)
    }

    /// Who is left: everybody but those whom the dice send away, as long as the rest can do without.
    fn draw_core(&mut self) -> Vec<NodeId> {
        let mut core: Vec<NodeId> = self.running().map(|node| node.raft().id()).collect();
        let is_wanted = {
            let world = &mut *self.world.borrow_mut();
            world.dice.happens(world.plan.absence)
        };
        // Of a disk that is spoilt, nobody knows yet what it lost.
        if !is_wanted || self.damaged.is_some() || !self.is_enough(&core) {
            return self.ids.clone();
        }
        for _ in 0..2 * core.len() {
            let leaver = *self.world.borrow_mut().dice.pick(&core);
            let rest: Vec<NodeId> = core.iter().copied().filter(|id| *id != leaver).collect();
            if self.is_enough(&rest) {
                core = rest;
            }
        }
        core
    }

    /// Whether a core can elect a leader and commit without anybody else: it has a quorum of the newest
    /// membership, and of each that one of its nodes goes by, for any of these may win with it.
    ///
    /// Whoever joins must be among them, for it may just have been seen to keep up: then it becomes a
    /// voter, and counts. Witnesses have no copies: they are sent nothing without a full voter of each
    /// configuration, and a stale one loses against a witness that has heard more. And while a change is
    /// under way, a voter of the new configuration may have an entry of a later leader that did not know
    /// of it: it refuses whoever needs its vote, and takes itself for a learner. So in both cases somebody
    /// must be able to win, which else follows from the quorum.
    fn is_enough(&self, core: &[NodeId]) -> bool {
        let is_in_core = |id: &NodeId| core.contains(id);
        let is_served = |membership: &Membership| {
            let halves = [membership.voters().collect(), membership.outgoing_voters().collect()];
            let has_quorum = |voters: &Vec<NodeId>| {
                let is_copy = |id: &NodeId| is_in_core(id) && !membership.is_witness(*id);
                let answers = voters.iter().map(|id| is_in_core(id).then_some(true));
                let has_copy = voters.is_empty() || voters.iter().any(is_copy);
                has_copy && quorum::tally(answers) == Tally::Won
            };
            let mut joining = membership.members().iter().filter(|member| is_joining(member));
            halves.iter().all(has_quorum) && joining.all(|member| is_in_core(&member.id))
        };
        // Perhaps nobody runs but who has heard nothing yet.
        let newest = self.running().map(Node::raft).max_by_key(|raft| raft.commit());
        let Some(newest) = newest.filter(|raft| raft.membership().voters().next().is_some()) else {
            return false;
        };
        let in_core = || self.running().map(Node::raft).filter(|raft| is_in_core(&raft.id()));
        let mut memberships = in_core().chain([newest]).map(Raft::membership);
        let is_agreed = in_core().all(|raft| raft.membership() == newest.membership());
        let is_sure = is_agreed && !self.world.borrow().plan.has_witnesses();
        memberships.all(is_served) && (is_sure || in_core().any(|raft| wins(raft, in_core())))
    }

    /// The nodes that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &SimNode<S>> {
        self.seats.values().filter_map(|seat| seat.node.as_ref())
    }

    /// Nothing arrives of what is under way: it may come from nodes that are left out, or be an entry of
    /// which no log has kept anything but which changes the membership.
    fn lose_messages(&mut self) {
        let world = &mut *self.world.borrow_mut();
        let (now, recorder) = (world.now, &mut world.recorder);
        world.network.lose_all(|number| {
            if let Some(recorder) = recorder {
                recorder.on_end(number, End::Lost, now);
            }
        });
    }
}

/// Whether the others would vote a node to be leader, for its log lacks nothing that theirs have, even if
/// what had happened to its disk before makes it crash now.
fn wins<'a>(raft: &Raft, voters: impl Iterator<Item = &'a Raft>) -> bool {
    let membership = raft.membership();
    let followers: Vec<NodeId> = voters.filter(|voter| voter.last() <= raft.last()).map(Raft::id).collect();
    let answer = |id: NodeId| followers.contains(&id).then_some(true);
    let outgoing = quorum::tally(membership.outgoing_voters().map(answer));
    let tally = quorum::tally(membership.voters().map(answer)).and(outgoing);
    let is_durable = raft.status().durable == raft.last().index;
    is_durable && membership.can_lead(raft.id()) && tally == Tally::Won
}
