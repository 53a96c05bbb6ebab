//! Framing takes whatever arrives, in whatever pieces (scenarios N1, N2, S72).

use proptest::prelude::*;
use raft_proto::bytes::BytesMut;
use raft_proto::crc32c;
use raft_proto::framing::{
    FRAME_HEADER_BYTES, Frame, FrameDecoder, FrameError, FrameHeader, FrameKind, PAYLOAD_BYTES_MAX_DEFAULT,
    RECEIVE_STEP_BYTES, encode_frame,
};
use raft_proto::v1::Propose;

const MAX: u32 = 1000;

/// A frame as bytes, made without the encoder so that its offences can be chosen.
#[derive(Clone)]
struct Forged {
    magic: [u8; 4],
    version: u8,
    kind: u8,
    reserved: u16,
    length: u32,
    group: u64,
    payload: Vec<u8>,
}

impl Forged {
    fn new(payload: Vec<u8>) -> Self {
        let length = u32::try_from(payload.len()).unwrap();
        Self { magic: *b"RaFr", version: 1, kind: 1, reserved: 0, length, group: 9, payload }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut covered = vec![self.version, self.kind];
        covered.extend(self.reserved.to_le_bytes());
        covered.extend(self.length.to_le_bytes());
        covered.extend(self.group.to_le_bytes());
        covered.extend(&self.payload);
        [&self.magic[..], &crc32c(&covered).to_le_bytes(), &covered].concat()
    }
}

/// Feeds the pieces one after the other and collects what comes out, up to the first error.
fn decode<'a>(max: u32, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new(max);
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.extend(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn error_of(forged: &Forged) -> FrameError {
    decode(MAX, [&*forged.bytes()]).1.expect("the frame is refused")
}

#[test]
fn each_offence_has_its_own_error() {
    let good = Forged::new(vec![1, 2, 3]);
    assert_eq!(decode(MAX, [&*good.bytes()]).0.len(), 1);

    let magic = *b"GET ";
    assert_eq!(error_of(&Forged { magic, ..good.clone() }), FrameError::BadMagic { found: magic });
    let version = Forged { version: 2, ..good.clone() };
    assert_eq!(error_of(&version), FrameError::UnsupportedVersion { found: 2 });
    for found in [0, 3, 255] {
        assert_eq!(error_of(&Forged { kind: found, ..good.clone() }), FrameError::UnknownKind { found });
    }
    let reserved = Forged { reserved: 256, ..good.clone() };
    assert_eq!(error_of(&reserved), FrameError::NonzeroReserved { found: 256 });
    let mut bytes = good.bytes();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(decode(MAX, [&*bytes]).1, Some(FrameError::BadChecksum { .. })));
}

/// Scenarios S72 and N2: the length decides before a single byte of the payload has come.
#[test]
fn each_length_is_taken_or_refused_exactly() {
    for length in [0, 1, MAX] {
        let payload = vec![7; usize::try_from(length).unwrap()];
        let (frames, error) = decode(MAX, [&*Forged::new(payload.clone()).bytes()]);
        assert_eq!(error, None);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].payload, payload);
    }
    for length in [MAX + 1, u32::MAX] {
        let forged = Forged { length, ..Forged::new(Vec::new()) };
        let refusal = FrameError::TooLarge { payload_bytes: length, payload_bytes_max: MAX };
        assert_eq!(error_of(&forged), refusal);
    }
}

/// Scenario N2: a peer that announces much and sends little costs little.
#[test]
fn memory_follows_what_arrived_not_what_was_announced() {
    let announced = Forged { length: PAYLOAD_BYTES_MAX_DEFAULT, ..Forged::new(Vec::new()) };
    let mut decoder = FrameDecoder::new(PAYLOAD_BYTES_MAX_DEFAULT);
    decoder.extend(&announced.bytes());
    for received in (0..PAYLOAD_BYTES_MAX_DEFAULT / 1024 - 1).map(|kib| usize::try_from(kib).unwrap() * 1024)
    {
        assert_eq!(decoder.next_frame(), Ok(None));
        let space = decoder.space();
        assert!(!space.is_empty());
        let space_bytes_max = received + FRAME_HEADER_BYTES + RECEIVE_STEP_BYTES;
        assert!(space.len() <= space_bytes_max, "{} bytes of space after {received}", space.len());
        space[..1024].fill(0);
        decoder.received(1024);
    }
}

/// Scenario S72: where the stream is cut into pieces makes no difference.
#[test]
fn a_frame_split_at_every_byte_arrives_whole() {
    let bytes = Forged::new((0..100).collect()).bytes();
    let whole = decode(MAX, [&*bytes]);
    assert_eq!((whole.0.len(), whole.1), (1, None));
    for at in 0..=bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(decode(MAX, [front, back]), whole);
    }
    assert_eq!(decode(MAX, bytes.chunks(1)), whole);
}

/// Scenario S72: frames that arrive together come out one by one, also if the last is incomplete.
#[test]
fn glued_frames_come_apart() {
    let first = Forged::new(vec![1; 10]).bytes();
    let second = Forged { kind: 2, group: 3, ..Forged::new(Vec::new()) }.bytes();
    let glued = [&*first, &*second, &first[..first.len() - 1]].concat();
    for at in 0..=glued.len() {
        let (front, back) = glued.split_at(at);
        let (frames, error) = decode(MAX, [front, back]);
        assert_eq!(error, None);
        let [one, two] = frames.as_slice() else { panic!("two frames are complete, not {}", frames.len()) };
        assert_eq!((one.kind, one.group, one.payload.len()), (FrameKind::Message, 9, 10));
        assert_eq!((two.kind, two.group, two.payload.len()), (FrameKind::Hello, 3, 0));
    }
}

/// Scenario N1: no changed bit gets through. Behind a changed length more has to arrive before the
/// checksum can tell, so plenty follows.
#[test]
fn every_single_bit_flip_is_refused() {
    let bytes = [Forged::new((0..60).collect()).bytes(), vec![0; usize::try_from(MAX).unwrap()]].concat();
    for bit in 0..(FRAME_HEADER_BYTES + 60) * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (frames, error) = decode(MAX, [&*flipped]);
        assert!(frames.is_empty() && error.is_some(), "bit {bit} of byte {}", bit / 8);
    }
}

/// Scenario N1: what follows an offence is not read, even if it looks right.
#[test]
fn the_first_error_is_final() {
    let mut decoder = FrameDecoder::new(MAX);
    let good = Forged::new(vec![1]);
    decoder.extend(&Forged { version: 9, ..good.clone() }.bytes());
    for _ in 0..3 {
        assert_eq!(decoder.next_frame(), Err(FrameError::UnsupportedVersion { found: 9 }));
        decoder.extend(&good.bytes());
        let space_bytes = decoder.space().len();
        decoder.received(space_bytes);
        assert_eq!(decoder.pending_bytes(), 0);
    }
}

#[test]
fn a_message_over_the_limit_is_not_sent() {
    let mut out = BytesMut::from(&b"before"[..]);
    let propose = Propose { request: 1, payloads: vec![0; 996].into(), epoch: 0 };
    let refusal = encode_frame(FrameKind::Message, 1, &propose, MAX, &mut out).unwrap_err();
    assert_eq!((refusal.payload_bytes, refusal.payload_bytes_max), (1001, MAX));
    assert_eq!(out, &b"before"[..]);
    let propose = Propose { payloads: vec![0; 995].into(), ..propose };
    encode_frame(FrameKind::Message, 1, &propose, MAX, &mut out).unwrap();
    assert_eq!(out.len(), 6 + FRAME_HEADER_BYTES + 1000);
}

#[test]
fn a_payload_is_a_slice_of_the_receive_buffer() {
    let mut decoder = FrameDecoder::new(MAX);
    let bytes = Forged::new(vec![1; 100]).bytes();
    let space = decoder.space();
    space[..bytes.len()].copy_from_slice(&bytes);
    let payload_at = space[FRAME_HEADER_BYTES..].as_ptr();
    decoder.received(bytes.len());
    assert_eq!(decoder.next_frame().unwrap().unwrap().payload.as_ptr(), payload_at);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Scenario N1.
    #[test]
    fn arbitrary_bytes_never_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8)) {
        decode(MAX, pieces.iter().map(Vec::as_slice));
    }

    /// Scenario N1: the same behind a valid start, where random bytes get further.
    #[test]
    fn arbitrary_headers_never_panic(
        version in 0..3_u8,
        kind in 0..4_u8,
        reserved in prop_oneof![4 => Just(0), 1 => any::<u16>()],
        length in prop_oneof![0..40_u32, any::<u32>()],
        group in any::<u64>(),
        payload in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let forged = Forged { version, kind, reserved, length, group, ..Forged::new(payload) };
        let bytes = forged.bytes();
        let header = FrameHeader::parse(bytes.first_chunk().unwrap(), MAX);
        let (frames, error) = decode(MAX, [&*bytes, &*bytes]);
        prop_assert!(header.is_ok() || frames.is_empty() && error == header.err());
    }

    /// Scenario S72: many frames, cut anywhere, read through `space` as from a socket.
    #[test]
    fn streams_arrive_in_order(
        payload_bytes in prop::collection::vec(0..3000_usize, 1..40),
        read_bytes in prop::collection::vec(1..20_000_usize, 1..20),
    ) {
        let mut stream = BytesMut::new();
        let message = |bytes| Propose { request: 1, payloads: vec![1; bytes].into(), epoch: 0 };
        for (group, &bytes) in (0..).zip(&payload_bytes) {
            encode_frame(FrameKind::Message, group, &message(bytes), 4000, &mut stream).unwrap();
        }
        let mut decoder = FrameDecoder::new(4000);
        let mut group = 0;
        for read_bytes in read_bytes.iter().cycle() {
            if stream.is_empty() {
                break;
            }
            let space = decoder.space();
            let read = stream.split_to((*read_bytes).min(space.len()).min(stream.len()));
            space[..read.len()].copy_from_slice(&read);
            decoder.received(read.len());
            while let Some(frame) = decoder.next_frame().unwrap() {
                prop_assert_eq!(frame.group, group);
                group += 1;
            }
        }
        prop_assert_eq!(group, payload_bytes.len() as u64);
        prop_assert_eq!(decoder.pending_bytes(), 0);
    }
}
