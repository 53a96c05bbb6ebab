//! Entries and the batches they travel in.
//!
//! A batch is one contiguous, reference-counted buffer: each payload behind its length as a
//! varint, nothing else. The same bytes serve in memory, on the wire and on disk, so an entry is
//! copied once, into its batch, and never handled singly again.

use core::hash::{Hash, Hasher};
use core::{error, fmt};

use raft_proto::bytes::{BufMut, Bytes, BytesMut};

use super::ids::{LogIndex, Position, Term};

/// What an entry is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// The application's payload.
    #[default]
    Command,
    /// The entry without payload with which a leader opens its term (Raft §8).
    Empty,
    /// An encoded [`Membership`](crate::Membership), in force once appended (Raft §6).
    Membership,
    /// A command whose payload only full members hold: what a witness has in its place.
    Hollow,
}

/// One entry, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it stands in the log.
    pub index: LogIndex,
    /// The term of the leader that made it.
    pub term: Term,
    /// What it is for.
    pub kind: EntryKind,
    /// The application's bytes, or the encoded membership.
    pub payload: &'a [u8],
}

/// A run of consecutive entries of one term and kind, never empty. Cloning shares the buffer.
///
/// ```
/// use raft_core::{EntriesBuilder, EntryKind, LogIndex, Position, Term};
///
/// let mut builder = EntriesBuilder::default();
/// builder.push(b"one").expect("short enough");
/// builder.push(b"two").expect("short enough");
/// let batch = builder.take(Position::new(Term::new(3), LogIndex::new(10)), EntryKind::Command).expect("two");
/// assert_eq!((batch.last(), batch.term(), batch.byte_count()), (11.into(), 3.into(), 8));
/// assert_eq!(batch.iter().map(|entry| entry.payload).collect::<Vec<_>>(), [b"one", b"two"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entries {
    first: LogIndex,
    term: Term,
    count: u32,
    kind: EntryKind,
    payloads: Bytes,
}

/// Why bytes are not a batch of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntriesError {
    /// No entry at all.
    Empty,
    /// A length is cut short, too long for a `u32`, or reaches past the end.
    Length,
    /// More than `u32::MAX` entries, or indexes past `u64::MAX`.
    Range,
    /// Hollow entries with a payload.
    NotHollow,
}

impl fmt::Display for EntriesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a batch without entries",
            Self::Length => "an entry's length is malformed or reaches past its batch",
            Self::Range => "a batch counts past its limits",
            Self::NotHollow => "a hollow entry with a payload",
        })
    }
}

impl error::Error for EntriesError {}

impl Entries {
    /// Takes a buffer in batch layout, checking every length.
    ///
    /// # Errors
    ///
    /// If the buffer is empty, a length does not fit, an index would pass `u64::MAX - 1`, or a
    /// hollow entry has a payload.
    pub fn parse(
        first: LogIndex,
        term: Term,
        kind: EntryKind,
        payloads: Bytes,
    ) -> Result<Self, EntriesError> {
        let mut rest = &payloads[..];
        let mut count = 0u32;
        while !rest.is_empty() {
            let (length, head) = split_length(rest).ok_or(EntriesError::Length)?;
            rest = rest.get(head + length..).ok_or(EntriesError::Length)?;
            count = count.checked_add(1).ok_or(EntriesError::Range)?;
        }
        if count == 0 {
            return Err(EntriesError::Empty);
        }
        if first.get().checked_add(u64::from(count)).is_none() {
            return Err(EntriesError::Range);
        }
        let batch = Self { first, term, count, kind, payloads };
        if batch.is_sound() { Ok(batch) } else { Err(EntriesError::NotHollow) }
    }

    /// A batch of one.
    ///
    /// # Errors
    ///
    /// If the payload is longer than `u32::MAX` bytes or `first` is `u64::MAX`.
    pub fn single(position: Position, kind: EntryKind, payload: &[u8]) -> Result<Self, EntriesError> {
        let mut builder = EntriesBuilder::default();
        builder.push(payload).ok_or(EntriesError::Length)?;
        if position.index.get() == u64::MAX {
            return Err(EntriesError::Range);
        }
        builder.take(position, kind).ok_or(EntriesError::Empty)
    }

    /// The index of the first entry.
    #[must_use]
    pub fn first(&self) -> LogIndex {
        self.first
    }

    /// The index of the last entry.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        LogIndex::new(self.first.get() + u64::from(self.count) - 1)
    }

    /// The position of the last entry.
    #[must_use]
    pub fn last_position(&self) -> Position {
        Position::new(self.term, self.last())
    }

    /// The term of all entries.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// The kind of all entries.
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// How many entries there are; at least one.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The buffer in batch layout.
    #[must_use]
    pub fn payloads(&self) -> &Bytes {
        &self.payloads
    }

    /// Gives up the buffer in batch layout.
    #[must_use]
    pub fn into_payloads(self) -> Bytes {
        self.payloads
    }

    /// The size of the buffer in bytes, lengths included.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.payloads.len()
    }

    /// The entries, first to last.
    #[must_use]
    pub fn iter(&self) -> EntriesIter<'_> {
        EntriesIter { index: self.first, term: self.term, kind: self.kind, rest: &self.payloads }
    }

    /// The part from `index` on; `None` if that is past the end.
    #[must_use]
    pub fn suffix_from(&self, index: LogIndex) -> Option<Self> {
        if index <= self.first {
            return Some(self.clone());
        }
        let skipped = u32::try_from(index.get() - self.first.get()).ok()?;
        let left = self.count.checked_sub(skipped).filter(|left| *left > 0)?;
        let payloads = self.payloads.slice(self.offset_of(skipped)..);
        Some(Self { first: index, count: left, payloads, ..*self })
    }

    /// The same, without sharing the buffer once more if nothing is cut off.
    #[must_use]
    pub fn into_suffix_from(self, index: LogIndex) -> Option<Self> {
        if index <= self.first { Some(self) } else { self.suffix_from(index) }
    }

    /// The part before `index`; `None` if nothing is before it.
    #[must_use]
    pub fn prefix_before(&self, index: LogIndex) -> Option<Self> {
        if index > self.last() {
            return Some(self.clone());
        }
        let kept = u32::try_from(index.get().checked_sub(self.first.get())?).ok()?;
        if kept == 0 {
            return None;
        }
        let payloads = self.payloads.slice(..self.offset_of(kept));
        Some(Self { count: kept, payloads, ..*self })
    }

    /// The longest prefix of at most `bytes_max` bytes, at least one entry.
    #[must_use]
    pub fn prefix_within(&self, bytes_max: usize) -> Self {
        if self.payloads.len() <= bytes_max {
            return self.clone();
        }
        let (count, bytes) = Self::pieces(&self.payloads, bytes_max).next().expect("never empty");
        Self { count, payloads: self.payloads.slice(..bytes.len()), ..*self }
    }

    /// Cuts a buffer in batch layout between entries, for stores that check parts of a batch by
    /// themselves: pieces of at most `bytes_max` bytes, or of one entry, with how many entries each
    /// has. Ends where a length is malformed or reaches past the buffer.
    ///
    /// ```
    /// use raft_core::Entries;
    ///
    /// let payloads = [1, b'a', 2, b'b', b'b', 1, b'c']; // "a", "bb", "c"
    /// let pieces: Vec<(u32, &[u8])> = Entries::pieces(&payloads, 5).collect();
    /// assert_eq!(pieces, [(2, &payloads[..5]), (1, &payloads[5..])]);
    /// ```
    pub fn pieces(payloads: &[u8], bytes_max: usize) -> impl Iterator<Item = (u32, &[u8])> {
        let mut rest = payloads;
        core::iter::from_fn(move || {
            let (mut end, mut count) = (0, 0);
            while let Some((length, head)) = split_length(&rest[end..]) {
                let next = end + head + length;
                if next > rest.len() || (count > 0 && next > bytes_max) {
                    break;
                }
                (end, count) = (next, count + 1);
            }
            let (piece, behind) = rest.split_at(end);
            rest = behind;
            (count > 0).then_some((count, piece))
        })
    }

    /// The same positions without what only full members hold: commands become hollow, everything
    /// else stays.
    #[must_use]
    pub fn into_hollow(self) -> Self {
        match self.kind {
            EntryKind::Command => {
                // A length of zero is one byte.
                let payloads = Bytes::from(alloc::vec![0; self.count as usize]);
                Self { kind: EntryKind::Hollow, payloads, ..self }
            }
            EntryKind::Empty | EntryKind::Membership | EntryKind::Hollow => self,
        }
    }

    /// Whether hollow entries are: every length takes a byte, so more bytes than entries are
    /// payloads.
    pub(crate) fn is_sound(&self) -> bool {
        self.kind != EntryKind::Hollow || self.payloads.len() == self.count as usize
    }

    /// Where the `n`-th entry's length begins.
    fn offset_of(&self, n: u32) -> usize {
        let mut offset = 0;
        for _ in 0..n {
            let (length, head) = split_length(&self.payloads[offset..]).expect("checked when made");
            offset += head + length;
        }
        offset
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = Entry<'a>;
    type IntoIter = EntriesIter<'a>;

    fn into_iter(self) -> EntriesIter<'a> {
        self.iter()
    }
}

/// Walks the entries of one batch.
#[derive(Clone, Debug)]
pub struct EntriesIter<'a> {
    index: LogIndex,
    term: Term,
    kind: EntryKind,
    rest: &'a [u8],
}

impl<'a> Iterator for EntriesIter<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let (length, head) = split_length(self.rest)?;
        let (payload, rest) = self.rest[head..].split_at(length);
        let entry = Entry { index: self.index, term: self.term, kind: self.kind, payload };
        self.rest = rest;
        self.index = self.index.next();
        Some(entry)
    }
}

/// Collects payloads into a batch.
///
/// Batches taken one after the other are cut from the same allocation while it lasts, so small
/// batches cost no allocation of their own.
#[derive(Debug, Default)]
pub struct EntriesBuilder {
    buffer: BytesMut,
    count: u32,
    /// How much to reserve next; doubles up to [`ARENA_BYTES_MAX`], so idle groups stay small.
    arena_bytes: usize,
}

/// The largest allocation that batches are cut from, in bytes, unless one entry needs more.
const ARENA_BYTES_MAX: usize = 64 << 10;
const ARENA_BYTES_MIN: usize = 512;
const LENGTH_BYTES_MAX: usize = 5;

impl EntriesBuilder {
    /// Copies one payload in; `None`, and nothing changes, if its length is over `u32::MAX` bytes.
    #[inline]
    pub fn push(&mut self, payload: &[u8]) -> Option<()> {
        let mut length = u32::try_from(payload.len()).ok()?;
        let needed = payload.len() + LENGTH_BYTES_MAX;
        if self.buffer.capacity() - self.buffer.len() < needed {
            self.grow(needed);
        }
        while length >= 0x80 {
            self.buffer.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.buffer.put_u8((length & 0x7f) as u8);
        self.buffer.put_slice(payload);
        self.count += 1;
        Some(())
    }

    /// Whether nothing has been pushed since the last [`take`](Self::take).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many payloads wait.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many bytes wait, lengths included.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.buffer.len()
    }

    /// Hands out what was pushed as one batch whose first entry stands at `position`.
    #[must_use]
    pub fn take(&mut self, position: Position, kind: EntryKind) -> Option<Entries> {
        let count = core::mem::take(&mut self.count);
        let payloads = self.take_payloads();
        (count > 0).then_some(Entries { first: position.index, term: position.term, count, kind, payloads })
    }

    /// Hands out what was pushed in batch layout, without a place in the log.
    #[must_use]
    pub fn take_payloads(&mut self) -> Bytes {
        self.count = 0;
        self.buffer.split().freeze()
    }

    /// Forgets what was pushed and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.arena_bytes = (self.arena_bytes * 2).clamp(ARENA_BYTES_MIN, ARENA_BYTES_MAX);
        self.buffer.reserve(needed.max(self.arena_bytes));
    }
}

impl Hash for EntriesBuilder {
    /// What was pushed; how it is kept in memory is no part of it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.count, &self.buffer[..]).hash(state);
    }
}

impl Clone for EntriesBuilder {
    fn clone(&self) -> Self {
        Self { buffer: BytesMut::from(&self.buffer[..]), count: self.count, arena_bytes: self.arena_bytes }
    }
}

/// The length at the head of `bytes`, and how many bytes the length itself takes.
#[inline]
fn split_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((usize::from(first), 1));
    }
    split_long_length(bytes)
}

fn split_long_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            // One length has one spelling: no trailing zero groups.
            let length = u32::try_from(value).ok().filter(|_| *byte != 0)?;
            return Some((usize::try_from(length).ok()?, at + 1));
        }
    }
    None
}
