//! Door 2: the one correct loop over [`Raft`], with a store, a transport and a state machine.
//!
//! No I/O, threads or clock of its own: whoever owns the node calls [`Node::tick`] as time passes
//! and [`Node::pump`] when something may have happened.

mod inputs;
mod observe;
mod pump;
#[cfg(feature = "trace")]
mod trace;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::outcome::{Event, NodeError};
use super::raft::{Raft, StartError};
use super::snapshots::{SnapshotDesk, Step};
use super::state_machine::StateMachine;
use super::store::{LogStore, SnapshotStore};
use super::transport::Transport;
use super::waiting::{Waiting, WaitingReads};
use crate::means::config::Config;
use crate::words::entries::EntryKind;
use crate::words::error::{LoadError, RestoreError};
use crate::words::ids::LogIndex;
use crate::words::membership::Membership;
use crate::words::persist::Recovered;

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
    /// Without founders, a store that was never written to is refused: that is how a node is started that
    /// has a past, so that it is not mistaken for a new one when its disk is lost. Founders that do not
    /// hold this node's id found their group without it: it then belongs to none and waits, as after
    /// [`join`](Self::join).
    ///
    /// ```
    /// # use raft_core::{mem::*, *};
    /// # struct Sum(u64);
    /// # impl StateMachine for Sum {
    /// #     type Output = u64;
    /// #     fn apply(&mut self, entry: &Entry<'_>) -> u64 { self.0 += u64::from(entry.payload[0]); self.0 }
    /// # }
    /// # let (id, network) = (NodeId::new(1), MemNetwork::new());
    /// # let members = Membership::of_voters([id])?;
    /// let disk = MemLog::new();
    /// let mut node = Node::open(Config::new(id), Some(members), disk, network.join(id), Sum(0))?;
    /// node.campaign()?;
    /// node.pump()?;
    /// node.propose(&[42])?;
    /// node.pump()?;
    ///
    /// let disk = node.store_mut().clone(); // The process ends; the disk stays.
    /// let mut node = Node::open(Config::new(id), None, disk, network.join(id), Sum(0))?;
    /// node.campaign()?;
    /// node.pump()?;
    /// assert_eq!(node.machine().0, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// yet and waits for one to take it in (diss. §4.4).
    ///
    /// Its leader must be told to: [`change_membership`](Self::change_membership) with
    /// [`joining_voter`](crate::MembershipChange::joining_voter).
    ///
    /// ```
    /// # use raft_core::{mem::*, *};
    /// # struct Sum(u64);
    /// # impl StateMachine for Sum {
    /// #     type Output = u64;
    /// #     fn apply(&mut self, entry: &Entry<'_>) -> u64 { self.0 += u64::from(entry.payload[0]); self.0 }
    /// # }
    /// # let (id, network) = (NodeId::new(4), MemNetwork::new());
    /// let mut newcomer = Node::join(Config::new(id), MemLog::new(), network.join(id), Sum(0))?;
    /// newcomer.tick_many(1000);
    /// newcomer.pump()?;
    /// assert_eq!(newcomer.raft().role(), RoleName::Follower, "it never campaigns by itself");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let fits = config.check_messages(transport.message_bytes_max());
        fits.map_err(|error| NodeError::Start(StartError::Config(error)))?;
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
