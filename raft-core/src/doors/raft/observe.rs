//! What can be seen of a node. Nothing here changes it.

use alloc::vec::Vec;

use super::Raft;
use crate::books::progress::Progress;
use crate::books::role::Role;
use crate::means::config::Config;
use crate::words::counters::Counters;
use crate::words::ids::{LogIndex, NodeId, Position, Term};
use crate::words::membership::Membership;
use crate::words::notice::Offence;
use crate::words::status::{CommitStatus, RoleName, Status};

impl Raft {
    /// This node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.machine.books.id()
    }

    /// Its term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.machine.books.term()
    }

    /// Its role.
    #[must_use]
    pub fn role(&self) -> RoleName {
        self.machine.role.name()
    }

    /// Whether it leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.role() == RoleName::Leader
    }

    /// Whether it is a witness: it votes and knows positions, but has neither payloads nor state.
    #[must_use]
    pub fn is_witness(&self) -> bool {
        self.machine.books.is_witness()
    }

    /// Whether its state may be read: it is not lost, nor being restored.
    pub(crate) fn has_state(&self) -> bool {
        self.machine.books.applying.has_state()
    }

    /// Who leads, as far as it knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.machine.leader()
    }

    /// Its commit index.
    #[must_use]
    pub fn commit(&self) -> LogIndex {
        self.machine.books.commit()
    }

    /// The end of its log.
    #[must_use]
    pub fn last(&self) -> Position {
        self.machine.books.log.last()
    }

    /// The term of the entry at `index`; `None` outside of the retained log.
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.machine.books.log.term_at(index)
    }

    /// What became of an entry, as far as this node's log tells.
    #[must_use]
    pub fn commit_status(&self, position: Position) -> CommitStatus {
        let books = &self.machine.books;
        let is_there = books.log.matches(position);
        let is_retained = position.index > books.log.mark().index;
        match (position.index <= books.commit(), is_there) {
            (true, true) => CommitStatus::Committed,
            (true, false) if is_retained => CommitStatus::Lost,
            (false, true) => CommitStatus::Pending,
            (true | false, false) => CommitStatus::Unknown,
        }
    }

    /// The membership in force.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.machine.books.memberships.current()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.machine.books.config
    }

    /// After how many ticks the next thing happens by itself, if no other input comes before; at
    /// least one.
    #[must_use]
    pub fn ticks_until_due(&self) -> u32 {
        self.machine.ticks_until_due()
    }

    /// A picture of the node. Costs an allocation or two.
    #[must_use]
    pub fn status(&self) -> Status {
        let books = &self.machine.books;
        let (mut peers, mut votes, mut transferee) = (Vec::new(), Vec::new(), None);
        match &self.machine.role {
            Role::Leader(leader) => {
                peers = leader.progress.iter().map(Progress::status).collect();
                transferee = leader.transferee();
            }
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => votes.clone_from(&campaign.votes),
            Role::Follower(_) => {}
        }
        Status {
            id: books.id(),
            role: self.role(),
            term: books.term(),
            vote: books.hard.vote,
            leader: self.leader(),
            mark: books.log.mark(),
            last: books.log.last(),
            durable: books.disk.durable(),
            commit: books.commit(),
            applied: books.applying.applied,
            snapshot: books.snapshots.newest.as_ref().map(|meta| meta.last),
            awaits_snapshot: books.applying.awaited.is_some(),
            votes,
            transferee,
            membership: books.memberships.current().clone(),
            peers,
        }
    }

    /// What happened since the node started. Costs a copy.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.machine.books.counters
    }

    /// How many messages broke this rule.
    #[must_use]
    pub fn offence_count(&self, offence: Offence) -> u64 {
        self.machine.books.outbox.offence_count(offence)
    }
}
