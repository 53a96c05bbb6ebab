//! What happened, in numbers: counted in cells that many threads share, read as plain structs.

use std::sync::atomic::{AtomicU64, Ordering};

use raft_proto::v1::HelloRefusal;

/// What happened between this node and one peer since the peer became known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCounters {
    /// Messages handed to the kernel.
    pub sent_messages: u64,
    /// Bytes handed to the kernel, frame headers included.
    pub sent_bytes: u64,
    /// Messages dropped because the queue was full, or the peer out of reach.
    pub dropped_messages: u64,
    /// Messages dropped because they are longer than a frame may be.
    pub oversized_messages: u64,
    /// Writes that carried the messages, direct or by the sender's thread.
    pub writes: u64,
    /// Writes that a full socket handed over to the sender's thread.
    pub blocked_writes: u64,
    /// Messages that arrived and were well formed.
    pub received_messages: u64,
    /// Bytes that arrived.
    pub received_bytes: u64,
    /// Messages with a body that this version does not know, dropped.
    pub unknown_messages: u64,
    /// Connections that came to stand, whoever opened them.
    pub connects: u64,
    /// Connections that stood and ended, replaced ones included.
    pub disconnects: u64,
    /// Attempts to reach the peer that failed, refused ones included.
    pub failed_attempts: u64,
    /// Connections ended for a malformed frame or message (N1, N2).
    pub malformed: u64,
    /// Connections ended for a message with a wrong sender or receiver (N6).
    pub impersonations: u64,
    /// Handshakes with this peer that one of both sides refused.
    pub refusals: RefusalCounters,
}

/// Refused handshakes by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusalCounters {
    /// No protocol version in common (N3).
    pub version: u64,
    /// Another cluster (N3).
    pub cluster: u64,
    /// Meant for another node (N4).
    pub receiver: u64,
    /// A sender id that is invalid, our own, or back without its data.
    pub sender: u64,
}

/// What happened at the transport as a whole, apart from single peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportCounters {
    /// Connections that others opened.
    pub accepted: u64,
    /// Connections closed at once because there were too many, in all or from one address (N7, S73).
    pub over_limit: u64,
    /// Accepted connections that did not finish the handshake in time (N7).
    pub handshake_timeouts: u64,
    /// Accepted connections that ended, or spoke something else, before the handshake was over.
    pub handshake_failures: u64,
    /// Accepted connections that we refused.
    pub refusals: RefusalCounters,
    /// Messages for groups that this node does not have, dropped.
    pub unknown_group_messages: u64,
    /// Messages to peers without an address and without a connection, dropped.
    pub unroutable_messages: u64,
    /// Messages dropped because a group did not poll them in time.
    pub inbox_overflow_messages: u64,
}

/// A number that many threads count up.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// [`PeerCounters`] while they count.
#[derive(Debug, Default)]
pub(crate) struct PeerCells {
    pub(crate) sent_messages: Cell,
    pub(crate) sent_bytes: Cell,
    pub(crate) dropped_messages: Cell,
    pub(crate) oversized_messages: Cell,
    pub(crate) writes: Cell,
    pub(crate) blocked_writes: Cell,
    pub(crate) received_messages: Cell,
    pub(crate) received_bytes: Cell,
    pub(crate) unknown_messages: Cell,
    pub(crate) connects: Cell,
    pub(crate) disconnects: Cell,
    pub(crate) failed_attempts: Cell,
    pub(crate) malformed: Cell,
    pub(crate) impersonations: Cell,
    pub(crate) refusals: RefusalCells,
}

impl PeerCells {
    pub(crate) fn snapshot(&self) -> PeerCounters {
        PeerCounters {
            sent_messages: self.sent_messages.value(),
            sent_bytes: self.sent_bytes.value(),
            dropped_messages: self.dropped_messages.value(),
            oversized_messages: self.oversized_messages.value(),
            writes: self.writes.value(),
            blocked_writes: self.blocked_writes.value(),
            received_messages: self.received_messages.value(),
            received_bytes: self.received_bytes.value(),
            unknown_messages: self.unknown_messages.value(),
            connects: self.connects.value(),
            disconnects: self.disconnects.value(),
            failed_attempts: self.failed_attempts.value(),
            malformed: self.malformed.value(),
            impersonations: self.impersonations.value(),
            refusals: self.refusals.snapshot(),
        }
    }
}

/// [`RefusalCounters`] while they count.
#[derive(Debug, Default)]
pub(crate) struct RefusalCells {
    version: Cell,
    cluster: Cell,
    receiver: Cell,
    sender: Cell,
}

impl RefusalCells {
    pub(crate) fn count(&self, reason: HelloRefusal) {
        match reason {
            HelloRefusal::None => {}
            HelloRefusal::Version => self.version.add(1),
            HelloRefusal::Cluster => self.cluster.add(1),
            HelloRefusal::Receiver => self.receiver.add(1),
            HelloRefusal::Sender => self.sender.add(1),
        }
    }

    fn snapshot(&self) -> RefusalCounters {
        RefusalCounters {
            version: self.version.value(),
            cluster: self.cluster.value(),
            receiver: self.receiver.value(),
            sender: self.sender.value(),
        }
    }
}

/// [`TransportCounters`] while they count.
#[derive(Debug, Default)]
pub(crate) struct TransportCells {
    pub(crate) accepted: Cell,
    pub(crate) over_limit: Cell,
    pub(crate) handshake_timeouts: Cell,
    pub(crate) handshake_failures: Cell,
    pub(crate) refusals: RefusalCells,
    pub(crate) unknown_group_messages: Cell,
    pub(crate) unroutable_messages: Cell,
    pub(crate) inbox_overflow_messages: Cell,
}

impl TransportCells {
    pub(crate) fn snapshot(&self) -> TransportCounters {
        TransportCounters {
            accepted: self.accepted.value(),
            over_limit: self.over_limit.value(),
            handshake_timeouts: self.handshake_timeouts.value(),
            handshake_failures: self.handshake_failures.value(),
            refusals: self.refusals.snapshot(),
            unknown_group_messages: self.unknown_group_messages.value(),
            unroutable_messages: self.unroutable_messages.value(),
            inbox_overflow_messages: self.inbox_overflow_messages.value(),
        }
    }
}
