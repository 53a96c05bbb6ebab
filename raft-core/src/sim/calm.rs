//! The end of a run: faults stop, and the cluster must recover, agree, and keep its leader.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::checker::digest;
use super::cluster::{Cluster, SimNode};
use super::plan::{SNAPSHOT_BYTES_PER_TICK_MIN, SNAPSHOT_CHUNK_BYTES_MAX, STEPS_PER_TICK, joining_count};
use super::recorder::MarkKind;
use super::subject::{Medium, Subject};
use super::violation::Violation;
use crate::doors::node::Node;
use crate::doors::raft::Raft;
use crate::words::entries::EntryKind;
use crate::words::ids::{NodeId, Position, Term};
use crate::words::membership::Membership;

impl<S: Subject> Cluster<S> {
    /// Steps until something is committed. It may take long, for a leader may have much to send before,
    /// through a window of a few bytes or at a low rate; but never twenty election timeouts in a row in
    /// which no member has more of a snapshot than ever before, nor five in which no log becomes longer
    /// either, although a leader is missing or has something to commit. Low rates may make it
    /// longer.
    ///
    /// That ends: without a commit there are no newer snapshots, and each has an end.
    pub(super) fn serve(&mut self) -> Result<(), Violation> {
        let timeout_steps = self.world.borrow().plan.election_timeout_steps();
        // Sending is no faster where leases make timeouts short.
        let sending_steps = 20 * timeout_steps.max(USUAL_TIMEOUT_STEPS);
        let (mut sent_at, mut advanced_at, mut durable) = (0, 0, self.durable_sum());
        let mut transfers = BTreeMap::new();
        for step in 0.. {
            if step % u64::from(STEPS_PER_TICK) == 0 {
                if let Some(leader) = self.latest_leader().map(|node| node.raft().id()) {
                    self.propose(leader);
                }
                let now = self.durable_sum();
                if self.has_sent_more(&mut transfers) {
                    (sent_at, advanced_at) = (step, step);
                } else if now > durable || self.has_idle_leader() {
                    advanced_at = step;
                }
                let pause = self.pause_of_transfers(&transfers);
                if step - advanced_at > 5 * timeout_steps + pause || step - sent_at >= sending_steps + pause {
                    break;
                }
                // A follower may have cut off more than it was sent since.
                durable = now;
            }
            self.step()?;
            let world = self.world.borrow();
            if self.serving().any(|node| node.raft().commit().get() > world.committed_before_calm) {
                world.note(match step / timeout_steps {
                    0 => "served within one election timeout",
                    1..5 => "served within five election timeouts",
                    _ => "served after five election timeouts",
                });
                return Ok(());
            }
        }
        let states: Vec<_> = self.seats.values().map(|seat| seat.node.as_ref().map(Node::status)).collect();
        let details = format!("a timeout has {timeout_steps} steps, {states:?}");
        Err(Violation::new("a core without faults serves", details))
    }

    /// Whether clients ask for nothing just now: they may wait for answers that were lost.
    fn has_idle_leader(&self) -> bool {
        let leader = self.latest_leader().map(Node::raft);
        leader.is_some_and(|leader| leader.commit() == leader.last().index)
    }

    /// How much is durable, at all nodes together that have to serve.
    fn durable_sum(&self) -> u64 {
        self.serving().map(|node| node.status().durable.get()).sum()
    }

    /// Whether some member's store has taken more of some snapshot than ever before, as the leader knows.
    /// A transfer that begins anew gets there only once it has passed what was known: sending the same
    /// again and again is no progress.
    fn has_sent_more(&self, known: &mut BTreeMap<(NodeId, Position), u64>) -> bool {
        let Some(leader) = self.latest_leader() else { return false };
        let mut has_more = false;
        for peer in leader.raft().peers() {
            let Some(snapshot) = peer.snapshot else { continue };
            let most = known.entry((peer.id, snapshot.last)).or_default();
            has_more |= snapshot.acknowledged_bytes > *most;
            *most = snapshot.acknowledged_bytes.max(*most);
        }
        has_more
    }

    /// How many steps it may take until some member has more of a snapshot than ever before: a receiver
    /// that was restarted begins anew, and after a chunk to each of them the leader's rate has to catch up,
    /// by a clock that may be slow.
    fn pause_of_transfers(&self, known: &BTreeMap<(NodeId, Position), u64>) -> u64 {
        let Some(leader) = self.latest_leader() else { return 0 };
        let bytes = leader.raft().peers().filter_map(|peer| {
            let snapshot = peer.snapshot?;
            let most = known.get(&(peer.id, snapshot.last)).copied().unwrap_or_default();
            let lost = most.saturating_sub(snapshot.acknowledged_bytes);
            Some(lost + u64::from(SNAPSHOT_CHUNK_BYTES_MAX))
        });
        bytes.sum::<u64>() / u64::from(SNAPSHOT_BYTES_PER_TICK_MIN) * u64::from(STEPS_PER_TICK + 1)
    }

    /// Steps until everybody agrees.
    pub(super) fn settle(&mut self, steps_max: u64) -> Result<(), Violation> {
        for _ in 0..steps_max {
            self.step()?;
            if self.has_settled() {
                break;
            }
        }
        Ok(())
    }

    /// A node that campaigns while everybody hears the leader changes nothing (diss. §4.2.3, §9.6).
    pub(super) fn disturb(&mut self) -> Result<(), Violation> {
        let late_steps = {
            let world = &mut *self.world.borrow_mut();
            // An order to campaign that is still under way would be obeyed.
            world.trap.take().map_or(0, |trap| trap.due.saturating_sub(world.now))
        };
        for _ in 0..late_steps + u64::from(4 * STEPS_PER_TICK) {
            self.step()?;
        }
        let Some((leader, term)) = self.common_leader() else { return Ok(()) };
        // In the middle of a change, the leader may be on its way out.
        let membership = self.latest_leader().map(|node| node.raft().membership().clone());
        let stays = |membership: &Membership| !membership.is_joint() && membership.can_lead(leader);
        let Some(membership) = membership.filter(stays) else { return Ok(()) };
        if self.latest_leader().is_some_and(|node| node.raft().transferee().is_some()) {
            return Ok(());
        }
        if !self.is_undisturbed() {
            return Ok(());
        }
        let mut members = self.members_of(&membership).map(Node::raft);
        let rival = members.find(|raft| raft.id() != leader).map(Raft::id);
        drop(members);
        let Some(rival) = rival else { return Ok(()) };
        if self.node(rival).is_none_or(|node| node.campaign().is_err()) {
            return Ok(());
        }
        self.world.borrow().note("campaign against a live leader");
        for _ in 0..8 * STEPS_PER_TICK {
            self.step()?;
        }
        if self.common_leader() != Some((leader, term)) {
            let details = format!("node {leader} led term {term} until node {rival} campaigned");
            self.world.borrow_mut().checker.violate("a leader that is heard stays", details);
        }
        Ok(())
    }

    /// Whether everybody asks first who is not away. A node that does not, and was removed without knowing,
    /// disturbs as it likes.
    pub(super) fn is_undisturbed(&self) -> bool {
        self.serving().all(|node| node.raft().config().pre_vote)
    }

    /// Whom all members follow, if they do, and in which term.
    pub(super) fn common_leader(&self) -> Option<(NodeId, Term)> {
        let leader = self.latest_leader()?.raft();
        let common = (leader.id(), leader.term());
        let is_followed = self.members_of(leader.membership()).all(|node| {
            let raft = node.raft();
            raft.leader() == Some(common.0) && raft.term() == common.1
        });
        is_followed.then_some(common)
    }

    /// The leader of the highest term, of those who are not away.
    pub(super) fn latest_leader(&self) -> Option<&SimNode<S>> {
        self.serving().filter(|node| node.raft().is_leader()).max_by_key(|node| node.raft().term())
    }

    /// The nodes that run, and are not away.
    fn serving(&self) -> impl Iterator<Item = &SimNode<S>> {
        self.running().filter(|node| !self.away.contains(&node.raft().id()))
    }

    /// The running members of a membership.
    pub(super) fn members_of(&self, membership: &Membership) -> impl Iterator<Item = &SimNode<S>> {
        self.running().filter(|node| membership.member(node.raft().id()).is_some())
    }

    /// Faults end; every node comes back.
    pub(super) fn calm_down(&mut self, client_steps: u64) {
        {
            let world = &mut *self.world.borrow_mut();
            world.is_hostile = false;
            world.tell(MarkKind::Network, None, format_args!("faults end"));
            world.quiet_from = world.now + client_steps;
            world.committed_before_calm = world.checker.committed_count() as u64;
            world.heal();
        }
        for id in self.ids.clone() {
            let seat = self.seats.get_mut(&id).expect("every node has a seat");
            seat.paused_until = 0;
            seat.medium.calm();
            // Who waits for a snapshot does not campaign; it may be the only one who could.
            if self.node(id).is_some_and(|node| node.status().awaits_snapshot) {
                self.crash(id);
            }
            if self.seats[&id].node.is_none() {
                self.start(id);
            }
        }
    }

    /// Whether all nodes agree, and something was committed since the faults ended.
    fn has_settled(&self) -> bool {
        let world = self.world.borrow();
        let committed = world.checker.committed_count() as u64;
        let Some(leader) = self.latest_leader() else { return false };
        let membership = leader.raft().membership();
        let mut members = self.members_of(membership);
        let is_agreed = !membership.is_joint()
            && joining_count(membership) == 0
            && self.lost.iter().all(|lost| membership.member(*lost).is_none())
            && members.all(|node| node.status().applied.get() == committed);
        let is_member = |id: NodeId| membership.member(id).is_some();
        is_agreed && committed > world.committed_before_calm && self.requests.waiting_count(is_member) == 0
    }

    pub(super) fn check_end(&mut self) -> Result<(), Violation> {
        let has_settled = self.has_settled();
        let world = &mut *self.world.borrow_mut();
        if !has_settled {
            let states: Vec<_> =
                self.seats.values().map(|seat| seat.node.as_ref().map(Node::status)).collect();
            let waiting = self.requests.waiting_count(|_| true);
            world.checker.violate("liveness in calm times", format!("{waiting} wait, {states:?}"));
        }
        let counts = world.checker.count_commands();
        let count = |payload: &[u8]| counts.get(&digest(EntryKind::Command, payload)).copied();
        let result = self.subject.finish(&|payload| count(payload).unwrap_or_default());
        if let Err(violation) = result {
            world.checker.report(violation);
        }
        world.checker.violation().cloned().map_or(Ok(()), Err)
    }
}

/// The longest election timeout where there are no leases.
const USUAL_TIMEOUT_STEPS: u64 = 20 * STEPS_PER_TICK as u64;
