//! The exchange of `Hello`: who is at the other end, and do we talk with each other.
//!
//! The side that opened the connection speaks first. Each side names its cluster, itself and whom it
//! believes to speak to; the protocol version is the highest that both speak. A refusal is answered
//! before the connection closes, so that both logs say why (N3, N4).
//!
//! Any sender id is welcome that is not our own: a node outside our configuration may know a newer
//! one (diss. §4.2.2), and who somebody really is, is for TLS to say.

use std::time::Instant;

use raft_core::NodeId;
use raft_proto::bytes::{Bytes, BytesMut};
use raft_proto::framing::{
    FRAME_HEADER_BYTES, FRAME_MAGIC, Frame, FrameDecoder, FrameError, FrameHeader, FrameKind, encode_frame,
};
use raft_proto::prost::Message as _;
use raft_proto::v1::{Hello, HelloRefusal};

use crate::error::{HandshakeError, Objection};
use crate::options::Options;
use crate::stream::Stream;

/// What we say about ourselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: u64,
    pub(crate) id: NodeId,
    incarnation: u64,
    version_min: u32,
    version_max: u32,
}

impl Identity {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            cluster: options.cluster,
            id: options.id,
            incarnation: options.incarnation,
            version_min: *options.versions.start(),
            version_max: *options.versions.end(),
        }
    }

    fn hello(&self, to: u64, refusal: HelloRefusal) -> Hello {
        Hello {
            version_min: self.version_min,
            version_max: self.version_max,
            cluster: self.cluster,
            from: self.id.get(),
            to,
            incarnation: self.incarnation,
            refusal: refusal.into(),
        }
    }

    /// Decides about the other end's `Hello`; the version to speak if it is welcome.
    fn judge(&self, theirs: &Hello) -> Result<u32, Objection> {
        let version = self.version_max.min(theirs.version_max);
        if theirs.version_min > theirs.version_max || version < self.version_min.max(theirs.version_min) {
            return Err(Objection::Version);
        }
        if theirs.cluster != self.cluster {
            return Err(Objection::Cluster);
        }
        if theirs.to != self.id.get() {
            return Err(Objection::Receiver);
        }
        if theirs.from == 0 || theirs.from == u64::MAX {
            return Err(Objection::InvalidId);
        }
        if theirs.from == self.id.get() {
            return Err(Objection::OwnId);
        }
        Ok(version)
    }
}

/// Who is at the other end of a connection that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) peer: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) version: u32,
}

/// Introduces us on a connection that we opened to `peer`. The other `Hello` comes back as well, if
/// there was one.
pub(crate) fn introduce(
    stream: &Stream,
    identity: &Identity,
    peer: NodeId,
    deadline: Instant,
) -> (Option<Hello>, Result<Introduction, HandshakeError>) {
    if let Err(error) = send(stream, &identity.hello(peer.get(), HelloRefusal::None)) {
        return (None, Err(error));
    }
    let theirs = match receive(stream, deadline) {
        Ok(hello) => hello,
        Err(error) => return (None, Err(error)),
    };
    let result = match HelloRefusal::try_from(theirs.refusal) {
        Err(_) => Err(HandshakeError::RefusedUnknown(theirs.refusal)),
        Ok(HelloRefusal::None) => identity
            .judge(&theirs)
            .and_then(
                |version| if theirs.from == peer.get() { Ok(version) } else { Err(Objection::Receiver) },
            )
            .map(|version| Introduction { peer, incarnation: theirs.incarnation, version })
            .map_err(HandshakeError::Refused),
        Ok(reason) => Err(HandshakeError::RefusedByPeer(reason)),
    };
    (Some(theirs), result)
}

/// Hears who opened a connection to us. Nothing is answered yet, since the caller has a say.
pub(crate) fn hear(
    stream: &Stream,
    identity: &Identity,
    deadline: Instant,
) -> Result<(Hello, Result<Introduction, Objection>), HandshakeError> {
    let theirs = receive(stream, deadline)?;
    let judged = identity.judge(&theirs).map(|version| Introduction {
        peer: NodeId::new(theirs.from),
        incarnation: theirs.incarnation,
        version,
    });
    Ok((theirs, judged))
}

/// Answers a `Hello`, with a refusal or without.
pub(crate) fn answer(
    stream: &Stream,
    identity: &Identity,
    theirs: &Hello,
    refusal: HelloRefusal,
) -> Result<(), HandshakeError> {
    send(stream, &identity.hello(theirs.from, refusal))
}

fn send(stream: &Stream, hello: &Hello) -> Result<(), HandshakeError> {
    let mut bytes = BytesMut::new();
    encode_frame(FrameKind::Hello, 0, hello, HELLO_BYTES_MAX, &mut bytes)
        .expect("seven numbers are shorter than the limit");
    stream.write_all(&bytes).map_err(HandshakeError::from_io)
}

/// Reads exactly one frame, so that what follows is left for whoever reads next.
fn receive(stream: &Stream, deadline: Instant) -> Result<Hello, HandshakeError> {
    let mut header = [0; FRAME_HEADER_BYTES];
    let (magic, rest) = header.split_at_mut(FRAME_MAGIC.len());
    stream.read_exact_until(magic, deadline).map_err(HandshakeError::from_io)?;
    // A client of the application that takes this port for its own would wait for an answer to a greeting
    // that is shorter than a header.
    if let Ok(found) = <[u8; 4]>::try_from(&*magic)
        && found != FRAME_MAGIC
    {
        return Err(HandshakeError::Frame(FrameError::BadMagic { found }));
    }
    stream.read_exact_until(rest, deadline).map_err(HandshakeError::from_io)?;
    let announced = FrameHeader::parse(&header, HELLO_BYTES_MAX).map_err(HandshakeError::Frame)?;
    let mut payload = [0; HELLO_BYTES_MAX as usize];
    let payload = &mut payload[..announced.payload_bytes as usize];
    stream.read_exact_until(payload, deadline).map_err(HandshakeError::from_io)?;
    let mut decoder = FrameDecoder::new(HELLO_BYTES_MAX);
    decoder.extend(&header);
    decoder.extend(payload);
    let Frame { kind, payload, .. } =
        decoder.next_frame().map_err(HandshakeError::Frame)?.ok_or(HandshakeError::Closed)?;
    decode(kind, payload)
}

fn decode(kind: FrameKind, payload: Bytes) -> Result<Hello, HandshakeError> {
    match kind {
        FrameKind::Hello => Hello::decode(payload).map_err(HandshakeError::Protobuf),
        FrameKind::Message => Err(HandshakeError::NotHello),
    }
}

/// The longest `Hello` in bytes; strangers cannot make us hold more (N2).
const HELLO_BYTES_MAX: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(versions: std::ops::RangeInclusive<u32>) -> Identity {
        let options =
            Options { versions, ..Options::new(7, NodeId::new(2), 9, "127.0.0.1:0".parse().unwrap()) };
        Identity::new(&options)
    }

    fn hello() -> Hello {
        Hello { version_min: 1, version_max: 1, cluster: 7, from: 1, to: 2, incarnation: 4, refusal: 0 }
    }

    /// N15: nodes of neighbouring releases speak the older one's version.
    #[test]
    fn version_is_the_highest_that_both_speak() {
        for (ours, theirs, version) in [
            (1..=1, 1..=1, Ok(1)),
            (1..=3, 2..=5, Ok(3)),
            (2..=5, 1..=2, Ok(2)),
            (3..=5, 1..=2, Err(Objection::Version)),
            (1..=2, 3..=5, Err(Objection::Version)),
            (1..=u32::MAX, 0..=u32::MAX, Ok(u32::MAX)),
        ] {
            let theirs = Hello { version_min: *theirs.start(), version_max: *theirs.end(), ..hello() };
            assert_eq!(identity(ours).judge(&theirs), version);
        }
        let upside_down = Hello { version_min: 2, version_max: 1, ..hello() };
        assert_eq!(identity(1..=2).judge(&upside_down), Err(Objection::Version));
    }

    #[test]
    fn each_wrong_field_has_its_own_refusal() {
        let judge = |hello| identity(1..=1).judge(&hello);
        assert_eq!(judge(hello()), Ok(1));
        assert_eq!(judge(Hello { cluster: 8, ..hello() }), Err(Objection::Cluster));
        assert_eq!(judge(Hello { to: 3, ..hello() }), Err(Objection::Receiver));
        for from in [0, u64::MAX] {
            assert_eq!(judge(Hello { from, ..hello() }), Err(Objection::InvalidId));
        }
        assert_eq!(judge(Hello { from: 2, ..hello() }), Err(Objection::OwnId));
    }
}
