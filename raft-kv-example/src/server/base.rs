//! What the server's loop stands on: sockets, settings, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{error, fmt, io};

use mio::net::TcpListener;
use mio::{Poll, Token};
use slog::Logger;

use super::limits::Limits;
use super::wake::Wake;
use crate::kv::Fault;

/// Asks the server to end; clones ask the same server.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The flag itself, to be set by a signal.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Asks the server to end at its next tick.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Why the server ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError<E> {
    /// The kernel refused to watch sockets.
    Poll(io::Error),
    /// The replica can no longer keep its promises.
    Replica(E),
    /// The log holds what this version does not understand.
    Machine(Fault),
}

impl<E: fmt::Display> fmt::Display for ServeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll(error) => write!(f, "cannot watch sockets: {error}"),
            Self::Replica(error) => write!(f, "{error}"),
            Self::Machine(fault) => write!(f, "{fault}"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for ServeError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Poll(error) => Some(error),
            Self::Replica(error) => error.source(),
            Self::Machine(_) => None,
        }
    }
}

/// What the server's loop stands on.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) poll: Poll,
    pub(super) wake: Wake,
    pub(super) listener: TcpListener,
    pub(super) limits: Limits,
    pub(super) tick: Duration,
    pub(super) stop: Stop,
    pub(super) log: Logger,
}

pub(super) const LISTENER: Token = Token(0);
pub(super) const WAKE: Token = Token(1);
/// Tokens of clients begin here.
pub(super) const FIRST_CLIENT: usize = 2;
