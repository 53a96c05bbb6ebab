//! What a session table may hold.

use alloc::vec::Vec;

use super::bytes::{take_u32, take_u64};

/// What the table of sessions may hold.
///
/// Limits decide which sessions expire and which calls are refused, so they are part of the
/// replicated state: those given to [`Sessions::new`](super::Sessions::new) must be the same at all
/// members for as long as the group lives, and are changed for all of them at one point of the log
/// by [`SessionCommand::Limits`](super::SessionCommand::Limits).
///
/// ```
/// use raft_core::sessions::SessionLimits;
///
/// let limits = SessionLimits { calls_max: 16, ..SessionLimits::default() };
/// assert_eq!(limits.sessions_max, 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// How many sessions are open at once. One more, and the least recently used expires. Default
    /// 10 000; with zero none stays open.
    pub sessions_max: u32,
    /// A session expires when it was not used for more than this many entries of the log. Default
    /// ten million: at a thousand entries a second, not quite three hours.
    pub idle_entries_max: u64,
    /// How many calls of one session may be unanswered: a sequence that is this far or further from
    /// the first unanswered one is refused. Default 256; with zero all are.
    pub calls_max: u32,
    /// While the replies that are kept for one session have this many bytes, its new calls are
    /// refused; so it holds this and one reply at most. Default 64 KiB.
    pub session_bytes_max: u64,
    /// How many bytes the replies kept for all sessions may have. More, and the least recently used
    /// sessions expire. Default 64 MiB.
    ///
    /// Each reply counts as its bytes and [`REPLY_OVERHEAD_BYTES`](Self::REPLY_OVERHEAD_BYTES) more,
    /// here and in `session_bytes_max`.
    pub table_bytes_max: u64,
}

impl SessionLimits {
    /// What a kept reply counts for beside its own bytes.
    pub const REPLY_OVERHEAD_BYTES: u64 = 64;

    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.sessions_max.to_le_bytes());
        into.extend_from_slice(&self.idle_entries_max.to_le_bytes());
        into.extend_from_slice(&self.calls_max.to_le_bytes());
        into.extend_from_slice(&self.session_bytes_max.to_le_bytes());
        into.extend_from_slice(&self.table_bytes_max.to_le_bytes());
    }

    pub(super) fn take(rest: &mut &[u8]) -> Option<Self> {
        Some(Self {
            sessions_max: take_u32(rest)?,
            idle_entries_max: take_u64(rest)?,
            calls_max: take_u32(rest)?,
            session_bytes_max: take_u64(rest)?,
            table_bytes_max: take_u64(rest)?,
        })
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            sessions_max: 10_000,
            idle_entries_max: 10_000_000,
            calls_max: 256,
            session_bytes_max: 64 << 10,
            table_bytes_max: 64 << 20,
        }
    }
}
