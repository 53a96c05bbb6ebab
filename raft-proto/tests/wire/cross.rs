//! prost and rust-protobuf, generated from the same schema, read each other's bytes.

use proptest::prelude::*;
use raft_proto::bytes::Bytes;
use raft_proto::prost::Message as _;
use raft_proto::v1;
use raft_proto::v1::message::Body;

use crate::twin::Twin;
use crate::{arbitrary, samples};

/// Each implementation reads the other's bytes as the value that was written. Equality covers the
/// fields a reader does not know, so none can hide there.
fn agree<T: Twin>(value: &T) {
    let twin = value.twin();
    let by_prost = value.encode_to_vec();
    let by_twin = protobuf::Message::write_to_bytes(&twin).unwrap();
    let read: T::Other = protobuf::Message::parse_from_bytes(&by_prost).unwrap();
    assert_eq!(read, twin, "rust-protobuf reads prost's bytes");
    assert_eq!(&T::decode(by_twin.as_slice()).unwrap(), value, "prost reads rust-protobuf's bytes");
    assert_eq!(by_prost.len(), value.encoded_len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn implementations_agree_on_messages(message in arbitrary::message()) {
        agree(&message);
    }

    #[test]
    fn implementations_agree_on_hello(hello in arbitrary::hello()) {
        agree(&hello);
    }

    #[test]
    fn implementations_agree_on_what_is_stored(
        batch in arbitrary::entry_batch(),
        membership in arbitrary::membership(),
        hard_state in arbitrary::hard_state(),
        snapshot in arbitrary::snapshot_meta(),
    ) {
        agree(&batch);
        agree(&membership);
        agree(&hard_state);
        agree(&snapshot);
    }

    /// Scenario N1: bytes that are no message end in an error; what is taken can be written again.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = v1::Message::decode(bytes.as_slice()) {
            prop_assert_eq!(v1::Message::decode(message.encode_to_vec().as_slice()), Ok(message));
        }
    }

    /// Scenario N1: a valid message cut short or changed anywhere ends in an error or in another
    /// message.
    #[test]
    fn damaged_messages_never_panic(
        message in arbitrary::message(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = message.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = value }
        if let Ok(message) = v1::Message::decode(Bytes::from(bytes)) {
            prop_assert_eq!(v1::Message::decode(message.encode_to_vec().as_slice()), Ok(message));
        }
    }
}

#[test]
fn implementations_agree_on_each_body() {
    for (_, body) in samples::bodies() {
        agree(&samples::message(body));
    }
}

/// Scenario N15: a member of a newer version may send what we do not know yet.
#[test]
fn a_body_from_a_newer_version_is_left_out() {
    let mut bytes = samples::message(Body::TimeoutNow(v1::TimeoutNow {})).encode_to_vec();
    let known = v1::Message::decode(bytes.as_slice()).unwrap();
    // Field 100 of wire type 2, one byte long.
    bytes.extend([0xa2, 0x06, 1, 7]);
    assert_eq!(v1::Message::decode(bytes.as_slice()).unwrap(), known);

    let newer = [&[0x08, 1, 0x10, 2, 0x18, 5][..], &[0xa2, 0x06, 1, 7]].concat();
    let read = v1::Message::decode(newer.as_slice()).unwrap();
    assert_eq!(read, v1::Message { from: 1, to: 2, term: 5, body: None });
}

/// Scenario N1: a length inside a message that exceeds what is there is an error, not an allocation.
#[test]
fn an_inner_length_beyond_the_message_is_refused() {
    // `propose` (field 17) says it has 2^31 bytes.
    let bytes = [0x8a, 0x01, 0x80, 0x80, 0x80, 0x80, 0x08, 0];
    assert!(v1::Message::decode(&bytes[..]).is_err());
}

#[test]
fn payloads_are_slices_of_the_received_buffer() {
    let bodies = samples::bodies().into_iter().filter(|(name, _)| *name == "append");
    let bytes = Bytes::from(samples::message(bodies.last().unwrap().1).encode_to_vec());
    let received = bytes.as_ptr_range();
    let Some(Body::Append(append)) = v1::Message::decode(bytes.clone()).unwrap().body else {
        panic!("an append was encoded");
    };
    let payloads = append.batches[0].payloads.as_ptr_range();
    assert!(received.start <= payloads.start && payloads.end <= received.end);
}
