//! Proposals of a node that does not lead, on their way to the leader.

use alloc::collections::VecDeque;

use raft_proto::bytes::Bytes;

use crate::words::entries::EntriesBuilder;
use crate::words::ids::ForwardId;

/// Forwarded proposals.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Forwards {
    /// The number of the next proposal.
    next: ForwardId,
    open: EntriesBuilder,
    /// Sent and not answered.
    sent: VecDeque<Sent>,
    sent_bytes: usize,
    now: u64,
}

/// One message with proposals.
#[derive(Clone, Copy, Debug, Hash)]
struct Sent {
    first: ForwardId,
    count: u32,
    bytes: usize,
    since: u64,
}

impl Default for Forwards {
    fn default() -> Self {
        let (open, sent) = (EntriesBuilder::default(), VecDeque::new());
        Self { next: ForwardId::new(1), open, sent, sent_bytes: 0, now: 0 }
    }
}

impl Forwards {
    /// Adds a proposal to the next message; `None` if it is longer than `u32::MAX` bytes.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Option<ForwardId> {
        self.open.push(payload)?;
        let id = self.next;
        self.next = id.next();
        Some(id)
    }

    /// Bytes that wait to be sent, or to be answered.
    pub(crate) fn byte_count(&self) -> usize {
        self.open.byte_count() + self.sent_bytes
    }

    /// Bytes that wait to be sent with the next message.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open.byte_count()
    }

    /// The next message, if there is anything to send.
    pub(crate) fn take_message(&mut self) -> Option<(ForwardId, Bytes)> {
        let (first, count) = self.take_unsent()?;
        let payloads = self.open.take_payloads();
        let bytes = payloads.len();
        self.sent.push_back(Sent { first, count, bytes, since: self.now });
        self.sent_bytes += bytes;
        Some((first, payloads))
    }

    /// Gives up what was not sent yet.
    pub(crate) fn drop_unsent(&mut self) -> Option<(ForwardId, u32)> {
        let unsent = self.take_unsent();
        self.open.clear();
        unsent
    }

    /// Gives up what was sent and not answered, message by message.
    pub(crate) fn drop_sent(&mut self) -> Option<(ForwardId, u32)> {
        let sent = self.sent.pop_front()?;
        self.sent_bytes -= sent.bytes;
        Some((sent.first, sent.count))
    }

    /// Gives back memory that nothing needs now.
    pub(crate) fn shrink(&mut self) {
        self.sent.shrink_to_fit();
        if self.open.is_empty() {
            self.open.clear();
        }
    }

    /// Time passes.
    pub(crate) fn advance(&mut self, ticks: u32) {
        self.now += u64::from(ticks);
    }

    /// How long until the oldest message has waited this long, at least one tick.
    pub(crate) fn ticks_until_expired(&self, timeout_ticks: u32) -> u32 {
        let Some(oldest) = self.sent.front() else { return u32::MAX };
        let waited = u32::try_from(self.now - oldest.since).unwrap_or(u32::MAX);
        timeout_ticks.saturating_sub(waited).max(1)
    }

    /// Gives up the oldest message if it has waited this long: it, or its answer, was lost.
    pub(crate) fn drop_expired(&mut self, timeout_ticks: u32) -> Option<(ForwardId, u32)> {
        let oldest = self.sent.front()?;
        if self.now - oldest.since < u64::from(timeout_ticks) { None } else { self.drop_sent() }
    }

    /// An answer came; whether it answers something that was sent.
    pub(crate) fn answer(&mut self, first: ForwardId, count: u32) -> bool {
        let found = self.sent.iter().position(|sent| (sent.first, sent.count) == (first, count));
        let Some(answered) = found.and_then(|at| self.sent.remove(at)) else { return false };
        self.sent_bytes -= answered.bytes;
        true
    }

    fn take_unsent(&mut self) -> Option<(ForwardId, u32)> {
        let count = self.open.count();
        let first = ForwardId::new(self.next.get() - u64::from(count));
        (count > 0).then_some((first, count))
    }
}
