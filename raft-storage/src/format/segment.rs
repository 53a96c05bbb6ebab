//! The head of a segment file, and its name.

use raft_core::NodeId;

use super::bytes::{FORMAT_VERSION, HeadError, Writer, read_head, seed_of};
use super::identity::{Identity, IdentityFile};

/// Numbers the segments of a log from 1 on, in the order in which they are filled.
pub(crate) type SegmentSeq = u32;

/// What a segment's head says. It is durable before the file gets its name, so behind a segment's
/// name there is never a torn head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) owner: IdentityFile,
    pub(crate) seq: SegmentSeq,
    /// Drawn for each segment, so records of its former life fail their checksums (F3).
    pub(crate) salt: u64,
    /// How long the file is meant to be, in bytes, this head included.
    pub(crate) capacity: u32,
}

/// How many bytes of its page the head uses.
pub(crate) const HEADER_BYTES: usize = 60;
const MAGIC: [u8; 8] = *b"RAFTWAL\n";

impl SegmentHeader {
    /// How many bytes the head takes; a page of its own, so no write to a record can tear it.
    pub(crate) const BYTES: u32 = 4096;

    /// The head as bytes, and the seed of the checksums of all records in this segment.
    pub(crate) fn encode(&self) -> ([u8; HEADER_BYTES], u32) {
        let bytes: [u8; HEADER_BYTES] = Writer::new()
            .put(&MAGIC)
            .u32(FORMAT_VERSION)
            .u32(self.seq)
            .u64(self.owner.identity.cluster)
            .u64(self.owner.identity.node.get())
            .u64(self.owner.incarnation)
            .u64(self.salt)
            .u32(self.capacity)
            .u32(0)
            .finish_with_crc();
        let seed = seed_of(&bytes);
        (bytes, seed)
    }

    /// Reads a head; the second part is the seed of the checksums of all records in this segment.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<(Self, u32), HeadError> {
        let mut reader = read_head(bytes, MAGIC)?;
        let seq = reader.u32().unwrap_or(0);
        let mut number = || reader.u64().unwrap_or(0);
        let identity = Identity { cluster: number(), node: NodeId::new(number()) };
        let owner = IdentityFile { identity, incarnation: number() };
        let salt = number();
        let capacity = reader.u32().unwrap_or(0);
        Ok((Self { owner, seq, salt, capacity }, seed_of(bytes)))
    }
}

/// The name of a segment's file.
pub(crate) fn segment_name(seq: SegmentSeq) -> String {
    format!("{seq:08x}{SUFFIX}")
}

/// The number in a segment's name; `None` for any name that [`segment_name`] does not make.
pub(crate) fn parse_segment_name(name: &str) -> Option<SegmentSeq> {
    let seq = SegmentSeq::from_str_radix(name.strip_suffix(SUFFIX)?, 16).ok()?;
    (segment_name(seq) == name).then_some(seq)
}

const SUFFIX: &str = ".wal";
