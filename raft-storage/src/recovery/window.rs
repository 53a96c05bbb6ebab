//! Reads a segment front to back through a small buffer that stays in the processor's cache.

use crate::error::Failure;
use crate::files::segment::Segment;
use crate::format::segment::SegmentSeq;

/// A part of one file. Reused for all of them.
#[derive(Debug, Default)]
pub(crate) struct Window {
    segment: SegmentSeq,
    start: u32,
    filled: usize,
    buffer: Vec<u8>,
}

impl Window {
    /// So many bytes from `offset` on, fewer if the file ends before.
    pub(crate) fn at(&mut self, segment: &Segment, offset: u32, count: u32) -> Result<&[u8], Failure> {
        let count = count as usize;
        let have = if self.segment == segment.seq && offset >= self.start {
            self.filled.saturating_sub((offset - self.start) as usize)
        } else {
            0
        };
        if have < count {
            self.fill(segment, offset, count)?;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..self.filled.min(from + count)])
    }

    fn fill(&mut self, segment: &Segment, offset: u32, count: usize) -> Result<(), Failure> {
        let count = count.max(WINDOW_BYTES.min(segment.capacity as usize));
        if self.buffer.len() < count {
            self.buffer.resize(count, 0);
        }
        self.segment = segment.seq;
        self.start = offset;
        self.filled = 0;
        self.filled = segment.read(&mut self.buffer[..count], offset)?;
        Ok(())
    }
}

/// How much is read at once, unless one record is larger.
const WINDOW_BYTES: usize = 256 << 10;
