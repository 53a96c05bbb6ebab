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
use crate::words::status::{Backlog, CommitStatus, PeerStatus, RoleName, Status};

impl Raft {
    /// This node.
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert_eq!(raft.id(), raft_core::NodeId::new(7));
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.machine.books.id()
    }

    /// Its term (Raft §5.1); zero before the first election.
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert_eq!(raft.term(), raft_core::Term::ZERO);
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn term(&self) -> Term {
        self.machine.books.term()
    }

    /// Its role.
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert_eq!(raft.role(), raft_core::RoleName::Follower);
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn role(&self) -> RoleName {
        self.machine.role.name()
    }

    /// Whether it leads.
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert!(!raft.is_leader());
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.role() == RoleName::Leader
    }

    /// Whether it is a witness: it votes and knows positions, but has neither payloads nor state.
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert!(!raft.is_witness());
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn is_witness(&self) -> bool {
        self.machine.books.is_witness()
    }

    /// Whether its state may be read: it is not lost, nor being restored.
    pub(crate) fn has_state(&self) -> bool {
        self.machine.books.applying.has_state()
    }

    /// Who leads, as far as it knows; itself, if it does.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// assert_eq!(raft.leader(), Some(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.machine.leader()
    }

    /// Its commit index.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// assert_eq!(raft.commit(), raft_core::LogIndex::new(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn commit(&self) -> LogIndex {
        self.machine.books.commit()
    }

    /// The position of the last entry of its log; of what comes before the first one, if it has none.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// raft.propose(b"a")?;
    /// assert_eq!(raft.last(), raft_core::Position::new(1.into(), 2.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn last(&self) -> Position {
        self.machine.books.log.last()
    }

    /// The term of the entry at `index`, or of what comes right before the first one; `None` outside of the
    /// retained log.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// assert_eq!(raft.term_at(1.into()), Some(1.into()));
    /// assert_eq!(raft.term_at(2.into()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.machine.books.log.term_at(index)
    }

    /// What became of an entry, as far as this node's log tells.
    ///
    /// It is `Unknown` for what was compacted away, except the last entry of that.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// use raft_core::{CommitStatus, Position};
    ///
    /// assert_eq!(raft.commit_status(raft.last()), CommitStatus::Committed);
    /// let elsewhere = Position::new(9.into(), 1.into()); // another term than the log has committed there
    /// assert_eq!(raft.commit_status(elsewhere), CommitStatus::Lost);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// To whom leadership is handed over, as far as this node knows (diss. §3.10).
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert_eq!(raft.transferee(), None);
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn transferee(&self) -> Option<NodeId> {
        self.machine.transferee()
    }

    /// The membership in force: the newest in the log, committed or not (Raft §6).
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// assert!(raft.membership().can_lead(id));
    /// assert_eq!(raft.membership().outgoing_voters().count(), 0); // not joint
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.machine.books.memberships.current()
    }

    /// The settings.
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert_eq!(raft.config().heartbeat_ticks, 1);
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.machine.books.config
    }

    /// After how many ticks the next thing happens by itself, if no other input comes before; at
    /// least one.
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert!((10..=20).contains(&raft.ticks_until_due())); // the election timeout by default
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn ticks_until_due(&self) -> u32 {
        self.machine.ticks_until_due()
    }

    /// A picture of the node, with each member's progress if it leads. Costs an allocation or two.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// let status = raft.status();
    /// assert_eq!((status.vote, status.durable, status.applied), (Some(id), 1.into(), 0.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let books = &self.machine.books;
        let votes = match &self.machine.role {
            Role::PreCandidate(campaign) | Role::Candidate(campaign) => campaign.votes.clone(),
            Role::Follower(_) | Role::Leader(_) => Vec::new(),
        };
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
            transferee: self.transferee(),
            membership: books.memberships.current().clone(),
            backlog: self.backlog(),
            peers: self.peers().collect(),
        }
    }

    /// How the others progress; nobody unless it leads.
    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerStatus> {
        let leader = match &self.machine.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        leader.into_iter().flat_map(|leader| leader.progress.iter()).map(Progress::status)
    }

    /// What waits in the node.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     match action {
    /// #         Action::Persist(request) => raft.persisted(request.id),
    /// #         Action::Apply(batches) => raft.applied(batches.last().expect("never empty")),
    /// #         _ => {}
    /// #     }
    /// # }
    /// assert_eq!(raft.backlog().proposals_bytes, 0);
    /// raft.propose(b"four")?;
    /// assert_eq!(raft.backlog().proposals_bytes, 5); // its length takes a byte
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let books = &self.machine.books;
        let (proposals_bytes, read_rounds) = match &self.machine.role {
            Role::Leader(leader) => (leader.uncommitted_bytes as u64, leader.reads.round_count()),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => (0, 0),
        };
        Backlog {
            proposals_bytes,
            forward_bytes: books.forwards.byte_count() as u64,
            read_rounds,
            apply_bytes: books.applying.bytes_out() as u64,
        }
    }

    /// What happened since the node started. Costs a copy.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::Persist(request) = action { raft.persisted(request.id); }
    /// # }
    /// assert_eq!(raft.counters().leaderships, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.machine.books.counters
    }

    /// How many messages broke this rule.
    ///
    /// ```
    /// # let raft = raft_core::Raft::join(raft_core::Config::new(7.into()))?;
    /// assert_eq!(raft.offence_count(raft_core::Offence::TermJump), 0);
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn offence_count(&self, offence: Offence) -> u64 {
        self.machine.books.outbox.offence_count(offence)
    }
}
