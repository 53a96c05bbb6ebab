//! A TCP transport between raft-core peers: std sockets and threads, many groups over the same
//! connections.
//!
//! It knows bytes, connections and who is at their other end. It does not know what messages mean.
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
