//! Changes of role, and nothing else: the only place where a node becomes something.

use alloc::boxed::Box;

use crate::books::lease::Lease;
use crate::books::origins::Origins;
use crate::books::progress::ProgressMap;
use crate::books::reads::ReadQueue;
use crate::books::role::{Campaign, Follower, Leader, Role};
use crate::corridor::Machine;
use crate::rooms::{election, proposing, reading, replication};
use crate::words::entries::{Entries, EntryKind};
use crate::words::error::CampaignError;
use crate::words::ids::{NodeId, Position, Term};
use crate::words::notice::{Notice, StepDown};

impl Machine {
    /// Follows `leader`, or waits for one, in `term`. The vote of the same term stays (S2).
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        let (was, known) = (self.role.name(), self.leader());
        assert!(term >= self.books.term(), "term {term} after {}", self.books.term());
        let is_new_term = term > self.books.term();
        if is_new_term {
            self.enter_term(term);
        }
        let keeps_role = matches!(&self.role, Role::Follower(_)) && !is_new_term;
        if keeps_role && known == leader {
            return;
        }
        // A candidacy that is over is not announced any more.
        self.books.outbox.drop_held();
        self.leave_leader(leader);
        let done = self.books.local_reads.done;
        // A term that is merely heard of is no reason to wait longer: candidates that nobody can elect
        // would keep those from standing who could win (Raft figure 2, "rules for followers").
        if leader.is_some() || matches!(&self.role, Role::Leader(_)) {
            self.books.reset_clock();
        }
        self.role = Role::Follower(Follower::new(leader, self.books.commit(), done));
        if was != self.role.name() || is_new_term {
            self.notice_role();
        }
        if let Some(leader) = leader {
            self.books.outbox.notice(Notice::Leader { leader, term });
        }
    }

    /// Steps down in the same term, or into a later one.
    pub(super) fn step_down(&mut self, cause: StepDown, term: Term) {
        if let Role::Leader(_) = &self.role {
            self.books.outbox.notice(Notice::SteppedDown { cause, term: self.books.term() });
        }
        self.become_follower(term, None);
    }

    /// Stands for election, or first asks whether it could win (diss. §9.6).
    pub(crate) fn try_campaign(&mut self) -> Result<(), CampaignError> {
        if let Role::Leader(_) = &self.role {
            return Err(CampaignError::Leading);
        }
        if self.books.is_witness() {
            return Err(CampaignError::Witness);
        }
        if !self.books.may_campaign() {
            return Err(CampaignError::NotVoter);
        }
        if self.books.applying.awaited.is_some() {
            return Err(CampaignError::AwaitsSnapshot);
        }
        if self.books.is_disk_stalled() {
            return Err(CampaignError::DiskStalled);
        }
        if !self.books.has_next_term() {
            return Err(CampaignError::NoTermLeft);
        }
        if self.books.is_lease_given() {
            return Err(CampaignError::LeaseGiven);
        }
        if self.books.config.pre_vote {
            self.become_pre_candidate();
        } else {
            self.become_candidate(false);
        }
        Ok(())
    }

    /// Asks whether it could win; term and vote stay.
    fn become_pre_candidate(&mut self) {
        self.leave_leader(None);
        let campaign = self.next_campaign();
        self.books.reset_clock();
        self.books.counters.pre_votes += 1;
        election::request_votes(&mut self.books, &campaign, true, false);
        self.role = Role::PreCandidate(campaign);
        self.notice_role();
    }

    /// Stands for election in the next term, with its own vote (Raft §5.2).
    pub(super) fn become_candidate(&mut self, transfer: bool) {
        self.leave_leader(None);
        self.enter_term(self.books.term().next());
        self.books.hard.vote = Some(self.books.id());
        let campaign = self.next_campaign();
        self.books.reset_clock();
        self.books.counters.elections += 1;
        election::request_votes(&mut self.books, &campaign, false, transfer);
        self.role = Role::Candidate(campaign);
        self.notice_role();
    }

    /// Leads, and opens the term with an entry of its own: only through it can what earlier
    /// leaders left be committed (Raft §5.4.2, §8).
    pub(super) fn become_leader(&mut self) {
        let (term, last) = (self.books.term(), self.books.log.last().index);
        let position = Position::new(term, last.next());
        let opening = Entries::single(position, EntryKind::Empty, &[]).expect("no payload has no length");
        let mut leader = Leader {
            progress: ProgressMap::new(self.books.memberships.current(), last.next()),
            term_start: last.next(),
            round: 0,
            reads: ReadQueue::default(),
            lease: Lease::default(),
            origins: Origins::default(),
            transfer: None,
            is_in_flux: true,
            uncommitted_bytes: opening.byte_count(),
            may_send: true,
            cursor: 0,
            snapshot_budget: 0,
            chunk_turn: NodeId::ZERO,
        };
        self.books.counters.leaderships += 1;
        self.books.log.append(opening);
        self.books.reset_clock();
        replication::count_own_disk(&mut self.books, &mut leader);
        self.role = Role::Leader(Box::new(leader));
        self.notice_role();
    }

    /// Enters a later term without a vote.
    fn enter_term(&mut self, term: Term) {
        if self.transferee().is_some() {
            // Whoever hands over has no lease, so what was said for one is said no more: whatever message
            // brings the next term, nobody is kept from electing the heir.
            self.books.clock.leader_silence = u32::MAX;
        }
        self.books.log.seal();
        self.books.hard.term = term;
        self.books.hard.vote = None;
        self.books.disk.touch_hard_state();
        self.books.outbox.drop_held();
    }

    /// What waited for the old leader, or for us as the leader, is given up or turned over.
    fn leave_leader(&mut self, next: Option<NodeId>) {
        self.books.log.seal();
        self.loads.retain(|(_, asker)| matches!(asker, super::LoadFor::Apply));
        if self.leader() == next {
            return;
        }
        proposing::give_up_sent(&mut self.books);
        let has_led = matches!(&self.role, Role::Leader(_));
        if next.is_none() || has_led {
            proposing::give_up_unsent(&mut self.books);
            reading::refuse_all(&mut self.books);
        }
    }

    fn next_campaign(&mut self) -> Campaign {
        self.books.campaign += 1;
        Campaign::new(self.books.campaign)
    }

    fn notice_role(&mut self) {
        let (role, term) = (self.role.name(), self.books.term());
        self.books.outbox.notice(Notice::Role { role, term });
        self.trace.observe(&self.books, &self.role);
    }
}
