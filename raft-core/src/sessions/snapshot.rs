//! Snapshots of a state with sessions: the table first, then the application's own snapshot.
//!
//! One format byte, the length of the table as a little-endian `u64`, the table, and whatever the
//! application's machine writes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use raft_proto::bytes::Bytes;

use super::table::Table;
use crate::doors::state_machine::{InvalidSnapshot, SnapshotPiece, SnapshotSource};

/// A picture of table and machine. The table is small, so it is written at once; the machine's part
/// is read as slowly as it is asked for.
pub(super) struct Picture {
    head: Bytes,
    machine: Box<dyn SnapshotSource>,
}

impl Picture {
    pub(super) fn new(table: &Table, machine: Box<dyn SnapshotSource>) -> Self {
        let mut head = Vec::from([0; HEAD_BYTES]);
        table.encode(&mut head);
        let table_bytes = (head.len() - HEAD_BYTES) as u64;
        head[0] = FORMAT;
        head[1..HEAD_BYTES].copy_from_slice(&table_bytes.to_le_bytes());
        Self { head: head.into(), machine }
    }
}

impl SnapshotSource for Picture {
    fn next_piece(&mut self, bytes_hint: usize) -> Option<Bytes> {
        self.head.next_piece(bytes_hint).or_else(|| self.machine.next_piece(bytes_hint))
    }
}

/// The front of a snapshot that is being restored, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Restoring {
    /// Head and table as far as they have come; empty once the table is read.
    head: Vec<u8>,
    table: Option<Table>,
    /// Where the machine's own snapshot begins, once the table is read.
    machine_begins: u64,
    /// Where the next piece begins.
    next: u64,
}

impl Restoring {
    /// Takes what belongs to the table. Gives what is for the machine, with its place in the
    /// machine's own snapshot.
    ///
    /// # Errors
    ///
    /// If it is no snapshot with sessions, or not the piece that comes next.
    pub(super) fn take<'a>(
        &mut self,
        piece: SnapshotPiece<'a>,
    ) -> Result<Option<SnapshotPiece<'a>>, InvalidSnapshot> {
        if piece.offset == 0 {
            *self = Self::default();
        }
        if piece.offset != self.next {
            return Err(InvalidSnapshot);
        }
        let mut rest = piece.bytes;
        self.next += rest.len() as u64;
        if self.table.is_none() {
            self.table = self.read_table(&mut rest)?;
        }
        let offset = piece.offset.saturating_sub(self.machine_begins);
        // A machine without any state still gets its one, empty, last piece.
        let is_for_machine = self.table.is_some() && (piece.is_last || !rest.is_empty());
        Ok(is_for_machine.then_some(SnapshotPiece { offset, bytes: rest, is_last: piece.is_last }))
    }

    /// Gives the table when the last piece has come; `None` if it is not whole.
    pub(super) fn finish(&mut self) -> Option<Table> {
        core::mem::take(self).table
    }

    /// Collects the table, and reads it when it is whole.
    fn read_table(&mut self, rest: &mut &[u8]) -> Result<Option<Table>, InvalidSnapshot> {
        self.collect(rest, HEAD_BYTES as u64);
        let Some(head) = self.head.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let [FORMAT, length @ ..] = head else { return Err(InvalidSnapshot) };
        let end = u64::from_le_bytes(*length).checked_add(HEAD_BYTES as u64).ok_or(InvalidSnapshot)?;
        self.collect(rest, end);
        if (self.head.len() as u64) < end {
            return Ok(None);
        }
        self.machine_begins = end;
        let head = core::mem::take(&mut self.head);
        Table::decode(&head[HEAD_BYTES..]).map(Some).ok_or(InvalidSnapshot)
    }

    /// Moves bytes to the head until it has `length` bytes.
    fn collect(&mut self, rest: &mut &[u8], length: u64) {
        let missing = length.saturating_sub(self.head.len() as u64);
        let count = usize::try_from(missing).map_or(rest.len(), |missing| missing.min(rest.len()));
        let (head, tail) = rest.split_at(count);
        self.head.extend_from_slice(head);
        *rest = tail;
    }
}

/// The first byte. Another layout gets another one.
const FORMAT: u8 = 1;

/// The format and the length of the table.
const HEAD_BYTES: usize = 1 + size_of::<u64>();
