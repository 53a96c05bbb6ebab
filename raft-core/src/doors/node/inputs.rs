//! What a node's owner wants of it, and time.

use super::Node;
use crate::doors::outcome::{Event, Outcome};
use crate::doors::state_machine::StateMachine;
use crate::doors::store::SnapshotStore;
use crate::doors::transport::Transport;
use crate::doors::waiting::ProposalId;
use crate::means::config::{Config, ConfigError};
use crate::words::change::MembershipChange;
use crate::words::error::{
    CampaignError, ChangeError, ProposeError, ReadError, SnapshotError, TransferError,
};
use crate::words::ids::{NodeId, Position, ReadId};

impl<L: SnapshotStore, T: Transport, S: StateMachine> Node<L, T, S> {
    /// Goes on with other settings; see [`Raft::update_config`](crate::Raft::update_config).
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// node.update_config(|config| config.snapshot_log_bytes = 1 << 30)?;
    /// assert_eq!(node.raft().config().snapshot_log_bytes, 1 << 30);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If they are not acceptable. Then nothing changes.
    pub fn update_config(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        let mut next = self.raft.config().clone();
        change(&mut next);
        next.check_messages(self.transport.message_bytes_max())?;
        self.raft.update_config(|config| *config = next)
    }

    /// Time passes: one tick. Nothing leaves before the next [`pump`](Self::pump).
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
    /// let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// while !node.raft().is_leader() {
    ///     node.tick(); // in real life, every 10 to 100 ms
    ///     node.pump()?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tick(&mut self) {
        self.tick_many(1);
    }

    /// Time passes: this many ticks, as if one after the other with nothing coming in between.
    ///
    /// **With [`read_lease_ticks`](Config::read_lease_ticks), ticks must keep up with a monotonic
    /// clock**: an owner that was paused gives all the ticks it missed before it pumps (N18).
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// let quiet = node.raft().ticks_until_due();
    /// node.tick_many(quiet); // slept so long, because nothing was due
    /// node.pump()?;
    /// assert!(node.raft().is_leader());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tick_many(&mut self, ticks: u32) {
        self.raft.tick_many(ticks);
        let timeout = u64::from(self.raft.config().proposal_timeout_ticks);
        for id in self.waiting.tick(u64::from(ticks), timeout) {
            self.events.push_back(Event::Proposed { id, outcome: Outcome::Unknown });
        }
    }

    /// Proposes a command, on any member: a leader appends it, others send it on, unless
    /// [`forward_proposals`](Config::forward_proposals) is off. [`Event::Proposed`] tells what
    /// became of it, at the latest after [`proposal_timeout_ticks`](Config::proposal_timeout_ticks) and an
    /// eighth of that.
    ///
    /// The payload has at most [`entry_bytes_max`](Config::entry_bytes_max) bytes, 1 MiB by default.
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// let id = node.propose(&[42])?;
    /// node.pump()?;
    /// let is_ours = |event: &Event<u64>| matches!(event, Event::Proposed { id: of, .. } if *of == id);
    /// let event = std::iter::from_fn(|| node.poll_event()).find(is_ours);
    /// assert_eq!(event, Some(Event::Proposed { id, outcome: Outcome::Applied(42) }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it was not taken, and why: see [`ProposeError`]. Then it will never be applied.
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

    /// Asks for a linearizable read, on any member (diss. §6.4). [`Event::ReadReady`] tells when it may be
    /// served from [`machine`](Self::machine), before the next pump.
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// node.propose(&[42])?;
    /// let read = node.read()?;
    /// node.pump()?;
    /// let is_ready = |event: Event<u64>| matches!(event, Event::ReadReady { up_to } if up_to >= read);
    /// assert!(std::iter::from_fn(|| node.poll_event()).any(is_ready));
    /// assert_eq!(node.machine().0, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If no leader is known, or this node is a witness.
    pub fn read(&mut self) -> Result<ReadId, ReadError> {
        self.raft.read()
    }

    /// Campaigns at once instead of waiting for the election timeout; see
    /// [`Raft::campaign`](crate::Raft::campaign).
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// assert_eq!(node.campaign(), Err(CampaignError::Leading));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If this node leads, does not vote, its disk does not answer, or a leader's lease rests on it.
    pub fn campaign(&mut self) -> Result<(), CampaignError> {
        self.raft.campaign()
    }

    /// Changes the membership, if this node leads; see
    /// [`Raft::change_membership`](crate::Raft::change_membership).
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// let new = NodeId::new(2);
    /// node.change_membership(&MembershipChange::new().joining_voter(new).context(new, "10.0.0.2:7000"))?;
    /// assert_eq!(node.raft().membership().member(new).expect("just added").role, MemberRole::Joining);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why: see [`ChangeError`].
    pub fn change_membership(&mut self, change: &MembershipChange) -> Result<Position, ChangeError> {
        self.raft.change_membership(change)
    }

    /// Leaves a joint configuration that was entered to stay; see
    /// [`Raft::leave_joint`](crate::Raft::leave_joint).
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// assert_eq!(node.leave_joint(), Err(ChangeError::NotJoint));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If nothing was appended, and why: see [`ChangeError`].
    pub fn leave_joint(&mut self) -> Result<Position, ChangeError> {
        self.raft.leave_joint()
    }

    /// Hands leadership over, if this node leads; see
    /// [`Raft::transfer_leadership`](crate::Raft::transfer_leadership).
    ///
    /// ```
    /// # use raft_core::{mem::*, *};
    /// # struct Sum(u64);
    /// # impl StateMachine for Sum {
    /// #     type Output = u64;
    /// #     fn apply(&mut self, entry: &Entry<'_>) -> u64 { self.0 += u64::from(entry.payload[0]); self.0 }
    /// # }
    /// # let (ids, network) = ([1, 2, 3].map(NodeId::new), MemNetwork::new());
    /// # let members = Membership::of_voters(ids)?;
    /// # let open = |id| Node::open(Config::new(id), Some(members.clone()), MemLog::new(), network.join(id), Sum(0));
    /// # let mut nodes = ids.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    /// # nodes[0].campaign()?;
    /// # for _ in 0..10 {
    /// #     for node in &mut nodes { node.pump()?; }
    /// # }
    /// nodes[0].transfer_leadership(ids[2])?; // three nodes; the first one leads
    /// while !nodes[2].raft().is_leader() {
    ///     for node in &mut nodes {
    ///         node.pump()?;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If no transfer begins, and why: see [`TransferError`].
    pub fn transfer_leadership(&mut self, to: NodeId) -> Result<(), TransferError> {
        self.raft.transfer_leadership(to)
    }

    /// Leads on, if this node is handing leadership over; whether it was. See
    /// [`Raft::abort_transfer`](crate::Raft::abort_transfer).
    ///
    /// ```
    /// # use raft_core::{mem::*, *};
    /// # struct Sum(u64);
    /// # impl StateMachine for Sum {
    /// #     type Output = u64;
    /// #     fn apply(&mut self, entry: &Entry<'_>) -> u64 { self.0 += u64::from(entry.payload[0]); self.0 }
    /// # }
    /// # let (ids, network) = ([1, 2].map(NodeId::new), MemNetwork::new());
    /// # let members = Membership::of_voters(ids)?;
    /// # let open = |id| Node::open(Config::new(id), Some(members.clone()), MemLog::new(), network.join(id), Sum(0));
    /// # let mut nodes = ids.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    /// # nodes[0].campaign()?;
    /// # for _ in 0..10 {
    /// #     for node in &mut nodes { node.pump()?; }
    /// # }
    /// nodes[0].transfer_leadership(ids[1])?; // two nodes; the first one leads
    /// assert!(nodes[0].propose(&[1]).is_err());
    /// assert!(nodes[0].abort_transfer());
    /// nodes[0].propose(&[1])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn abort_transfer(&mut self) -> bool {
        self.raft.abort_transfer()
    }

    /// Takes a snapshot as soon as may be, whatever the policy says; see
    /// [`Raft::take_snapshot`](crate::Raft::take_snapshot). A state machine without snapshots makes it fail,
    /// which a notice tells.
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// node.take_snapshot()?;
    /// node.pump()?;
    /// let has_failed = |event: Event<u64>| matches!(event, Event::Notice(Notice::SnapshotFailed { .. }));
    /// assert!(std::iter::from_fn(|| node.poll_event()).any(has_failed)); // `Sum` has none
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If one is under way already, or there is nothing new to take one of.
    pub fn take_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.raft.take_snapshot()
    }

    /// Asks the leader for a snapshot because the state is lost; see
    /// [`Raft::request_snapshot`](crate::Raft::request_snapshot).
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
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// assert_eq!(node.request_snapshot(), Err(SnapshotError::Leading));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If this node leads, or a snapshot is being restored already.
    pub fn request_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.raft.request_snapshot()
    }
}
