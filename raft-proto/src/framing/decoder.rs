//! Cuts a byte stream, however it arrives, into frames.

use bytes::{Buf, Bytes, BytesMut};

use super::header::{FRAME_HEADER_BYTES, FrameError, FrameHeader, FrameKind, verify_checksum};

/// How much room the decoder makes at once: 64 KiB, which holds many small frames.
pub const RECEIVE_STEP_BYTES: usize = 64 * 1024;

/// With less room than this, a read is not worth its system call.
const SPACE_BYTES_MIN: usize = 4 * 1024;

/// One frame whose checksum is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: FrameKind,
    /// The Raft group that the payload is for.
    pub group: u64,
    /// The encoded message: a slice of the receive buffer, which lives as long as any slice of it.
    pub payload: Bytes,
}

/// Collects received bytes and hands out the frames in them.
///
/// The first error is final: where the next frame would start is unknown, so the connection has to
/// be closed. Memory is bounded by what was received and not taken out yet (at most one frame, if
/// [`next_frame`](Self::next_frame) is called until it returns `None`), twice because of growth,
/// plus [`RECEIVE_STEP_BYTES`]; what a header announces does not count.
///
/// **Read into the decoder in three steps, again and again:** (1) let the stream write into
/// [`space`](Self::space), (2) tell how much came with [`received`](Self::received), (3) take frames
/// until there is none.
///
/// ```
/// # use raft_proto::{bytes::BytesMut, framing::*, v1::Hello};
/// # let mut sent = BytesMut::new();
/// # encode_frame(FrameKind::Hello, 0, &Hello::default(), 1024, &mut sent)?;
/// # let mut stream = &sent[..];
/// use std::io::Read;
///
/// let mut decoder = FrameDecoder::new(PAYLOAD_BYTES_MAX_DEFAULT);
/// let mut frames = 0;
/// loop {
///     let bytes = stream.read(decoder.space())?; // (1)
///     if bytes == 0 {
///         break;
///     }
///     decoder.received(bytes); // (2)
///     while let Some(frame) = decoder.next_frame()? { // (3)
///         frames += 1;
///     }
/// }
/// assert_eq!(frames, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameDecoder {
    /// Received bytes, then bytes that only were zeroed once so the stream can write into them.
    buffer: BytesMut,
    received_bytes: usize,
    payload_bytes_max: u32,
    failure: Option<FrameError>,
}

impl FrameDecoder {
    /// Makes a decoder that refuses payloads longer than `payload_bytes_max`.
    #[must_use]
    pub fn new(payload_bytes_max: u32) -> Self {
        Self { buffer: BytesMut::new(), received_bytes: 0, payload_bytes_max, failure: None }
    }

    /// Returns room to receive into, never empty, with unspecified content.
    #[must_use]
    pub fn space(&mut self) -> &mut [u8] {
        if self.buffer.capacity() - self.received_bytes < SPACE_BYTES_MIN {
            self.grow(RECEIVE_STEP_BYTES);
        }
        self.buffer.resize(self.buffer.capacity(), 0);
        &mut self.buffer[self.received_bytes..]
    }

    /// Takes over the first `bytes` bytes of the last [`space`](Self::space).
    ///
    /// # Panics
    ///
    /// If that was smaller.
    pub fn received(&mut self, bytes: usize) {
        let space_bytes = self.buffer.len() - self.received_bytes;
        assert!(bytes <= space_bytes, "{bytes} bytes received into a space of {space_bytes}");
        if self.failure.is_none() {
            self.received_bytes += bytes;
        }
    }

    /// Copies bytes that were received elsewhere.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        if self.buffer.capacity() - self.received_bytes < bytes.len() {
            self.grow(bytes.len());
        }
        self.buffer.truncate(self.received_bytes);
        self.buffer.extend_from_slice(bytes);
        self.received_bytes = self.buffer.len();
    }

    /// Returns the next frame, or `None` until more bytes have arrived.
    ///
    /// # Errors
    ///
    /// The first offence of the other end, and the same at each later call.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        match self.failure {
            Some(failure) => Err(failure),
            None => self.cut().inspect_err(|&failure| self.fail(failure)),
        }
    }

    /// How many bytes wait for the rest of their frame or for a call of `next_frame`.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.received_bytes
    }

    fn cut(&mut self) -> Result<Option<Frame>, FrameError> {
        let received = &self.buffer[..self.received_bytes];
        let Some(header) = received.first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
        let FrameHeader { kind, payload_bytes, group } = FrameHeader::parse(header, self.payload_bytes_max)?;
        let payload_bytes = usize::try_from(payload_bytes).expect("addresses have at least 32 bits");
        let frame_bytes = payload_bytes.saturating_add(FRAME_HEADER_BYTES);
        let Some(frame) = received.get(..frame_bytes) else { return Ok(None) };
        verify_checksum(frame)?;
        self.buffer.advance(FRAME_HEADER_BYTES);
        let payload = self.buffer.split_to(payload_bytes).freeze();
        self.received_bytes -= frame_bytes;
        Ok(Some(Frame { kind, group, payload }))
    }

    /// Makes room for `bytes` more, moving only what was received.
    fn grow(&mut self, bytes: usize) {
        self.buffer.truncate(self.received_bytes);
        self.buffer.reserve(bytes);
    }

    /// Nothing behind the offence will be read, so its memory goes at once.
    fn fail(&mut self, failure: FrameError) {
        self.failure = Some(failure);
        self.buffer = BytesMut::new();
        self.received_bytes = 0;
    }
}
