//! Records: the units in which a segment is written and checked.
//!
//! A record is a header of 32 bytes, a body, and zeros up to the next multiple of eight. The header
//! has a checksum of its own, seeded with the segment's identity and the record's place, so it can
//! be recognised behind a broken one; there it proves what had been durable when it was written.

use super::bytes::{Reader, Writer};
use super::segment::{SegmentHeader, SegmentSeq};

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// The first record of each segment: where the log comes from.
    Link,
    /// One request to persist: atomic, because it has one checksum.
    Batch,
    /// The last record of a full segment: the next one is about to begin.
    Seal,
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    /// Which parts the body has; see the batch format.
    pub(crate) parts: u8,
    /// How many batches of entries the body has.
    pub(crate) batch_count: u16,
    pub(crate) group: u64,
    /// The length of the body in bytes.
    pub(crate) body_bytes: u32,
    pub(crate) body_crc: u32,
    /// The checksum of the header before this one; for the first, the segment's seed.
    pub(crate) previous: u32,
    /// Everything in this segment before this offset was durable when the record was written (W3).
    pub(crate) durable: u32,
}

/// Why bytes are no record header that belongs where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordHeaderError {
    /// Eight zero bytes at least: nothing was ever written here, or it did not arrive.
    Zero,
    /// The checksum does not fit.
    Checksum { expected: u32, found: u32 },
    /// The checksum fits, but the content is of no version we know.
    Unknown,
}

impl RecordHeader {
    pub(crate) const BYTES: u32 = 32;
    /// Records begin at multiples of this.
    pub(crate) const ALIGN: u32 = 8;

    /// The header as bytes, and its checksum, which the next header names as its `previous`.
    pub(crate) fn encode(&self, seed: u32, offset: u32) -> ([u8; Self::BYTES as usize], u32) {
        let mut bytes: [u8; Self::BYTES as usize] = Writer::new()
            .u32(0)
            .u32(self.body_crc)
            .u32(self.body_bytes)
            .u32(self.previous)
            .u32(self.durable)
            .u8(self.kind.encode())
            .u8(self.parts)
            .u16(self.batch_count)
            .u64(self.group)
            .finish();
        let crc = checksum(&bytes, seed, offset);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// Reads a header and its checksum.
    pub(crate) fn decode(
        bytes: &[u8; Self::BYTES as usize],
        seed: u32,
        offset: u32,
    ) -> Result<(Self, u32), RecordHeaderError> {
        let mut reader = Reader::new(bytes);
        let mut word = || reader.u32().unwrap_or(0);
        let (found, body_crc) = (word(), word());
        if found == 0 && body_crc == 0 {
            return Err(RecordHeaderError::Zero);
        }
        let expected = checksum(bytes, seed, offset);
        if expected != found {
            return Err(RecordHeaderError::Checksum { expected, found });
        }
        let (body_bytes, previous, durable) = (word(), word(), word());
        let kind = reader.u8().and_then(RecordKind::decode).ok_or(RecordHeaderError::Unknown)?;
        let parts = reader.u8().unwrap_or(0);
        let batch_count = reader.u16().unwrap_or(0);
        let group = reader.u64().unwrap_or(0);
        let header = Self { kind, parts, batch_count, group, body_bytes, body_crc, previous, durable };
        Ok((header, found))
    }

    /// Whether a log can have written such a header there, in a segment of so many bytes.
    pub(crate) fn makes_sense_at(&self, offset: u32, capacity: u32) -> bool {
        let durable = SegmentHeader::BYTES..=offset;
        let end = u64::from(offset) + self.record_bytes();
        durable.contains(&self.durable)
            && self.durable.is_multiple_of(Self::ALIGN)
            && end <= u64::from(capacity)
    }

    /// How many bytes the whole record takes.
    pub(crate) fn record_bytes(&self) -> u64 {
        record_bytes(u64::from(self.body_bytes))
    }
}

/// How many bytes a record takes whose body has that many.
pub(crate) fn record_bytes(body_bytes: u64) -> u64 {
    (u64::from(RecordHeader::BYTES) + body_bytes).next_multiple_of(u64::from(RecordHeader::ALIGN))
}

/// Covers the header less its own checksum, and by the seed the segment and the place in it (F7).
fn checksum(bytes: &[u8; RecordHeader::BYTES as usize], seed: u32, offset: u32) -> u32 {
    crc32c::crc32c_append(seed ^ offset, &bytes[4..])
}

impl RecordKind {
    fn encode(self) -> u8 {
        match self {
            Self::Link => 1,
            Self::Batch => 2,
            Self::Seal => 3,
        }
    }

    pub(crate) fn decode(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Link),
            2 => Some(Self::Batch),
            3 => Some(Self::Seal),
            _ => None,
        }
    }
}

/// The body of the first record of a segment. A segment without a readable one is not part of the
/// log yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// The segment before this one; zero for the first of all.
    pub(crate) previous_seq: SegmentSeq,
    /// Where the log leaves that segment. What stands behind is not part of the log.
    pub(crate) previous_end: u32,
    /// The checksum of the last record header before that place, or that segment's seed.
    pub(crate) previous_chain: u32,
    /// The oldest segment that still matters; those before it may be gone.
    pub(crate) first_live: SegmentSeq,
    /// Up to where the file was durable before it got its name, or zero if only its head was.
    pub(crate) born_end: u32,
}

impl Link {
    pub(crate) const BYTES: u32 = 20;
    /// Where a link stands.
    pub(crate) const OFFSET: u32 = SegmentHeader::BYTES;
    /// Where the first record behind it stands.
    pub(crate) const END: u32 =
        (Self::OFFSET + RecordHeader::BYTES + Self::BYTES).next_multiple_of(RecordHeader::ALIGN);

    pub(crate) fn encode(&self) -> [u8; Self::BYTES as usize] {
        Writer::new()
            .u32(self.previous_seq)
            .u32(self.previous_end)
            .u32(self.previous_chain)
            .u32(self.first_live)
            .u32(self.born_end)
            .finish()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let link = Self {
            previous_seq: reader.u32()?,
            previous_end: reader.u32()?,
            previous_chain: reader.u32()?,
            first_live: reader.u32()?,
            born_end: reader.u32()?,
        };
        reader.rest().is_empty().then_some(link)
    }
}
