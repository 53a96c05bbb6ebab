//! Pins the bytes of every message: what one version wrote, all later ones have to read and write.
//!
//! `UPDATE_GOLDEN=1 cargo test -p raft-proto golden` rewrites the file; a changed line is a change
//! of the wire format and needs to be meant.

use std::fmt::Write as _;
use std::fs;

use raft_proto::bytes::BytesMut;
use raft_proto::framing::{FrameDecoder, FrameKind, PAYLOAD_BYTES_MAX_DEFAULT, encode_frame};
use raft_proto::prost::Message;
use raft_proto::v1;

use crate::samples;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/golden.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

fn frame(kind: FrameKind, group: u64, message: &impl Message) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_frame(kind, group, message, PAYLOAD_BYTES_MAX_DEFAULT, &mut out).unwrap();
    out.to_vec()
}

/// All vectors, in the order of the file.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let mut vectors = vec![
        ("entry_batch".to_owned(), samples::entry_batch().encode_to_vec()),
        ("membership".to_owned(), samples::membership().encode_to_vec()),
        ("hard_state".to_owned(), samples::hard_state().encode_to_vec()),
        ("snapshot_meta".to_owned(), samples::snapshot_meta().encode_to_vec()),
        ("hello".to_owned(), samples::hello().encode_to_vec()),
    ];
    for (name, body) in samples::bodies() {
        vectors.push((format!("message.{name}"), samples::message(body).encode_to_vec()));
    }
    let (_, heartbeat) = samples::bodies().swap_remove(6);
    let heartbeat = samples::message(heartbeat);
    vectors.push(("frame.message".to_owned(), frame(FrameKind::Message, 0x0123_4567_89ab_cdef, &heartbeat)));
    vectors.push(("frame.hello".to_owned(), frame(FrameKind::Hello, 0, &samples::hello())));
    vectors
}

#[test]
fn golden_bytes_are_written() {
    let mut text = String::from("# Name and bytes of each sample; see golden.rs.\n");
    for (name, bytes) in vectors() {
        writeln!(text, "{name} {}", hex(&bytes)).unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(PATH, &text).unwrap();
    }
    let golden = fs::read_to_string(PATH).unwrap();
    for (expected, found) in golden.lines().zip(text.lines()) {
        assert_eq!(expected, found, "the wire format changed");
    }
    assert_eq!(golden, text, "the list of samples changed");
}

#[test]
fn golden_bytes_are_read() {
    let golden = fs::read_to_string(PATH).unwrap();
    let bytes = |name: &str| {
        let line = golden.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        unhex(line.unwrap_or_else(|| panic!("{name} is in the file")))
    };
    assert_eq!(v1::EntryBatch::decode(&*bytes("entry_batch")).unwrap(), samples::entry_batch());
    assert_eq!(v1::Membership::decode(&*bytes("membership")).unwrap(), samples::membership());
    assert_eq!(v1::HardState::decode(&*bytes("hard_state")).unwrap(), samples::hard_state());
    assert_eq!(v1::SnapshotMeta::decode(&*bytes("snapshot_meta")).unwrap(), samples::snapshot_meta());
    assert_eq!(v1::Hello::decode(&*bytes("hello")).unwrap(), samples::hello());
    for (name, body) in samples::bodies() {
        let read = v1::Message::decode(&*bytes(&format!("message.{name}"))).unwrap();
        assert_eq!(read, samples::message(body));
    }
    for (name, group) in [("frame.message", 0x0123_4567_89ab_cdef), ("frame.hello", 0)] {
        let mut decoder = FrameDecoder::new(PAYLOAD_BYTES_MAX_DEFAULT);
        decoder.extend(&bytes(name));
        assert_eq!(decoder.next_frame().unwrap().unwrap().group, group);
    }
}
