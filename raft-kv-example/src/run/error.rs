//! Why a node did not start, or did not go on, each with what to do about it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{error, fmt, io};

use raft_storage::OpenError;
use raft_transport_tcp::BindError;

use crate::join::JoinError;
use crate::node::NodeFailure;
use crate::server::ServeError;

/// Why a node did not start, or did not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// An address means nothing to this machine.
    Resolve {
        /// The option it came from.
        option: &'static str,
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Clients cannot be listened for.
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Other nodes cannot be listened for.
    PeerListen {
        /// Where.
        address: SocketAddr,
        /// What the transport says.
        source: BindError,
    },
    /// The way to another node cannot be kept.
    Peer(io::Error),
    /// The directory cannot be this node's.
    Data {
        /// Which directory.
        dir: PathBuf,
        /// What the log says.
        source: Box<OpenError>,
    },
    /// The cluster did not take this node in.
    Join(JoinError),
    /// The directory holds no node, and nothing says how one begins.
    NoPast {
        /// Which directory.
        dir: PathBuf,
    },
    /// The directory holds a node already, which cannot found a cluster.
    HasPast {
        /// Which directory.
        dir: PathBuf,
    },
    /// Signals cannot be watched.
    Signals(io::Error),
    /// The node stopped.
    Node(NodeFailure),
    /// The server stopped.
    Serve(ServeError<NodeFailure>),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { option, address, .. } => {
                write!(f, "{option}: '{address}' is no address of this machine; check the spelling")
            }
            Self::Listen { address, .. } => write!(
                f,
                "cannot listen for clients on {address}; stop whoever uses the port, or give another \
                 one with --listen"
            ),
            Self::PeerListen { address, .. } => write!(
                f,
                "cannot listen for other nodes on {address}; stop whoever uses the port, or give \
                 another one with --peer-listen"
            ),
            Self::Peer(_) => f.write_str("cannot keep a connection to another node"),
            Self::Data { dir, .. } => write!(f, "cannot use the data directory {}", dir.display()),
            Self::Join(_) => f.write_str("cannot join the cluster"),
            Self::NoPast { dir } => write!(
                f,
                "{} holds no node; give the right directory with --data, or, if this node is new, --init \
                 with --peers to found a cluster, or --join HOST:PORT to join one; if it has lost its disk, \
                 it can only join, under an --id that was never used",
                dir.display()
            ),
            Self::HasPast { dir } => write!(
                f,
                "{} holds a node already; leave --init out: it is for the first start only, because a node \
                 that has lost its disk must not be founded again (or give another directory with --data)",
                dir.display()
            ),
            Self::Signals(_) => f.write_str("cannot watch for signals"),
            Self::Node(_) => f.write_str("the node cannot start"),
            Self::Serve(_) => f.write_str("the node stopped"),
        }
    }
}

impl error::Error for RunError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Resolve { source, .. } | Self::Listen { source, .. } => Some(source),
            Self::Peer(source) | Self::Signals(source) => Some(source),
            Self::PeerListen { source, .. } => Some(source),
            Self::Data { source, .. } => Some(source),
            Self::Join(source) => Some(source),
            Self::NoPast { .. } | Self::HasPast { .. } => None,
            Self::Node(source) => Some(source),
            Self::Serve(source) => Some(source),
        }
    }
}
