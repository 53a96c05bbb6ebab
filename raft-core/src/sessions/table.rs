//! All sessions, and which of them expire.
//!
//! Time is the log's: a session's age is counted in entries. So all members expire the same sessions
//! at the same entry, whenever they apply it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::bytes::take_u64;
use super::error::SessionError;
use super::limits::SessionLimits;
use super::session::Session;
use crate::words::ids::{LogIndex, Sequence, SessionId};

/// The open sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    limits: SessionLimits,
    sessions: BTreeMap<SessionId, Session>,
    /// The same by their last use, least recent first. An entry uses one session at most.
    by_use: BTreeMap<LogIndex, SessionId>,
    /// What the replies of all sessions count for.
    reply_bytes: u64,
}

impl Table {
    pub(super) fn new(limits: SessionLimits) -> Self {
        Self { limits, sessions: BTreeMap::new(), by_use: BTreeMap::new(), reply_bytes: 0 }
    }

    /// Opens a session, named by its entry.
    pub(super) fn register(&mut self, now: LogIndex) -> SessionId {
        self.expire_idle(now);
        let id = SessionId::new(now.get());
        self.insert(id, Session::new(now));
        self.expire_surplus();
        id
    }

    /// Uses a session for a call. Gives the reply if it was applied before; `None` if it is to be
    /// applied now and its reply [kept](Self::keep).
    ///
    /// # Errors
    ///
    /// If it is not to be applied, and no reply to it is known.
    pub(super) fn call(
        &mut self,
        now: LogIndex,
        id: SessionId,
        sequence: Sequence,
        first_unanswered: Sequence,
    ) -> Result<Option<&[u8]>, SessionError> {
        self.expire_idle(now);
        let session = self.sessions.get_mut(&id).ok_or(SessionError::Expired)?;
        let before = core::mem::replace(&mut session.last_used, now);
        self.by_use.remove(&before);
        let other = self.by_use.insert(now, id);
        assert!(other.is_none(), "entry {now} is applied a second time");
        self.reply_bytes -= session.reply_bytes();
        session.forget_below(first_unanswered);
        self.reply_bytes += session.reply_bytes();
        session.admit(sequence, &self.limits)
    }

    /// Keeps the reply to a call that was applied.
    pub(super) fn keep(&mut self, id: SessionId, sequence: Sequence, reply: Box<[u8]>) {
        let session = self.sessions.get_mut(&id).expect("the call was admitted just now");
        self.reply_bytes -= session.reply_bytes();
        session.keep(sequence, reply);
        self.reply_bytes += session.reply_bytes();
        self.expire_surplus();
    }

    /// Closes a session.
    pub(super) fn close(&mut self, now: LogIndex, id: SessionId) -> Result<(), SessionError> {
        self.expire_idle(now);
        self.remove(id).ok_or(SessionError::Expired)
    }

    pub(super) fn set_limits(&mut self, now: LogIndex, limits: SessionLimits) {
        self.limits = limits;
        self.expire_idle(now);
        self.expire_surplus();
    }

    pub(super) fn limits(&self) -> SessionLimits {
        self.limits
    }

    pub(super) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn reply_bytes(&self) -> u64 {
        self.reply_bytes
    }

    /// The replies that are kept, for whoever must check them.
    pub(super) fn replies(&self) -> impl Iterator<Item = &[u8]> {
        self.sessions.values().flat_map(Session::replies)
    }

    /// The limits, then each session behind its id.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        self.limits.encode(into);
        for (id, session) in &self.sessions {
            into.extend_from_slice(&id.get().to_le_bytes());
            session.encode(into);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` if it is no table.
    pub(super) fn decode(mut rest: &[u8]) -> Option<Self> {
        let mut table = Self::new(SessionLimits::take(&mut rest)?);
        while !rest.is_empty() {
            let id = SessionId::new(take_u64(&mut rest)?);
            let session = Session::take(&mut rest)?;
            let is_ascending = table.sessions.last_key_value().is_none_or(|(last, _)| *last < id);
            let is_used_since_opened = session.last_used.get() >= id.get();
            if !is_ascending || !is_used_since_opened || table.by_use.contains_key(&session.last_used) {
                return None;
            }
            table.insert(id, session);
        }
        Some(table)
    }

    fn insert(&mut self, id: SessionId, session: Session) {
        let other = self.by_use.insert(session.last_used, id);
        assert!(other.is_none(), "entry {} is applied a second time", session.last_used);
        self.reply_bytes += session.reply_bytes();
        self.sessions.insert(id, session);
    }

    fn remove(&mut self, id: SessionId) -> Option<()> {
        let session = self.sessions.remove(&id)?;
        let indexed = self.by_use.remove(&session.last_used);
        assert_eq!(indexed, Some(id), "both maps hold the same sessions");
        self.reply_bytes -= session.reply_bytes();
        Some(())
    }

    /// Expires sessions that were not used for too many entries. Called by every entry that looks at
    /// the table, so it makes no difference that others, which are many more, do not.
    fn expire_idle(&mut self, now: LogIndex) {
        while let Some((last_used, id)) = self.least_recently_used()
            && now.get().saturating_sub(last_used.get()) > self.limits.idle_entries_max
        {
            self.remove(id);
        }
    }

    /// Expires sessions until the others are within the limits.
    fn expire_surplus(&mut self) {
        while let Some((_, id)) = self.least_recently_used()
            && (self.sessions.len() as u64 > self.limits.sessions_max.into()
                || self.reply_bytes > self.limits.table_bytes_max)
        {
            self.remove(id);
        }
    }

    fn least_recently_used(&self) -> Option<(LogIndex, SessionId)> {
        self.by_use.first_key_value().map(|(last_used, id)| (*last_used, *id))
    }
}
