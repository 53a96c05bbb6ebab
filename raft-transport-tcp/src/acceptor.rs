//! The listening side: admits connections, hears who is there, answers, and reads.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, net};

use raft_proto::v1::{Hello, HelloRefusal};
use slog::{debug, info, warn};
use socket2::{SockRef, Socket};

use crate::admission::{Admission, Permit};
use crate::error::{HandshakeError, Objection};
use crate::handshake::{answer, hear};
use crate::hub::Hub;
use crate::peer::{Link, OpenedBy, Peer};
use crate::stream::Stream;
use crate::{reader, sender};

/// The socket that others connect to.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Arc<TcpListener>,
    address: SocketAddr,
}

impl Acceptor {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = Arc::new(TcpListener::bind(address)?);
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the thread that accepts.
    pub(crate) fn start(&self, hub: &Arc<Hub>) -> io::Result<()> {
        let (thread_hub, listener) = (Arc::clone(hub), Arc::clone(&self.listener));
        hub.lifecycle.spawn("raft-accept".into(), move || run(&thread_hub, &listener))
    }

    /// Wakes the accepting thread, which then finds that it has to stop.
    pub(crate) fn wake(&self) {
        // Linux wakes the thread for this; elsewhere it takes a connection.
        let _ = SockRef::from(&*self.listener).shutdown(net::Shutdown::Both);
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                net::Ipv4Addr::LOCALHOST.into()
            } else {
                net::Ipv6Addr::LOCALHOST.into()
            });
        }
        let _ = net::TcpStream::connect_timeout(&address, WAKE_TIMEOUT);
    }
}

fn run(hub: &Arc<Hub>, listener: &TcpListener) {
    let admission = Admission::new(&hub.limits);
    loop {
        let accepted = listener.accept();
        if hub.lifecycle.is_stopping() {
            return;
        }
        match accepted {
            Ok((socket, address)) => {
                hub.counters.accepted.add(1);
                let ip = address.ip().to_canonical();
                match admission.admit(ip) {
                    Some(permit) => welcome(hub, socket.into(), permit, address),
                    None => {
                        hub.counters.over_limit.add(1);
                        debug!(hub.log, "too many connections"; "address" => %address);
                    }
                }
            }
            Err(error) => {
                // Mostly "no file descriptors": trying again at once would only burn a core.
                warn!(hub.log, "cannot accept"; "error" => %error);
                hub.lifecycle.pause(ACCEPT_PAUSE);
            }
        }
    }
}

fn welcome(hub: &Arc<Hub>, socket: Socket, permit: Permit, address: SocketAddr) {
    let stream = Arc::new(Stream::accepted(socket));
    let thread_hub = Arc::clone(hub);
    let spawned = hub.lifecycle.spawn("raft-read".into(), move || {
        let _permit = permit;
        serve(&thread_hub, stream, address);
    });
    if let Err(error) = spawned {
        warn!(hub.log, "no thread for a connection"; "error" => %error);
    }
}

fn serve(hub: &Arc<Hub>, stream: Arc<Stream>, address: SocketAddr) {
    let Some(_watched) = hub.lifecycle.watch(&stream) else { return };
    let peer = match shake_hands(hub, &stream) {
        Ok(peer) => peer,
        Err(error) => {
            stream.close();
            report_failure(hub, address, &error);
            return;
        }
    };
    info!(peer.log, "accepted"; "address" => %address);
    let link = Arc::new(Link { stream, opened_by: OpenedBy::Peer });
    if peer.attach(&link).is_ok() {
        reader::run(hub, &peer, &link);
    }
}

fn shake_hands(hub: &Arc<Hub>, stream: &Stream) -> Result<Arc<Peer>, HandshakeError> {
    stream.configure(&hub.limits).map_err(HandshakeError::Io)?;
    let deadline = Instant::now() + hub.limits.handshake_deadline;
    let (theirs, judged) = hear(stream, &hub.identity, deadline)?;
    let objection = match judged {
        Ok(introduction) => {
            let peer = sender::adopt(hub, introduction.peer, None).map_err(HandshakeError::Io)?;
            if peer.knows(introduction.incarnation) {
                // Answered first: once attached, messages may follow.
                return match answer(stream, &hub.identity, &theirs, HelloRefusal::None) {
                    Ok(()) => Ok(peer),
                    Err(error) => {
                        hub.forget(&peer);
                        Err(error)
                    }
                };
            }
            peer.counters.refusals.count(HelloRefusal::Sender);
            hub.forget(&peer);
            Objection::OtherLife
        }
        Err(objection) => objection,
    };
    report_refusal(hub, &theirs, objection);
    answer(stream, &hub.identity, &theirs, objection.refusal())?;
    Err(HandshakeError::Refused(objection))
}

fn report_refusal(hub: &Hub, theirs: &Hello, objection: Objection) {
    hub.counters.refusals.count(objection.refusal());
    warn!(hub.log, "handshake refused"; "reason" => %objection,
        "our_id" => hub.identity.id.get(), "their_id" => theirs.from, "they_wanted" => theirs.to,
        "our_cluster" => hub.identity.cluster, "their_cluster" => theirs.cluster);
}

fn report_failure(hub: &Hub, address: SocketAddr, error: &HandshakeError) {
    match error {
        HandshakeError::Refused(_) | HandshakeError::Stopping => return,
        HandshakeError::Deadline => hub.counters.handshake_timeouts.add(1),
        HandshakeError::Connect(_)
        | HandshakeError::Io(_)
        | HandshakeError::Closed
        | HandshakeError::Frame(_)
        | HandshakeError::NotHello
        | HandshakeError::Protobuf(_)
        | HandshakeError::RefusedByPeer(_)
        | HandshakeError::RefusedUnknown(_) => hub.counters.handshake_failures.add(1),
    }
    info!(hub.log, "a stranger did not introduce itself"; "address" => %address, "reason" => %error);
}

/// How long to leave the system alone when it gives no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long waking the accepting thread may take.
const WAKE_TIMEOUT: Duration = Duration::from_millis(100);
