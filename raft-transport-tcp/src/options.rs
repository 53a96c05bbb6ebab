//! What a transport is told at its start: who it is, where it listens, and every limit by name.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use raft_core::NodeId;
use raft_proto::framing::{FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX_DEFAULT};
use slog::{Discard, Logger, o};

use crate::error::BindError;

/// The protocol versions this crate speaks.
pub const PROTOCOL_VERSIONS: RangeInclusive<u32> = 1..=1;

/// Who a transport is and how it behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The cluster; peers of another one are refused.
    pub cluster: u64,
    /// The node that speaks here; never zero or `u64::MAX`.
    pub id: NodeId,
    /// The life of the data directory: drawn when the directory is made and kept with it.
    ///
    /// A peer that comes back with another one while we run is refused, since it lost its disk and
    /// with it its votes. Drawing a new one at each start would therefore lock the node out.
    pub incarnation: u64,
    /// Where to listen; port zero lets the system choose.
    pub listen: SocketAddr,
    /// The protocol versions to speak; default [`PROTOCOL_VERSIONS`].
    pub versions: RangeInclusive<u32>,
    /// The seed of the jitter in back-offs; default: made from `id` and `incarnation`.
    pub seed: u64,
    /// Every limit.
    pub limits: Limits,
    /// Where events go; default: nowhere.
    pub log: Logger,
}

impl Options {
    /// The given identity, and defaults for the rest.
    #[must_use]
    pub fn new(cluster: u64, id: NodeId, incarnation: u64, listen: SocketAddr) -> Self {
        Self {
            cluster,
            id,
            incarnation,
            listen,
            versions: PROTOCOL_VERSIONS,
            seed: id.get().rotate_left(32) ^ incarnation,
            limits: Limits::default(),
            log: Logger::root(Discard, o!()),
        }
    }

    /// Refuses what could not work.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        if self.id == NodeId::ZERO || self.id.get() == u64::MAX {
            return Err(BindError::InvalidId(self.id));
        }
        if self.versions.is_empty() || *self.versions.start() == 0 {
            return Err(BindError::InvalidVersions(self.versions.clone()));
        }
        self.limits.check()
    }
}

/// The bounds on memory, time and connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Messages that may wait for one peer; default 16 384. Over it, messages are dropped.
    pub queue_messages_max: usize,
    /// Bytes that may wait for one peer; default 64 MiB, at least one frame.
    pub queue_bytes_max: usize,
    /// Messages that may wait to be polled by one group; default 65 536. Over it, they are dropped.
    pub inbox_messages_max: usize,
    /// Bytes that may wait to be polled by one group, as received; default 64 MiB.
    pub inbox_bytes_max: usize,
    /// The longest message in bytes, both ways; default 4 MiB.
    pub frame_bytes_max: u32,
    /// How long a connection attempt may take; default 2 s.
    pub connect_deadline: Duration,
    /// How long the exchange of `Hello` may take in all; default 5 s.
    pub handshake_deadline: Duration,
    /// How long a peer may take nothing of what is written to it; default 5 s.
    ///
    /// The kernel is told the same (`TCP_USER_TIMEOUT`), for data it has taken but cannot deliver.
    pub write_deadline: Duration,
    /// How long an idle connection is left alone before the kernel asks whether the other end still
    /// lives, and between its questions; default 5 s, rounded up to whole seconds.
    pub keepalive_interval: Duration,
    /// The first wait after a failed connection attempt; default 20 ms.
    pub backoff_min: Duration,
    /// The longest wait between connection attempts; default 1 s.
    pub backoff_max: Duration,
    /// Connections from others at the same time, handshaking ones included; default 256.
    pub connections_max: usize,
    /// The same for one IP address; default 64.
    pub connections_per_ip_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_messages_max: 16_384,
            queue_bytes_max: 64 << 20,
            inbox_messages_max: 65_536,
            inbox_bytes_max: 64 << 20,
            frame_bytes_max: PAYLOAD_BYTES_MAX_DEFAULT,
            connect_deadline: Duration::from_secs(2),
            handshake_deadline: Duration::from_secs(5),
            write_deadline: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(5),
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_secs(1),
            connections_max: 256,
            connections_per_ip_max: 64,
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), BindError> {
        let frame_bytes = usize::try_from(self.frame_bytes_max).unwrap_or(usize::MAX);
        let checks = [
            (self.queue_messages_max > 0, "queue_messages_max"),
            (self.queue_bytes_max >= frame_bytes.saturating_add(FRAME_HEADER_BYTES), "queue_bytes_max"),
            (self.inbox_messages_max > 0, "inbox_messages_max"),
            (self.inbox_bytes_max >= frame_bytes, "inbox_bytes_max"),
            (self.frame_bytes_max > 0, "frame_bytes_max"),
            (!self.connect_deadline.is_zero(), "connect_deadline"),
            (!self.handshake_deadline.is_zero(), "handshake_deadline"),
            (!self.write_deadline.is_zero(), "write_deadline"),
            (!self.keepalive_interval.is_zero(), "keepalive_interval"),
            (!self.backoff_min.is_zero(), "backoff_min"),
            (self.backoff_max >= self.backoff_min, "backoff_max"),
            (self.connections_max > 0, "connections_max"),
            (self.connections_per_ip_max > 0, "connections_per_ip_max"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, name)) => Err(BindError::InvalidLimit(name)),
            None => Ok(()),
        }
    }
}
