//! A TCP transport between raft-core peers: std sockets and threads, many groups over the same
//! connections.
//!
//! It knows bytes, connections and who is at their other end. It does not know what messages mean.
//!
//! ```
//! use std::time::Duration;
//!
//! use raft_core::{Arrival, Body, GroupId, Message, NodeId, Term, Transport};
//! use raft_transport_tcp::{Options, TcpTransport};
//!
//! let (cluster, any_port) = (42, "127.0.0.1:0".parse()?);
//! let (ring, bell) = crossbeam_channel::bounded(1);
//! let one = TcpTransport::bind(Options::new(cluster, NodeId::new(1), 0xaaaa, any_port), || {})?;
//! let two = TcpTransport::bind(Options::new(cluster, NodeId::new(2), 0xbbbb, any_port), move || {
//!     let _ = ring.try_send(()); // A bell that rings already will be heard.
//! })?;
//! one.set_peer(NodeId::new(2), two.local_address().to_string())?;
//!
//! let (mut sender, mut receiver) = (one.group(GroupId::new(7)), two.group(GroupId::new(7)));
//! let (from, to) = (NodeId::new(1), NodeId::new(2));
//! let message = Message { from, to, term: Term::new(1), body: Body::TimeoutNow };
//! sender.send(message.clone());
//! sender.flush();
//!
//! bell.recv_timeout(Duration::from_secs(5))?;
//! assert_eq!(receiver.poll(), Some(Arrival::Message(message)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Connections
//!
//! Each node opens its own connection to each peer that it has an address of, and writes to that
//! one; on a connection that the peer opened it mostly reads. Whoever loses a connection opens the
//! next one, so nothing has to be settled when both connect at the same time. Sharing one connection
//! for both directions was measured to be no faster. Only to a node without an address, such as a
//! leader that a lagging follower does not know yet, answers go back the way the question came.
//!
//! The first thing said on a connection is who speaks, to whom, in which cluster and in which
//! protocol versions; either end refuses what does not fit, with a reason. From then on the
//! connection belongs to that peer: a message in another name ends it. A newer connection of the
//! same peer replaces the older. Without TLS these are claims, not proofs: use it in networks where
//! every machine is trusted.
//!
//! # Threads
//!
//! One accepts; each connection has one that reads; each peer has one that connects, and writes when
//! the socket is full. Apart from that, [`flush`](raft_core::Transport::flush) writes on the calling
//! thread, without ever waiting.
//!
//! # Many groups
//!
//! What all groups send to one peer waits in one queue, and whichever of them flushes first writes all
//! of it. So let every group send before any of them flushes: then a thousand heartbeats to one peer
//! leave with one write, in 36 bytes each or so. A [`Node`](raft_core::Node) flushes whenever it has
//! worked; this puts it off until all of them have:
//!
//! ```
//! use raft_core::{Arrival, Message, Transport};
//! use raft_transport_tcp::GroupTransport;
//!
//! /// Call `flush` of what is inside, by `Node::transport_mut`, once all nodes were pumped.
//! struct Together(GroupTransport);
//!
//! impl Transport for Together {
//!     fn send(&mut self, message: Message) {
//!         self.0.send(message);
//!     }
//!
//!     fn poll(&mut self) -> Option<Arrival> {
//!         self.0.poll()
//!     }
//!
//!     fn message_bytes_max(&self) -> u64 {
//!         self.0.message_bytes_max()
//!     }
//! }
//! ```
//!
//! # What gets lost
//!
//! Queues and inboxes are bounded ([`Limits`]); over the bound, messages are dropped and counted.
//! When messages to a peer may have been lost, each group that has sent some gets one
//! [`Arrival::Unreachable`](raft_core::Arrival::Unreachable) per outage or overflow.
#![forbid(unsafe_code)]

mod acceptor;
mod admission;
mod backoff;
mod counters;
mod error;
mod group;
mod handshake;
mod hub;
mod inbox;
mod lifecycle;
mod options;
mod peer;
mod queue;
mod reader;
mod sender;
mod stream;
mod transport;

pub use counters::{PeerCounters, RefusalCounters, TransportCounters};
pub use error::BindError;
pub use group::GroupTransport;
pub use options::{Limits, Options, PROTOCOL_VERSIONS};
pub use transport::TcpTransport;

/// The program of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
