//! Walks the records of one segment and checks each of them.

use std::sync::Arc;

use super::window::Window;
use crate::error::{Damage, OpenError};
use crate::files::segment::Segment;
use crate::format::record::{Link, RecordHeader, RecordKind};

/// How far the whole records of a segment reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanned {
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

/// Reads a segment's records up to `limit`, or as far as they are whole, and shows each of them with
/// its body.
pub(crate) fn scan(
    segment: &Arc<Segment>,
    limit: Option<u32>,
    window: &mut Window,
    mut show: impl FnMut(&Record, &[u8]) -> Result<(), OpenError>,
) -> Result<Scanned, OpenError> {
    let size = u32::try_from(segment.byte_count()?).unwrap_or(u32::MAX);
    let limit_or_size = limit.unwrap_or(size).min(size);
    let mut scanned = Scanned { end: Link::OFFSET, chain: segment.seed, broken: None, is_sealed: false };
    while !scanned.is_sealed && limit.is_none_or(|limit| scanned.end < limit) {
        match read(segment, scanned.end, scanned.chain, limit_or_size, window)? {
            Ok((record, crc, body)) => {
                show(&record, body)?;
                scanned.end += record.byte_count;
                scanned.chain = crc;
                scanned.is_sealed = record.header.kind == RecordKind::Seal;
            }
            Err(damage) => {
                scanned.broken = Some(damage);
                break;
            }
        }
    }
    Ok(scanned)
}

/// Reads the link with which a segment begins that is part of the log.
pub(crate) fn read_link(segment: &Segment, window: &mut Window) -> Result<Result<Link, Damage>, OpenError> {
    let read = read(segment, Link::OFFSET, segment.seed, Link::END, window)?;
    Ok(read.and_then(|(_, _, body)| Link::decode(body).ok_or(Damage::Content)))
}

/// Reads a record that has been read before, and checks it again.
pub(crate) fn read_again<'a>(
    segment: &Segment,
    record: &Record,
    window: &'a mut Window,
) -> Result<&'a [u8], OpenError> {
    match read(segment, record.offset, record.chain_before, record.end(), window)? {
        Ok((_, _, body)) => Ok(body),
        Err(damage) => Err(OpenError::damaged(segment.path(), record.offset.into(), damage)),
    }
}

/// Reads one record behind the one with this checksum, not past `limit`: the record, the checksum of
/// its header, its body.
#[expect(clippy::type_complexity, reason = "what cannot be read is one thing, what cannot be right another")]
pub(super) fn read<'a>(
    segment: &Segment,
    offset: u32,
    chain: u32,
    limit: u32,
    window: &'a mut Window,
) -> Result<Result<(Record, u32, &'a [u8]), Damage>, OpenError> {
    let room = limit.saturating_sub(offset);
    let header_bytes = RecordHeader::BYTES as usize;
    let needed_bytes = u64::from(offset) + u64::from(RecordHeader::BYTES);
    let head = window.at(segment, offset, RecordHeader::BYTES.min(room))?;
    let Some(head) = head.first_chunk() else { return Ok(Err(Damage::TooShort { needed_bytes })) };
    let (header, crc) = match RecordHeader::decode(head, segment.seed, offset) {
        Ok(decoded) => decoded,
        Err(error) => return Ok(Err(error.into())),
    };
    if header.previous != chain {
        return Ok(Err(Damage::Chain { expected: chain, found: header.previous }));
    }
    // Bounded before anything is allocated (W1).
    let record_bytes = header.record_bytes();
    let Some(byte_count) = u32::try_from(record_bytes).ok().filter(|count| *count <= room) else {
        return Ok(Err(Damage::Length { record_bytes }));
    };
    let bytes = window.at(segment, offset, byte_count)?;
    let Some(body) = bytes.get(header_bytes..header_bytes + header.body_bytes as usize) else {
        return Ok(Err(Damage::Length { record_bytes }));
    };
    let expected = crc32c::crc32c(body);
    if expected != header.body_crc {
        return Ok(Err(Damage::Checksum { expected, found: header.body_crc }));
    }
    if (offset == Link::OFFSET) != (header.kind == RecordKind::Link) {
        return Ok(Err(Damage::Content));
    }
    Ok(Ok((Record { offset, header, byte_count, chain_before: chain }, crc, body)))
}

impl Record {
    pub(crate) fn end(&self) -> u32 {
        self.offset + self.byte_count
    }
}
