//! Reads entries back, checked byte for byte: what cannot be verified is never returned (F13).

use std::sync::Arc;

use raft_core::bytes::Bytes;
use raft_core::{Entries, LogIndex};

use crate::error::{Damage, LogError};
use crate::files::segment::{Segment, Segments};
use crate::format::batch::{BatchPlace, Decoded};
use crate::format::record::RecordHeader;
use crate::state::index::{Index, RecordPlace, Slot};

/// Collects the batches of one range within a byte budget.
#[derive(Debug)]
pub(crate) struct Loader<'a> {
    segments: &'a Segments,
    next: LogIndex,
    end: LogIndex,
    bytes_left: usize,
    found: Vec<Entries>,
    is_full: bool,
}

/// Consecutive records of one segment, read with one call.
#[derive(Debug)]
struct Span {
    segment: Arc<Segment>,
    start: u32,
    first: RecordPlace,
    bytes: Bytes,
}

/// A record whose checksums fit.
#[derive(Debug)]
struct Record {
    place: RecordPlace,
    body: Bytes,
    batches: Vec<BatchPlace>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(segments: &'a Segments, first: LogIndex, end: LogIndex, bytes_max: usize) -> Self {
        Self { segments, next: first, end, bytes_left: bytes_max, found: Vec::new(), is_full: false }
    }

    /// Takes what the index has of the range.
    pub(crate) fn take_from_index(&mut self, index: &Index) -> Result<(), LogError> {
        if index.is_empty() || self.next > index.last() {
            return Ok(());
        }
        let mut at = index.position_of(self.next);
        let mut span = self.read_span(index, at)?;
        let mut record = span.record(index.slot(at).map_or(span.place(), |slot| slot.place))?;
        while let Some(slot) = index.slot(at).filter(|slot| slot.first < self.end) {
            if record.place != slot.place {
                if !span.holds(slot.place) {
                    span = self.read_span(index, at)?;
                }
                record = span.record(slot.place)?;
            }
            let entries =
                record.batch(slot).ok_or_else(|| span.corrupt(slot.place.offset, Damage::Content))?;
            // What was truncated later is still in the record.
            let end = index.slot(at + 1).map_or(index.last().next(), |next| next.first);
            if let Some(entries) = entries.prefix_before(end) {
                self.take(&entries);
            }
            if self.is_full {
                break;
            }
            at += 1;
        }
        Ok(())
    }

    /// Takes what a batch has of the range.
    pub(crate) fn take(&mut self, entries: &Entries) {
        if self.is_full || self.next >= self.end || entries.last() < self.next {
            return;
        }
        let wanted = entries.suffix_from(self.next).and_then(|entries| entries.prefix_before(self.end));
        let Some(wanted) = wanted else { return };
        let taken = wanted.prefix_within(self.bytes_left);
        if taken.byte_count() > self.bytes_left && !self.found.is_empty() {
            self.is_full = true;
            return;
        }
        self.is_full = taken.count() < wanted.count() || taken.byte_count() >= self.bytes_left;
        self.bytes_left = self.bytes_left.saturating_sub(taken.byte_count());
        self.next = taken.last().next();
        self.found.push(taken);
    }

    pub(crate) fn finish(self) -> Vec<Entries> {
        self.found
    }

    /// Reads the record of slot `at`, and with it those behind it that will be wanted next.
    fn read_span(&self, index: &Index, at: usize) -> Result<Span, LogError> {
        let first = index.slot(at).expect("the range is within the index").place;
        let segment = self.segments.find(first.segment).expect("indexed segments are kept");
        let mut end = first.offset + first.byte_count;
        for next in (at + 1..).map_while(|at| index.slot(at)) {
            let place = next.place;
            let wanted = next.first < self.end && (end - first.offset) as usize <= self.bytes_left;
            let near =
                place.segment == first.segment && place.offset.saturating_sub(end) <= SPAN_GAP_BYTES_MAX;
            if !wanted || !near || end - first.offset >= SPAN_BYTES_MAX {
                break;
            }
            end = end.max(place.offset + place.byte_count);
        }
        let mut bytes = vec![0; (end - first.offset) as usize];
        let count = segment.read(&mut bytes, first.offset)?;
        bytes.truncate(count);
        Ok(Span { segment, start: first.offset, first, bytes: bytes.into() })
    }
}

impl Span {
    /// The record it was read for.
    fn place(&self) -> RecordPlace {
        self.first
    }

    fn holds(&self, place: RecordPlace) -> bool {
        place.segment == self.segment.seq
            && place.offset >= self.start
            && (place.offset - self.start) as usize + place.byte_count as usize <= self.bytes.len()
    }

    /// Takes a record out, if every checksum fits.
    fn record(&self, place: RecordPlace) -> Result<Record, LogError> {
        let short = Damage::TooShort { needed_bytes: u64::from(place.offset) + u64::from(place.byte_count) };
        if !self.holds(place) {
            return Err(self.corrupt(place.offset, short));
        }
        let start = (place.offset - self.start) as usize;
        let bytes = self.bytes.slice(start..start + place.byte_count as usize);
        let head = bytes.first_chunk().ok_or_else(|| self.corrupt(place.offset, short))?;
        let (header, _) = RecordHeader::decode(head, self.segment.seed, place.offset)
            .map_err(|error| self.corrupt(place.offset, error.into()))?;
        let body_end = RecordHeader::BYTES as usize + header.body_bytes as usize;
        if header.record_bytes() != u64::from(place.byte_count) {
            return Err(self.corrupt(place.offset, Damage::Length { record_bytes: header.record_bytes() }));
        }
        let body = bytes.slice(RecordHeader::BYTES as usize..body_end);
        let expected = crc32c::crc32c(&body);
        if expected != header.body_crc {
            let damage = Damage::Checksum { expected, found: header.body_crc };
            return Err(self.corrupt(place.offset, damage));
        }
        let mut batches = Vec::new();
        Decoded::decode(&header, &body, &mut batches)
            .ok_or_else(|| self.corrupt(place.offset, Damage::Content))?;
        Ok(Record { place, body, batches })
    }

    fn corrupt(&self, offset: u32, damage: Damage) -> LogError {
        LogError::Corrupt { path: self.segment.path().clone(), offset: u64::from(offset), damage }
    }
}

impl Record {
    /// One of its batches, if it is the one that the index means.
    fn batch(&self, slot: &Slot) -> Option<Entries> {
        let batch = self.batches.get(usize::from(slot.part))?;
        let entries = Entries::parse(batch.first, batch.term, batch.kind, batch.payloads(&self.body)).ok()?;
        let is_meant =
            entries.first() == slot.first && entries.last() == batch.last && entries.term() == slot.term;
        is_meant.then_some(entries)
    }
}

/// At most so much is read with one call, unless one record is larger.
const SPAN_BYTES_MAX: u32 = 1 << 20;
/// Records of other groups up to this size are read over rather than read around.
const SPAN_GAP_BYTES_MAX: u32 = 4096;
