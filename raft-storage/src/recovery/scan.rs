//! Walks the records of one segment and checks each of them.

use std::sync::Arc;

use crate::error::{Damage, OpenError};
use crate::files::segment::Segment;
use crate::format::record::{Link, RecordHeader, RecordKind};
use crate::format::segment::SegmentHeader;

/// A segment's bytes behind its head, and the whole records at their beginning.
#[derive(Debug)]
pub(crate) struct Scanned {
    bytes: Vec<u8>,
    pub(crate) records: Vec<Record>,
    /// Where the last whole record ends.
    pub(crate) end: u32,
    /// The checksum of the last header, or the segment's seed.
    pub(crate) chain: u32,
    /// Why there is no further record; none at a seal or at the limit.
    pub(crate) broken: Option<Damage>,
    pub(crate) is_sealed: bool,
}

/// A whole record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) offset: u32,
    pub(crate) header: RecordHeader,
    pub(crate) byte_count: u32,
    /// The checksum of the header before this one, or the segment's seed.
    pub(crate) chain_before: u32,
}

/// Reads a segment up to `limit`, or to the end of its file.
pub(crate) fn scan(segment: &Arc<Segment>, limit: Option<u32>) -> Result<Scanned, OpenError> {
    let size = segment.byte_count()?.min(u64::from(u32::MAX));
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let end = limit.unwrap_or(size).max(SegmentHeader::BYTES);
    let mut bytes = vec![0; (end.min(size.max(SegmentHeader::BYTES)) - SegmentHeader::BYTES) as usize];
    let count = segment.read(&mut bytes, SegmentHeader::BYTES)?;
    bytes.truncate(count);
    let mut scanned = Scanned {
        bytes,
        records: Vec::new(),
        end: SegmentHeader::BYTES,
        chain: segment.seed,
        broken: None,
        is_sealed: false,
    };
    while !scanned.is_sealed && limit.is_none_or(|limit| scanned.end < limit) {
        if let Err(damage) = scanned.step(segment.seed) {
            scanned.broken = Some(damage);
            break;
        }
    }
    Ok(scanned)
}

/// Reads the link with which a segment begins that is part of the log.
pub(crate) fn read_link(segment: &Segment) -> Result<Result<Link, Damage>, OpenError> {
    let mut bytes = [0; (Link::END - Link::OFFSET) as usize];
    let count = segment.read(&mut bytes, Link::OFFSET)?;
    let mut start = Scanned {
        bytes: bytes[..count].to_vec(),
        records: Vec::new(),
        end: Link::OFFSET,
        chain: segment.seed,
        broken: None,
        is_sealed: false,
    };
    Ok(start.step(segment.seed).and_then(|()| start.link()))
}

impl Scanned {
    /// Takes the next record.
    fn step(&mut self, seed: u32) -> Result<(), Damage> {
        let rest = self.bytes_from(self.end);
        let needed_bytes = u64::from(self.end) + u64::from(RecordHeader::BYTES);
        let head = rest.first_chunk().ok_or(Damage::TooShort { needed_bytes })?;
        let (header, crc) = RecordHeader::decode(head, seed, self.end)?;
        if header.previous != self.chain {
            return Err(Damage::Chain { expected: self.chain, found: header.previous });
        }
        let record_bytes = header.record_bytes();
        let byte_count = u32::try_from(record_bytes)
            .ok()
            .filter(|count| *count as usize <= rest.len())
            .ok_or(Damage::Length { record_bytes })?;
        let body_end = (RecordHeader::BYTES + header.body_bytes) as usize;
        let expected = crc32c::crc32c(&rest[RecordHeader::BYTES as usize..body_end]);
        if expected != header.body_crc {
            return Err(Damage::Checksum { expected, found: header.body_crc });
        }
        let is_first = self.end == Link::OFFSET;
        if is_first != (header.kind == RecordKind::Link) {
            return Err(Damage::Content);
        }
        self.records.push(Record { offset: self.end, header, byte_count, chain_before: self.chain });
        self.end += byte_count;
        self.chain = crc;
        self.is_sealed = header.kind == RecordKind::Seal;
        Ok(())
    }

    /// The link, if the first record has been taken.
    pub(crate) fn link(&self) -> Result<Link, Damage> {
        let first = self.records.first().ok_or(Damage::Missing)?;
        Link::decode(self.body(first)).ok_or(Damage::Content)
    }

    pub(crate) fn body(&self, record: &Record) -> &[u8] {
        let start = record.offset + RecordHeader::BYTES;
        self.bytes_from(start).get(..record.header.body_bytes as usize).unwrap_or_default()
    }

    /// What the file holds from an offset on, as far as it was read.
    pub(crate) fn bytes_from(&self, offset: u32) -> &[u8] {
        self.bytes.get((offset - SegmentHeader::BYTES) as usize..).unwrap_or_default()
    }
}

impl Record {
    pub(crate) fn end(&self) -> u32 {
        self.offset + self.byte_count
    }
}
