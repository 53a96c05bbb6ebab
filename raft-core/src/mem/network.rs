//! A network in memory that loses nothing.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use core::cell::RefCell;

use crate::doors::transport::{Arrival, Transport};
use crate::words::ids::NodeId;
use crate::words::message::Message;

/// Connects nodes of one thread.
///
/// ```
/// use raft_core::mem::MemNetwork;
/// use raft_core::{Arrival, Body, Message, NodeId, Term, Transport};
///
/// let network = MemNetwork::new();
/// let [mut one, mut two] = [1, 2].map(|id| network.join(NodeId::new(id)));
/// let message = Message { from: 1.into(), to: 2.into(), term: Term::new(1), body: Body::TimeoutNow };
/// one.send(message.clone());
/// assert!(network.has_messages());
/// assert_eq!(two.poll(), Some(Arrival::Message(message)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemNetwork(Rc<RefCell<BTreeMap<NodeId, VecDeque<Message>>>>);

/// One node's end of a [`MemNetwork`].
#[derive(Clone, Debug)]
pub struct MemTransport {
    id: NodeId,
    network: MemNetwork,
}

impl MemNetwork {
    /// A network without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects a node; messages to a node that is not connected are dropped.
    #[must_use]
    pub fn join(&self, id: NodeId) -> MemTransport {
        self.0.borrow_mut().insert(id, VecDeque::new());
        MemTransport { id, network: self.clone() }
    }

    /// Whether messages wait to be received.
    #[must_use]
    pub fn has_messages(&self) -> bool {
        self.0.borrow().values().any(|inbox| !inbox.is_empty())
    }
}

impl Transport for MemTransport {
    fn send(&mut self, message: Message) {
        if let Some(inbox) = self.network.0.borrow_mut().get_mut(&message.to) {
            inbox.push_back(message);
        }
    }

    fn poll(&mut self) -> Option<Arrival> {
        let message = self.network.0.borrow_mut().get_mut(&self.id)?.pop_front()?;
        Some(Arrival::Message(message))
    }

    fn message_bytes_max(&self) -> u64 {
        u64::MAX
    }
}
