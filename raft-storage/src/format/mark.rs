//! The sync mark: a small file that says how far the log was durable at some moment. It proves that
//! what is missing or broken before that point was acknowledged (F5, F8, F14).

use super::bytes::{Reader, Writer, check_trailing_crc};
use super::segment::SegmentSeq;

/// A place in the log before which everything is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SyncMark {
    /// Counts the marks written; the slot with the higher one is the newer.
    pub(crate) count: u64,
    pub(crate) seq: SegmentSeq,
    /// The seed of that segment, so a mark is never taken for one about another file.
    pub(crate) seed: u32,
    pub(crate) offset: u32,
}

const SLOT_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"RAFTMARK";

impl SyncMark {
    /// The size of the file: two slots, each on a page of its own, written in turn, so a torn write
    /// leaves the other one.
    pub(crate) const FILE_BYTES: usize = 2 * Self::SLOT_STRIDE;
    const SLOT_STRIDE: usize = 4096;

    /// Where this mark belongs in the file, and its bytes.
    pub(crate) fn encode(&self) -> (u64, [u8; SLOT_BYTES]) {
        let bytes = Writer::new()
            .put(&MAGIC)
            .u64(self.count)
            .u32(self.seq)
            .u32(self.seed)
            .u32(self.offset)
            .finish_with_crc();
        ((self.count % 2) * Self::SLOT_STRIDE as u64, bytes)
    }

    /// How many slots of a file hold what is neither a mark nor the zeros before the first one.
    pub(crate) fn unreadable_slots(file: &[u8]) -> usize {
        let unreadable = |start: &usize| match file.get(*start..*start + SLOT_BYTES) {
            Some(slot) => {
                slot.iter().any(|byte| *byte != 0)
                    && !slot.try_into().is_ok_and(|slot| Self::decode(slot).is_some())
            }
            None => true,
        };
        [0, Self::SLOT_STRIDE].iter().filter(|start| unreadable(start)).count()
    }

    /// The newer of the readable slots, if any.
    pub(crate) fn decode_newest(file: &[u8]) -> Option<Self> {
        let slot = |start: usize| Self::decode(file.get(start..start + SLOT_BYTES)?.try_into().ok()?);
        let (a, b) = (slot(0), slot(Self::SLOT_STRIDE));
        if a.map(|mark| mark.count) > b.map(|mark| mark.count) { a } else { b }
    }

    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let body = check_trailing_crc(bytes).ok()?;
        let mut reader = Reader::new(body);
        if reader.array() != Some(MAGIC) {
            return None;
        }
        Some(Self { count: reader.u64()?, seq: reader.u32()?, seed: reader.u32()?, offset: reader.u32()? })
    }
}
