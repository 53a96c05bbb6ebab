//! Messages that wait for one peer, already encoded as the bytes that will be written.
//!
//! Encoding happens when a message is sent: 155 ns for 256 bytes, where waking another thread takes
//! microseconds; and everything that waits leaves with one write. It knows no sockets and no locks.

use std::mem;

use raft_core::{GroupId, Message};
use raft_proto::bytes::BytesMut;
use raft_proto::framing::{FrameKind, encode_frame};
use raft_proto::v1;

use crate::options::Limits;

/// The bytes for one peer: a buffer that fills, and at most one batch out for writing.
#[derive(Debug)]
pub(crate) struct Queue {
    filling: Batch,
    spare: BytesMut,
    /// What the batch out for writing holds; it counts against the limits until it is finished.
    out_bytes: usize,
    out_messages: usize,
    overflow: Option<u64>,
    overflows: u64,
    messages_max: usize,
    bytes_max: usize,
    frame_bytes_max: u32,
}

/// Encoded messages, back to back.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: BytesMut,
    pub(crate) messages: usize,
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unqueued {
    /// The queue is full, and this is how many times it has been so.
    Full(u64),
    /// The message is longer than a frame may be.
    TooLarge,
}

impl Queue {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            filling: Batch::default(),
            spare: BytesMut::new(),
            out_bytes: 0,
            out_messages: 0,
            overflow: None,
            overflows: 0,
            messages_max: limits.queue_messages_max,
            bytes_max: limits.queue_bytes_max,
            frame_bytes_max: limits.frame_bytes_max,
        }
    }

    /// Appends one message.
    ///
    /// A queue that was full refuses until half of it has left, so that a slow peer sees runs of
    /// messages with few gaps instead of a sieve, and gaps are reported once.
    pub(crate) fn push(&mut self, group: GroupId, message: Message) -> Result<(), Unqueued> {
        if let Some(overflow) = self.overflow {
            if self.messages() > self.messages_max / 2 || self.bytes() > self.bytes_max / 2 {
                return Err(Unqueued::Full(overflow));
            }
            self.overflow = None;
        }
        if self.messages() >= self.messages_max {
            return Err(self.overflown());
        }
        let start = self.filling.bytes.len();
        let wire = v1::Message::from(message);
        encode_frame(FrameKind::Message, group.get(), &wire, self.frame_bytes_max, &mut self.filling.bytes)
            .map_err(|_| Unqueued::TooLarge)?;
        if self.bytes() > self.bytes_max {
            self.filling.bytes.truncate(start);
            return Err(self.overflown());
        }
        self.filling.messages += 1;
        Ok(())
    }

    /// Takes everything that waits, for writing; `None` if nothing does.
    ///
    /// Each batch is given back with [`finish`](Self::finish) before the next is taken.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        let next = Batch { bytes: mem::take(&mut self.spare), messages: 0 };
        let batch = mem::replace(&mut self.filling, next);
        (self.out_bytes, self.out_messages) = (batch.bytes.len(), batch.messages);
        Some(batch)
    }

    /// Takes back a batch that was written or given up, to use its memory again.
    pub(crate) fn finish(&mut self, batch: Batch) {
        (self.out_bytes, self.out_messages) = (0, 0);
        if batch.bytes.capacity() <= SPARE_BYTES_MAX {
            self.spare = batch.bytes;
            self.spare.clear();
        }
    }

    /// Forgets what waits and gives the memory back; returns how many messages that were.
    pub(crate) fn clear(&mut self) -> usize {
        self.overflow = None;
        self.spare = BytesMut::new();
        mem::take(&mut self.filling).messages
    }

    /// Whether nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.filling.messages == 0
    }

    /// The bytes that wait to be taken.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.filling.bytes.len()
    }

    fn messages(&self) -> usize {
        self.filling.messages + self.out_messages
    }

    fn bytes(&self) -> usize {
        self.filling.bytes.len() + self.out_bytes
    }

    fn overflown(&mut self) -> Unqueued {
        self.overflows += 1;
        self.overflow = Some(self.overflows);
        Unqueued::Full(self.overflows)
    }
}

/// A buffer larger than this is not kept for later, so that one burst does not hold memory for ever.
const SPARE_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use raft_core::bytes::Bytes;
    use raft_core::{Body, ForwardId, NodeId, Term};
    use raft_proto::framing::FRAME_HEADER_BYTES;

    use super::*;

    const GROUP: GroupId = GroupId::new(1);

    fn message(payload_bytes: usize) -> Message {
        let body =
            Body::Propose { epoch: 0, request: ForwardId::new(1), payloads: vec![1; payload_bytes].into() };
        Message { from: NodeId::new(1), to: NodeId::new(2), term: Term::new(1), body }
    }

    fn queue(messages_max: usize, bytes_max: usize) -> Queue {
        let limits = Limits {
            queue_messages_max: messages_max,
            queue_bytes_max: bytes_max,
            frame_bytes_max: 1000,
            ..Limits::default()
        };
        Queue::new(&limits)
    }

    /// N13: also what is out for writing counts.
    #[test]
    fn full_queue_refuses_until_half_of_it_has_left() {
        let mut queue = queue(4, 100_000);
        for _ in 0..4 {
            assert_eq!(queue.push(GROUP, message(1)), Ok(()));
        }
        assert_eq!(queue.push(GROUP, message(1)), Err(Unqueued::Full(1)));
        let batch = queue.take().unwrap();
        assert_eq!(queue.push(GROUP, message(1)), Err(Unqueued::Full(1)), "still the same overflow");
        queue.finish(batch);
        for _ in 0..4 {
            assert_eq!(queue.push(GROUP, message(1)), Ok(()));
        }
        assert_eq!(queue.push(GROUP, message(1)), Err(Unqueued::Full(2)));
    }

    #[test]
    fn bytes_never_pass_their_limit() {
        let mut queue = queue(1000, 2000);
        let mut accepted = 0;
        for _ in 0..100 {
            accepted += usize::from(queue.push(GROUP, message(500)).is_ok());
            assert!(queue.bytes() <= 2000);
        }
        assert_eq!(accepted, 3);
        assert_eq!(queue.take().unwrap().messages, 3, "what was refused left nothing behind");
    }

    #[test]
    fn oversized_message_is_refused_and_leaves_nothing_behind() {
        let mut queue = queue(10, 100_000);
        assert_eq!(queue.push(GROUP, message(1001)), Err(Unqueued::TooLarge));
        assert!(queue.is_empty());
        assert_eq!(queue.waiting_bytes(), 0);
        assert_eq!(queue.push(GROUP, message(1)), Ok(()), "it does not count as an overflow");
    }

    #[test]
    fn clearing_ends_an_overflow_and_counts_what_is_lost() {
        let mut queue = queue(2, 100_000);
        assert_eq!((0..5).filter(|_| queue.push(GROUP, message(1)).is_ok()).count(), 2);
        assert_eq!(queue.clear(), 2);
        assert_eq!(queue.push(GROUP, message(1)), Ok(()));
        let bytes = Bytes::from(queue.take().unwrap().bytes);
        assert!(bytes.len() > FRAME_HEADER_BYTES);
    }
}
