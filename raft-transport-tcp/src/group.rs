//! One group's way to its members: what `raft_core::Node` sends through and polls.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use raft_core::{Arrival, GroupId, Message, NodeId, Transport};

use crate::hub::Hub;
use crate::inbox::{Inbox, Waiting};
use crate::peer::{Peer, Ticket};

/// A group's handle to the connections that all groups of a process share.
///
/// Messages to the same peer leave in the order of `send`, and arrive in it as long as the connection
/// lasts. Sending only encodes; [`flush`](Transport::flush) writes to the sockets as far as they take
/// it without waiting. Dropping the handle closes the group: what arrives for it is then dropped.
pub struct GroupTransport {
    hub: Arc<Hub>,
    group: GroupId,
    inbox: Arc<Inbox>,
    taken: Waiting,
    routes: Vec<Route>,
    routes_version: u64,
    /// Receivers that nothing leads to and that were reported so.
    unroutable: HashSet<NodeId>,
}

/// The way to one peer.
struct Route {
    peer: Arc<Peer>,
    ticket: Ticket,
    is_dirty: bool,
}

impl GroupTransport {
    pub(crate) fn new(hub: Arc<Hub>, group: GroupId) -> Self {
        let inbox = hub.open_inbox(group);
        Self {
            hub,
            group,
            inbox,
            taken: Waiting::default(),
            routes: Vec::new(),
            routes_version: 0,
            unroutable: HashSet::new(),
        }
    }

    /// The group this handle belongs to.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Copies the register of peers, which changes seldom, so that sending needs no lock on it.
    fn refresh_routes(&mut self) {
        let version = self.hub.peers_version();
        if version == self.routes_version {
            return;
        }
        self.routes_version = version;
        self.unroutable.clear();
        let mut old = std::mem::take(&mut self.routes);
        for peer in self.hub.peers.read().values() {
            let known = old.iter().position(|route| Arc::ptr_eq(&route.peer, peer));
            self.routes.push(match known {
                Some(at) => old.swap_remove(at),
                None => Route { peer: Arc::clone(peer), ticket: Ticket::default(), is_dirty: false },
            });
        }
        self.routes.sort_unstable_by_key(|route| route.peer.id);
    }

    fn report_unroutable(&mut self, to: NodeId) {
        self.hub.counters.unroutable_messages.add(1);
        if self.unroutable.len() >= UNROUTABLE_MAX {
            self.unroutable.clear();
        }
        if self.unroutable.insert(to) {
            self.inbox.push_unreachable(to);
        }
    }
}

impl Transport for GroupTransport {
    /// # Panics
    ///
    /// If the message is from another node than the transport was bound for.
    fn send(&mut self, message: Message) {
        let own = self.hub.identity.id;
        assert_eq!(message.from, own, "the node and its transport have different ids");
        self.refresh_routes();
        let to = message.to;
        let Ok(at) = self.routes.binary_search_by_key(&to, |route| route.peer.id) else {
            self.report_unroutable(to);
            return;
        };
        let route = &mut self.routes[at];
        route.is_dirty = true;
        route.peer.send(message, self.group, &self.inbox, &mut route.ticket);
    }

    fn message_bytes_max(&self) -> u64 {
        self.hub.limits.frame_bytes_max.into()
    }

    fn poll(&mut self) -> Option<Arrival> {
        if let Some(message) = self.taken.messages.pop_front() {
            return Some(Arrival::Message(message));
        }
        if let Some(peer) = self.taken.unreachable.pop() {
            return Some(Arrival::Unreachable(peer));
        }
        self.inbox.take(&mut self.taken);
        match self.taken.messages.pop_front() {
            Some(message) => Some(Arrival::Message(message)),
            None => self.taken.unreachable.pop().map(Arrival::Unreachable),
        }
    }

    fn flush(&mut self) {
        for route in &mut self.routes {
            if std::mem::take(&mut route.is_dirty) {
                route.peer.flush();
            }
        }
    }
}

impl Drop for GroupTransport {
    fn drop(&mut self) {
        self.flush();
        self.hub.close_inbox(self.group, &self.inbox);
    }
}

impl fmt::Debug for GroupTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupTransport").field("group", &self.group).finish_non_exhaustive()
    }
}

/// How many receivers without a route are remembered.
const UNROUTABLE_MAX: usize = 1024;
