//! Door 1: the bare state machine. Inputs are methods, every output is an [`Action`].

use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

use crate::books::progress::Progress;
use crate::books::role::Role;
use crate::corridor::Machine;
use crate::means::config::{Config, ConfigError};
use crate::words::action::Action;
use crate::words::change::MembershipChange;
use crate::words::counters::Counters;
use crate::words::entries::Entries;
use crate::words::error::{
    CampaignError, ChangeError, LoadError, ProposeError, ReadError, RestoreError, SnapshotError,
    TransferError,
};
use crate::words::ids::{ForwardId, LoadId, LogIndex, NodeId, PersistId, Position, ReadId, Term};
use crate::words::membership::Membership;
use crate::words::message::{Message, SnapshotMeta};
use crate::words::notice::Offence;
use crate::words::persist::Recovered;
use crate::words::status::{CommitStatus, RoleName, Status};

/// One node of one Raft group: a plain value without I/O, clock or threads.
///
/// **Contract with the caller.** (1) Give inputs in any order and number. (2) Then drain
/// [`poll_action`](Self::poll_action) until it gives `None`. (3) Carry the actions out in their
/// order; none needs to be waited for. (4) Report what happened: [`persisted`](Self::persisted),
/// [`applied`](Self::applied), [`loaded`](Self::loaded).
///
/// The same inputs in the same order give the same actions, byte for byte.
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
#[derive(Clone, Debug)]
pub struct Raft {
    machine: Machine,
    /// Something came in since the last action was drained.
    has_news: bool,
}

impl Raft {
    /// A founding member of a new group. All founding members start with the same membership.
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds.
    pub fn found(config: Config, membership: Membership) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { machine: Machine::found(config, membership), has_news: true })
    }

    /// A node that does not belong to a group yet, and has no past. It waits until the leader of a
    /// group, whose membership names it, reaches out.
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds.
    pub fn join(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { machine: Machine::join(config), has_news: true })
    }

    /// A node with a past, from what its store recovered.
    ///
    /// `memberships` are the entries of kind [`EntryKind::Membership`](crate::EntryKind) in the
    /// recovered log, decoded, in their order. `snapshot` is the newest that is whole; the state
    /// machine must have been restored from it, and entries behind it are applied again.
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds, or the recovered state cannot be a node's past.
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

    /// Goes on with other settings, all of them or, if they are not acceptable, none.
    ///
    /// They apply from now on. A limit that was lowered takes nothing back: whatever is over it
    /// waits until there is room. The time until the next campaign is drawn anew if its range
    /// changed. Times count from when the waiting began, so what is due by a shorter one happens at
    /// once. Proposals that wait to be sent on still are if forwarding is switched off.
    ///
    /// ```
    /// use raft_core::{Config, ConfigError, NodeId, Raft};
    ///
    /// let mut raft = Raft::join(Config::new(NodeId::new(1)))?;
    /// raft.update_config(|config| config.inflight_messages_max = 8)?;
    /// let refused = raft.update_config(|config| {
    ///     config.inflight_messages_max = 4;
    ///     config.seed += 1;
    /// });
    /// assert_eq!(refused, Err(ConfigError::Fixed("seed")));
    /// assert_eq!(raft.config().inflight_messages_max, 8);
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a setting would be out of its bounds; if `id` or `seed` would change; and, because the
    /// members' leases rest on each other's settings, if [`read_lease_ticks`](Config::read_lease_ticks) would
    /// become longer, or zero, or more than zero, or if there are leases and `election_timeout_ticks_min`
    /// would become shorter. To do that, stop all members and start them with the new settings.
    pub fn update_config(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        self.input().update_config(change)
    }

    /// Time passes: one tick.
    ///
    /// With [`read_lease_ticks`](Config::read_lease_ticks), ticks must keep up with a monotonic
    /// clock: after a pause, the missed ones come before anything else.
    pub fn tick(&mut self) {
        self.input().tick(1);
    }

    /// Time passes: this many ticks, as if one after the other with nothing coming in between.
    ///
    /// Costs what happens in them, not how many there are. With
    /// [`ticks_until_due`](Self::ticks_until_due) a quiet group can be left alone until something is
    /// due, and ten thousand of them cost nothing per tick.
    pub fn tick_many(&mut self, ticks: u32) {
        self.input().tick(ticks);
    }

    /// After how many ticks the next thing happens by itself, if no other input comes before; at
    /// least one.
    #[must_use]
    pub fn ticks_until_due(&self) -> u32 {
        self.machine.ticks_until_due()
    }

    /// Takes a message from another member.
    ///
    /// Nothing a message says can make this panic, lower the term, the commit index or the log, or
    /// make it allocate more than the message's size and the limits of [`Config`].
    pub fn receive(&mut self, message: Message) {
        self.input().receive(message);
    }

    /// Appends a command, if this node leads; says where it stands.
    ///
    /// Whether it stays there is for [`commit_status`](Self::commit_status) and the applied
    /// entries to tell.
    ///
    /// # Errors
    ///
    /// If it was not appended, and why. Then it will never be applied.
    pub fn propose(&mut self, payload: &[u8]) -> Result<Position, ProposeError> {
        self.input().propose(payload)
    }

    /// Sends a command on to the leader, if another node leads; [`Action::Forwarded`] tells the
    /// rest.
    ///
    /// # Errors
    ///
    /// If it was not taken, and why. Then it will never be applied.
    pub fn forward(&mut self, payload: &[u8]) -> Result<ForwardId, ProposeError> {
        self.input().forward(payload)
    }

    /// Asks for a linearizable read on any member (diss. §6.4); [`Action::ReadReady`] or
    /// [`Action::ReadRefused`] answers it, and all reads before it.
    ///
    /// # Errors
    ///
    /// If no leader is known.
    pub fn read(&mut self) -> Result<ReadId, ReadError> {
        self.input().read()
    }

    /// Campaigns at once instead of waiting for the election timeout.
    ///
    /// # Errors
    ///
    /// If this node leads, does not vote, its disk does not answer, or a leader's lease rests on it.
    pub fn campaign(&mut self) -> Result<(), CampaignError> {
        self.input().try_campaign()
    }

    /// Changes the membership, if this node leads; says where the first entry of the change stands.
    ///
    /// If the voters change, that entry makes the configuration joint, and the leader leaves it by
    /// itself once it is committed (Raft §6), unless the change says to stay.
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why.
    pub fn change_membership(&mut self, change: &MembershipChange) -> Result<Position, ChangeError> {
        self.input().change_membership(change)
    }

    /// Leaves a joint configuration that was entered with
    /// [`MembershipChange::stay_joint`].
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why.
    pub fn leave_joint(&mut self) -> Result<Position, ChangeError> {
        self.input().leave_joint()
    }

    /// Hands leadership over to another voter (diss. §3.10), if this node leads.
    ///
    /// Until it is done, or given up after the shortest election timeout, proposals are refused.
    ///
    /// # Errors
    ///
    /// If no transfer begins, and why.
    pub fn transfer_leadership(&mut self, to: NodeId) -> Result<(), TransferError> {
        self.input().transfer_leadership(to)
    }

    /// Everything up to this request is durable.
    pub fn persisted(&mut self, id: PersistId) {
        self.input().persisted(id);
    }

    /// Entries up to this index are applied.
    pub fn applied(&mut self, index: LogIndex) {
        self.input().applied(index);
    }

    /// The entries that [`Action::Load`] asked for.
    ///
    /// # Errors
    ///
    /// If they are not what the log has there. The store is not to be trusted then; stop.
    pub fn loaded(&mut self, id: LoadId, batches: &[Entries]) -> Result<(), LoadError> {
        self.input().loaded(id, batches)
    }

    /// Takes a snapshot of the state as soon as may be, whatever the policy says;
    /// [`Action::TakeSnapshot`] follows.
    ///
    /// # Errors
    ///
    /// If one is under way already, or there is nothing new to take one of.
    pub fn take_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.input().take_snapshot()
    }

    /// Asks the leader for a snapshot because the state of this node is lost, though its log is not.
    /// Until [`Action::RestoreSnapshot`] brings it, nothing is applied here, and this node does not
    /// campaign. If the group can elect nobody else, start this node anew instead: it then begins
    /// with its own last snapshot.
    ///
    /// # Errors
    ///
    /// If this node leads, or a snapshot is being restored already.
    pub fn request_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.input().request_snapshot()
    }

    /// A snapshot that was taken, or came from the leader, is durable.
    pub fn snapshot_stored(&mut self, meta: &SnapshotMeta) {
        self.input().snapshot_stored(meta);
    }

    /// The snapshot of everything up to `last` could not be taken or stored, or what came from the
    /// leader is not what its meta says.
    pub fn snapshot_failed(&mut self, last: Position) {
        self.input().snapshot_failed(last);
    }

    /// The store has taken so many bytes of the snapshot from the leader, counted from its beginning,
    /// and has room for more.
    pub fn snapshot_written(&mut self, last: Position, bytes: u64) {
        self.input().snapshot_written(last, bytes);
    }

    /// The bytes that [`Action::LoadChunk`] asked for.
    pub fn chunk_loaded(&mut self, id: LoadId, chunk: Bytes) {
        self.input().chunk_loaded(id, Some(chunk));
    }

    /// The bytes that [`Action::LoadChunk`] asked for cannot be read (any more).
    pub fn chunk_unavailable(&mut self, id: LoadId) {
        self.input().chunk_loaded(id, None);
    }

    /// Messages to this member may have been lost.
    pub fn unreachable(&mut self, peer: NodeId) {
        self.input().unreachable(peer);
    }

    /// The next thing to do; `None` if there is nothing until the next input.
    pub fn poll_action(&mut self) -> Option<Action> {
        if !self.has_news {
            return None;
        }
        let action = self.machine.poll_action();
        self.has_news = action.is_some();
        action
    }

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

    /// A picture of the node. Costs an allocation or two.
    #[must_use]
    pub fn status(&self) -> Status {
        let books = &self.machine.books;
        let (peers, transferee) = match &self.machine.role {
            Role::Leader(leader) => {
                (leader.progress.iter().map(Progress::status).collect(), leader.transferee())
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => (Vec::new(), None),
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
            transferee,
            membership: books.memberships.current().clone(),
            peers,
        }
    }
}

impl Raft {
    /// The machine, about to change.
    #[inline]
    fn input(&mut self) -> &mut Machine {
        self.has_news = true;
        &mut self.machine
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
