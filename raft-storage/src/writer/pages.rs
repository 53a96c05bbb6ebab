//! What is written to a segment next: bytes of whole pages, at the start of a page of memory, since
//! writes past the page cache want both.

use std::io;
use std::ops::Range;

use crate::error::{Failure, Operation};
use crate::files::segment::{Segment, page_start};
use crate::fs::PAGE_BYTES;

/// Bytes of a segment, from the start of a page on.
#[derive(Debug, Default)]
pub(super) struct PageBuffer {
    /// Up to `start` only what fills up the page of memory in front.
    memory: Vec<u8>,
    /// Where the bytes begin. That is the start of a page whenever they are written; appending may move
    /// the memory, so they find their place only then.
    start: usize,
}

impl PageBuffer {
    /// What a segment holds before this place, as far as it is in the same page.
    pub(super) fn read(segment: &Segment, offset: u32) -> Result<Self, Failure> {
        let page = page_start(offset);
        let mut memory = vec![0; (offset - page) as usize];
        if segment.read(&mut memory, page)? < memory.len() {
            return Err(Failure::new(Operation::Read, segment.path(), io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Self { memory, start: 0 })
    }

    /// The list to append to; what is in it stays.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    pub(super) fn len(&self) -> usize {
        self.memory.len() - self.start
    }

    pub(super) fn clear(&mut self) {
        self.memory.truncate(self.start);
    }

    /// All bytes, with zeros behind them up to this number, at the start of a page of memory.
    pub(super) fn fill_up(&mut self, byte_count: u64) -> &[u8] {
        let byte_count = usize::try_from(byte_count).expect("a segment ends below 4 GiB");
        self.memory.resize(self.start + byte_count, 0);
        if self.start != first_page(&self.memory) {
            self.move_to(self.memory.capacity() + PAGE_BYTES);
        }
        &self.memory[self.start..]
    }

    /// Forgets all but these bytes, and gives back memory if it has become unusually large.
    pub(super) fn keep(&mut self, range: Range<u32>) {
        self.memory.truncate(self.start + range.end as usize);
        self.memory.drain(self.start..self.start + range.start as usize);
        if self.memory.capacity() > BYTES_KEPT_MAX {
            self.move_to(BYTES_KEPT_MAX.max(self.len() + PAGE_BYTES));
        }
    }

    /// Moves the bytes to a page of new memory that has room for them and one page more.
    fn move_to(&mut self, capacity: usize) {
        let mut memory = Vec::with_capacity(capacity);
        let start = first_page(&memory);
        memory.resize(start, 0);
        memory.extend_from_slice(&self.memory[self.start..]);
        (self.memory, self.start) = (memory, start);
    }
}

/// How far from the beginning of a list's memory its first page is.
fn first_page(memory: &[u8]) -> usize {
    memory.as_ptr().addr().wrapping_neg() % PAGE_BYTES
}

/// The memory is given back down to this after an unusually large flush.
const BYTES_KEPT_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn is_at_a_page(bytes: &[u8]) -> bool {
        bytes.as_ptr().addr().is_multiple_of(PAGE_BYTES)
    }

    proptest! {
        /// Whatever was appended is there, at a page of memory, as in a plain list.
        #[test]
        fn pages_hold_what_a_plain_list_holds(
            rounds in prop::collection::vec(prop::collection::vec(0..9000usize, 0..4), 1..20),
        ) {
            let (mut buffer, mut plain) = (PageBuffer::default(), Vec::new());
            for (byte, sizes) in (1u8..).zip(rounds) {
                for size in sizes {
                    let out = buffer.out();
                    out.resize(out.len() + size, byte);
                    plain.resize(plain.len() + size, byte);
                }
                let used = plain.len();
                prop_assert_eq!(buffer.len(), used);
                plain.resize(used.next_multiple_of(PAGE_BYTES), 0);
                let pages = buffer.fill_up(plain.len() as u64);
                prop_assert!(is_at_a_page(pages));
                prop_assert_eq!(pages, &plain[..]);
                let page = used - used % PAGE_BYTES;
                plain.truncate(used);
                plain.drain(..page);
                buffer.keep(u32::try_from(page).unwrap()..u32::try_from(used).unwrap());
            }
        }
    }

    #[test]
    fn memory_that_has_settled_is_neither_moved_nor_kept_without_measure() {
        let mut buffer = PageBuffer::default();
        buffer.fill_up(3 * BYTES_KEPT_MAX as u64);
        buffer.keep(10..20);
        assert_eq!((buffer.len(), buffer.memory.capacity()), (10, BYTES_KEPT_MAX));
        let settled = buffer.memory.as_ptr();
        for _ in 0..3 {
            assert!(is_at_a_page(buffer.fill_up((BYTES_KEPT_MAX - PAGE_BYTES) as u64)));
            buffer.keep(0..4000);
        }
        assert_eq!(buffer.memory.as_ptr(), settled);
        buffer.clear();
        assert_eq!(buffer.len(), 0);
    }
}
