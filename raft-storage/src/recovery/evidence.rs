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
    let zeros = vec![0; STRIDE_BYTES as usize + RecordHeader::BYTES as usize];
    let mut behind = Behind::default();
    let mut start = end;
    loop {
        // Each piece reaches one header into the next, so none is cut in two.
        let bytes = window.at(segment, start, STRIDE_BYTES + RecordHeader::BYTES)?;
        if bytes != &zeros[..bytes.len()] {
            let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            behind.byte_count = u64::from(start - end) + last as u64 + 1;
            behind.look(bytes, segment, start);
        }
        match start.checked_add(STRIDE_BYTES) {
            Some(next) if bytes.len() > STRIDE_BYTES as usize => start = next,
            _ => return Ok(behind),
        }
    }
}

impl Behind {
    fn look(&mut self, bytes: &[u8], segment: &Segment, start: u32) {
        let heads = bytes.windows(RecordHeader::BYTES as usize).step_by(RecordHeader::ALIGN as usize);
        for (head, offset) in heads.zip((start..).step_by(RecordHeader::ALIGN as usize)) {
            if let Some(header) = recognise(head, segment, offset) {
                self.has_records = true;
                self.durable = self.durable.max(header.durable);
            }
        }
    }
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
