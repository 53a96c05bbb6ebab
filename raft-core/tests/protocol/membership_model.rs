//! What a change makes of a membership, against a model that takes its steps by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;
use raft_core::{ChangeError, MemberRole, MembershipChange, MembershipError};

use crate::support::{Peer, node};

/// One step of a change, about the node of this id.
#[derive(Clone, Copy, Debug)]
enum Step {
    Voter(u64),
    Learner(u64),
    Remove(u64),
    Context(u64, u8),
    Domain(u64, u64),
}

/// A member as the model knows it: whether it votes, its context and its domain.
type Model = BTreeMap<u64, (bool, Vec<u8>, u64)>;

impl Step {
    fn add_to(self, change: MembershipChange) -> MembershipChange {
        match self {
            Self::Voter(id) => change.voter(node(id)),
            Self::Learner(id) => change.learner(node(id)),
            Self::Remove(id) => change.remove(node(id)),
            Self::Context(id, context) => change.context(node(id), vec![context]),
            Self::Domain(id, domain) => change.domain(node(id), domain),
        }
    }

    /// Takes the step; the id of who would have to be a member and is none.
    fn take(self, model: &mut Model) -> Result<(), u64> {
        match self {
            Self::Voter(id) => model.entry(id).or_default().0 = true,
            Self::Learner(id) => model.entry(id).or_default().0 = false,
            Self::Remove(id) => drop(model.remove(&id).ok_or(id)?),
            Self::Context(id, context) => model.get_mut(&id).ok_or(id)?.1 = vec![context],
            Self::Domain(id, domain) => model.get_mut(&id).ok_or(id)?.2 = domain,
        }
        Ok(())
    }
}

/// Steps about nodes 1 to 6, of whom 1 leads.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..=6_u64).prop_map(Step::Voter),
        (1..=6_u64).prop_map(Step::Learner),
        (1..=6_u64).prop_map(Step::Remove),
        (1..=6_u64, any::<u8>()).prop_map(|(id, context)| Step::Context(id, context)),
        (1..=6_u64, 0..3_u64).prop_map(|(id, domain)| Step::Domain(id, domain)),
    ];
    prop::collection::vec(step, 1..8)
}

/// Node 1 leads voters 1 to 3 in term 1, and is settled.
fn leader() -> Peer {
    let mut leader = Peer::voter(1, 3);
    leader.win(&[2, 3]);
    leader.acknowledge(&[2, 3]);
    leader
}

fn voters_of(model: &Model) -> Vec<u64> {
    model.iter().filter(|(_, (votes, ..))| *votes).map(|(id, _)| *id).collect()
}

/// The members in force: votes in the incoming configuration, context, domain.
fn members(peer: &Peer) -> Model {
    let members = peer.raft.membership().members().iter();
    let members = members.map(|member| {
        let votes = member.role == MemberRole::Voter;
        (member.id.get(), (votes, member.context.to_vec(), member.domain))
    });
    members.collect()
}

/// All that are members acknowledge, until nothing is left to be committed.
fn commit_all(leader: &mut Peer) {
    for _ in 0..3 {
        let others: Vec<u64> = members(leader).into_keys().filter(|id| *id != 1).collect();
        if leader.raft.is_leader() {
            leader.acknowledge(&others);
        }
    }
}

proptest! {
    /// Raft §6: any change, taken as one, ends in what its steps by hand end in. On the way the old
    /// and the new voters rule together if, and only if, they differ, and nobody else does. What
    /// cannot be is refused, and changes nothing.
    #[test]
    fn a_change_ends_in_what_its_steps_end_in(steps in steps()) {
        let mut leader = leader();
        let before = members(&leader);
        let mut model = before.clone();
        let taken: Result<(), u64> = steps.iter().try_for_each(|step| step.take(&mut model));
        let change = steps.iter().fold(MembershipChange::new(), |change, step| step.add_to(change));
        let result = leader.change(&change);
        if let Err(stranger) = taken {
            prop_assert_eq!(result, Err(ChangeError::NotMember(node(stranger))));
            prop_assert_eq!(members(&leader), before);
        } else if voters_of(&model).is_empty() {
            let no_voters = MembershipError::NoVoters { outgoing: false };
            prop_assert_eq!(result, Err(ChangeError::Membership(no_voters)));
            prop_assert_eq!(members(&leader), before);
        } else if model == before {
            prop_assert_eq!(result, Err(ChangeError::NothingChanges));
        } else {
            prop_assert!(result.is_ok());
            let differ = voters_of(&model) != voters_of(&before);
            let outgoing = if differ { voters_of(&before) } else { Vec::new() };
            prop_assert_eq!(leader.voters(), (outgoing, voters_of(&model)));
            commit_all(&mut leader);
            prop_assert!(!leader.raft.membership().is_joint());
            prop_assert_eq!(members(&leader), model);
            prop_assert_eq!(leader.raft.commit(), leader.raft.last().index);
        }
    }

    /// Diss. §4.3: one joint change ends where the same steps end that are taken one at a time, each
    /// of them as a change of its own, as long as each of them could be taken.
    #[test]
    fn one_change_ends_where_single_ones_end(steps in steps()) {
        let is_about_leader = |step: &Step| matches!(step, Step::Learner(1) | Step::Remove(1));
        let steps: Vec<Step> = steps.into_iter().filter(|step| !is_about_leader(step)).collect();
        let mut single = leader();
        for step in &steps {
            match single.change(&step.add_to(MembershipChange::new())) {
                Ok(_) => commit_all(&mut single),
                Err(ChangeError::NothingChanges) => {}
                Err(error) => {
                    prop_assert!(matches!(error, ChangeError::NotMember(_)), "{}", error);
                    return Ok(());
                }
            }
        }
        let mut joint = leader();
        let change = steps.iter().fold(MembershipChange::new(), |change, step| step.add_to(change));
        match joint.change(&change) {
            Ok(_) => commit_all(&mut joint),
            Err(error) => prop_assert_eq!(error, ChangeError::NothingChanges),
        }
        prop_assert_eq!(joint.raft.membership(), single.raft.membership());
    }

    /// S31: what was entered and cut off leaves no trace, at whatever point, restarted or not.
    #[test]
    fn a_change_that_is_cut_off_leaves_no_trace(steps in steps(), acknowledged in 0..3_u32, restarts: bool) {
        let mut leader = leader();
        let change = steps.iter().fold(MembershipChange::new(), |change, step| step.add_to(change));
        let mut history = vec![(leader.raft.commit(), leader.raft.membership().clone())];
        if leader.change(&change).is_err() {
            return Ok(());
        }
        history.push((leader.raft.last().index, leader.raft.membership().clone()));
        for _ in 0..acknowledged {
            let others: Vec<u64> = members(&leader).into_keys().filter(|id| *id != 1).collect();
            if !leader.raft.is_leader() {
                break;
            }
            leader.acknowledge(&others);
            if leader.raft.last().index > history[history.len() - 1].0 {
                history.push((leader.raft.last().index, leader.raft.membership().clone()));
            }
        }
        let commit = leader.raft.commit();
        if restarts {
            leader.restart();
        }
        // Another leader cuts off all that was not committed.
        let prev = crate::support::at(1, commit.get());
        leader.hear(9, 2, crate::support::append(prev, commit.get(), &[2]));
        let (_, expected) = history.iter().rfind(|(index, _)| *index <= commit).expect("the first one is");
        prop_assert_eq!(leader.raft.membership(), expected);
    }
}
