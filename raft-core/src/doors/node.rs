//! Door 2: the one correct loop over [`Raft`], with a store, a transport and a state machine.
//!
//! No I/O, threads or clock of its own: whoever owns the node calls [`Node::tick`] as time passes
//! and [`Node::pump`] when something may have happened.

use super::outcome::{Event, NodeError, Outcome};
use super::raft::{Raft, StartError};
use super::snapshots::{SnapshotDesk, Step};
use super::state_machine::StateMachine;
use super::store::{LogStore, SnapshotStore};
use super::transport::{Arrival, Transport};
use super::waiting::{ProposalId, Waiting, WaitingReads};
use crate::means::config::{Config, ConfigError};
use crate::words::action::{Action, ForwardResult, Load};
use crate::words::batches::Batches;
use crate::words::change::MembershipChange;
use crate::words::entries::EntryKind;
use crate::words::error::{
    CampaignError, ChangeError, LoadError, ProposeError, ReadError, RestoreError, SnapshotError,
    TransferError,
};
use crate::words::ids::{ForwardId, LogIndex, NodeId, Position, ReadId};
use crate::words::membership::Membership;
use crate::words::persist::Recovered;
use crate::words::status::{CommitStatus, Status};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A node of a replicated state machine.
///
/// **Contract with the owner.** (1) Call [`tick`](Self::tick) as time passes, and
/// [`propose`](Self::propose) and [`read`](Self::read) as you like. (2) Then call
/// [`pump`](Self::pump), also when the store or the transport has news. (3) Drain
/// [`poll_event`](Self::poll_event). (4) After an error, stop: the node takes nothing more.
///
/// ```
/// use raft_core::mem::{MemLog, MemNetwork};
/// use raft_core::{Config, Entry, Event, Membership, Node, NodeId, Outcome, StateMachine};
///
/// struct Sum(u64);
/// impl StateMachine for Sum {
///     type Output = u64;
///     fn apply(&mut self, entry: &Entry<'_>) -> u64 {
///         self.0 += u64::from(entry.payload[0]);
///         self.0
///     }
/// }
///
/// let id = NodeId::new(1);
/// let members = Membership::of_voters([id])?;
/// let network = MemNetwork::new();
/// let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
/// node.campaign()?;
/// node.pump()?; // (2)
/// node.propose(&[42])?; // (1)
/// node.pump()?;
/// let outcomes: Vec<_> = std::iter::from_fn(|| node.poll_event()) // (3)
///     .filter_map(|event| match event {
///         Event::Proposed { outcome, .. } => Some(outcome),
///         _ => None,
///     })
///     .collect();
/// assert_eq!(outcomes, [Outcome::Applied(42)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Node<L, T, S: StateMachine> {
    raft: Raft,
    store: L,
    transport: T,
    machine: S,
    waiting: Waiting,
    reads: WaitingReads,
    events: VecDeque<Event<S::Output>>,
    applied: LogIndex,
    snapshots: SnapshotDesk,
    /// An error came up before; the state of the store is unknown since.
    has_failed: bool,
}

impl<L: SnapshotStore, T: Transport, S: StateMachine> Node<L, T, S> {
    /// Opens a node on what its store holds.
    ///
    /// `founders` is the membership of a new group, the same at all of them; it is looked at only if
    /// the store was never written to. The state machine starts empty; it is restored from the
    /// newest snapshot, and committed commands behind that are applied (again).
    ///
    /// # Errors
    ///
    /// If a setting is out of its bounds, the store fails, or what it holds cannot be.
    pub fn open(
        config: Config,
        founders: Option<Membership>,
        store: L,
        transport: T,
        machine: S,
    ) -> Result<Self, NodeError<L::Error>> {
        let newcomer = |config| match founders {
            Some(founders) => Raft::found(config, founders).map_err(StartError::Config),
            None => Err(StartError::Restore(RestoreError::NotInitialised)),
        };
        Self::start(config, newcomer, store, transport, machine)
    }

    /// Opens a node on what its store holds; if that is nothing, as a node that belongs to no group
    /// yet and waits for one to take it in.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn join(config: Config, store: L, transport: T, machine: S) -> Result<Self, NodeError<L::Error>> {
        let newcomer = |config| Raft::join(config).map_err(StartError::Config);
        Self::start(config, newcomer, store, transport, machine)
    }

    fn start(
        config: Config,
        newcomer: impl FnOnce(Config) -> Result<Raft, StartError>,
        mut store: L,
        transport: T,
        machine: S,
    ) -> Result<Self, NodeError<L::Error>> {
        let snapshot = store.recover_snapshot().map_err(NodeError::Store)?;
        let recovered = store.recover().map_err(NodeError::Store)?;
        let raft = if recovered.mark.is_none() && snapshot.is_none() {
            newcomer(config).map_err(NodeError::Start)?
        } else {
            let memberships = load_memberships(&mut store, &recovered)?;
            Raft::restore(config, recovered, snapshot.clone(), memberships).map_err(NodeError::Start)?
        };
        let applied = raft.status().applied;
        let mut node = Self {
            raft,
            store,
            transport,
            machine,
            waiting: Waiting::default(),
            reads: WaitingReads::default(),
            events: VecDeque::new(),
            applied,
            snapshots: SnapshotDesk::default(),
            has_failed: false,
        };
        if let Some(meta) = snapshot {
            node.snapshots.restore(meta);
            while node.snapshots.restore_step(&mut node.store, &mut node.machine)? != Step::Done {}
        }
        Ok(node)
    }

    /// Goes on with other settings; see [`Raft::update_config`].
    ///
    /// # Errors
    ///
    /// If they are not acceptable. Then nothing changes.
    pub fn update_config(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        self.raft.update_config(change)
    }

    /// Time passes: one tick.
    pub fn tick(&mut self) {
        self.tick_many(1);
    }

    /// Time passes: this many ticks, as if one after the other with nothing coming in between.
    ///
    /// **With [`read_lease_ticks`](Config::read_lease_ticks), ticks must keep up with a monotonic
    /// clock**: an owner that was paused gives all the ticks it missed before it pumps (N18).
    pub fn tick_many(&mut self, ticks: u32) {
        self.raft.tick_many(ticks);
        let timeout = u64::from(self.raft.config().proposal_timeout_ticks);
        for id in self.waiting.tick(u64::from(ticks), timeout) {
            self.events.push_back(Event::Proposed { id, outcome: Outcome::Unknown });
        }
    }

    /// Proposes a command, on any member: a leader appends it, others send it on, unless
    /// [`forward_proposals`](Config::forward_proposals) is off. [`Event::Proposed`] tells what
    /// became of it.
    ///
    /// # Errors
    ///
    /// If it was not taken, and why. Then it will never be applied.
    pub fn propose(&mut self, payload: &[u8]) -> Result<ProposalId, ProposeError> {
        match self.raft.propose(payload) {
            Ok(position) => Ok(self.waiting.add_appended(position)),
            Err(ProposeError::NotLeader { .. }) if self.raft.config().forward_proposals => {
                let forward = self.raft.forward(payload)?;
                Ok(self.waiting.add_forwarded(forward))
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for a linearizable read, on any member. [`Event::ReadReady`] tells when it may be
    /// served from [`machine`](Self::machine).
    ///
    /// # Errors
    ///
    /// If no leader is known.
    pub fn read(&mut self) -> Result<ReadId, ReadError> {
        self.raft.read()
    }

    /// Campaigns at once instead of waiting for the election timeout.
    ///
    /// # Errors
    ///
    /// If this node leads, does not vote, its disk does not answer, or a leader's lease rests on it.
    pub fn campaign(&mut self) -> Result<(), CampaignError> {
        self.raft.campaign()
    }

    /// Changes the membership, if this node leads; see [`Raft::change_membership`].
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why.
    pub fn change_membership(&mut self, change: &MembershipChange) -> Result<Position, ChangeError> {
        self.raft.change_membership(change)
    }

    /// Leaves a joint configuration that was entered to stay; see [`Raft::leave_joint`].
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why.
    pub fn leave_joint(&mut self) -> Result<Position, ChangeError> {
        self.raft.leave_joint()
    }

    /// Hands leadership over, if this node leads; see [`Raft::transfer_leadership`].
    ///
    /// # Errors
    ///
    /// If no transfer begins, and why.
    pub fn transfer_leadership(&mut self, to: NodeId) -> Result<(), TransferError> {
        self.raft.transfer_leadership(to)
    }

    /// Takes a snapshot as soon as may be, whatever the policy says; see [`Raft::take_snapshot`].
    ///
    /// # Errors
    ///
    /// If one is under way already, or there is nothing new to take one of.
    pub fn take_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.raft.take_snapshot()
    }

    /// Asks the leader for a snapshot because the state is lost; see [`Raft::request_snapshot`].
    ///
    /// # Errors
    ///
    /// If this node leads, or a snapshot is being restored already.
    pub fn request_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.raft.request_snapshot()
    }

    /// Whether the next [`pump`](Self::pump) has something to do even if nothing happens before: a
    /// snapshot is written or restored a piece at a time, so that ticks and messages need not wait.
    pub fn has_work(&self) -> bool {
        self.snapshots.has_work(&self.store)
    }

    /// Does all that can be done now: takes what came from the network and the disk, and carries
    /// out every action that follows; and a piece of work on a snapshot, if there is any.
    ///
    /// # Errors
    ///
    /// If the store fails. The node has stopped then, without vouching for anything.
    pub fn pump(&mut self) -> Result<(), NodeError<L::Error>> {
        if self.has_failed {
            return Err(NodeError::Stopped);
        }
        let result = self.work().and_then(|()| self.pump_all());
        self.has_failed = result.is_err();
        result
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event<S::Output>> {
        self.events.pop_front()
    }

    /// The state machine, as of the last pump.
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// The state machine, for reads that need `&mut`. Changing what commands see would make this
    /// node differ from the others.
    pub fn machine_mut(&mut self) -> &mut S {
        &mut self.machine
    }

    /// The transport, for its settings and counters.
    pub fn transport_mut(&mut self) -> &mut T {
        &mut self.transport
    }

    /// The store, for its settings and counters.
    pub fn store_mut(&mut self) -> &mut L {
        &mut self.store
    }

    /// The state machine of the protocol.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// A picture of the node.
    pub fn status(&self) -> Status {
        self.raft.status()
    }

    fn pump_all(&mut self) -> Result<(), NodeError<L::Error>> {
        loop {
            let mut has_news = false;
            while let Some(arrival) = self.transport.poll() {
                has_news = true;
                match arrival {
                    Arrival::Message(message) => self.raft.receive(message),
                    Arrival::Unreachable(peer) => self.raft.unreachable(peer),
                }
            }
            if let Some(id) = self.store.poll_persisted().map_err(NodeError::Store)? {
                has_news = true;
                self.raft.persisted(id);
            }
            while let Some(stored) = self.store.poll_snapshot() {
                has_news = true;
                self.snapshots.on_stored(stored, &mut self.raft);
            }
            while let Some(action) = self.raft.poll_action() {
                has_news = true;
                self.carry_out(action)?;
            }
            if !has_news {
                break;
            }
        }
        self.transport.flush();
        Ok(())
    }

    fn carry_out(&mut self, action: Action) -> Result<(), NodeError<L::Error>> {
        match action {
            Action::Send(message) => self.transport.send(message),
            Action::Persist(request) => {
                // Followers write while we do (diss. §10.2.1).
                self.transport.flush();
                self.store.persist(request).map_err(NodeError::Store)?;
            }
            Action::Apply(batches) => self.apply(&batches),
            Action::Load(Load { id, first, end, bytes_max }) => {
                let batches = self.store.load(first, end, bytes_max).map_err(NodeError::Store)?;
                self.raft.loaded(id, &batches).map_err(NodeError::Load)?;
            }
            Action::TakeSnapshot(mark) => {
                let source = self.machine.snapshot();
                self.snapshots.take(mark, source, &mut self.store, &mut self.raft);
            }
            Action::LoadChunk(load) => self.snapshots.load_chunk(load, &mut self.store, &mut self.raft),
            Action::StoreChunk(chunk) => {
                self.snapshots.store_chunk(*chunk, &mut self.store, &mut self.raft);
            }
            Action::RestoreSnapshot(meta) => {
                self.snapshots.restore(meta);
            }
            Action::ReadReady { up_to, index } => {
                self.reads.add(up_to, index);
                self.report_reads();
            }
            Action::ReadRefused { up_to } => self.events.push_back(Event::ReadRefused { up_to }),
            Action::Forwarded { first, count, result } => self.report_forwarded(first, count, result),
            Action::Notice(notice) => self.events.push_back(Event::Notice(notice)),
        }
        Ok(())
    }

    /// Goes on with a snapshot that is being written or restored. Before anything else is done: what
    /// the owner was told to read in the last pump, it has read by now.
    fn work(&mut self) -> Result<(), NodeError<L::Error>> {
        self.snapshots.write_step(&mut self.store, &mut self.raft);
        if let Some(last) = self.snapshots.restoring()
            && self.snapshots.restore_step(&mut self.store, &mut self.machine)? == Step::Done
        {
            self.applied = last.index;
            self.raft.applied(last.index);
            // What became of those that the snapshot covers is not told by it (S46). Some of them may
            // have learnt their place only while it was restored.
            for id in self.waiting.take_covered(last.index) {
                self.events.push_back(Event::Proposed { id, outcome: Outcome::Unknown });
            }
            self.report_reads();
        }
        Ok(())
    }

    fn apply(&mut self, batches: &Batches) {
        for entry in batches.entries() {
            let output = match entry.kind {
                EntryKind::Command => Some(self.machine.apply(&entry)),
                EntryKind::Hollow | EntryKind::Empty | EntryKind::Membership => None,
            };
            if let Some((id, is_ours)) = self.waiting.take_applied(entry.index, entry.term) {
                let outcome = match output {
                    Some(output) if is_ours => Outcome::Applied(output),
                    // Committed, and applied by whoever has the payload; a witness has no result.
                    None if is_ours => Outcome::Unknown,
                    Some(_) | None => Outcome::Lost,
                };
                self.events.push_back(Event::Proposed { id, outcome });
                // Others that were given the same index by earlier leaders.
                while let Some((id, _)) = self.waiting.take_applied(entry.index, entry.term) {
                    self.events.push_back(Event::Proposed { id, outcome: Outcome::Lost });
                }
            }
            self.applied = entry.index;
        }
        self.raft.applied(self.applied);
        self.report_reads();
    }

    fn report_reads(&mut self) {
        if !self.raft.has_state() {
            return;
        }
        while let Some(up_to) = self.reads.take_ready(self.applied) {
            self.events.push_back(Event::ReadReady { up_to });
        }
    }

    fn report_forwarded(&mut self, first: ForwardId, count: u32, result: ForwardResult) {
        let mut position = match result {
            ForwardResult::Appended(position) => Some(position),
            ForwardResult::Refused(_) | ForwardResult::Unknown => None,
        };
        for id in self.waiting.take_forwarded(first, count) {
            let outcome = match (result, position) {
                (ForwardResult::Refused(refusal), _) => Outcome::Refused(refusal),
                (ForwardResult::Appended(_), Some(at)) if at.index > self.applied => {
                    self.waiting.appended(id, at);
                    position = Some(Position::new(at.term, at.index.next()));
                    continue;
                }
                // Applied before we knew that it was ours: the result is gone.
                (ForwardResult::Appended(_), Some(at))
                    if self.raft.commit_status(at) == CommitStatus::Lost =>
                {
                    Outcome::Lost
                }
                (ForwardResult::Appended(_) | ForwardResult::Unknown, _) => Outcome::Unknown,
            };
            position = position.map(|at| Position::new(at.term, at.index.next()));
            self.events.push_back(Event::Proposed { id, outcome });
        }
    }
}

/// The membership entries of a recovered log.
fn load_memberships<L: LogStore>(
    store: &mut L,
    recovered: &Recovered,
) -> Result<Vec<(LogIndex, Membership)>, NodeError<L::Error>> {
    let mut memberships = Vec::new();
    for run in recovered.runs.iter().filter(|run| run.kind == EntryKind::Membership) {
        let mut next = run.first;
        while next <= run.last {
            let batches = store.load(next, run.last.next(), usize::MAX).map_err(NodeError::Store)?;
            let before = next;
            for entry in batches.iter().flat_map(|batch| batch.iter()) {
                let membership = Membership::decode(entry.payload).map_err(|source| {
                    NodeError::Start(StartError::Restore(RestoreError::Membership {
                        at: entry.index,
                        source,
                    }))
                })?;
                memberships.push((entry.index, membership));
                next = entry.index.next();
            }
            if next == before {
                return Err(NodeError::Load(LoadError::WrongEntries { first: next }));
            }
        }
    }
    Ok(memberships)
}
