//! The server: bound to an address first, then let run with a replica.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Interest, Poll};
use slog::Logger;

use super::base::{Base, LISTENER, ServeError, Stop, WAKE};
use super::floor::Floor;
use super::limits::Limits;
use super::replica::Replica;
use super::wake::Wake;

/// Serves clients on one thread.
#[derive(Debug)]
pub struct Server(Base);

impl Server {
    /// Listens for clients. A tick of the replica lasts `tick`.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub fn bind(
        address: SocketAddr,
        tick: Duration,
        limits: Limits,
        stop: Stop,
        log: Logger,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let wake = Wake::new(poll.registry(), WAKE)?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self(Base { poll, wake, listener, limits, tick, stop, log }))
    }

    /// Where it listens, with the port that the system chose.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.listener.local_addr()
    }

    /// Wakes the loop when the replica has something to do.
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.0.wake.clone()
    }

    /// Serves until asked to stop.
    ///
    /// # Errors
    ///
    /// If the replica or the kernel gives up.
    pub fn run<R: Replica>(self, replica: R) -> Result<(), ServeError<R::Error>> {
        Floor::new(self.0, replica).run()
    }
}
