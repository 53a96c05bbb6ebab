//! Reads entries back, checked byte for byte: what cannot be verified is never returned (F13).

use std::sync::Arc;

use raft_core::bytes::Bytes;
use raft_core::{Entries, LogIndex};

use crate::error::{Damage, LogError};
use crate::files::segment::Segment;
use crate::format::extent::Extent;
use crate::state::index::Index;

/// Collects the batches of one range within a byte budget.
#[derive(Debug)]
pub(crate) struct Loader<'a> {
    segments: &'a [Arc<Segment>],
    next: LogIndex,
    end: LogIndex,
    bytes_left: usize,
    found: Vec<Entries>,
    is_full: bool,
}

/// A stretch of one segment, read with one call.
#[derive(Debug)]
struct Span {
    segment: Arc<Segment>,
    offset: u32,
    bytes: Bytes,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        segments: &'a [Arc<Segment>],
        first: LogIndex,
        end: LogIndex,
        bytes_max: usize,
    ) -> Self {
        Self { segments, next: first, end, bytes_left: bytes_max, found: Vec::new(), is_full: false }
    }

    /// Reads what the index has of the range, and takes what waits behind it.
    pub(crate) fn load<'b>(
        mut self,
        index: &Index,
        waiting: impl Iterator<Item = &'b Entries>,
    ) -> Result<Vec<Entries>, LogError> {
        self.take_from_index(index)?;
        waiting.for_each(|entries| self.take(entries));
        Ok(self.found)
    }

    /// Takes what the index has of the range.
    fn take_from_index(&mut self, index: &Index) -> Result<(), LogError> {
        if index.is_empty() || self.next > index.last() {
            return Ok(());
        }
        let mut at = index.position_of(self.next);
        let mut span = self.read_span(index, at)?;
        while let Some(first) = index.extent(at).filter(|extent| extent.first < self.end) {
            if !span.holds(first) {
                span = self.read_span(index, at)?;
            }
            let mut last = *first;
            while let Some(next) = index.extent(at + 1) {
                if next.first >= self.end || !last.goes_on_in(next) || !span.holds(next) {
                    break;
                }
                (last, at) = (*next, at + 1);
            }
            // What was truncated later is still in the record.
            let end = index.extent(at + 1).map_or(index.last().next(), |next| next.first);
            self.add(span.entries(first, &last, self.next, end.min(self.end))?);
            if self.is_full {
                break;
            }
            at += 1;
        }
        Ok(())
    }

    /// Takes what a batch has of the range.
    fn take(&mut self, entries: &Entries) {
        if self.is_full || self.next >= self.end || entries.last() < self.next {
            return;
        }
        let wanted = entries.suffix_from(self.next).and_then(|entries| entries.prefix_before(self.end));
        if let Some(wanted) = wanted {
            self.add(wanted);
        }
    }

    /// Takes entries that are wanted, as far as the budget goes.
    fn add(&mut self, wanted: Entries) {
        let count = wanted.count();
        let is_within = wanted.byte_count() <= self.bytes_left;
        let taken = if is_within { wanted } else { wanted.prefix_within(self.bytes_left) };
        if taken.byte_count() > self.bytes_left && !self.found.is_empty() {
            self.is_full = true;
            return;
        }
        self.is_full = taken.count() < count || taken.byte_count() >= self.bytes_left;
        self.bytes_left = self.bytes_left.saturating_sub(taken.byte_count());
        self.next = taken.last().next();
        self.found.push(taken);
    }

    /// Reads an extent, and with it those behind it that will be wanted next.
    fn read_span(&self, index: &Index, at: usize) -> Result<Span, LogError> {
        let first = index.extent(at).expect("the range is within the index");
        let holder = self.segments.iter().find(|segment| segment.seq == first.segment);
        let segment = Arc::clone(holder.expect("a stretch has its segments"));
        let mut end = first.end();
        for next in (at + 1..).map_while(|at| index.extent(at)) {
            let bytes = (end - first.offset) as usize;
            let is_wanted = next.first < self.end && bytes <= self.bytes_left;
            let is_near = next.segment == first.segment && next.offset.saturating_sub(end) <= GAP_BYTES_MAX;
            if !is_wanted || !is_near || bytes >= SPAN_BYTES_MAX {
                break;
            }
            end = end.max(next.end());
        }
        let mut bytes = vec![0; (end - first.offset) as usize];
        let count = segment.read(&mut bytes, first.offset)?;
        bytes.truncate(count);
        Ok(Span { segment, offset: first.offset, bytes: bytes.into() })
    }
}

impl Span {
    fn holds(&self, extent: &Extent) -> bool {
        extent.segment == self.segment.seq
            && extent.offset >= self.offset
            && (extent.end() - self.offset) as usize <= self.bytes.len()
    }

    /// Takes out entries, from the one at `next` or the first up to `end`, which are in one extent and
    /// others that follow on it up to `last`, if the checksum of all of those fits.
    fn entries(
        &self,
        first: &Extent,
        last: &Extent,
        next: LogIndex,
        end: LogIndex,
    ) -> Result<Entries, LogError> {
        if !self.holds(first) {
            return Err(self.corrupt(first, Damage::TooShort { needed_bytes: u64::from(first.end()) }));
        }
        let (start, behind) = (first.offset - self.offset, last.end() - self.offset);
        let bytes = &self.bytes[start as usize..behind as usize];
        let (expected, found) = (crc32c::crc32c_append(first.crc_before, bytes), last.crc_behind);
        if expected != found {
            return Err(self.corrupt(first, Damage::Checksum { expected, found }));
        }
        let next = next.max(first.first);
        let bytes = self.place_of(first, next)..self.place_of(last, end);
        Entries::parse(next, first.term, first.kind, self.bytes.slice(bytes))
            .ok()
            .filter(|entries| entries.last().next() == end)
            .ok_or_else(|| self.corrupt(first, Damage::Content))
    }

    /// Where an entry of a checked extent begins, or the first one behind it.
    fn place_of(&self, extent: &Extent, index: LogIndex) -> usize {
        let (start, end) = (extent.offset - self.offset, extent.end() - self.offset);
        let count = index.get() - extent.first.get();
        let entries = Entries::pieces(&self.bytes[start as usize..end as usize], 0);
        let before = entries.take(usize::try_from(count).unwrap_or(usize::MAX));
        start as usize + before.map(|(_, bytes)| bytes.len()).sum::<usize>()
    }

    fn corrupt(&self, extent: &Extent, damage: Damage) -> LogError {
        LogError::Corrupt { path: self.segment.path().clone(), offset: u64::from(extent.offset), damage }
    }
}

/// At most so much is read with one call, and one extent.
const SPAN_BYTES_MAX: usize = 1 << 20;
/// Heads of records, and whole ones of other groups, are read over rather than read around up to this
/// size.
const GAP_BYTES_MAX: u32 = 4096;
