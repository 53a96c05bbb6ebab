//! `raft-kv serve`: puts the parts of a node together and lets them run until a signal.

mod error;
mod origin;

use std::io;
use std::sync::Arc;

use raft_core::sessions::Sessions;
use raft_core::{GroupId, Node};
use raft_transport_tcp::{Options, TcpTransport};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use slog::{Logger, info, o, warn};

pub use self::error::RunError;
use self::origin::resolve;
use crate::admin::Roads;
use crate::join;
use crate::kv::Machine;
use crate::node::{KvNode, NodeFailure, explain};
use crate::server::{Server, Stop};
use crate::session_limits::FOUNDING;
use crate::settings::{Origin, Settings};

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
///
/// If it cannot start, or its disk or log is no longer to be trusted.
pub fn run(mut settings: Settings, root: &Logger) -> Result<(), RunError> {
    let log = root.new(o!("node" => settings.config.id.get()));
    let stop = Stop::default();
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, stop.flag()).map_err(RunError::Signals)?;
    }
    if settings.is_until_stdin_ends {
        stop_with_stdin(stop.clone());
    }
    make_room_for_clients(settings.limits.clients_max, &log);
    let address = resolve("--listen", &settings.listen)?;
    let server = Server::bind(address, settings.tick, settings.limits.clone(), stop.clone(), log.clone())
        .map_err(|source| RunError::Listen { address, source })?;
    let listening = server.local_address().unwrap_or(address);
    if let Some(host) = settings.client_address.strip_suffix(":0") {
        settings.client_address = format!("{host}:{}", listening.port());
    }
    let wal = origin::open_log(&settings, &server, &log)?;
    let transport = Arc::new(open_transport(&settings, wal.incarnation(), &server, root)?);
    let newcomer = origin::newcomer(&settings).filter(|_| !origin::has_past(&wal));
    let peers = newcomer.as_ref().map_or(Ok(Vec::new()), join::find_peers).map_err(RunError::Join)?;
    for (id, address) in &peers {
        transport.set_peer(*id, address.clone()).map_err(RunError::Peer)?;
    }
    let store = wal.group(GROUP).map_err(|error| RunError::Node(NodeFailure::of(&error)))?;
    let (ways, machine) = (transport.group(GROUP), Sessions::new(Machine::new(settings.cluster), FOUNDING));
    let node = match settings.origin.clone() {
        Origin::Founder(founders) => {
            Node::open(settings.config.clone(), Some(founders), store, ways, machine)
        }
        Origin::Newcomer { .. } | Origin::Past(_) => {
            Node::join(settings.config.clone(), store, ways, machine)
        }
    };
    let node = node.map_err(|error| RunError::Node(error.into()))?;
    if let Origin::Past(Some(given)) = &settings.origin {
        origin::warn_of_other_members(given, node.raft().membership(), &log);
    }
    origin::warn_of_other_address(&settings, node.raft().membership(), &log);
    let roads = Roads::new(Arc::clone(&transport), &peers, log.clone());
    let node = KvNode::new(
        node,
        settings.cluster,
        settings.client_address,
        settings.session_limits,
        roads,
        log.clone(),
    );
    let joining = newcomer.map(|newcomer| origin::join_beside(newcomer, stop, log.clone()));
    info!(log, "ready for clients"; "address" => %listening);
    let served = server.run(node).map_err(RunError::Serve);
    let refused = joining.and_then(|refusal| refusal.try_recv().ok()).map(RunError::Join);
    let result = served.and(refused.map_or(Ok(()), Err));
    transport.shutdown();
    let closed = wal.close().map_err(|error| RunError::Node(NodeFailure::of(&error)));
    match &result {
        Ok(()) => info!(log, "stopped"),
        Err(error) => slog::crit!(log, "stopped"; "error" => explain(error)),
    }
    result.and(closed)
}

/// The transport puts the node's id into its log lines itself.
fn open_transport(
    settings: &Settings,
    incarnation: u64,
    server: &Server,
    root: &Logger,
) -> Result<TcpTransport, RunError> {
    let address = resolve("--peer-listen", &settings.peer_listen)?;
    let mut options = Options::new(settings.cluster, settings.config.id, incarnation, address);
    options.log = root.clone();
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

/// Descriptors for everything but clients: the log, other nodes, the system's own.
const DESCRIPTORS_BESIDES: u64 = 1024;
/// The one group of this process.
const GROUP: GroupId = GroupId::new(1);
