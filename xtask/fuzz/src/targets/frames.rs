//! The decoder of frames, fed sound frames and anything else, in pieces of any size.

use raft_proto::bytes::BytesMut;
use raft_proto::framing::{Frame, FrameDecoder, FrameError, FrameKind, encode_frame};
use raft_proto::v1::{Hello, Message};

use crate::bytes::Choices;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut stream = BytesMut::new();
    let mut sound_frames = 0;
    let mut is_sound = true;
    while !choices.is_done() && stream.len() < STREAM_BYTES_MAX {
        match choices.byte() % 4 {
            0..=2 => {
                push_frame(&mut choices, &mut stream);
                sound_frames += usize::from(is_sound);
            }
            _ => {
                let length = choices.below(64);
                let raw = choices.bytes(length);
                is_sound &= raw.is_empty();
                stream.extend_from_slice(raw);
            }
        }
    }
    let at_once = decode(&stream, || usize::MAX);
    assert!(at_once.0.len() >= sound_frames, "{at_once:?}, but {sound_frames} were sent");
    assert!(!is_sound || at_once.1.is_ok(), "{at_once:?}");
    // The same choices cut the stream.
    let mut cuts = Choices::new(bytes);
    let in_pieces = decode(&stream, || 1 + usize::from(cuts.byte() % 64));
    assert_eq!(in_pieces, at_once);
}

/// Appends a sound frame.
fn push_frame(choices: &mut Choices<'_>, stream: &mut BytesMut) {
    let group = u64::from(choices.byte());
    let result = if choices.byte().is_multiple_of(2) {
        let message = Message { from: 1, to: 2, term: choices.number(), body: None };
        encode_frame(FrameKind::Message, group, &message, PAYLOAD_BYTES_MAX, stream)
    } else {
        let hello = Hello { cluster: choices.number(), incarnation: group, ..Hello::default() };
        encode_frame(FrameKind::Hello, 0, &hello, PAYLOAD_BYTES_MAX, stream)
    };
    result.expect("small messages fit");
}

/// All frames, and how it ended. `cut` says how many bytes arrive at a time; odd ones are copied in.
fn decode(mut stream: &[u8], mut cut: impl FnMut() -> usize) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut decoder = FrameDecoder::new(PAYLOAD_BYTES_MAX);
    let mut frames = Vec::new();
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) if stream.is_empty() => return (frames, Ok(())),
            Ok(None) => {
                let (piece, rest) = stream.split_at(cut().min(stream.len()));
                stream = rest;
                arrive(&mut decoder, piece);
            }
            Err(error) => {
                assert_eq!(decoder.next_frame(), Err(error), "the first error is final");
                assert_eq!(decoder.pending_bytes(), 0);
                return (frames, Err(error));
            }
        }
    }
}

fn arrive(decoder: &mut FrameDecoder, piece: &[u8]) {
    if piece.len() % 2 == 1 {
        return decoder.extend(piece);
    }
    let mut rest = piece;
    while !rest.is_empty() {
        let space = decoder.space();
        let length = space.len().min(rest.len());
        space[..length].copy_from_slice(&rest[..length]);
        decoder.received(length);
        rest = &rest[length..];
    }
}

const PAYLOAD_BYTES_MAX: u32 = 4096;
const STREAM_BYTES_MAX: usize = 16 << 10;
