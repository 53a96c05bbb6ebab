//! The 24 bytes in front of each payload, and what can be wrong with a frame.

use core::error::Error;
use core::fmt;

use crate::crc32c;

/// The length of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 24;

/// The first bytes of each frame.
pub const FRAME_MAGIC: [u8; 4] = *b"RaFr";

/// The layout version that this crate reads and writes.
pub const FRAME_VERSION: u8 = 1;

/// The payload limit that suits most clusters: 4 MiB.
///
/// Snapshots are larger, but travel in chunks.
pub const PAYLOAD_BYTES_MAX_DEFAULT: u32 = 4 * 1024 * 1024;

/// Where the checksum stands; it covers everything behind it.
const CHECKSUM: core::ops::Range<usize> = 4..8;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A [`Message`](crate::v1::Message) between members of a group.
    Message,
    /// The [`Hello`](crate::v1::Hello) that opens a connection.
    Hello,
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::Hello => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Message),
            2 => Some(Self::Hello),
            _ => None,
        }
    }
}

/// What a header says, apart from magic, version and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the payload is.
    pub kind: FrameKind,
    /// The length of the payload, without the header.
    pub payload_bytes: u32,
    /// The Raft group that the payload is for.
    pub group: u64,
}

impl FrameHeader {
    /// Reads a header and checks all of it but the checksum, which needs the payload.
    ///
    /// # Errors
    ///
    /// Any [`FrameError`] but `BadChecksum`.
    pub fn parse(bytes: &[u8; FRAME_HEADER_BYTES], payload_bytes_max: u32) -> Result<Self, FrameError> {
        let [m0, m1, m2, m3, _, _, _, _, version, kind, r0, r1, l0, l1, l2, l3, group @ ..] = *bytes;
        let magic = [m0, m1, m2, m3];
        if magic != FRAME_MAGIC {
            return Err(FrameError::BadMagic { found: magic });
        }
        if version != FRAME_VERSION {
            return Err(FrameError::UnsupportedVersion { found: version });
        }
        let kind = FrameKind::from_code(kind).ok_or(FrameError::UnknownKind { found: kind })?;
        let reserved = u16::from_le_bytes([r0, r1]);
        if reserved != 0 {
            return Err(FrameError::NonzeroReserved { found: reserved });
        }
        let payload_bytes = u32::from_le_bytes([l0, l1, l2, l3]);
        if payload_bytes > payload_bytes_max {
            return Err(FrameError::TooLarge { payload_bytes, payload_bytes_max });
        }
        Ok(Self { kind, payload_bytes, group: u64::from_le_bytes(group) })
    }

    /// Writes the header into the first bytes of `frame`, whose payload is already in place.
    pub(super) fn seal(self, frame: &mut [u8]) {
        let mut header = [0; FRAME_HEADER_BYTES];
        header[..4].copy_from_slice(&FRAME_MAGIC);
        header[8] = FRAME_VERSION;
        header[9] = self.kind.code();
        header[12..16].copy_from_slice(&self.payload_bytes.to_le_bytes());
        header[16..].copy_from_slice(&self.group.to_le_bytes());
        frame[..FRAME_HEADER_BYTES].copy_from_slice(&header);
        let checksum = crc32c(&frame[CHECKSUM.end..]);
        frame[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Compares the checksum of a complete frame with its content.
pub(super) fn verify_checksum(frame: &[u8]) -> Result<(), FrameError> {
    let found = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]);
    let expected = crc32c(&frame[CHECKSUM.end..]);
    if found == expected { Ok(()) } else { Err(FrameError::BadChecksum { expected, found }) }
}

/// Why bytes are not a frame. The stream they came from cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameError {
    /// The other end does not speak this protocol, or the position in the stream is lost.
    BadMagic {
        /// The bytes that stand where the magic should.
        found: [u8; 4],
    },
    /// The frame has a layout that this version does not know.
    UnsupportedVersion {
        /// The version it claims.
        found: u8,
    },
    /// The frame carries something that this version does not know.
    UnknownKind {
        /// The code of its kind.
        found: u8,
    },
    /// Bytes are in use that this version leaves zero.
    NonzeroReserved {
        /// Their value.
        found: u16,
    },
    /// The payload is longer than the receiver accepts.
    TooLarge {
        /// The length that the header claims.
        payload_bytes: u32,
        /// The receiver's limit.
        payload_bytes_max: u32,
    },
    /// Header or payload changed on the way.
    BadChecksum {
        /// The checksum of what arrived.
        expected: u32,
        /// The checksum that the frame carries.
        found: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadMagic { found } => write!(f, "frame starts with {found:02x?} instead of the magic"),
            Self::UnsupportedVersion { found } => write!(f, "frame version {found} is not supported"),
            Self::UnknownKind { found } => write!(f, "frame kind {found} is unknown"),
            Self::NonzeroReserved { found } => write!(f, "reserved frame bytes are {found:#06x}, not zero"),
            Self::TooLarge { payload_bytes, payload_bytes_max } => {
                write!(
                    f,
                    "frame payload of {payload_bytes} bytes exceeds the limit of {payload_bytes_max} bytes"
                )
            }
            Self::BadChecksum { expected, found } => {
                write!(f, "frame checksum is {found:#010x}, its content has {expected:#010x}")
            }
        }
    }
}

impl Error for FrameError {}
