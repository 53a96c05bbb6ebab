//! Moves what is not proven to be durable into a new segment.
//!
//! Its records may be in the page cache alone, and the cache may believe that they are on the medium
//! although a sync of them failed. Written again, to another file, under a link that says where the
//! log leaves the old one, they are durable or they are not there (F9, F10, F21).

use std::sync::Arc;

use super::LastSegment;
use super::scan::{self, Record};
use super::window::Window;
use crate::error::OpenError;
use crate::files::maker::Maker;
use crate::files::segment::Segments;
use crate::format::record::{Link, RecordHeader, RecordKind};
use crate::format::segment::SegmentSeq;
use crate::state::index::Move;
use crate::writer::{Chain, Kind, Position};

/// The records that move.
#[derive(Debug)]
pub(crate) struct Carried {
    /// Where they move. If not even the link of the last segment is proven to be durable, that
    /// segment is replaced, otherwise followed.
    seq: SegmentSeq,
    /// How many of the last segment's records stay.
    kept_count: usize,
    /// How many bytes those take that move.
    byte_count: u32,
    record_count: u64,
}

impl Carried {
    pub(crate) fn new(last: &LastSegment, kept_count: usize) -> Self {
        let seq = if kept_count == 0 { last.segment.seq } else { last.segment.seq + 1 };
        let mut carried = Self { seq, kept_count, byte_count: 0, record_count: 0 };
        for record in moving(last, kept_count) {
            carried.byte_count += record.byte_count;
            carried.record_count += 1;
        }
        carried
    }

    /// Where the records that move will be found.
    pub(crate) fn how(&self, last: &LastSegment) -> Move {
        let from_offset = moving(last, self.kept_count).next().map_or(last.scanned.end, |first| first.offset);
        Move { from: last.segment.seq, from_offset, to: self.seq, to_offset: Link::END }
    }

    /// The segment in which the log will go on.
    pub(crate) fn seq(&self) -> SegmentSeq {
        self.seq
    }

    pub(crate) fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Writes the segment. Until it has its name, the log is as it was.
    pub(crate) fn write(
        &self,
        last: &LastSegment,
        maker: &mut Maker,
        segments: &Segments,
        window: &mut Window,
    ) -> Result<Position, OpenError> {
        let offset = Link::END + self.byte_count;
        let mut link = Link { born_end: offset, ..last.link };
        let is_replaced = self.seq == last.segment.seq;
        if !is_replaced {
            let first_moving = last.records.get(self.kept_count);
            link.previous_seq = last.segment.seq;
            link.previous_end = first_moving.map_or(last.scanned.end, |record| record.offset);
            link.previous_chain = first_moving.map_or(last.scanned.chain, |record| record.chain_before);
        }
        let bodies = moving(last, self.kept_count)
            .map(|record| Ok((record, scan::read_again(&last.segment, record, window)?.to_vec())))
            .collect::<Result<Vec<_>, OpenError>>()?;
        let mut chain = None;
        let needed = u64::from(offset + RecordHeader::BYTES);
        let segment = maker.make_now(self.seq, needed, |seed| {
            let (bytes, end_chain) = encode(&link, &bodies, seed);
            chain = Some(end_chain);
            bytes
        })?;
        segments.insert(Arc::clone(&segment));
        if !is_replaced {
            // What stands behind the link's place is dead; only the room it takes is to be given
            // back.
            last.segment.cut(link.previous_end)?;
        }
        let chain = chain.unwrap_or(segment.seed);
        Ok(Position { segment, offset, chain, first_live: link.first_live })
    }
}

/// The records of the new segment, and the checksum of the last header.
fn encode(link: &Link, moving: &[(&Record, Vec<u8>)], seed: u32) -> (Vec<u8>, u32) {
    let mut bytes = Vec::new();
    let mut chain = Chain { seed, previous: seed, durable: Link::OFFSET };
    let mut offset = Link::OFFSET;
    let mut push = |body: &[u8], kind: Kind| {
        let start = bytes.len();
        bytes.resize(start + RecordHeader::BYTES as usize, 0);
        bytes.extend_from_slice(body);
        offset += chain.finish(&mut bytes, start, offset, kind);
    };
    let link = link.encode();
    push(&link, Kind::of_link(crc32c::crc32c(&link)));
    for (record, body) in moving {
        let RecordHeader { kind, group, parts, batch_count, body_crc, .. } = record.header;
        push(body, Kind { kind, group, parts, batch_count, body_crc });
    }
    (bytes, chain.previous)
}

/// The records that move. A link is made anew, and a seal has no meaning any more.
fn moving(last: &LastSegment, kept_count: usize) -> impl Iterator<Item = &Record> {
    let behind = last.records.get(kept_count..).unwrap_or_default();
    behind.iter().filter(|record| record.header.kind == RecordKind::Batch)
}
