//! Messages, from the bytes of a frame to the core's own type.

use raft_core::Message;
use raft_proto::prost::Message as _;
use raft_proto::v1;

pub(super) fn run(bytes: &[u8]) {
    let Ok(wire) = v1::Message::decode(bytes) else { return };
    let Ok(message) = Message::try_from(wire) else { return };
    let sent = v1::Message::from(message.clone()).encode_to_vec();
    let wire = v1::Message::decode(&sent[..]).expect("what was encoded can be decoded");
    assert_eq!(Message::try_from(wire).as_ref(), Ok(&message));
}
