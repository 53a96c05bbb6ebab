//! What a leader's group may count on: whom it makes a voter has caught up (S36), and while it does not
//! know yet who keeps up, no witness has what the full voters lack.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use super::by_node::ByNode;
use super::ledger::Ledger;
use super::violation::Violation;
use crate::doors::raft::Raft;
use crate::words::ids::{LogIndex, NodeId, Term};
use crate::words::membership::{Member, Membership};

/// How long whoever leads has done so, by its own clock.
#[derive(Debug, Default)]
pub(super) struct Reigns(ByNode<Reign>);

#[derive(Debug, Default)]
struct Reign {
    term: Term,
    ticks: u32,
    /// What was durable at the leader at its last ticks, the oldest first.
    durable: VecDeque<LogIndex>,
}

impl Reigns {
    /// A node's clock has advanced.
    pub(super) fn on_tick(&mut self, raft: &Raft, ticks: u32, durable: LogIndex) {
        if !raft.is_leader() {
            self.0.remove(&raft.id());
            return;
        }
        let reign = self.0.or_default(raft.id());
        if reign.term != raft.term() {
            *reign = Reign { term: raft.term(), ..Reign::default() };
        }
        reign.ticks += ticks;
        for _ in 0..ticks {
            reign.durable.push_back(durable);
            if reign.durable.len() > remembered_ticks(raft) {
                reign.durable.pop_front();
            }
        }
    }

    /// A leader looks once in an election timeout who has what was durable at the last look. So whoever
    /// joins, and is made a voter, has what was durable before two of them.
    pub(super) fn check_promoted(
        &self,
        raft: &Raft,
        before: &Membership,
        ledgers: &ByNode<Ledger>,
    ) -> Result<(), Violation> {
        let Some(reign) = self.0.get(&raft.id()).filter(|reign| reign.term == raft.term()) else {
            return Ok(());
        };
        let Some(due) = reign.durable.front().filter(|_| reign.durable.len() >= remembered_ticks(raft))
        else {
            return Ok(());
        };
        let was_joining = |member: &&Member| member.role.joins_as().is_some();
        for id in before.members().iter().filter(was_joining).map(|member| member.id) {
            let last = ledgers[&id].last();
            if raft.membership().is_voter(id) && last < *due {
                let details =
                    format!("node {} makes {id} a voter, which ends at {last}, not {due}", raft.id());
                return Err(Violation::new("who joins has caught up", details));
            }
        }
        Ok(())
    }

    /// Until its first look, a leader takes all full voters to keep up: a witness has nothing of its term
    /// that they have not, all of them or a majority. Else the group could end with this leader.
    pub(super) fn check_witnesses(&self, raft: &Raft, ledgers: &ByNode<Ledger>) -> Result<(), Violation> {
        // In its first tick, a leader has none in its term.
        let reign = self.0.get(&raft.id()).filter(|reign| reign.term == raft.term());
        let ticks = reign.map_or(0, |reign| reign.ticks);
        if ticks >= raft.config().election_timeout_ticks_min {
            return Ok(());
        }
        let membership = raft.membership();
        let (witnesses, full): (Vec<NodeId>, Vec<NodeId>) =
            membership.voters().partition(|id| membership.is_witness(*id));
        let needed = full.len().min(membership.voters().count() / 2 + 1);
        for witness in witnesses {
            let last = ledgers[&witness].last_position();
            let holders = full.iter().filter(|id| ledgers[id].has(last)).count();
            if last.term == raft.term() && holders < needed {
                let details = format!("{witness} has {last}, as {holders} of {full:?} do");
                return Err(Violation::new("a witness has what full voters have", details));
            }
        }
        Ok(())
    }
}

fn remembered_ticks(raft: &Raft) -> usize {
    2 * raft.config().election_timeout_ticks_min as usize + 1
}
