//! Looks behind the last whole record for what proves that the log once went on there.
//!
//! A torn write and a broken record look alike at the place where reading stops. What tells them
//! apart is a later record: it says how far the log was durable when it was written (W3). Zeros or
//! garbage prove nothing (S65).

use super::window::Window;
use crate::error::Failure;
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
pub(crate) fn behind(segment: &Segment, end: u32, window: &mut Window) -> Result<Behind, Failure> {
    let mut behind = Behind::default();
    each_piece(segment, end, window, |bytes, start| {
        let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        behind.byte_count = u64::from(start - end) + last as u64 + 1;
        for (_, header) in headers_in(bytes, segment, start) {
            behind.has_records = true;
            behind.durable = behind.durable.max(header.durable);
        }
    })?;
    Ok(behind)
}

/// The record headers of a segment from a place on, with where they stand.
pub(crate) fn headers_from(
    segment: &Segment,
    start: u32,
    window: &mut Window,
) -> Result<Vec<(u32, RecordHeader)>, Failure> {
    let mut headers = Vec::new();
    each_piece(segment, start, window, |bytes, start| headers.extend(headers_in(bytes, segment, start)))?;
    // One that ends a piece begins the next one as well.
    headers.dedup_by_key(|(offset, _)| *offset);
    Ok(headers)
}

/// Shows a segment from `start` on in pieces, less those that hold nothing but zeros.
fn each_piece(
    segment: &Segment,
    mut start: u32,
    window: &mut Window,
    mut show: impl FnMut(&[u8], u32),
) -> Result<(), Failure> {
    let zeros = vec![0; STRIDE_BYTES as usize + RecordHeader::BYTES as usize];
    loop {
        // Each piece reaches one header into the next, so none is cut in two.
        let bytes = window.at(segment, start, STRIDE_BYTES + RecordHeader::BYTES)?;
        if bytes != &zeros[..bytes.len()] {
            show(bytes, start);
        }
        match start.checked_add(STRIDE_BYTES) {
            Some(next) if bytes.len() > STRIDE_BYTES as usize => start = next,
            _ => return Ok(()),
        }
    }
}

fn headers_in(bytes: &[u8], segment: &Segment, start: u32) -> impl Iterator<Item = (u32, RecordHeader)> {
    let heads = bytes.windows(RecordHeader::BYTES as usize).step_by(RecordHeader::ALIGN as usize);
    let places = heads.zip((start..).step_by(RecordHeader::ALIGN as usize));
    places.filter_map(|(head, offset)| Some((offset, recognise(head, segment, offset)?)))
}

fn recognise(head: &[u8], segment: &Segment, offset: u32) -> Option<RecordHeader> {
    // The cheap test first: almost everything fails it.
    RecordKind::decode(*head.get(KIND_AT)?)?;
    let (header, _) = RecordHeader::decode(head.first_chunk()?, segment.seed, offset).ok()?;
    // Among the millions of places in a segment's old content, a checksum fits by chance now and
    // then; not where the numbers make sense too.
    header.makes_sense_at(offset, segment.capacity).then_some(header)
}

/// Where a header has its kind.
const KIND_AT: usize = 20;
/// How much is looked at at once.
const STRIDE_BYTES: u32 = 64 << 10;
