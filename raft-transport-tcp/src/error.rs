//! What can go wrong: starting the transport, shaking hands, and on a connection that stands.

use std::error::Error;
use std::ops::RangeInclusive;
use std::{fmt, io};

use raft_core::{MessageError, NodeId};
use raft_proto::framing::FrameError;
use raft_proto::prost::DecodeError;
use raft_proto::v1::HelloRefusal;

/// Why a transport did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The node's id is zero or `u64::MAX`.
    InvalidId(NodeId),
    /// The range of protocol versions is empty or begins at zero.
    InvalidVersions(RangeInclusive<u32>),
    /// The named limit is zero, or smaller than another one that it must hold.
    InvalidLimit(&'static str),
    /// The address cannot be listened on.
    Listen(io::Error),
    /// The system gives no thread.
    Thread(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidId(id) => write!(f, "{id} is no valid node id"),
            Self::InvalidVersions(versions) => {
                write!(f, "{}..={} is no range of protocol versions", versions.start(), versions.end())
            }
            Self::InvalidLimit(name) => write!(f, "limit `{name}` is too small"),
            Self::Listen(_) => f.write_str("cannot listen on the given address"),
            Self::Thread(_) => f.write_str("cannot start a thread"),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Listen(source) | Self::Thread(source) => Some(source),
            Self::InvalidId(_) | Self::InvalidVersions(_) | Self::InvalidLimit(_) => None,
        }
    }
}

/// Why a connection never came to stand.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The address does not resolve, or nobody answers there.
    Connect(io::Error),
    /// The connection broke.
    Io(io::Error),
    /// It took too long.
    Deadline,
    /// The other end closed without a word.
    Closed,
    /// What came is no frame.
    Frame(FrameError),
    /// What came is a frame, but no `Hello`.
    NotHello,
    /// What came is no protobuf message.
    Protobuf(DecodeError),
    /// We refused the other end.
    Refused(Objection),
    /// The other end refused us.
    RefusedByPeer(HelloRefusal),
    /// The other end refused us for a reason this version does not know.
    RefusedUnknown(i32),
    /// The transport is being shut down.
    Stopping,
}

impl HandshakeError {
    /// Sorts the ways a socket can fail.
    pub(crate) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Deadline,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Io(error) => write!(f, "connection broke: {error}"),
            Self::Deadline => f.write_str("handshake deadline passed"),
            Self::Closed => f.write_str("closed before the handshake was over"),
            Self::Frame(error) => write!(f, "no frame: {error}"),
            Self::NotHello => f.write_str("the first frame is no hello"),
            Self::Protobuf(error) => write!(f, "malformed hello: {error}"),
            Self::Refused(objection) => write!(f, "refused, {objection}"),
            Self::RefusedByPeer(reason) => write!(f, "refused by the peer, {}", describe(*reason)),
            Self::RefusedUnknown(reason) => write!(f, "refused by the peer, unknown reason {reason}"),
            Self::Stopping => f.write_str("shutting down"),
        }
    }
}

impl Error for HandshakeError {}

/// What we have against the other end of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// No protocol version is common to both.
    Version,
    /// It belongs to another cluster.
    Cluster,
    /// It is, or wants to speak to, another node than the connection is for.
    Receiver,
    /// Its id is no node's.
    InvalidId,
    /// Its id is ours.
    OwnId,
    /// It was seen with other data before.
    OtherLife,
}

impl Objection {
    /// What the other end is told.
    pub(crate) fn refusal(self) -> HelloRefusal {
        match self {
            Self::Version => HelloRefusal::Version,
            Self::Cluster => HelloRefusal::Cluster,
            Self::Receiver => HelloRefusal::Receiver,
            Self::InvalidId | Self::OwnId | Self::OtherLife => HelloRefusal::Sender,
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "no protocol version in common",
            Self::Cluster => "another cluster",
            Self::Receiver => "meant for another node",
            Self::InvalidId => "its id is no valid one",
            Self::OwnId => "its id is this node's own",
            Self::OtherLife => {
                "it does not have the data that this id had before: it has lost its disk, or two processes \
                 run under one id"
            }
        })
    }
}

fn describe(reason: HelloRefusal) -> &'static str {
    match reason {
        HelloRefusal::None => "no reason given",
        HelloRefusal::Version => "no protocol version in common",
        HelloRefusal::Cluster => "another cluster",
        HelloRefusal::Receiver => "meant for another node",
        HelloRefusal::Sender => {
            "it knows other data under this node's id: this node has lost its disk, or two processes run \
             under one id"
        }
    }
}

/// Why a connection that stood came to its end.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// The other end closed it.
    Closed,
    /// It broke.
    Io(io::Error),
    /// What came is no frame (N1, N2).
    Frame(FrameError),
    /// A second `Hello`.
    UnexpectedHello,
    /// What came is no protobuf message (N1).
    Protobuf(DecodeError),
    /// What came is no message of Raft's (N1, N12).
    Message(MessageError),
    /// A message from somebody else than the connection's peer (N6).
    WrongSender(NodeId),
    /// A message for somebody else.
    WrongReceiver(NodeId),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Io(error) => write!(f, "connection broke: {error}"),
            Self::Frame(error) => write!(f, "no frame: {error}"),
            Self::UnexpectedHello => f.write_str("a second hello"),
            Self::Protobuf(error) => write!(f, "malformed message: {error}"),
            Self::Message(error) => write!(f, "invalid message: {error}"),
            Self::WrongSender(id) => write!(f, "a message that claims to be from {id}"),
            Self::WrongReceiver(id) => write!(f, "a message for {id}"),
        }
    }
}

impl Error for LinkError {}
