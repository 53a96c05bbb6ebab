//! Door 1: the bare state machine. Inputs are methods, every output is an [`Action`].

mod inputs;
mod observe;
mod snapshots;
#[cfg(feature = "trace")]
mod trace;

use alloc::vec::Vec;

use crate::corridor::Machine;
use crate::means::config::{Config, ConfigError};
use crate::words::action::Action;
use crate::words::error::RestoreError;
use crate::words::ids::LogIndex;
use crate::words::membership::Membership;
use crate::words::message::SnapshotMeta;
use crate::words::persist::Recovered;

/// One node of one Raft group: a plain value without I/O, clock or threads.
///
/// **Contract with the caller.** (1) Give inputs in any order and number. (2) Then drain
/// [`poll_action`](Self::poll_action) until it gives `None`. (3) Carry the actions out in their
/// order; none needs to be waited for. (4) Report what happened: [`persisted`](Self::persisted),
/// [`applied`](Self::applied), [`loaded`](Self::loaded).
///
/// The same inputs in the same order give the same actions, byte for byte.
///
/// Its `Hash` is a digest for model checkers: states that are hashed alike go on alike, but for the
/// counters, the numbers of requests and the election timeouts still to be drawn.
///
/// ```
/// use raft_core::{Action, Config, Membership, NodeId, Raft};
///
/// let id = NodeId::new(1);
/// let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
/// raft.campaign()?; // (1)
/// let mut applied = Vec::new();
/// while let Some(action) = raft.poll_action() {
///     // (2)
///     match action {
///         Action::Persist(request) => raft.persisted(request.id), // (3), (4)
///         Action::Apply(batches) => {
///             applied.extend(batches.entries().map(|entry| entry.index.get()));
///             raft.applied(batches.last().expect("never empty"));
///         }
///         _ => {}
///     }
/// }
/// assert_eq!(applied, [1]); // the entry that opens the leader's term
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Hash)]
pub struct Raft {
    machine: Machine,
    /// Something came in since the last action was drained.
    has_news: bool,
}

impl Raft {
    /// A founding member of a new group (Raft §5.2: it starts as a follower of term zero).
    ///
    /// All founding members start with the same membership.
    ///
    /// ```
    /// use raft_core::{Config, Membership, NodeId, Raft, RoleName};
    ///
    /// let ids = [1, 2, 3].map(NodeId::new);
    /// let raft = Raft::found(Config::new(ids[0]), Membership::of_voters(ids)?)?;
    /// assert_eq!(raft.role(), RoleName::Follower);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds.
    pub fn found(config: Config, membership: Membership) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { machine: Machine::found(config, membership), has_news: true })
    }

    /// A node that does not belong to a group yet, and has no past.
    ///
    /// It waits until the leader of a group, whose membership names it, reaches out (diss. §4.4). It never
    /// campaigns before.
    ///
    /// ```
    /// use raft_core::{CampaignError, Config, NodeId, Raft};
    ///
    /// let mut raft = Raft::join(Config::new(NodeId::new(4)))?;
    /// assert!(raft.membership().members().is_empty());
    /// assert_eq!(raft.campaign(), Err(CampaignError::NotVoter));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds.
    pub fn join(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { machine: Machine::join(config), has_news: true })
    }

    /// A node with a past, from what its store recovered (Raft §5.1, figure 2: term, vote and log).
    ///
    /// `memberships` are the entries of kind [`EntryKind::Membership`](crate::EntryKind) in the
    /// recovered log, decoded, in their order. `snapshot` is the newest that is whole; the state
    /// machine must have been restored from it, and entries behind it are applied again.
    ///
    /// ```
    /// use raft_core::mem::MemLog;
    /// use raft_core::{Action, Config, LogStore, Membership, NodeId, Raft, SnapshotStore, Term};
    ///
    /// let config = Config::new(NodeId::new(1));
    /// let mut disk = MemLog::new();
    /// let mut raft = Raft::found(config.clone(), Membership::of_voters([config.id])?)?;
    /// raft.campaign()?;
    /// while let Some(action) = raft.poll_action() {
    ///     if let Action::Persist(request) = action {
    ///         let id = request.id;
    ///         disk.persist(request)?;
    ///         raft.persisted(id);
    ///     }
    /// }
    /// drop(raft); // The process ends; the disk stays.
    ///
    /// let (snapshot, recovered) = (disk.recover_snapshot()?, disk.recover()?);
    /// let raft = Raft::restore(config, recovered, snapshot, Vec::new())?;
    /// assert_eq!(raft.term(), Term::new(1));
    /// assert!(!raft.is_leader());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds, or the recovered state cannot be a node's past: see
    /// [`RestoreError`].
    pub fn restore(
        config: Config,
        recovered: Recovered,
        snapshot: Option<SnapshotMeta>,
        memberships: Vec<(LogIndex, Membership)>,
    ) -> Result<Self, StartError> {
        config.validate().map_err(StartError::Config)?;
        let machine =
            Machine::restore(config, recovered, snapshot, memberships).map_err(StartError::Restore)?;
        Ok(Self { machine, has_news: true })
    }

    /// The next thing to do; `None` if there is nothing until the next input.
    ///
    /// One call gives one action, so a caller may take a single step, look, and go on. Inputs are allowed
    /// between two calls.
    ///
    /// ```
    /// use raft_core::{Action, Config, Membership, NodeId, Raft};
    ///
    /// let id = NodeId::new(1);
    /// let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// let Some(Action::Persist(founding)) = raft.poll_action() else { panic!("it has to be durable") };
    /// assert!(founding.mark.is_some());
    /// assert_eq!(raft.poll_action(), None);
    /// raft.persisted(founding.id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_action(&mut self) -> Option<Action> {
        if !self.has_news {
            return None;
        }
        self.observe();
        let action = self.machine.poll_action();
        self.has_news = action.is_some();
        let Machine { trace, books, role, .. } = &mut self.machine;
        trace.hand_out(books, role, action.as_ref());
        action
    }

    /// The machine, about to change.
    #[inline]
    fn input(&mut self) -> &mut Machine {
        self.observe();
        self.has_news = true;
        &mut self.machine
    }

    /// The trace, if there is one, is told what came of the last input.
    #[inline]
    fn observe(&mut self) {
        let Machine { trace, books, role, .. } = &mut self.machine;
        trace.observe(books, role);
    }
}

/// Why a node cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of its bounds.
    Config(ConfigError),
    /// The recovered state cannot be a node's past.
    Restore(RestoreError),
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Config(_) => f.write_str("a setting is out of its bounds"),
            Self::Restore(_) => f.write_str("the recovered state cannot be this node's past"),
        }
    }
}

impl core::error::Error for StartError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Config(source) => Some(source),
            Self::Restore(source) => Some(source),
        }
    }
}
