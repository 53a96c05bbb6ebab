//! The bytes of a snapshot's file, and its name.
//!
//! A head that says whose it is and what it replaces, the state in chunks, a foot. The foot is
//! written last, so a file without a whole one is no snapshot, however it came by its name.

use raft_core::{GroupId, LogIndex, Membership, NodeId, Position, SnapshotMeta, Term};

use super::bytes::{FORMAT_VERSION, HeadError, Reader, Writer, read_head, seed_of};
use super::identity::{Identity, IdentityFile};

/// Which snapshot it is: its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotName {
    pub(crate) group: GroupId,
    /// The last position it replaces.
    pub(crate) last: Position,
}

impl SnapshotName {
    /// Where it stands among the snapshots of its group.
    pub(crate) fn order(self) -> (LogIndex, Term) {
        (self.last.index, self.last.term)
    }
}

/// What a snapshot's head says. All checksums behind it are begun with that of the head, so nothing
/// of another snapshot passes for a part of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHead {
    pub(crate) owner: IdentityFile,
    pub(crate) name: SnapshotName,
}

/// The last bytes of a file, behind the membership; only believed once [`decode_foot`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotEnd {
    pub(crate) size: u64,
    pub(crate) crc32c: u32,
    pub(crate) membership_bytes: u32,
    pub(crate) is_hollow: bool,
    foot_crc: u32,
}

/// Why a foot is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FootError {
    Checksum { expected: u32, found: u32 },
    Membership,
}

pub(crate) const HEAD_BYTES: usize = 64;
pub(crate) const END_BYTES: usize = 24;
/// So many bytes of the state are in each chunk but the last.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// Each chunk is followed by its checksum.
pub(crate) const CHUNK_CRC_BYTES: usize = 4;
const MAGIC: [u8; 8] = *b"RAFTSNAP";

impl SnapshotHead {
    /// The head as bytes, and the seed of all other checksums.
    pub(crate) fn encode(&self) -> ([u8; HEAD_BYTES], u32) {
        let bytes = Writer::new()
            .put(&MAGIC)
            .u32(FORMAT_VERSION)
            .u64(self.owner.identity.cluster)
            .u64(self.owner.identity.node.get())
            .u64(self.owner.incarnation)
            .u64(self.name.group.get())
            .u64(self.name.last.index.get())
            .u64(self.name.last.term.get())
            .finish_with_crc();
        (bytes, seed_of(&bytes))
    }

    /// Reads a head; the second part is the seed of all other checksums.
    pub(crate) fn decode(bytes: &[u8; HEAD_BYTES]) -> Result<(Self, u32), HeadError> {
        let mut reader = read_head(bytes, MAGIC)?;
        let mut number = || reader.u64().unwrap_or(0);
        let identity = Identity { cluster: number(), node: NodeId::new(number()) };
        let owner = IdentityFile { identity, incarnation: number() };
        let group = GroupId::new(number());
        let (index, term) = (LogIndex::new(number()), Term::new(number()));
        let name = SnapshotName { group, last: Position::new(term, index) };
        Ok((Self { owner, name }, seed_of(bytes)))
    }
}

/// The foot: the membership, then the fixed end that says how long it is.
pub(crate) fn encode_foot(meta: &SnapshotMeta, seed: u32) -> Vec<u8> {
    let mut foot = meta.membership.encode().to_vec();
    let membership_bytes = u32::try_from(foot.len()).expect("a membership is bounded when proposed");
    foot.extend_from_slice(&meta.size.to_le_bytes());
    foot.extend_from_slice(&meta.crc32c.to_le_bytes());
    foot.extend_from_slice(&membership_bytes.to_le_bytes());
    foot.extend_from_slice(&u32::from(meta.is_hollow).to_le_bytes());
    let crc = crc32c::crc32c_append(seed, &foot);
    foot.extend_from_slice(&crc.to_le_bytes());
    foot
}

impl SnapshotEnd {
    /// Takes the numbers apart, right or wrong.
    pub(crate) fn read(bytes: &[u8; END_BYTES]) -> Self {
        let mut reader = Reader::new(bytes);
        let size = reader.u64().unwrap_or(0);
        let mut number = || reader.u32().unwrap_or(0);
        let (crc32c, membership_bytes, flags) = (number(), number(), number());
        Self { size, crc32c, membership_bytes, is_hollow: flags & 1 == 1, foot_crc: number() }
    }

    /// How long a file with such an end is; `None` if no file can be.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        let around = (HEAD_BYTES + END_BYTES) as u64 + u64::from(self.membership_bytes);
        chunks_bytes(self.size)?.checked_add(around)
    }
}

/// Checks a whole foot, whose end has been read before, and takes the membership out of it.
pub(crate) fn decode_foot(foot: &[u8], end: &SnapshotEnd, seed: u32) -> Result<Membership, FootError> {
    let checked = foot.get(..foot.len().saturating_sub(CHUNK_CRC_BYTES)).unwrap_or_default();
    let (expected, found) = (crc32c::crc32c_append(seed, checked), end.foot_crc);
    if expected != found {
        return Err(FootError::Checksum { expected, found });
    }
    let membership = foot.get(..foot.len().saturating_sub(END_BYTES)).unwrap_or_default();
    Membership::decode(membership).map_err(|_| FootError::Membership)
}

/// The checksum behind a chunk: begun with the seed and the chunk's number, so that a chunk in
/// another's place does not pass.
pub(crate) fn chunk_crc(seed: u32, number: u64, bytes: &[u8]) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    crc32c::crc32c_append(seed ^ u32::from_le_bytes([a, b, c, d]), bytes)
}

/// Where a chunk begins in the file.
pub(crate) fn chunk_offset(number: u64) -> u64 {
    HEAD_BYTES as u64 + number * (CHUNK_BYTES + CHUNK_CRC_BYTES) as u64
}

/// How many bytes of the file the chunks of a state take, checksums included.
pub(crate) fn chunks_bytes(size: u64) -> Option<u64> {
    size.checked_add(size.div_ceil(CHUNK_BYTES as u64).checked_mul(CHUNK_CRC_BYTES as u64)?)
}

/// The name of a snapshot's file.
pub(crate) fn snapshot_file_name(name: SnapshotName) -> String {
    let SnapshotName { group, last } = name;
    format!("{:016x}-{:016x}-{:016x}{SUFFIX}", group.get(), last.index.get(), last.term.get())
}

/// What a file's name says; `None` for any name that [`snapshot_file_name`] does not make.
pub(crate) fn parse_snapshot_name(file_name: &str) -> Option<SnapshotName> {
    let mut numbers =
        file_name.strip_suffix(SUFFIX)?.split('-').map(|part| u64::from_str_radix(part, 16).ok());
    let mut number = || numbers.next().flatten();
    let (group, index, term) = (number()?, number()?, number()?);
    let last = Position::new(Term::new(term), LogIndex::new(index));
    let name = SnapshotName { group: GroupId::new(group), last };
    (snapshot_file_name(name) == file_name).then_some(name)
}

const SUFFIX: &str = ".snap";
