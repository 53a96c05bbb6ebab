//! What one connection sent at once: its operations, and the replies that need none.

use bytes::BytesMut;

use crate::command::{Class, Order};
use crate::kv::Batch;
use crate::resp::{Protocol, ReplyWriter};

/// Requests of one connection that are carried out and answered together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    batch: Batch,
    kind: ChunkKind,
    /// Replies that are known already, one after the other.
    ready: BytesMut,
    /// An order; then there is nothing else.
    order: Option<Order>,
    /// What a client's session puts into the log; then there is nothing else.
    session_entry: Option<Vec<u8>>,
    /// Before the answer of which operation the ready replies up to which byte belong.
    marks: Vec<(usize, usize)>,
}

/// The way a chunk goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ChunkKind {
    /// Needs nothing: all replies are ready.
    #[default]
    Ready,
    /// Reads a few keys.
    Reads,
    /// Reads many keys.
    Scans,
    /// Goes into the log.
    Writes,
    /// Opens, uses or closes a client's session: goes into the log.
    Session,
    /// What an operator wants done.
    Order,
}

impl Chunk {
    /// Forgets everything; keeps memory for the next use, but not much.
    pub(super) fn clear(&mut self) {
        self.batch.clear(KEPT_BYTES_MAX);
        self.kind = ChunkKind::Ready;
        if self.ready.capacity() > KEPT_BYTES_MAX {
            self.ready = BytesMut::new();
        }
        self.ready.clear();
        self.marks.clear();
        self.order = None;
        self.session_entry = None;
    }

    /// Whether a command of this class can join: a scan must not share a chunk with writes.
    pub(super) fn admits(&self, class: Class) -> bool {
        match (self.kind(), class) {
            (ChunkKind::Writes, Class::Scan) | (ChunkKind::Scans, Class::Write | Class::Transaction) => false,
            (ChunkKind::Ready, Class::Handshake) => true,
            (ChunkKind::Order | ChunkKind::Session, _) | (_, Class::Handshake) => false,
            (_, Class::Admin | Class::Session) => self.is_empty(),
            (
                ChunkKind::Ready | ChunkKind::Reads | ChunkKind::Scans | ChunkKind::Writes,
                Class::Write | Class::Read | Class::Scan | Class::Transaction | Class::Local,
            ) => true,
        }
    }

    /// The batch, to add operations of this class.
    pub(super) fn operations(&mut self, class: Class) -> &mut Batch {
        self.kind = match (self.kind, class) {
            (ChunkKind::Writes, _) | (_, Class::Write) => ChunkKind::Writes,
            (ChunkKind::Scans, _) | (_, Class::Scan) => ChunkKind::Scans,
            (ChunkKind::Ready | ChunkKind::Reads | ChunkKind::Session | ChunkKind::Order, _) => {
                ChunkKind::Reads
            }
        };
        &mut self.batch
    }

    /// Takes an order, with nothing beside it.
    pub(super) fn put_order(&mut self, order: Order) {
        self.order = Some(order);
    }

    /// Takes what a session puts into the log, with nothing beside it.
    pub(super) fn put_session_entry(&mut self, payload: Vec<u8>) {
        self.session_entry = Some(payload);
    }

    /// The order, if it is one.
    pub(super) fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// Adds a reply that is known already, behind the answers of all operations so far.
    pub(super) fn reply(&mut self, protocol: Protocol, write: impl FnOnce(&mut ReplyWriter<'_>)) {
        write(&mut ReplyWriter::new(&mut self.ready, protocol));
        let (before, end) = (self.batch.operation_count(), self.ready.len());
        match self.marks.last_mut() {
            Some(mark) if mark.0 == before => mark.1 = end,
            _ => self.marks.push((before, end)),
        }
    }

    pub(super) fn kind(&self) -> ChunkKind {
        match (&self.order, &self.session_entry) {
            (Some(_), _) => ChunkKind::Order,
            (None, Some(_)) => ChunkKind::Session,
            (None, None) => self.kind,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operation_count() == 0 && self.ready.is_empty() && self.order.is_none()
    }

    /// How much it holds, to be compared with the limit.
    pub(super) fn byte_count(&self) -> usize {
        let session = self.session_entry.as_ref().map_or(0, Vec::len);
        self.batch.as_bytes().len() + self.ready.len() + session
    }

    /// How many answers are to come: one for a session's entry.
    pub(super) fn operation_count(&self) -> usize {
        self.batch.operation_count() + usize::from(self.session_entry.is_some())
    }

    /// The operations, to be carried out as reads.
    pub(super) fn operation_bytes(&self) -> &[u8] {
        self.batch.as_bytes()
    }

    /// What goes into the log.
    pub(super) fn as_payload(&self) -> &[u8] {
        self.session_entry.as_deref().unwrap_or_else(|| self.batch.as_payload())
    }

    /// The ready replies that go out before the answer of operation `before`, if any, from mark
    /// number `mark` on.
    pub(super) fn ready_before(&self, before: usize, mark: usize) -> Option<&[u8]> {
        let &(at, end) = self.marks.get(mark)?;
        let from = mark.checked_sub(1).map_or(0, |previous| self.marks[previous].1);
        (at <= before).then(|| &self.ready[from..end])
    }
}

const KEPT_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_scans_never_share_a_chunk() {
        let mut writes = Chunk::default();
        writes.operations(Class::Write).clear_all();
        assert!(writes.admits(Class::Read) && !writes.admits(Class::Scan));
        let mut scans = Chunk::default();
        scans.operations(Class::Scan).matching(b"*");
        assert!(scans.admits(Class::Read) && scans.admits(Class::Local) && !scans.admits(Class::Write));
        scans.operations(Class::Read).count();
        assert_eq!(scans.kind(), ChunkKind::Scans);
    }

    #[test]
    fn orders_and_entries_of_sessions_stand_alone() {
        let classes =
            [Class::Write, Class::Read, Class::Local, Class::Handshake, Class::Admin, Class::Session];
        let mut chunk = Chunk::default();
        assert!(chunk.admits(Class::Admin) && chunk.admits(Class::Session));
        chunk.put_session_entry(vec![2]);
        assert!(!chunk.is_empty() && chunk.kind() == ChunkKind::Session);
        assert_eq!((chunk.operation_count(), chunk.as_payload()), (1, &[2][..]));
        assert!(classes.into_iter().all(|class| !chunk.admits(class)));
        chunk.clear();
        chunk.put_order(Order::Remove(1));
        assert!(!chunk.is_empty() && chunk.kind() == ChunkKind::Order);
        assert!(classes.into_iter().all(|class| !chunk.admits(class)));
        chunk.clear();
        chunk.reply(Protocol::Resp2, |out| out.word("PONG"));
        assert!(!chunk.admits(Class::Admin));
    }

    #[test]
    fn handshake_stands_alone() {
        let mut chunk = Chunk::default();
        assert!(chunk.admits(Class::Handshake));
        chunk.operations(Class::Read).count();
        assert!(!chunk.admits(Class::Handshake));
    }
}
