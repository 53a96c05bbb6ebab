//! The transport of one process: bound once, shared by all its groups.

use std::net::SocketAddr;
use std::sync::Arc;
use std::{fmt, io};

use raft_core::{GroupId, NodeId};
use slog::{info, o};

use crate::acceptor::Acceptor;
use crate::counters::{PeerCounters, TransportCounters};
use crate::error::BindError;
use crate::group::GroupTransport;
use crate::hub::Hub;
use crate::options::Options;
use crate::sender;

/// Connections with the other nodes, and the threads that serve them.
///
/// Dropping it shuts it down.
pub struct TcpTransport {
    hub: Arc<Hub>,
    acceptor: Acceptor,
}

impl TcpTransport {
    /// Listens, and lets others connect.
    ///
    /// `wake` is called when something arrived for a group whose inbox was empty: from the thread
    /// that read it, and for reports of losses also from a thread that sends or changes peers. No
    /// lock is held meanwhile, so it may call back into the transport; while it runs, nothing more
    /// is read from that connection. Usually it just rings a bell.
    ///
    /// # Errors
    ///
    /// If the options contradict each other, or the address cannot be listened on.
    pub fn bind(options: Options, wake: impl Fn() + Send + Sync + 'static) -> Result<Self, BindError> {
        options.check()?;
        let acceptor = Acceptor::bind(options.listen).map_err(BindError::Listen)?;
        let log = options.log.new(o!("node" => options.id.get()));
        info!(log, "listening for peers"; "address" => %acceptor.address());
        let hub = Arc::new(Hub::new(Options { log, ..options }, Arc::new(wake)));
        acceptor.start(&hub).map_err(BindError::Thread)?;
        Ok(Self { hub, acceptor })
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Sets where a peer is found, as `host:port`, and keeps a connection to it from now on.
    ///
    /// Names are resolved at each attempt to connect.
    ///
    /// # Errors
    ///
    /// If the system gives no thread, or the transport is shut down.
    pub fn set_peer(&self, id: NodeId, address: impl Into<String>) -> io::Result<()> {
        sender::adopt(&self.hub, id, Some(address.into())).map(drop)
    }

    /// Closes all connections with a peer and forgets it. It may still connect to us as a stranger.
    pub fn remove_peer(&self, id: NodeId) {
        let removed = self.hub.peers.write().remove(&id);
        self.hub.bump_peers_version();
        if let Some(peer) = removed {
            peer.stop();
        }
    }

    /// Opens a group. An older handle of the same group gets nothing more.
    #[must_use]
    pub fn group(&self, group: GroupId) -> GroupTransport {
        GroupTransport::new(Arc::clone(&self.hub), group)
    }

    /// The nodes that an address or a connection leads to, in ascending order.
    #[must_use]
    pub fn peers(&self) -> Vec<NodeId> {
        let mut ids: Vec<_> = self.hub.peers.read().keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// What happened with one peer; `None` if nothing leads to it.
    #[must_use]
    pub fn peer_counters(&self, id: NodeId) -> Option<PeerCounters> {
        self.hub.peers.read().get(&id).map(|peer| peer.counters.snapshot())
    }

    /// What happened apart from single peers.
    #[must_use]
    pub fn counters(&self) -> TransportCounters {
        self.hub.counters.snapshot()
    }

    /// Closes all connections and waits for all threads; messages sent from now on are dropped.
    ///
    /// Takes milliseconds, unless a name is being resolved, which cannot be cut short.
    pub fn shutdown(&self) {
        let peers: Vec<_> = self.hub.peers.write().drain().map(|(_, peer)| peer).collect();
        self.hub.bump_peers_version();
        for peer in peers {
            peer.stop();
        }
        self.hub.lifecycle.stop();
        self.acceptor.wake();
        self.hub.lifecycle.join();
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpTransport")
            .field("id", &self.hub.identity.id)
            .field("address", &self.local_address())
            .finish_non_exhaustive()
    }
}
