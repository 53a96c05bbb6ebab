//! Where a node's life begins: whether its directory may be made, and how it gets into its cluster.
//!
//! A node that has lost its directory must not begin anew under its old id, for it has forgotten what
//! it vouched for (F24). So a directory is made only for a founder that says so, and for a newcomer
//! whose id the cluster does not know.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver};

use raft_core::Membership;
use raft_storage::{Identity, OpenError, Start, Wal, WalOptions};
use raft_transport_tcp::BindError;
use slog::{Logger, info, warn};

use super::error::RunError;
use crate::address::Addresses;
use crate::join::{self, JoinError, Newcomer};
use crate::node::NodeFailure;
use crate::server::{Server, Stop};
use crate::settings::{Origin, Settings};

/// Opens the node's directory; makes it if that is asked for and cannot hurt.
pub(super) fn open_log(settings: &Settings, server: &Server, log: &Logger) -> Result<Wal, RunError> {
    let open = |start| {
        let identity = Identity { cluster: settings.cluster, node: settings.config.id };
        let options = WalOptions::new(&settings.data, identity)
            .start(start)
            .segment_bytes(settings.segment_bytes)
            .logger(log.clone());
        let wake = server.wake();
        Wal::open(&options, move || wake.wake())
    };
    let wal = match open(Start::Existing) {
        Err(OpenError::NotInitialised { .. }) => {
            check_beginning(settings, log)?;
            open(Start::Initialise)
        }
        opened => opened,
    };
    let wal =
        wal.map_err(|source| RunError::Data { dir: settings.data.clone(), source: Box::new(source) })?;
    match settings.origin {
        Origin::Founder(_) if has_past(&wal) => Err(RunError::HasPast { dir: settings.data.clone() }),
        Origin::Past(_) if !has_past(&wal) => {
            warn!(
                log,
                "this node has never been part of a cluster, and waits to be taken in; if none is meant to \
                do that, give --join or --init"
            );
            Ok(wal)
        }
        Origin::Newcomer { .. } if has_past(&wal) => {
            info!(log, "this node has been part of the cluster already and goes on; --join is not needed");
            Ok(wal)
        }
        Origin::Founder(_) | Origin::Newcomer { .. } | Origin::Past(_) => Ok(wal),
    }
}

/// Whether the node has been part of a cluster. A directory may have been made just before a crash.
pub(super) fn has_past(wal: &Wal) -> bool {
    !wal.group_ids().is_empty()
}

/// The node as the cluster that it is to join will know it, if it is to join one.
pub(super) fn newcomer(settings: &Settings) -> Option<Newcomer> {
    match &settings.origin {
        Origin::Newcomer { member, peer_address, role } => Some(Newcomer {
            member: member.clone(),
            id: settings.config.id,
            cluster: settings.cluster,
            role: *role,
            addresses: Addresses {
                peer: peer_address.clone(),
                client: Some(settings.client_address.clone()),
            },
        }),
        Origin::Founder(_) | Origin::Past(_) => None,
    }
}

/// Asks to be taken in while the node runs, and stops the node if that comes to nothing. The reason is
/// there before the node has stopped.
pub(super) fn join_beside(newcomer: Newcomer, stop: Stop, log: Logger) -> Receiver<JoinError> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || match join::enter(&newcomer) {
        Ok(()) => info!(log, "joined"; "as" => newcomer.role.word()),
        Err(error) => {
            // Nobody receives it if the node has stopped for another reason.
            let _ = sender.send(error);
            stop.stop();
        }
    });
    receiver
}

/// Refuses what must not begin, or would fail anyway, before a directory is made.
fn check_beginning(settings: &Settings, log: &Logger) -> Result<(), RunError> {
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
        Origin::Newcomer { .. } => {
            newcomer(settings).map_or(Ok(()), |newcomer| join::survey(&newcomer)).map_err(RunError::Join)
        }
        Origin::Past(_) => Err(RunError::NoPast { dir: settings.data.clone() }),
    }
}

/// Says that `--peers` changes nothing where a cluster was founded long ago, if it says otherwise.
pub(super) fn warn_of_other_members(given: &Membership, in_force: &Membership, log: &Logger) {
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

/// Says that other nodes look for this one elsewhere than it listens, which cuts it off as soon as they
/// have to connect to it.
pub(super) fn warn_of_other_address(settings: &Settings, in_force: &Membership, log: &Logger) {
    let Some(own) = in_force.member(settings.config.id) else { return };
    let Ok(Addresses { peer, .. }) = Addresses::decode(&own.context) else { return };
    let (listens, sought) = (address_of(&settings.peer_address), address_of(&peer));
    // A name may mean several things, or nothing on this machine; and who listens everywhere need only
    // have the port right.
    let is_found = peer == settings.peer_address
        || sought.is_none_or(|sought| {
            listens.is_none_or(|listens| {
                listens == sought || (listens.ip().is_unspecified() && listens.port() == sought.port())
            })
        });
    if !is_found {
        warn!(
            log,
            "the other nodes look for this one elsewhere than it listens; give --peer-listen the address \
             that they know, or, if that leads here, --peer-advertise; to move the node, RAFT.REMOVE it and \
             let it join under a new id with a new directory";
            "they_know" => peer, "it_listens" => &settings.peer_address
        );
    }
}

fn address_of(text: &str) -> Option<SocketAddr> {
    text.to_socket_addrs().ok()?.next()
}

/// The members as `--peers` names them.
fn peers_text(membership: &Membership) -> String {
    let words = membership.members().iter().map(|member| {
        let peer = Addresses::decode(&member.context).map(|addresses| addresses.peer);
        format!("{}={}", member.id, peer.as_deref().unwrap_or("?"))
    });
    words.collect::<Vec<_>>().join(",")
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

/// The first address that a name stands for.
pub(super) fn resolve(option: &'static str, address: &str) -> Result<SocketAddr, RunError> {
    let refuse = |source| RunError::Resolve { option, address: address.to_owned(), source };
    let mut found = address.to_socket_addrs().map_err(refuse)?;
    found.next().ok_or_else(|| refuse(io::ErrorKind::NotFound.into()))
}
