//! The reading half of a connection: bytes in, checked messages out to the inboxes.
//!
//! A connection belongs to the peer that introduced itself on it: a message in another name, or for
//! another node, ends it (N6), as does whatever is no well-formed message (N1, N2). Others are not
//! touched by that.

use std::sync::Arc;

use raft_core::{GroupId, Message, MessageError};
use raft_proto::framing::{Frame, FrameDecoder, FrameKind};
use raft_proto::prost::Message as _;
use raft_proto::v1;
use slog::{info, warn};

use crate::error::LinkError;
use crate::hub::Hub;
use crate::inbox::Received;
use crate::peer::{Link, Peer};

/// Reads from an attached connection until it ends, and detaches it.
pub(crate) fn run(hub: &Hub, peer: &Arc<Peer>, link: &Arc<Link>) {
    let error = read(hub, peer, link);
    peer.detach(link);
    report(peer, link, &error);
    hub.forget(peer);
}

fn read(hub: &Hub, peer: &Peer, link: &Link) -> LinkError {
    let mut decoder = FrameDecoder::new(hub.limits.frame_bytes_max);
    let mut batch = Vec::new();
    loop {
        let bytes = match link.stream.read(decoder.space()) {
            Ok(0) => return LinkError::Closed,
            Ok(bytes) => bytes,
            Err(error) => return LinkError::Io(error),
        };
        decoder.received(bytes);
        let result = decode_all(hub, peer, &mut decoder, &mut batch);
        peer.counters.received_bytes.add(bytes);
        peer.counters.received_messages.add(batch.len());
        // What came before an offence was in order.
        hub.deliver(&mut batch);
        if let Err(error) = result {
            return error;
        }
    }
}

fn decode_all(
    hub: &Hub,
    peer: &Peer,
    decoder: &mut FrameDecoder,
    batch: &mut Vec<(GroupId, Received)>,
) -> Result<(), LinkError> {
    while let Some(Frame { kind, group, payload }) = decoder.next_frame().map_err(LinkError::Frame)? {
        match kind {
            FrameKind::Message => {}
            FrameKind::Hello => return Err(LinkError::UnexpectedHello),
        }
        let bytes = payload.len();
        // A slice keeps the whole receive buffer alive. That pays for large entries; small ones are
        // copied out, so that a log of them does not hold on to everything that was ever received.
        let wire = if bytes <= COPY_BYTES_MAX {
            v1::Message::decode(&payload[..])
        } else {
            v1::Message::decode(payload)
        };
        let message = match Message::try_from(wire.map_err(LinkError::Protobuf)?) {
            Ok(message) => message,
            // A newer release may say more than we understand (N15).
            Err(MessageError::UnknownBody) => {
                peer.counters.unknown_messages.add(1);
                continue;
            }
            Err(error) => return Err(LinkError::Message(error)),
        };
        if message.from != peer.id {
            return Err(LinkError::WrongSender(message.from));
        }
        if message.to != hub.identity.id {
            return Err(LinkError::WrongReceiver(message.to));
        }
        batch.push((GroupId::new(group), Received { message, bytes }));
    }
    Ok(())
}

fn report(peer: &Peer, link: &Link, error: &LinkError) {
    let opened_by = link.opened_by;
    match error {
        LinkError::Closed | LinkError::Io(_) => {
            info!(peer.log, "connection ended"; "opened_by" => ?opened_by, "reason" => %error);
            return;
        }
        LinkError::Frame(_) | LinkError::UnexpectedHello | LinkError::Protobuf(_) | LinkError::Message(_) => {
            peer.counters.malformed.add(1);
        }
        LinkError::WrongSender(_) | LinkError::WrongReceiver(_) => peer.counters.impersonations.add(1),
    }
    warn!(peer.log, "connection closed for an offence"; "opened_by" => ?opened_by, "offence" => %error);
}

/// Up to this length, in bytes, a message is copied out of the receive buffer.
const COPY_BYTES_MAX: usize = 16 << 10;
