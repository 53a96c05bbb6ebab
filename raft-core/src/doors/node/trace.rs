//! What the node did, for whoever checks it against a specification.

use alloc::vec::Vec;

use super::Node;
use crate::doors::state_machine::StateMachine;
use crate::doors::store::SnapshotStore;
use crate::doors::transport::Transport;
use crate::words::trace::TraceEvent;

impl<L: SnapshotStore, T: Transport, S: StateMachine> Node<L, T, S> {
    /// Records from now on what this node does: [`Raft::start_trace`](crate::Raft::start_trace).
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
    /// node.start_trace();
    /// assert_eq!(node.take_trace().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_trace(&mut self) {
        self.raft.start_trace();
    }

    /// What this node did since this was asked last: [`Raft::take_trace`](crate::Raft::take_trace).
    /// Take it after each [`pump`](Self::pump).
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
    /// node.start_trace();
    /// node.campaign()?;
    /// node.pump()?;
    /// assert!(node.take_trace().iter().any(|event| event.kind == TraceKind::Commit));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn take_trace(&mut self) -> Vec<TraceEvent> {
        self.raft.take_trace()
    }
}
