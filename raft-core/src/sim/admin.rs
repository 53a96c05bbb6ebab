//! What the administrator asks for: random changes of membership, and now and then the impossible.

use alloc::vec::Vec;

use super::plan::Plan;
use crate::means::rng::Rng;
use crate::words::change::MembershipChange;
use crate::words::ids::NodeId;
use crate::words::membership::{Member, MemberRole, Membership};

/// One of these nodes.
pub(super) fn pick(rng: &mut Rng, ids: &[NodeId]) -> NodeId {
    ids[rng.between(0, u32::try_from(ids.len() - 1).expect("a few nodes")) as usize]
}

/// A change of a few members; whoever was made to be a witness is only ever added as one.
pub(super) fn draw_change(rng: &mut Rng, plan: &Plan, ids: &[NodeId]) -> MembershipChange {
    let mut change = MembershipChange::new();
    for _ in 0..rng.between(1, 3) {
        let member = pick(rng, ids);
        change = match rng.between(0, 5) {
            0 => change.remove(member),
            _ if plan.is_witness(member) => change.witness(member),
            1 => change.learner(member),
            2 => change.joining_voter(member),
            _ => change.voter(member),
        };
    }
    if rng.between(0, 3) == 0 { change.stay_joint() } else { change }
}

/// A change that turns a witness into a full member, or the other way round, at once or by adding
/// what it removes.
pub(super) fn draw_conversion(rng: &mut Rng, membership: &Membership) -> MembershipChange {
    let ids: Vec<NodeId> = membership.members().iter().map(|member| member.id).collect();
    let member = pick(rng, &ids);
    let change = MembershipChange::new();
    let change = if rng.between(0, 1) == 0 { change } else { change.remove(member) };
    match (membership.is_witness(member), rng.between(0, 2)) {
        (false, _) => change.witness(member),
        (true, 0) => change.learner(member),
        (true, 1) => change.joining_voter(member),
        (true, _) => change.voter(member),
    }
}

/// Whether somebody joins, who will be a voter without being asked again.
pub(super) fn joining_count(membership: &Membership) -> usize {
    let is_joining = |member: &&Member| member.role == MemberRole::Joining;
    membership.members().iter().filter(is_joining).count()
}
