//! Where what arrived for one group waits to be polled.

use std::collections::VecDeque;
use std::sync::Arc;
use std::{fmt, mem};

use parking_lot::Mutex;
use raft_core::{Message, NodeId};

use crate::options::Limits;

/// Called when something arrived where nothing was.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// One group's arrivals, bounded in messages and bytes.
///
/// A full inbox drops: waiting would hold up the other groups on the same connection, and Raft
/// sends again what is missing.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Wake,
    messages_max: usize,
    bytes_max: usize,
}

/// What was taken out of an inbox, or waits in it.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Messages in the order of their arrival.
    pub(crate) messages: VecDeque<Message>,
    /// Peers to which messages may have been lost, each once.
    pub(crate) unreachable: Vec<NodeId>,
    bytes: usize,
}

/// A message and how many bytes it took on the wire.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) message: Message,
    pub(crate) bytes: usize,
}

impl Inbox {
    pub(crate) fn new(wake: Wake, limits: &Limits) -> Self {
        Self {
            waiting: Mutex::default(),
            wake,
            messages_max: limits.inbox_messages_max,
            bytes_max: limits.inbox_bytes_max,
        }
    }

    /// Adds messages; returns how many did not fit.
    pub(crate) fn push(&self, arrived: impl Iterator<Item = Received>) -> usize {
        let mut waiting = self.waiting.lock();
        let was_empty = waiting.is_empty();
        let mut dropped = 0;
        for Received { message, bytes } in arrived {
            let after = waiting.bytes.saturating_add(bytes);
            if waiting.messages.len() >= self.messages_max || after > self.bytes_max {
                dropped += 1;
                continue;
            }
            waiting.bytes = after;
            waiting.messages.push_back(message);
        }
        let ring = was_empty && !waiting.is_empty();
        drop(waiting);
        if ring {
            (self.wake)();
        }
        dropped
    }

    /// Adds a report that messages to `peer` may have been lost.
    pub(crate) fn push_unreachable(&self, peer: NodeId) {
        let mut waiting = self.waiting.lock();
        let was_empty = waiting.is_empty();
        if !waiting.unreachable.contains(&peer) {
            waiting.unreachable.push(peer);
        }
        drop(waiting);
        if was_empty {
            (self.wake)();
        }
    }

    /// Moves everything out into `taken`, which is empty, and keeps its memory for the next.
    pub(crate) fn take(&self, taken: &mut Waiting) {
        debug_assert!(taken.is_empty(), "only an emptied batch is exchanged");
        let mut waiting = self.waiting.lock();
        if !waiting.is_empty() {
            mem::swap(&mut *waiting, taken);
            waiting.bytes = 0;
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.unreachable.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use raft_core::{Body, Term};

    use super::*;

    fn received(term: u64) -> Received {
        let (from, to) = (NodeId::new(1), NodeId::new(2));
        Received { message: Message { from, to, term: Term::new(term), body: Body::TimeoutNow }, bytes: 10 }
    }

    fn inbox(messages_max: usize, bytes_max: usize) -> (Inbox, Arc<AtomicUsize>) {
        let rings = Arc::new(AtomicUsize::new(0));
        let bell = Arc::clone(&rings);
        let wake: Wake = Arc::new(move || {
            bell.fetch_add(1, Ordering::Relaxed);
        });
        let limits =
            Limits { inbox_messages_max: messages_max, inbox_bytes_max: bytes_max, ..Limits::default() };
        (Inbox::new(wake, &limits), rings)
    }

    #[test]
    fn wakes_once_until_it_is_taken() {
        let (inbox, rings) = inbox(100, 1000);
        inbox.push([received(1), received(2)].into_iter());
        inbox.push([received(3)].into_iter());
        inbox.push_unreachable(NodeId::new(3));
        assert_eq!(rings.load(Ordering::Relaxed), 1);
        let mut taken = Waiting::default();
        inbox.take(&mut taken);
        assert_eq!((taken.messages.len(), taken.unreachable.len()), (3, 1));
        inbox.push_unreachable(NodeId::new(3));
        assert_eq!(rings.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn nothing_in_no_wake() {
        let (inbox, rings) = inbox(100, 1000);
        inbox.push([].into_iter());
        assert_eq!(rings.load(Ordering::Relaxed), 0);
    }

    /// N13: a group that never polls costs bounded memory.
    #[test]
    fn full_inbox_drops_by_messages_and_by_bytes() {
        let (by_messages, _) = inbox(2, 1000);
        assert_eq!(by_messages.push((1..=5).map(received)), 3);
        let (by_bytes, _) = inbox(100, 35);
        assert_eq!(by_bytes.push((1..=5).map(received)), 2);
        let mut taken = Waiting::default();
        by_bytes.take(&mut taken);
        assert_eq!(by_bytes.push((1..=3).map(received)), 0, "taking makes room");
    }

    #[test]
    fn a_peer_is_reported_unreachable_once_however_often_it_fails() {
        let (inbox, _) = inbox(2, 1000);
        for _ in 0..1000 {
            inbox.push_unreachable(NodeId::new(3));
        }
        let mut taken = Waiting::default();
        inbox.take(&mut taken);
        assert_eq!(taken.unreachable, [NodeId::new(3)]);
    }
}
