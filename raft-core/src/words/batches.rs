//! Batches that follow each other in the log without a gap.

use alloc::vec::Vec;

use super::entries::{Entries, Entry};
use super::ids::LogIndex;

/// What a batch takes in a message at most, beside its payloads: term, kind, lengths.
const BATCH_HEAD_BYTES: usize = 32;

/// Batches of consecutive entries; may be empty. The usual single batch needs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Batches {
    head: Option<Entries>,
    more: Vec<Entries>,
}

impl Batches {
    /// No entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: None, more: Vec::new() }
    }

    /// Adds the next batch.
    ///
    /// # Panics
    ///
    /// If it does not begin right behind the last one. Batches from outside go through
    /// [`try_push`](Self::try_push).
    pub fn push(&mut self, batch: Entries) {
        let first = batch.first();
        assert!(self.try_push(batch).is_ok(), "batch at {first} does not follow {:?}", self.last());
    }

    /// Adds the next batch, or gives it back if it does not begin right behind the last one.
    ///
    /// # Errors
    ///
    /// The batch itself, if it leaves a gap, overlaps, or its term is lower.
    pub fn try_push(&mut self, batch: Entries) -> Result<(), Entries> {
        let Some(last) = self.iter().next_back() else {
            self.head = Some(batch);
            return Ok(());
        };
        if last.last().next() != batch.first() || last.term() > batch.term() {
            return Err(batch);
        }
        self.more.push(batch);
        Ok(())
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The index of the first entry.
    #[must_use]
    pub fn first(&self) -> Option<LogIndex> {
        self.head.as_ref().map(Entries::first)
    }

    /// The index of the last entry.
    #[must_use]
    pub fn last(&self) -> Option<LogIndex> {
        self.iter().next_back().map(Entries::last)
    }

    /// How many entries there are.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.iter().map(|batch| u64::from(batch.count())).sum()
    }

    /// How many bytes the payloads take, lengths included.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.iter().map(Entries::byte_count).sum()
    }

    /// As many batches from the first on as have at most `bytes_max` bytes together with their heads,
    /// at least one.
    #[must_use]
    pub(crate) fn prefix_within(mut self, bytes_max: usize) -> Self {
        let with_head = |batch: &Entries| batch.byte_count() + BATCH_HEAD_BYTES;
        let mut bytes = self.head.as_ref().map_or(0, with_head);
        let fits = |batch: &&Entries| {
            bytes += with_head(batch);
            bytes <= bytes_max
        };
        let kept = self.more.iter().take_while(fits).count();
        self.more.truncate(kept);
        self
    }

    /// The batches in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entries> {
        self.head.iter().chain(&self.more)
    }

    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.iter().flat_map(Entries::iter)
    }
}

impl From<Entries> for Batches {
    fn from(batch: Entries) -> Self {
        Self { head: Some(batch), more: Vec::new() }
    }
}

impl IntoIterator for Batches {
    type Item = Entries;
    type IntoIter = core::iter::Chain<core::option::IntoIter<Entries>, alloc::vec::IntoIter<Entries>>;

    fn into_iter(self) -> Self::IntoIter {
        self.head.into_iter().chain(self.more)
    }
}
