//! A part of the store's keys, which a picture can share without copying it.

use std::mem;
use std::sync::Arc;

use hashbrown::HashTable;

/// The slots of one shard, found by hash.
pub(super) type Table = HashTable<Slot>;

/// A key and its value in one piece of memory, so that finding and reading a value misses the
/// processor's cache once.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) hash: u64,
    pub(super) key_bytes: usize,
    pub(super) record: Vec<u8>,
}

/// One shard.
///
/// Whoever takes a picture shares the table as it is. The first write afterwards goes on with a
/// copy, or takes the table back if the picture is done with it. Without pictures a write costs one
/// look at the kind, and no atomic operation.
#[derive(Clone, Debug)]
pub(super) enum Shard {
    /// Nobody else looks at it.
    Own(Table),
    /// A picture looks at it, or did.
    Shared(Arc<Table>),
}

impl Slot {
    pub(super) fn key(&self) -> &[u8] {
        &self.record[..self.key_bytes]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.record[self.key_bytes..]
    }

    pub(super) fn holds(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && self.key() == key
    }
}

impl Shard {
    /// An empty one; it has no memory of its own.
    pub(super) fn new() -> Self {
        Self::Own(Table::new())
    }

    pub(super) fn table(&self) -> &Table {
        match self {
            Self::Own(table) => table,
            Self::Shared(table) => table,
        }
    }

    /// The table for a change that pictures do not see.
    pub(super) fn table_mut(&mut self) -> &mut Table {
        if let Self::Shared(_) = self {
            self.unshare();
        }
        match self {
            Self::Own(table) => table,
            Self::Shared(_) => unreachable!("unshared above"),
        }
    }

    /// The table for a picture: it stays as it is.
    pub(super) fn share(&mut self) -> Arc<Table> {
        let table = match mem::replace(self, Self::new()) {
            Self::Own(table) => Arc::new(table),
            Self::Shared(table) => table,
        };
        *self = Self::Shared(Arc::clone(&table));
        table
    }

    #[cold]
    fn unshare(&mut self) {
        if let Self::Shared(table) = mem::replace(self, Self::new()) {
            *self = Self::Own(Arc::unwrap_or_clone(table));
        }
    }
}
