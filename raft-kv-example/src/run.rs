//! `raft-kv serve`: puts the parts of a node together and lets them run until a signal.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error, fmt, io};

use raft_core::sessions::Sessions;
use raft_core::{GroupId, Membership, Node, NodeId};
use raft_storage::{Identity, OpenError, Start, Wal, WalOptions};
use raft_transport_tcp::{BindError, Options, TcpTransport};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use slog::{Logger, info, o, warn};

use crate::address::Addresses;
use crate::admin::Roads;
use crate::join::{self, JoinError, Newcomer};
use crate::kv::Machine;
use crate::node::{KvNode, NodeFailure, explain};
use crate::server::{ServeError, Server, Stop};
use crate::session_limits::FOUNDING;
use crate::settings::{Origin, Settings};

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
                "{} holds no node; give --join HOST:PORT to join a cluster, --peers to found one, or the \
                 right directory with --data",
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
            Self::NoPast { .. } => None,
            Self::Node(source) => Some(source),
            Self::Serve(source) => Some(source),
        }
    }
}

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
///
/// If it cannot start, or its disk or log is no longer to be trusted.
pub fn run(mut settings: Settings, log: &Logger) -> Result<(), RunError> {
    let log = log.new(o!("node" => settings.config.id.get()));
    let stop = Stop::default();
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, stop.flag()).map_err(RunError::Signals)?;
    }
    if settings.is_until_stdin_ends {
        stop_with_stdin(stop.clone());
    }
    make_room_for_clients(settings.limits.clients_max, &log);
    let address = resolve("--listen", &settings.listen)?;
    let server = Server::bind(address, settings.tick, settings.limits.clone(), stop, log.clone())
        .map_err(|source| RunError::Listen { address, source })?;
    let listening = server.local_address().unwrap_or(address);
    if let Some(host) = settings.client_address.strip_suffix(":0") {
        settings.client_address = format!("{host}:{}", listening.port());
    }
    check_origin(&settings, &log)?;
    let wal = open_log(&settings, &server, &log)?;
    let transport = Arc::new(open_transport(&settings, wal.incarnation(), &server, &log)?);
    let has_past = !wal.group_ids().is_empty();
    let peers = if has_past { Vec::new() } else { enter(&settings, &log)? };
    for (id, address) in &peers {
        transport.set_peer(*id, address.clone()).map_err(RunError::Peer)?;
    }
    let store = wal.group(GROUP).map_err(|error| RunError::Node(NodeFailure::of(&error)))?;
    let (ways, machine) = (transport.group(GROUP), Sessions::new(Machine::new(settings.cluster), FOUNDING));
    let node = match &settings.origin {
        Origin::Founder(founders) => {
            Node::open(settings.config, Some(founders.clone()), store, ways, machine)
        }
        Origin::Newcomer { .. } | Origin::Past => Node::join(settings.config, store, ways, machine),
    };
    let node = node.map_err(|error| RunError::Node(error.into()))?;
    if let (true, Origin::Founder(given)) = (has_past, &settings.origin) {
        warn_of_other_members(given, node.raft().membership(), &log);
    }
    let roads = Roads::new(Arc::clone(&transport), &peers, log.clone());
    let node = KvNode::new(
        node,
        settings.cluster,
        settings.client_address,
        settings.session_limits,
        roads,
        log.clone(),
    );
    info!(log, "ready for clients"; "address" => %listening);
    let result = server.run(node).map_err(RunError::Serve);
    transport.shutdown();
    let closed = wal.close().map_err(|error| RunError::Node(NodeFailure::of(&error)));
    match &result {
        Ok(()) => info!(log, "stopped"),
        Err(error) => slog::crit!(log, "stopped"; "error" => explain(error)),
    }
    result.and(closed)
}

/// Says that `--peers` changes nothing where a cluster was founded long ago, if it says otherwise.
fn warn_of_other_members(given: &Membership, in_force: &Membership, log: &Logger) {
    let (given, in_force) = (peers_text(given), peers_text(in_force));
    // A node that has not heard of any members yet cannot tell.
    if in_force.is_empty() || given == in_force {
        return;
    }
    warn!(
        log,
        "--peers differs from the members of this node's cluster and is ignored, as it only founds \
        clusters; to take nodes in, start them with --join or send RAFT.ADD; to found another cluster, \
        give a new directory with --data; otherwise leave --peers out";
        "members" => in_force, "peers" => given
    );
}

/// The members as `--peers` names them.
fn peers_text(membership: &Membership) -> String {
    let words = membership.members().iter().map(|member| {
        let peer = Addresses::decode(&member.context).map(|addresses| addresses.peer);
        format!("{}={}", member.id, peer.as_deref().unwrap_or("?"))
    });
    words.collect::<Vec<_>>().join(",")
}

/// Refuses what would fail anyway, before a directory is made.
fn check_origin(settings: &Settings, log: &Logger) -> Result<(), RunError> {
    if !is_empty(&settings.data) {
        return Ok(());
    }
    settings.config.validate().map_err(|error| RunError::Node(NodeFailure::of(&error)))?;
    // The transport needs what only a directory can tell, so it listens later, and this is a trial.
    let address = resolve("--peer-listen", &settings.peer_listen)?;
    TcpListener::bind(address)
        .map_err(|source| RunError::PeerListen { address, source: BindError::Listen(source) })?;
    match &settings.origin {
        Origin::Founder(founders) => {
            warn_of_unknown_hosts(founders, log);
            Ok(())
        }
        Origin::Newcomer { member, peer_address } => {
            join::survey(member, &newcomer(settings, peer_address)).map(drop).map_err(RunError::Join)
        }
        Origin::Past => Err(RunError::NoPast { dir: settings.data.clone() }),
    }
}

/// Names founders whose addresses mean nothing to this machine. They may later, so they are no reason
/// not to found the cluster.
fn warn_of_unknown_hosts(founders: &Membership, log: &Logger) {
    for member in founders.members() {
        let Ok(Addresses { peer, .. }) = Addresses::decode(&member.context) else { continue };
        if let Err(RunError::Resolve { source, .. }) = resolve("--peers", &peer) {
            warn!(
                log,
                "the address of a founder means nothing to this machine yet; if it is misspelt, stop \
                this node and begin again with a new directory";
                "member" => member.id.get(), "address" => peer, "reason" => %source
            );
        }
    }
}

/// Whether there is nothing in the directory, or no directory.
fn is_empty(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Lets a newcomer become a member; where the others are.
fn enter(settings: &Settings, log: &Logger) -> Result<Vec<(NodeId, String)>, RunError> {
    let (member, peer_address) = match &settings.origin {
        Origin::Newcomer { member, peer_address } => (member, peer_address),
        Origin::Founder(_) => return Ok(Vec::new()),
        Origin::Past => {
            warn!(
                log,
                "this node has nothing yet and waits until it is taken in; if none is meant to do \
                that, give --join or, to found a cluster, --peers"
            );
            return Ok(Vec::new());
        }
    };
    let newcomer = newcomer(settings, peer_address);
    let peers = join::enter(member, &newcomer).map_err(RunError::Join)?;
    info!(log, "joined as a learner; RAFT.PROMOTE makes it a voter"; "members" => peers.len());
    Ok(peers)
}

fn newcomer(settings: &Settings, peer_address: &str) -> Newcomer {
    let (peer, client) = (peer_address.to_owned(), Some(settings.client_address.clone()));
    let addresses = Addresses { peer, client };
    Newcomer { id: settings.config.id, cluster: settings.cluster, addresses }
}

fn open_log(settings: &Settings, server: &Server, log: &Logger) -> Result<Wal, RunError> {
    let identity = Identity { cluster: settings.cluster, node: settings.config.id };
    let options = WalOptions::new(&settings.data, identity)
        .start(Start::InitialiseIfMissing)
        .segment_bytes(settings.segment_bytes)
        .logger(log.clone());
    let wake = server.wake();
    Wal::open(&options, move || wake.wake())
        .map_err(|source| RunError::Data { dir: settings.data.clone(), source: Box::new(source) })
}

fn open_transport(
    settings: &Settings,
    incarnation: u64,
    server: &Server,
    log: &Logger,
) -> Result<TcpTransport, RunError> {
    let address = resolve("--peer-listen", &settings.peer_listen)?;
    let mut options = Options::new(settings.cluster, settings.config.id, incarnation, address);
    options.log = log.clone();
    let wake = Arc::new(server.wake());
    TcpTransport::bind(options, move || wake.wake())
        .map_err(|source| RunError::PeerListen { address, source })
}

/// Raises the number of descriptors that this process may have, as far as it may.
fn make_room_for_clients(clients_max: usize, log: &Logger) {
    let wanted = u64::try_from(clients_max).unwrap_or(u64::MAX).saturating_add(DESCRIPTORS_BESIDES);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let reachable = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), ..limit });
    if raised.is_err() || reachable < wanted {
        warn!(log, "fewer clients can connect than --clients-max says; raise the limit of open files";
            "wanted" => wanted, "reached" => reachable);
    }
}

/// Asks for the end when whoever holds the other end of standard input closes it or dies.
fn stop_with_stdin(stop: Stop) {
    std::thread::spawn(move || {
        // An error says as much as the end: nobody is there any more.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.stop();
    });
}

fn resolve(option: &'static str, address: &str) -> Result<SocketAddr, RunError> {
    let refuse = |source| RunError::Resolve { option, address: address.to_owned(), source };
    let mut found = address.to_socket_addrs().map_err(refuse)?;
    found.next().ok_or_else(|| refuse(io::ErrorKind::NotFound.into()))
}

/// Descriptors for everything but clients: the log, other nodes, the system's own.
const DESCRIPTORS_BESIDES: u64 = 1024;
/// The one group of this process.
const GROUP: GroupId = GroupId::new(1);
