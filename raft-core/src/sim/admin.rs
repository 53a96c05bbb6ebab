//! What the administrator asks for: random changes of membership, and now and then the impossible.

use alloc::format;
use alloc::vec::Vec;

use super::caption::members;
use super::cluster::Cluster;
use super::dice::Dice;
use super::plan::{Plan, joining_count};
use super::recorder::MarkKind;
use super::subject::Subject;
use super::world::World;
use crate::doors::node::Node;
use crate::doors::state_machine::StateMachine;
use crate::doors::store::SnapshotStore;
use crate::doors::transport::Transport;
use crate::words::change::MembershipChange;
use crate::words::ids::NodeId;
use crate::words::membership::Membership;

impl<S: Subject> Cluster<S> {
    /// An administrator changes settings and the membership, and moves leadership about.
    pub(super) fn administer(&mut self, id: NodeId) {
        let world = &mut *self.world.borrow_mut();
        let Some(node) = self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut()) else { return };
        if world.is_hostile && world.dice.happens(world.plan.settings) {
            let result = node.update_config(|config| world.plan.vary(config, &mut world.dice));
            result.expect("what a node may start with it may change to");
            world.checker.bounds.on_settings(node.raft());
            world.note("settings changed");
            world.tell(MarkKind::Order, Some(id), format_args!("settings of node {id} change"));
        }
        if !node.raft().is_leader() {
            return;
        }
        let membership = node.raft().membership();
        if membership.is_joint() && !membership.leaves_by_itself() {
            if !world.is_hostile || world.dice.between(0, 63) == 0 {
                // Refused until the joint configuration is committed; asked again later.
                let _refusal = node.leave_joint();
            }
            return;
        }
        // What a core can do without is settled before it has to.
        if !self.away.is_empty() {
            return;
        }
        if let Some(lost) = self.lost.iter().find(|lost| membership.member(**lost).is_some()) {
            // Nothing else is changed meanwhile: the group could not afford to miss another one.
            let newcomer = self.ids.iter().find(|other| membership.member(**other).is_none());
            if world.dice.between(0, 63) == 0 {
                let change = MembershipChange::new().remove(*lost);
                let change = newcomer.into_iter().fold(change, |change, id| change.voter(*id));
                if node.change_membership(&change).is_ok() {
                    world.changed_at = world.now;
                    world.note("lost member replaced");
                    world.tell(MarkKind::Order, Some(id), format_args!("lost node {lost} is replaced"));
                }
            }
            return;
        }
        if world.is_hostile {
            change(world, node, &self.ids, self.damaged.is_some());
        }
    }
}

/// Changes the membership and moves leadership about, as the plan has it.
fn change<L: SnapshotStore, T: Transport, M: StateMachine>(
    world: &mut World,
    node: &mut Node<L, T, M>,
    ids: &[NodeId],
    is_settled: bool,
) {
    let id = node.raft().id();
    let (dice, plan) = (&mut world.dice, &world.plan);
    if dice.happens(plan.change) && !is_settled {
        if dice.between(0, 7) == 0 {
            match node.change_membership(&draw_conversion(dice, node.raft().membership())) {
                Ok(_) => world.checker.violate("no member turns", format!("node {id} let one")),
                Err(_) => world.situations.note("conversion refused"),
            }
        }
        let joining = joining_count(node.raft().membership());
        if node.change_membership(&draw_change(dice, plan, ids)).is_ok() {
            world.changed_at = world.now;
            let membership = node.raft().membership();
            if membership.is_joint() {
                world.situations.note("joint configuration");
            }
            if joining_count(membership) > joining {
                world.situations.note("joining voter");
            }
            let text = format_args!("node {id} changes the membership: {}", members(membership));
            world.tell(MarkKind::Order, Some(id), text);
        }
    }
    let (dice, plan) = (&mut world.dice, &world.plan);
    // Just when the order to campaign may have left.
    if node.raft().transferee().is_some() && dice.between(0, 255) == 0 && node.abort_transfer() {
        world.situations.note("transfer called off");
        world.tell(MarkKind::Order, Some(id), format_args!("node {id} is told to lead on"));
        return;
    }
    if dice.happens(plan.transfer) {
        let heir = *dice.pick(ids);
        match node.transfer_leadership(heir) {
            Ok(()) if plan.is_witness(heir) => {
                world.checker.violate("a witness cannot lead", format!("node {id} hands over to {heir}"));
            }
            Ok(()) => {
                world.situations.note("transfer");
                let text = format_args!("node {id} is told to hand over to {heir}");
                world.tell(MarkKind::Order, Some(id), text);
            }
            Err(_) => {}
        }
    }
}

/// A change of a few members; whoever was made to be a witness is only ever added as one.
pub(super) fn draw_change(dice: &mut Dice, plan: &Plan, ids: &[NodeId]) -> MembershipChange {
    let mut change = MembershipChange::new();
    for _ in 0..dice.between(1, 3) {
        let member = *dice.pick(ids);
        change = match dice.between(0, 5) {
            0 => change.remove(member),
            1 | 2 if plan.is_witness(member) => change.joining_witness(member),
            _ if plan.is_witness(member) => change.witness(member),
            1 => change.learner(member),
            2 => change.joining_voter(member),
            _ => change.voter(member),
        };
    }
    if dice.between(0, 3) == 0 { change.stay_joint() } else { change }
}

/// A change that turns a witness into a full member, or the other way round, at once or by adding
/// what it removes.
pub(super) fn draw_conversion(dice: &mut Dice, membership: &Membership) -> MembershipChange {
    let ids: Vec<NodeId> = membership.members().iter().map(|member| member.id).collect();
    let member = *dice.pick(&ids);
    let change = MembershipChange::new();
    let change = if dice.between(0, 1) == 0 { change } else { change.remove(member) };
    match (membership.is_witness(member), dice.between(0, 2)) {
        (false, _) => change.witness(member),
        (true, 0) => change.learner(member),
        (true, 1) => change.joining_voter(member),
        (true, _) => change.voter(member),
    }
}
