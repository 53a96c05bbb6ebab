//! Proposals of a node that does not lead, on their way to the leader.

use alloc::collections::VecDeque;

use raft_proto::bytes::Bytes;

use crate::words::entries::EntriesBuilder;
use crate::words::ids::ForwardId;

/// Forwarded proposals.
#[derive(Clone, Debug)]
pub(crate) struct Forwards {
    /// The number of the next proposal.
    next: ForwardId,
    open: EntriesBuilder,
    /// Sent and not answered: the first number and the count of each message.
    sent: VecDeque<(ForwardId, u32)>,
}

impl Default for Forwards {
    fn default() -> Self {
        Self { next: ForwardId::new(1), open: EntriesBuilder::default(), sent: VecDeque::new() }
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

    /// Bytes that wait to be sent.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open.byte_count()
    }

    /// The next message, if there is anything to send.
    pub(crate) fn take_message(&mut self) -> Option<(ForwardId, Bytes)> {
        let (first, count) = self.take_unsent()?;
        self.sent.push_back((first, count));
        Some((first, self.open.take_payloads()))
    }

    /// Gives up what was not sent yet.
    pub(crate) fn drop_unsent(&mut self) -> Option<(ForwardId, u32)> {
        let unsent = self.take_unsent();
        self.open.clear();
        unsent
    }

    /// Gives up what was sent and not answered, message by message.
    pub(crate) fn drop_sent(&mut self) -> Option<(ForwardId, u32)> {
        self.sent.pop_front()
    }

    /// An answer came; whether it answers something that was sent.
    pub(crate) fn answer(&mut self, first: ForwardId, count: u32) -> bool {
        match self.sent.iter().position(|sent| *sent == (first, count)) {
            Some(at) => self.sent.remove(at).is_some(),
            None => false,
        }
    }

    fn take_unsent(&mut self) -> Option<(ForwardId, u32)> {
        let count = self.open.count();
        let first = ForwardId::new(self.next.get() - u64::from(count));
        (count > 0).then_some((first, count))
    }
}
