//! Looks behind the last whole record for what proves that the log once went on there.
//!
//! A torn write and a broken record look alike at the place where reading stops. What tells them
//! apart is a later record: it says how far the log was durable when it was written (W3). Zeros or
//! garbage prove nothing (S65).

use super::scan::Scanned;
use crate::files::segment::Segment;
use crate::format::record::{RecordHeader, RecordKind};

/// What is behind the end of a segment's whole records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behind {
    /// The farthest place that a header there says was durable.
    pub(crate) durable: u32,
    /// Whether there is any readable record header of this segment.
    pub(crate) has_records: bool,
    /// Up to the last byte that is not zero.
    pub(crate) byte_count: u64,
}

/// Looks at every place where a record could begin.
pub(crate) fn behind(scanned: &Scanned, segment: &Segment) -> Behind {
    let bytes = scanned.bytes_from(scanned.end);
    let byte_count = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut behind = Behind { byte_count: byte_count as u64, ..Behind::default() };
    let mut offset = scanned.end;
    // A header may end in zero bytes, so look as far as one can reach past the last other byte.
    let reach = bytes.len().min(byte_count + RecordHeader::BYTES as usize);
    for head in bytes[..reach].windows(RecordHeader::BYTES as usize).step_by(RecordHeader::ALIGN as usize) {
        if let Some(header) = recognise(head, segment.seed, offset) {
            behind.has_records = true;
            behind.durable = behind.durable.max(header.durable);
        }
        offset += RecordHeader::ALIGN;
    }
    behind
}

fn recognise(head: &[u8], seed: u32, offset: u32) -> Option<RecordHeader> {
    // The cheap test first: almost everything fails it.
    RecordKind::decode(*head.get(KIND_AT)?)?;
    RecordHeader::decode(head.first_chunk()?, seed, offset).ok().map(|(header, _)| header)
}

/// Where a header has its kind.
const KIND_AT: usize = 20;
