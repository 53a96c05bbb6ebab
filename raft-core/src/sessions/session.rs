//! One session: which calls are answered, and the replies to those that are not.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::bytes::{take_bytes, take_u64};
use super::error::SessionError;
use super::limits::SessionLimits;
use crate::words::ids::{LogIndex, Sequence};

/// What is kept of one session.
///
/// A call is applied if its number is not below the first unanswered one and has no reply here. A
/// reply goes only when the first unanswered number has passed it, so no call is applied twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The last entry that named it.
    pub(super) last_used: LogIndex,
    /// Calls below this number are never applied any more.
    first_unanswered: Sequence,
    replies: BTreeMap<Sequence, Box<[u8]>>,
    reply_bytes: u64,
}

impl Session {
    pub(super) fn new(opened: LogIndex) -> Self {
        let first_unanswered = Sequence::new(1);
        Self { last_used: opened, first_unanswered, replies: BTreeMap::new(), reply_bytes: 0 }
    }

    /// Forgets what the client needs no more. An older copy of a call may name a lower number than
    /// is known already; that changes nothing.
    pub(super) fn forget_below(&mut self, first_unanswered: Sequence) {
        if first_unanswered <= self.first_unanswered {
            return;
        }
        self.first_unanswered = first_unanswered;
        while let Some(first) = self.replies.first_entry()
            && *first.key() < first_unanswered
        {
            self.reply_bytes -= size_of_reply(&first.remove());
        }
    }

    /// The reply to a call that was applied before; `None` if it may be applied now.
    ///
    /// # Errors
    ///
    /// If it may not.
    pub(super) fn admit(
        &self,
        sequence: Sequence,
        limits: &SessionLimits,
    ) -> Result<Option<&[u8]>, SessionError> {
        let Some(ahead) = sequence.get().checked_sub(self.first_unanswered.get()) else {
            return Err(SessionError::Answered);
        };
        if let Some(reply) = self.replies.get(&sequence) {
            return Ok(Some(reply));
        }
        if ahead >= limits.calls_max.into() {
            return Err(SessionError::TooFarAhead { calls_max: limits.calls_max });
        }
        if self.reply_bytes >= limits.session_bytes_max {
            return Err(SessionError::RepliesFull { bytes_max: limits.session_bytes_max });
        }
        Ok(None)
    }

    /// Keeps the reply to a call that was just applied.
    pub(super) fn keep(&mut self, sequence: Sequence, reply: Box<[u8]>) {
        self.reply_bytes += size_of_reply(&reply);
        let before = self.replies.insert(sequence, reply);
        assert!(before.is_none(), "call {sequence} was applied twice");
    }

    /// What its replies count for.
    pub(super) fn reply_bytes(&self) -> u64 {
        self.reply_bytes
    }

    /// The replies that are kept, for whoever must check them.
    pub(super) fn replies(&self) -> impl Iterator<Item = &[u8]> {
        self.replies.values().map(|reply| &**reply)
    }

    /// Last use, first unanswered, count of replies, and each with its number and length.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.last_used.get().to_le_bytes());
        into.extend_from_slice(&self.first_unanswered.get().to_le_bytes());
        into.extend_from_slice(&(self.replies.len() as u64).to_le_bytes());
        for (sequence, reply) in &self.replies {
            into.extend_from_slice(&sequence.get().to_le_bytes());
            into.extend_from_slice(&(reply.len() as u64).to_le_bytes());
            into.extend_from_slice(reply);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` if it is no session.
    pub(super) fn take(rest: &mut &[u8]) -> Option<Self> {
        let mut session = Self::new(LogIndex::new(take_u64(rest)?));
        session.first_unanswered = Sequence::new(take_u64(rest)?);
        for _ in 0..take_u64(rest)? {
            let sequence = Sequence::new(take_u64(rest)?);
            let length = take_u64(rest)?;
            let is_ascending = session.replies.last_key_value().is_none_or(|(last, _)| *last < sequence);
            if sequence < session.first_unanswered || !is_ascending {
                return None;
            }
            session.keep(sequence, take_bytes(rest, length)?.into());
        }
        Some(session)
    }
}

/// What a reply counts for in the limits.
fn size_of_reply(reply: &[u8]) -> u64 {
    reply.len() as u64 + SessionLimits::REPLY_OVERHEAD_BYTES
}
