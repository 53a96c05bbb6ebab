//! What framing costs per frame. Run with `cargo bench -p raft-proto`.

use std::hint::black_box;
use std::time::Instant;

use raft_proto::bytes::{Bytes, BytesMut};
use raft_proto::framing::{FrameDecoder, FrameKind, PAYLOAD_BYTES_MAX_DEFAULT, encode_frame};
use raft_proto::prost::Message as _;
use raft_proto::v1::message::Body;
use raft_proto::v1::{Append, EntryBatch, Heartbeat, Message, Position};

const FRAMES_PER_READ: usize = 64;
const ROUNDS: usize = 4_000;

fn append(payload_bytes: usize) -> Message {
    let batch = EntryBatch { term: 3, kind: 0, payloads: Bytes::from(vec![1; payload_bytes]) };
    let prev = Some(Position { term: 3, index: 123_456 });
    let append = Append { prev, commit: 123_450, round: 9, batches: vec![batch] };
    Message { from: 1, to: 2, term: 3, body: Some(Body::Append(append)) }
}

fn measure(name: &str, message: &Message) {
    let mut out = BytesMut::new();
    let started = Instant::now();
    for _ in 0..ROUNDS {
        out.clear();
        for group in 0..FRAMES_PER_READ as u64 {
            encode_frame(FrameKind::Message, group, black_box(message), PAYLOAD_BYTES_MAX_DEFAULT, &mut out)
                .expect("the message is small");
        }
    }
    let frames = (ROUNDS * FRAMES_PER_READ) as f64;
    let encode_ns = started.elapsed().as_nanos() as f64 / frames;

    let mut decoder = FrameDecoder::new(PAYLOAD_BYTES_MAX_DEFAULT);
    let (mut cut_ns, mut decode_ns) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        decoder.extend(black_box(&out));
        let mut payloads = Vec::with_capacity(FRAMES_PER_READ);
        while let Some(frame) = decoder.next_frame().expect("our own frames are valid") {
            payloads.push(frame.payload);
        }
        cut_ns += started.elapsed().as_nanos() as f64;
        assert_eq!(payloads.len(), FRAMES_PER_READ);
        let started = Instant::now();
        for payload in payloads {
            black_box(Message::decode(payload).expect("our own messages are valid"));
        }
        decode_ns += started.elapsed().as_nanos() as f64;
    }
    println!(
        "{name:<18} {:>7} B/frame  encode {encode_ns:>7.1} ns  cut {:>7.1} ns  decode {:>7.1} ns",
        out.len() / FRAMES_PER_READ,
        cut_ns / frames,
        decode_ns / frames,
    );
}

fn main() {
    let heartbeat = Body::Heartbeat(Heartbeat { commit: 123_456, round: 9, transferee: 0 });
    measure("heartbeat", &Message { from: 1, to: 2, term: 3, body: Some(heartbeat) });
    for payload_bytes in [16, 256, 4096, 65536] {
        measure(&format!("append {payload_bytes} B"), &append(payload_bytes));
    }
}
