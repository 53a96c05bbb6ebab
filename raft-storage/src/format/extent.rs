//! Extents: entries in a record that can be read and checked without the rest of it.
//!
//! A record has one checksum, of its body from the first byte to the last. What that is before some
//! entries and behind them, two numbers in memory, tells whether just these are whole: so a few
//! entries of a large record cost no more than they should (F13).

use raft_core::{Entries, EntryKind, LogIndex, Term};

use super::batch::BatchPlace;
use super::segment::SegmentSeq;

/// Entries of one batch. It reaches to the first entry of the next extent, or to the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: LogIndex,
    pub(crate) term: Term,
    pub(crate) segment: SegmentSeq,
    /// Where its payloads begin in the segment.
    pub(crate) offset: u32,
    pub(crate) byte_count: u32,
    /// The checksum of the record's body up to it.
    pub(crate) crc_before: u32,
    /// The same, with it.
    pub(crate) crc_behind: u32,
    pub(crate) kind: EntryKind,
}

/// Where the body of a record is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyPlace {
    pub(crate) segment: SegmentSeq,
    pub(crate) offset: u32,
}

/// Cuts the batches of a body into extents, and tells the checksum of the body; if it is `known`, it
/// is not computed to the end. `None` if a batch has not as many entries as its row says.
pub(crate) fn cut(
    body: &[u8],
    at: BodyPlace,
    known: Option<u32>,
    batches: impl Iterator<Item = BatchPlace>,
    extents: &mut Vec<Extent>,
) -> Option<u32> {
    let (mut crc, mut done) = (0, 0);
    for BatchPlace { first: mut next, last, term, kind, start, byte_count } in batches {
        crc = crc32c::crc32c_append(crc, body.get(done..start)?);
        done = start + byte_count;
        let mut rest = body.get(start..done)?;
        while !rest.is_empty() {
            let (count, bytes) = Entries::pieces(rest, EXTENT_BYTES_MAX).next()?;
            let behind = LogIndex::new(next.get().checked_add(u64::from(count))?);
            if behind > last.next() {
                return None;
            }
            let offset = at.offset + u32::try_from(done - rest.len()).ok()?;
            rest = &rest[bytes.len()..];
            let crc_before = crc;
            let is_end = rest.is_empty() && done == body.len();
            crc = known.filter(|_| is_end).unwrap_or_else(|| crc32c::crc32c_append(crc_before, bytes));
            extents.push(Extent {
                first: next,
                term,
                segment: at.segment,
                offset,
                byte_count: u32::try_from(bytes.len()).ok()?,
                crc_before,
                crc_behind: crc,
                kind,
            });
            next = behind;
        }
        if next != last.next() {
            return None;
        }
    }
    Some(known.unwrap_or_else(|| crc32c::crc32c_append(crc, &body[done..])))
}

impl Extent {
    /// Where it ends in the segment.
    pub(crate) fn end(&self) -> u32 {
        self.offset + self.byte_count
    }

    /// Whether another one goes on where this one ends, so that both can be checked as one.
    pub(crate) fn goes_on_in(&self, next: &Self) -> bool {
        (self.segment, self.end(), self.crc_behind) == (next.segment, next.offset, next.crc_before)
            && (self.term, self.kind) == (next.term, next.kind)
    }
}

/// An extent has at most so many bytes, or one entry: what is read beside the entries that are wanted,
/// against the memory that an extent takes.
const EXTENT_BYTES_MAX: usize = 2 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries of so many bytes, each with its length in front.
    fn batch(sizes: &[usize]) -> Entries {
        let mut builder = raft_core::EntriesBuilder::default();
        for (size, byte) in sizes.iter().zip(0u8..) {
            builder.push(&vec![byte; *size]).expect("small");
        }
        builder
            .take(raft_core::Position::new(Term::new(2), LogIndex::new(7)), EntryKind::Command)
            .expect("some")
    }

    fn place(entries: &Entries, start: usize) -> BatchPlace {
        let (first, last, byte_count) = (entries.first(), entries.last(), entries.byte_count());
        BatchPlace { first, last, term: entries.term(), kind: entries.kind(), start, byte_count }
    }

    /// Extents cover every entry once, and the checksums before and behind each fit its bytes alone.
    #[test]
    fn every_extent_of_a_body_can_be_checked_by_itself() {
        for sizes in [&[0][..], &[10, 20], &[300; 100], &[5000, 1, 9000, 4000, 90], &[4093, 4093, 1]] {
            let entries = batch(sizes);
            let body = [&b"head"[..], entries.payloads(), b"tail"].concat();
            for known in [None, Some(crc32c::crc32c(&body))] {
                let at = BodyPlace { segment: 3, offset: 100 };
                let mut extents = Vec::new();
                let crc = cut(&body, at, known, [place(&entries, 4)].into_iter(), &mut extents);
                assert_eq!(crc, Some(crc32c::crc32c(&body)));
                let mut end = 104;
                let mut next = entries.first();
                for extent in &extents {
                    assert_eq!((extent.offset, extent.first), (end, next), "{sizes:?}");
                    let bytes = &body[extent.offset as usize - 100..extent.end() as usize - 100];
                    assert_eq!(crc32c::crc32c_append(extent.crc_before, bytes), extent.crc_behind);
                    let held = Entries::parse(next, extent.term, extent.kind, bytes.to_vec().into());
                    let held = held.expect("whole entries");
                    assert!(bytes.len() <= EXTENT_BYTES_MAX || held.count() == 1);
                    (end, next) = (extent.end(), held.last().next());
                }
                assert_eq!(next, entries.last().next());
                assert!(extents.windows(2).all(|two| two[0].goes_on_in(&two[1])));
            }
        }
    }

    /// A row that counts other than its batch is no batch of ours.
    #[test]
    fn a_batch_that_is_counted_wrong_is_refused() {
        let entries = batch(&[3000; 4]);
        for last in [7, 8, 9, 11] {
            let wrong = BatchPlace { last: LogIndex::new(last), ..place(&entries, 0) };
            let at = BodyPlace { segment: 1, offset: 0 };
            let cut = cut(entries.payloads(), at, None, [wrong].into_iter(), &mut Vec::new());
            assert_eq!(cut, None, "{last}");
        }
    }
}
