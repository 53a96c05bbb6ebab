//! A peer's own thread: it keeps a connection to the peer, and writes when the socket is full.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use raft_core::NodeId;
use raft_proto::v1::Hello;
use slog::{debug, info, warn};

use crate::backoff::Backoff;
use crate::error::{HandshakeError, Objection};
use crate::handshake::{Introduction, introduce};
use crate::hub::Hub;
use crate::lifecycle::Watched;
use crate::peer::{Link, OpenedBy, Peer, Task};
use crate::reader;
use crate::stream::Stream;

/// Finds the peer, or takes it in and starts its thread.
///
/// # Errors
///
/// If the system gives no thread, or the transport is shut down.
pub(crate) fn adopt(hub: &Arc<Hub>, id: NodeId, address: Option<String>) -> io::Result<Arc<Peer>> {
    let mut peers = hub.peers.write();
    let peer = match peers.get(&id) {
        Some(peer) => Arc::clone(peer),
        None => {
            let peer = Arc::new(Peer::new(id, &hub.limits, &hub.log));
            let (thread_hub, thread_peer) = (Arc::clone(hub), Arc::clone(&peer));
            hub.lifecycle.spawn(format!("raft-send-{id}"), move || run(&thread_hub, &thread_peer))?;
            peers.insert(id, Arc::clone(&peer));
            hub.bump_peers_version();
            peer
        }
    };
    // Under the lock, or the peer could be forgotten before it has its address.
    let losers = address.map(|address| peer.set_address(address)).unwrap_or_default();
    drop(peers);
    losers.tell(id);
    Ok(peer)
}

fn run(hub: &Arc<Hub>, peer: &Arc<Peer>) {
    let seed = hub.seed ^ peer.id.get().rotate_left(17);
    let mut backoff = Backoff::new(hub.limits.backoff_min, hub.limits.backoff_max, seed);
    let mut dial_at = Instant::now();
    let mut connected_at = None::<Instant>;
    let mut is_outage_logged = false;
    loop {
        let address = match peer.next_task(dial_at) {
            Task::Stop => return,
            Task::Write(stuck) => {
                peer.write_on(stuck);
                continue;
            }
            Task::Dial(address) => address,
        };
        // Only a connection that lasted shows that the next one is worth an early attempt.
        if connected_at.take().is_some_and(|since| since.elapsed() >= hub.limits.backoff_max) {
            backoff.reset();
        }
        match dial(hub, peer, &address) {
            Ok(()) => {
                connected_at = Some(Instant::now());
                is_outage_logged = false;
            }
            Err(HandshakeError::Stopping) => {}
            Err(error) => {
                peer.on_failed_attempt();
                if is_outage_logged {
                    debug!(peer.log, "still cannot reach the peer"; "address" => &address, "reason" => %error);
                } else {
                    warn!(peer.log, "cannot reach the peer"; "address" => &address, "reason" => %error);
                }
                is_outage_logged = true;
            }
        }
        dial_at = Instant::now() + backoff.advance();
    }
}

/// Opens a connection, introduces us, and starts reading from it.
fn dial(hub: &Arc<Hub>, peer: &Arc<Peer>, address: &str) -> Result<(), HandshakeError> {
    let (stream, watched) = connect(hub, address)?;
    let deadline = Instant::now() + hub.limits.handshake_deadline;
    let (theirs, result) = introduce(&stream, &hub.identity, peer.id, deadline);
    let result = result.and_then(|introduction| {
        if peer.knows(introduction.incarnation) {
            Ok(introduction)
        } else {
            Err(HandshakeError::Refused(Objection::OtherLife))
        }
    });
    let Introduction { version, .. } = match result {
        Ok(introduction) => introduction,
        Err(error) => {
            stream.close();
            report_refusal(hub, peer, theirs.as_ref(), &error);
            return Err(error);
        }
    };
    let link = Arc::new(Link { stream, opened_by: OpenedBy::Us });
    let (reader_hub, reader_peer, reader_link) = (Arc::clone(hub), Arc::clone(peer), Arc::clone(&link));
    // Attached before this returns, or the next task would be to dial once more.
    peer.attach(&link).map_err(|_| HandshakeError::Stopping)?;
    info!(peer.log, "connected"; "address" => address, "version" => version);
    let name = format!("raft-read-{}", peer.id);
    let spawned = hub.lifecycle.spawn(name, move || {
        let _watched = watched;
        reader::run(&reader_hub, &reader_peer, &reader_link);
    });
    spawned.map_err(|error| {
        peer.detach(&link);
        HandshakeError::Io(error)
    })
}

fn connect(hub: &Arc<Hub>, address: &str) -> Result<(Arc<Stream>, Watched), HandshakeError> {
    let mut last = HandshakeError::Connect(io::ErrorKind::AddrNotAvailable.into());
    let addresses = address.to_socket_addrs().map_err(HandshakeError::Connect)?;
    for address in addresses.take(ADDRESSES_MAX) {
        match connect_to(hub, address) {
            Err(HandshakeError::Stopping) => return Err(HandshakeError::Stopping),
            Err(error) => last = error,
            connected => return connected,
        }
    }
    Err(last)
}

fn connect_to(hub: &Arc<Hub>, address: SocketAddr) -> Result<(Arc<Stream>, Watched), HandshakeError> {
    let stream = Arc::new(Stream::unconnected(address).map_err(HandshakeError::Connect)?);
    let watched = hub.lifecycle.watch(&stream).ok_or(HandshakeError::Stopping)?;
    stream.connect(address, &hub.limits).map_err(HandshakeError::Connect)?;
    Ok((stream, watched))
}

fn report_refusal(hub: &Hub, peer: &Peer, theirs: Option<&Hello>, error: &HandshakeError) {
    let reason = match error {
        HandshakeError::Refused(objection) => objection.refusal(),
        HandshakeError::RefusedByPeer(reason) => *reason,
        HandshakeError::Connect(_)
        | HandshakeError::Io(_)
        | HandshakeError::Deadline
        | HandshakeError::Closed
        | HandshakeError::Frame(_)
        | HandshakeError::NotHello
        | HandshakeError::Protobuf(_)
        | HandshakeError::RefusedUnknown(_)
        | HandshakeError::Stopping => return,
    };
    peer.counters.refusals.count(reason);
    let theirs = theirs.cloned().unwrap_or_default();
    warn!(peer.log, "handshake refused"; "reason" => %error,
        "our_id" => hub.identity.id.get(), "their_id" => theirs.from,
        "our_cluster" => hub.identity.cluster, "their_cluster" => theirs.cluster);
}

/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 8;
