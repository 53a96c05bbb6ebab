//! What can be seen of a node, and reached through it.

use super::Node;
use crate::doors::raft::Raft;
use crate::doors::state_machine::StateMachine;
use crate::doors::store::SnapshotStore;
use crate::doors::transport::Transport;
use crate::words::status::Status;

impl<L: SnapshotStore, T: Transport, S: StateMachine> Node<L, T, S> {
    /// The state machine, as of the last pump.
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
    /// node.pump()?;
    /// assert_eq!(node.machine().0, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// The state machine, for reads that need `&mut`. Changing what commands see would make this
    /// node differ from the others.
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
    /// assert_eq!(node.machine_mut().0, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn machine_mut(&mut self) -> &mut S {
        &mut self.machine
    }

    /// The transport, for its settings and counters.
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
    /// assert_eq!(node.transport_mut().poll(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transport_mut(&mut self) -> &mut T {
        &mut self.transport
    }

    /// The store, for its settings and counters.
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
    /// assert_eq!(node.store_mut().last(), 1.into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn store_mut(&mut self) -> &mut L {
        &mut self.store
    }

    /// The state machine of the protocol, to look at.
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
    /// assert_eq!(node.raft().leader(), Some(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// A picture of the node; see [`Raft::status`].
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
    /// assert_eq!(node.status().applied, 1.into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status(&self) -> Status {
        self.raft.status()
    }
}
