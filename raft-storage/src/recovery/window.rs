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
        if count == 0 {
            // What is in the window may be of another segment.
            return Ok(&[]);
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use raft_core::NodeId;

    use super::*;
    use crate::format::identity::{Identity, IdentityFile};
    use crate::format::segment::SegmentHeader;
    use crate::fs::{Fs, RealFs};

    #[test]
    fn nothing_is_read_where_nothing_is_asked_for_whatever_was_read_before() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity { cluster: 1, node: NodeId::new(1) };
        let owner = IdentityFile { identity, incarnation: 1 };
        let [one, two] = [1u8, 2].map(|seq| {
            let path = dir.path().join(seq.to_string());
            std::fs::write(&path, [seq; 100]).unwrap();
            let header = SegmentHeader { owner, seq: seq.into(), salt: 0, capacity: 100 };
            Segment::new(&header, 0, path.clone(), RealFs.open(&path).unwrap())
        });
        let mut window = Window::default();
        assert_eq!(window.at(&one, 50, 10).unwrap(), [1; 10]);
        assert_eq!(window.at(&two, 20, 0).unwrap(), []);
        assert_eq!(window.at(&two, 20, 3).unwrap(), [2; 3]);
        assert_eq!(window.at(&two, 98, 10).unwrap(), [2; 2]);
    }
}
