//! A change of membership: what should be different afterwards.

use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

use super::error::ChangeError;
use super::ids::NodeId;
use super::membership::{Member, MemberRole, Membership, votes_incoming};

/// What should be different in a membership, in any combination; takes effect as one change.
///
/// ```
/// use raft_core::{MembershipChange, NodeId};
///
/// let [old, new] = [3, 4].map(NodeId::new);
/// let replace = MembershipChange::new().voter(new).context(new, "10.0.0.4:7000").remove(old);
/// # let _ = replace;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipChange {
    steps: Vec<Step>,
    stays_joint: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Role(NodeId, MemberRole),
    /// Unless it is already what it would become.
    Join(NodeId, MemberRole),
    Context(NodeId, Bytes),
    Domain(NodeId, u64),
    Remove(NodeId),
}

impl MembershipChange {
    /// Changes nothing yet; proposed like this it is refused.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// assert_eq!(raft.change_membership(&MembershipChange::new()), Err(ChangeError::NothingChanges));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a voter at once, or makes a member one. A new one counts in quorums before it can help
    /// them, until it has caught up; [`joining_voter`](Self::joining_voter) spares them that.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.change_membership(&MembershipChange::new().voter(NodeId::new(2)))?;
    /// assert!(raft.membership().is_joint()); // {1} and {1, 2} rule together until this is committed
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn voter(self, id: NodeId) -> Self {
        self.with(Step::Role(id, MemberRole::Voter))
    }

    /// Adds a learner, or makes a member one: it receives the log and counts in no quorum (diss. §4.2.1).
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.change_membership(&MembershipChange::new().learner(NodeId::new(2)))?;
    /// assert!(!raft.membership().is_voter(NodeId::new(2)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn learner(self, id: NodeId) -> Self {
        self.with(Step::Role(id, MemberRole::Learner))
    }

    /// Adds a member that becomes a voter once it has caught up, or lets a learner become one
    /// (diss. §4.2.1); a voter stays what it is.
    ///
    /// Until then it is a learner and no quorum waits for it. The leader, whoever that is by then,
    /// makes it a voter by itself, in a change like any other. [`learner`](Self::learner) or
    /// [`remove`](Self::remove) call that off.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.change_membership(&MembershipChange::new().joining_voter(NodeId::new(2)))?;
    /// assert_eq!(raft.membership().member(NodeId::new(2)).expect("added").role, MemberRole::Joining);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn joining_voter(self, id: NodeId) -> Self {
        self.with(Step::Join(id, MemberRole::Joining))
    }

    /// Adds a member that becomes a witness once it has caught up, as
    /// [`joining_voter`](Self::joining_voter) does for a voter; a witness stays what it is. So no quorum
    /// ever waits for a witness that nobody can reach.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.change_membership(&MembershipChange::new().joining_witness(NodeId::new(3)))?;
    /// assert!(!raft.membership().is_voter(NodeId::new(3)) && raft.membership().is_witness(NodeId::new(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn joining_witness(self, id: NodeId) -> Self {
        self.with(Step::Join(id, MemberRole::JoiningWitness))
    }

    /// Adds a witness at once: it votes and counts, but stores no payloads and cannot lead. If it cannot
    /// be reached, nothing may be committed any more; [`joining_witness`](Self::joining_witness) waits
    /// until it can. A member that is
    /// no witness cannot become one, nor the other way round: the payloads would be missing. Add
    /// another id and remove this one; and do not give a removed member's id to the other kind, for
    /// its node would refuse whatever it is sent.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.change_membership(&MembershipChange::new().witness(NodeId::new(3)))?;
    /// assert!(raft.membership().is_voter(NodeId::new(3)) && !raft.membership().can_lead(NodeId::new(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn witness(self, id: NodeId) -> Self {
        self.with(Step::Role(id, MemberRole::Witness))
    }

    /// Sets a member's context bytes, for instance its address. Every member has them, also after a
    /// restart or a snapshot; the core does not look at them.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.change_membership(&MembershipChange::new().context(id, "10.0.0.1:7000"))?;
    /// assert_eq!(raft.membership().member(id).expect("itself").context, "10.0.0.1:7000");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn context(self, id: NodeId, context: impl Into<Bytes>) -> Self {
        self.with(Step::Context(id, context.into()))
    }

    /// Sets a member's failure domain, for [`commit_domains_min`](crate::Config::commit_domains_min); zero, the
    /// default, is none.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.change_membership(&MembershipChange::new().domain(id, 7))?;
    /// assert_eq!(raft.membership().member(id).expect("itself").domain, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn domain(self, id: NodeId, domain: u64) -> Self {
        self.with(Step::Domain(id, domain))
    }

    /// Removes a member. A leader that removes itself hands over when the change is committed (Raft §6).
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// let stranger = NodeId::new(9);
    /// let refused = raft.change_membership(&MembershipChange::new().remove(stranger));
    /// assert_eq!(refused, Err(ChangeError::NotMember(stranger)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn remove(self, id: NodeId) -> Self {
        self.with(Step::Remove(id))
    }

    /// Stays in the joint configuration until told to [leave it](crate::Raft::leave_joint). By default the
    /// leader leaves by itself.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.change_membership(&MembershipChange::new().voter(NodeId::new(2)).stay_joint())?;
    /// assert!(!raft.membership().leaves_by_itself());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stay_joint(self) -> Self {
        Self { stays_joint: true, ..self }
    }

    /// Gives a member any role.
    pub(crate) fn role(self, id: NodeId, role: MemberRole) -> Self {
        self.with(Step::Role(id, role))
    }

    fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The membership to enter next: joint if the voters change (Raft §6), else the final one.
    pub(crate) fn enter(&self, current: &Membership) -> Result<Membership, ChangeError> {
        let target = self.target(current)?;
        // Without voters the target is refused as such, before it can be mixed with the old ones.
        let target = Membership::new(target)?;
        if target == *current {
            return Err(ChangeError::NothingChanges);
        }
        for member in target.members() {
            if current.member(member.id).is_some_and(|old| old.role.is_witness() != member.role.is_witness())
            {
                return Err(ChangeError::NotConvertible(member.id));
            }
        }
        if target.voters().eq(current.voters()) {
            return Ok(target);
        }
        let mut members: Vec<Member> = target.members().to_vec();
        for old in current.members().iter().filter(|member| votes_incoming(member)) {
            match members.iter_mut().find(|member| member.id == old.id) {
                Some(member) => member.outgoing_voter = true,
                None => {
                    let is_witness = old.role.is_witness();
                    let role = if is_witness { MemberRole::LeavingWitness } else { MemberRole::Leaving };
                    members.push(Member { role, outgoing_voter: true, ..old.clone() });
                }
            }
        }
        Ok(Membership::checked(members, true, !self.stays_joint)?)
    }

    fn target(&self, current: &Membership) -> Result<Vec<Member>, ChangeError> {
        let mut members = current.members().to_vec();
        for step in &self.steps {
            let id = match step {
                Step::Role(id, _)
                | Step::Join(id, _)
                | Step::Context(id, _)
                | Step::Domain(id, _)
                | Step::Remove(id) => *id,
            };
            let at = members.iter().position(|member| member.id == id);
            match (step, at) {
                (Step::Join(_, role), Some(at)) if role.joins_as() == Some(members[at].role) => {}
                (Step::Role(_, role) | Step::Join(_, role), Some(at)) => members[at].role = *role,
                (Step::Role(_, role) | Step::Join(_, role), None) => {
                    members.push(Member { role: *role, ..Member::voter(id) });
                }
                (Step::Context(_, context), Some(at)) => members[at].context = context.clone(),
                (Step::Domain(_, domain), Some(at)) => members[at].domain = *domain,
                (Step::Remove(_), Some(at)) => {
                    members.remove(at);
                }
                (Step::Context(..) | Step::Domain(..) | Step::Remove(_), None) => {
                    return Err(ChangeError::NotMember(id));
                }
            }
        }
        Ok(members)
    }
}

/// What a joint membership becomes when its outgoing configuration is gone.
pub(crate) fn leave(joint: &Membership) -> Membership {
    let stay = joint.members().iter().filter(|member| !member.role.is_leaving());
    let members = stay.map(|member| Member { outgoing_voter: false, ..member.clone() }).collect();
    Membership::new(members).expect("a checked joint membership has incoming voters")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::means::rng::Rng;

    fn random_step(rng: &mut Rng) -> MembershipChange {
        let (id, value) = (NodeId::new(u64::from(rng.between(1, 6))), rng.next() % 3);
        match rng.between(0, 5) {
            0 | 1 => MembershipChange::new().voter(id),
            2 => MembershipChange::new().learner(id),
            3 => MembershipChange::new().context(id, alloc::vec![b'x'; usize::from(value == 1)]),
            4 => MembershipChange::new().domain(id, value),
            _ => MembershipChange::new().remove(id),
        }
    }

    /// The membership that a change ends with, whether it goes through a joint one or not.
    fn outcome(change: &MembershipChange, current: &Membership) -> Result<Membership, ChangeError> {
        let entered = change.enter(current)?;
        let changes_voters = !entered.voters().eq(current.voters());
        assert_eq!(entered.is_joint(), changes_voters, "{entered:?} from {current:?}");
        if entered.is_joint() {
            assert!(entered.outgoing_voters().eq(current.voters()), "{entered:?} from {current:?}");
            Ok(leave(&entered))
        } else {
            Ok(entered)
        }
    }

    /// Raft §6, diss. §4.3: one change with many steps ends where the steps do that are made one by one.
    #[test]
    fn one_change_ends_where_its_steps_do() {
        let mut rng = Rng::new(3);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let start = Membership::of_voters((1..=rng.between(1, 4)).map(|id| NodeId::new(id.into())));
            let start = start.expect("valid ids");
            let (mut one_by_one, mut at_once) = (start.clone(), MembershipChange::new());
            for _ in 0..rng.between(1, 6) {
                let step = random_step(&mut rng);
                match outcome(&step, &one_by_one) {
                    Ok(next) => {
                        one_by_one = next;
                        at_once.steps.extend(step.steps);
                        taken += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
            match outcome(&at_once, &start) {
                Ok(end) => assert_eq!(end, one_by_one, "{at_once:?} from {start:?}"),
                Err(error) => assert_eq!((error, &start), (ChangeError::NothingChanges, &one_by_one)),
            }
        }
        assert!(taken > 10_000 && refused > 10_000, "{taken} steps taken, {refused} refused");
    }
}
