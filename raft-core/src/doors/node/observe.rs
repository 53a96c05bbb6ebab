//! What can be seen of a node, and reached through it.

use super::Node;
use crate::doors::raft::Raft;
use crate::doors::state_machine::StateMachine;
use crate::doors::store::SnapshotStore;
use crate::doors::transport::Transport;
use crate::words::status::Status;

impl<L: SnapshotStore, T: Transport, S: StateMachine> Node<L, T, S> {
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
}
