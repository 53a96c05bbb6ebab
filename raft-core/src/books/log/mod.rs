//! The log: terms of everything retained, and the newest entries themselves.
//!
//! Entries stay in the batches they came in. Older ones leave memory once they are durable and
//! applied and the tail grows over its limit; whoever needs them asks the store (`Load`).
//! The log does not know what is committed or durable.

mod runs;

use alloc::collections::VecDeque;

use crate::words::batches::Batches;
use crate::words::entries::{Entries, EntriesBuilder, EntryKind};
use crate::words::ids::{LogIndex, Position, Term};

use runs::Runs;

/// The log of one node.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Log {
    mark: Position,
    runs: Runs,
    /// The newest batches, without a gap up to the last entry.
    tail: VecDeque<Entries>,
    tail_bytes: usize,
    /// Proposals since the last [`seal`](Self::seal); their indexes are given out already.
    open: EntriesBuilder,
    last: Position,
    /// The first retained hollow entry, which only a witness has.
    first_hollow: Option<LogIndex>,
}

impl Log {
    /// A log without entries behind `mark`.
    pub(crate) fn new(mark: Position) -> Self {
        Self {
            mark,
            runs: Runs::new(mark),
            tail: VecDeque::new(),
            tail_bytes: 0,
            open: EntriesBuilder::default(),
            last: mark,
            first_hollow: None,
        }
    }

    /// Notes entries that the store has and memory has not; only before anything is appended.
    pub(crate) fn extend_stored(&mut self, last: Position, kind: EntryKind) {
        assert!(self.tail.is_empty(), "stored entries come before appended ones");
        self.note_kind(self.last.index.next(), kind);
        self.runs.extend(last.index, last.term);
        self.last = last;
    }

    /// Adds one command behind the last entry; `None` if it is longer than `u32::MAX` bytes.
    #[inline]
    pub(crate) fn push_command(&mut self, term: Term, payload: &[u8]) -> Option<Position> {
        self.open.push(payload)?;
        self.last = Position::new(term, self.last.index.next());
        Some(self.last)
    }

    /// Makes a batch of the commands pushed since the last call.
    #[inline]
    pub(crate) fn seal(&mut self) {
        if !self.open.is_empty() {
            self.seal_open();
        }
    }

    fn seal_open(&mut self) {
        let first = LogIndex::new(self.last.index.get() + 1 - u64::from(self.open.count()));
        let position = Position::new(self.last.term, first);
        if let Some(batch) = self.open.take(position, EntryKind::Command) {
            self.add(batch);
        }
    }

    /// Adds a batch right behind the last entry.
    pub(crate) fn append(&mut self, batch: Entries) {
        self.seal();
        assert!(batch.first() == self.last.index.next(), "{} behind {}", batch.first(), self.last);
        self.last = batch.last_position();
        self.add(batch);
    }

    /// Drops the entries from `from` on.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        self.seal();
        assert!(from > self.mark.index && from <= self.last.index, "cut at {from} outside of the log");
        while let Some(batch) = self.tail.pop_back() {
            self.tail_bytes -= batch.byte_count() + BATCH_BYTES;
            if batch.first() < from {
                let kept = batch.prefix_before(from).expect("begins before the cut");
                self.tail_bytes += kept.byte_count() + BATCH_BYTES;
                self.tail.push_back(kept);
                break;
            }
        }
        self.runs.truncate(from);
        self.last = Position::new(self.runs.last_term(), from.prev());
        self.first_hollow = self.first_hollow.filter(|first| *first < from);
    }

    /// The log begins behind `mark`, which it holds, from now on.
    pub(crate) fn compact(&mut self, mark: Position) {
        self.seal();
        assert!(mark.index > self.mark.index && self.matches(mark), "compaction to {mark}, not in the log");
        self.runs.compact(mark);
        self.mark = mark;
        self.drop_batches_to(mark.index, 0);
    }

    /// Lets batches up to `index` leave memory while the tail is over `bytes_max`.
    pub(crate) fn shrink_tail(&mut self, index: LogIndex, bytes_max: u32) {
        self.drop_batches_to(index, bytes_max as usize);
    }

    /// Gives back memory that no entry needs now.
    pub(crate) fn shrink(&mut self) {
        self.tail.shrink_to_fit();
        if self.open.is_empty() {
            self.open.clear();
        }
    }

    fn drop_batches_to(&mut self, index: LogIndex, bytes_max: usize) {
        while self.tail_bytes > bytes_max {
            match self.tail.front() {
                Some(batch) if batch.last() <= index => {
                    self.tail_bytes -= batch.byte_count() + BATCH_BYTES;
                    self.tail.pop_front();
                }
                Some(_) | None => break,
            }
        }
    }

    /// The position before the first retained entry.
    pub(crate) fn mark(&self) -> Position {
        self.mark
    }

    /// The end of the log.
    #[inline]
    pub(crate) fn last(&self) -> Position {
        self.last
    }

    /// Whether payloads are missing: then this is the log of a witness, whatever else is said of it.
    pub(crate) fn has_hollow(&self) -> bool {
        self.first_hollow.is_some()
    }

    /// The term at `index`, the mark's included.
    #[inline]
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        // What is not sealed yet is of the last term.
        let is_open = index > self.runs.last() && index < self.last.index;
        if is_open { Some(self.last.term) } else { self.runs.term_at(index) }
    }

    /// Whether the log has an entry (or the mark) at exactly this position.
    pub(crate) fn matches(&self, position: Position) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    /// The first index from `first` to `last` whose term is not `term`, or that does not exist.
    pub(crate) fn first_mismatch(&self, first: LogIndex, last: LogIndex, term: Term) -> Option<LogIndex> {
        self.runs.first_mismatch(first, last, term)
    }

    /// The highest position not above `bound` in index and in term.
    pub(crate) fn highest_within(&self, bound: Position) -> Position {
        self.runs.highest_within(bound)
    }

    /// Bytes of commands that wait to be sealed.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open.byte_count()
    }

    /// The first index that is in memory; behind the last one if none is.
    pub(crate) fn tail_first(&self) -> LogIndex {
        self.tail.front().map_or(self.last.index.next(), Entries::first)
    }

    /// Entries from `first` on of at most `bytes_max` bytes, at least one; `None` if the first is
    /// not in memory.
    pub(crate) fn slice(&self, first: LogIndex, end: LogIndex, bytes_max: usize) -> Option<Batches> {
        if first >= end {
            return Some(Batches::new());
        }
        let mut at = self.batch_at(first)?;
        if let Some(batch) = self.tail.get(at)
            && batch.first() == first
            && batch.last().next() == end
            && batch.byte_count() <= bytes_max
        {
            return Some(Batches::from(batch.clone()));
        }
        let mut slice = Batches::new();
        let mut bytes = 0;
        while let Some(batch) = self.tail.get(at).filter(|batch| batch.first() < end) {
            let mut batch = batch.suffix_from(first).expect("holds or follows the first entry");
            if batch.last() >= end {
                batch = batch.prefix_before(end).expect("begins before the end");
            }
            if bytes + batch.byte_count() > bytes_max {
                if bytes == 0 {
                    slice.push(batch.prefix_within(bytes_max));
                }
                break;
            }
            bytes += batch.byte_count();
            slice.push(batch);
            at += 1;
        }
        Some(slice)
    }

    /// Which batch of the tail holds `index`; usually one of the last two.
    fn batch_at(&self, index: LogIndex) -> Option<usize> {
        if index < self.tail_first() {
            return None;
        }
        let newest = self.tail.len().checked_sub(1)?;
        if self.tail[newest].first() <= index {
            return Some(newest);
        }
        self.tail.partition_point(|batch| batch.first() <= index).checked_sub(1)
    }

    fn add(&mut self, batch: Entries) {
        self.note_kind(batch.first(), batch.kind());
        self.runs.extend(batch.last(), batch.term());
        self.tail_bytes += batch.byte_count() + BATCH_BYTES;
        self.tail.push_back(batch);
    }

    fn note_kind(&mut self, first: LogIndex, kind: EntryKind) {
        if kind == EntryKind::Hollow {
            self.first_hollow.get_or_insert(first);
        }
    }
}

/// What a batch costs beside its payloads, so that many small batches are bounded as well.
const BATCH_BYTES: usize = core::mem::size_of::<Entries>();
