//! Frames: how messages stand one behind the other in a byte stream.
//!
//! A frame is a header of 24 bytes and a payload, which is one protobuf message. All numbers are
//! little-endian:
//!
//! | bytes | field | value |
//! |---|---|---|
//! | 0..4 | magic | `RaFr` |
//! | 4..8 | checksum | CRC-32C of everything behind it, that is of bytes 8.. of header and payload |
//! | 8 | version | 1 |
//! | 9 | kind | 1: [`Message`](crate::v1::Message), 2: [`Hello`](crate::v1::Hello) |
//! | 10..12 | reserved | 0 |
//! | 12..16 | payload length | in bytes, without the header |
//! | 16..24 | group | the Raft group that a message is for; 0 for `Hello` |
//! | 24.. | payload | |
//!
//! The checksum stands in front of what it covers, so it is made in one pass. Magic and version
//! keep their places in every future version.
//!
//! The other end is not trusted: [`FrameDecoder`] refuses a length over the limit before it makes
//! room for it, makes room only for what has arrived, and never panics, whatever arrives.

mod decoder;
mod header;

pub use self::decoder::{Frame, FrameDecoder, RECEIVE_STEP_BYTES};
pub use self::header::{
    FRAME_HEADER_BYTES, FRAME_MAGIC, FRAME_VERSION, FrameError, FrameHeader, FrameKind,
    PAYLOAD_BYTES_MAX_DEFAULT,
};

use bytes::BytesMut;
use core::error::Error;
use core::fmt;

/// Appends one frame to `out`, the message encoded in place behind its header.
///
/// # Errors
///
/// [`PayloadTooLarge`] if the message takes more than `payload_bytes_max` bytes; `out` is then as
/// before.
///
/// ```
/// use raft_proto::bytes::BytesMut;
/// use raft_proto::framing::{FrameDecoder, FrameKind, PAYLOAD_BYTES_MAX_DEFAULT, encode_frame};
/// use raft_proto::prost::Message as _;
/// use raft_proto::v1::Message;
///
/// let message = Message { from: 1, to: 2, term: 3, body: None };
/// let mut stream = BytesMut::new();
/// encode_frame(FrameKind::Message, 7, &message, PAYLOAD_BYTES_MAX_DEFAULT, &mut stream)?;
///
/// let mut decoder = FrameDecoder::new(PAYLOAD_BYTES_MAX_DEFAULT);
/// decoder.extend(&stream);
/// let frame = decoder.next_frame()?.expect("the frame is complete");
/// assert_eq!((frame.kind, frame.group), (FrameKind::Message, 7));
/// assert_eq!(Message::decode(frame.payload)?, message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode_frame(
    kind: FrameKind,
    group: u64,
    message: &impl prost::Message,
    payload_bytes_max: u32,
    out: &mut BytesMut,
) -> Result<(), PayloadTooLarge> {
    let too_large = |payload_bytes| PayloadTooLarge { payload_bytes, payload_bytes_max };
    let length = message.encoded_len();
    let payload_bytes =
        u32::try_from(length).ok().filter(|&bytes| bytes <= payload_bytes_max).ok_or(too_large(length))?;
    let start = out.len();
    let payload_start = start + FRAME_HEADER_BYTES;
    if length <= SLICE_BYTES_MAX {
        out.resize(payload_start + length, 0);
        message.encode(&mut &mut out[payload_start..]).expect("the slice is as long as the message");
    } else {
        out.reserve(FRAME_HEADER_BYTES + length);
        out.resize(payload_start, 0);
        message.encode(out).expect("a BytesMut grows as needed");
    }
    assert_eq!(out.len() - payload_start, length, "a message has the length it said");
    FrameHeader { kind, payload_bytes, group }.seal(&mut out[start..]);
    Ok(())
}

/// Up to here zeroing a slice and encoding into it is faster than appending piece by piece: a
/// varint costs one capacity check less per byte.
const SLICE_BYTES_MAX: usize = 2048;

/// A message does not fit into one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadTooLarge {
    /// The size of the encoded message.
    pub payload_bytes: usize,
    /// The limit it was held against.
    pub payload_bytes_max: u32,
}

impl fmt::Display for PayloadTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payload_bytes, payload_bytes_max } = self;
        write!(f, "a message of {payload_bytes} bytes exceeds the frame limit of {payload_bytes_max} bytes")
    }
}

impl Error for PayloadTooLarge {}
