//! Nodes on loopback, raw sockets that play peers, and waiting for conditions with a deadline.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use raft_core::{Arrival, Body, ForwardId, GroupId, Heartbeat, LogIndex, Message, NodeId, Term, Transport};
use raft_proto::bytes::BytesMut;
use raft_proto::crc32c;
use raft_proto::framing::{
    FRAME_HEADER_BYTES, FRAME_MAGIC, FRAME_VERSION, FrameDecoder, FrameKind, encode_frame,
};
use raft_proto::prost::Message as _;
use raft_proto::v1::{self, Hello};
use raft_transport_tcp::{GroupTransport, Options, PeerCounters, TcpTransport};

pub const CLUSTER: u64 = 77;
pub const GROUP: GroupId = GroupId::new(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// One node: a transport, one group on it, and the bell that the transport rings.
pub struct Node {
    pub id: NodeId,
    pub transport: TcpTransport,
    pub group: GroupTransport,
    pub bell: Receiver<()>,
}

pub fn options(id: u64) -> Options {
    let mut options = Options::new(CLUSTER, NodeId::new(id), 1000 + id, "127.0.0.1:0".parse().unwrap());
    options.limits.backoff_min = Duration::from_millis(2);
    options.limits.backoff_max = Duration::from_millis(50);
    options
}

impl Node {
    pub fn new(options: Options) -> Self {
        let id = options.id;
        let (ring, bell) = crossbeam_channel::bounded(1);
        let transport = TcpTransport::bind(options, move || {
            let _ = ring.try_send(());
        })
        .unwrap();
        let group = transport.group(GROUP);
        Self { id, transport, group, bell }
    }

    pub fn address(&self) -> String {
        self.transport.local_address().to_string()
    }

    pub fn knows(&self, other: &Node) {
        self.transport.set_peer(other.id, other.address()).unwrap();
    }

    pub fn counters(&self, peer: NodeId) -> PeerCounters {
        self.transport.peer_counters(peer).unwrap_or_default()
    }

    /// Sends without flushing.
    pub fn send(&mut self, to: NodeId, body: Body) {
        self.group.send(Message { from: self.id, to, term: Term::new(1), body });
    }

    pub fn send_beat(&mut self, to: NodeId, round: u64) {
        self.send(to, beat(round));
        self.group.flush();
    }

    /// The next arrival of this group, waiting for the bell; `None` after the deadline.
    pub fn next(&mut self, patience: Duration) -> Option<Arrival> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(arrival) = self.group.poll() {
                return Some(arrival);
            }
            if self.bell.recv_deadline(deadline).is_err() {
                return self.group.poll();
            }
        }
    }

    /// The next message, skipping reports.
    pub fn message(&mut self) -> Message {
        loop {
            match self.next(PATIENCE).expect("a message before the deadline") {
                Arrival::Message(message) => return message,
                Arrival::Unreachable(_) => {}
            }
        }
    }

    /// The next report, skipping messages.
    pub fn unreachable(&mut self) -> NodeId {
        loop {
            match self.next(PATIENCE).expect("a report before the deadline") {
                Arrival::Message(_) => {}
                Arrival::Unreachable(peer) => return peer,
            }
        }
    }
}

/// Nodes 1 to `count` that know each other.
pub fn cluster(count: u64) -> Vec<Node> {
    let nodes: Vec<_> = (1..=count).map(|id| Node::new(options(id))).collect();
    for node in &nodes {
        for other in &nodes {
            if node.id != other.id {
                node.knows(other);
            }
        }
    }
    nodes
}

pub fn beat(round: u64) -> Body {
    Body::Heartbeat(Heartbeat { commit: LogIndex::ZERO, round, transferee: None })
}

/// The round of a message made by [`beat`].
pub fn round(message: &Message) -> u64 {
    match &message.body {
        Body::Heartbeat(beat) => beat.round,
        other => panic!("no heartbeat: {other:?}"),
    }
}

pub fn blob(bytes: usize) -> Body {
    Body::Propose { epoch: 0, request: ForwardId::new(1), payloads: vec![7; bytes].into() }
}

/// Waits until the condition holds.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(PATIENCE, what, condition);
}

#[track_caller]
pub fn until_within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// A raw connection that plays a peer.
pub struct Raw {
    pub stream: TcpStream,
    decoder: FrameDecoder,
}

pub fn hello(from: u64, to: u64) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        cluster: CLUSTER,
        from,
        to,
        incarnation: from.wrapping_add(1000),
        refusal: 0,
    }
}

pub fn hello_frame(hello: &Hello) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode_frame(FrameKind::Hello, 0, hello, 1 << 20, &mut bytes).unwrap();
    bytes
}

pub fn message_frame(message: Message) -> BytesMut {
    wire_frame(&v1::Message::from(message))
}

pub fn wire_frame(message: &v1::Message) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode_frame(FrameKind::Message, GROUP.get(), message, 1 << 20, &mut bytes).unwrap();
    bytes
}

/// A frame around any payload, its checksum in order.
pub fn raw_frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    frame[..4].copy_from_slice(&FRAME_MAGIC);
    frame[8] = FRAME_VERSION;
    frame[9] = kind;
    frame[12..16].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    frame[16..24].copy_from_slice(&GROUP.get().to_le_bytes());
    frame.extend_from_slice(payload);
    let checksum = crc32c(&frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    frame
}

pub fn beat_frame(from: u64, to: u64, round: u64) -> BytesMut {
    let (from, to) = (NodeId::new(from), NodeId::new(to));
    message_frame(Message { from, to, term: Term::new(1), body: beat(round) })
}

impl Raw {
    pub fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, decoder: FrameDecoder::new(1 << 24) }
    }

    /// Connects as a node and shakes hands.
    pub fn introduced(to: &Node, as_id: u64) -> Self {
        let mut raw = Self::connect(to.transport.local_address());
        raw.write(&hello_frame(&hello(as_id, to.id.get())));
        let answer = raw.hello().expect("an answer");
        assert_eq!(answer.refusal, 0);
        raw
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Writes, though the other end may have closed already.
    pub fn write_or_closed(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Takes bytes that were read from the stream elsewhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.decoder.extend(bytes);
    }

    /// Whether the other end has closed; reads nothing otherwise.
    pub fn is_closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let result = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        match result {
            Ok(peeked) => peeked == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// The next frame; `None` if the other end closed.
    pub fn frame(&mut self) -> Option<(FrameKind, raft_proto::bytes::Bytes)> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some((frame.kind, frame.payload));
            }
            match self.stream.read(self.decoder.space()) {
                Ok(0) => return None,
                Ok(read) => self.decoder.received(read),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing to read: {error}"),
            }
        }
    }

    pub fn hello(&mut self) -> Option<Hello> {
        let (kind, payload) = self.frame()?;
        assert_eq!(kind, FrameKind::Hello);
        Some(Hello::decode(payload).unwrap())
    }

    pub fn message(&mut self) -> Option<Message> {
        let (kind, payload) = self.frame()?;
        assert_eq!(kind, FrameKind::Message);
        Some(Message::try_from(v1::Message::decode(payload).unwrap()).unwrap())
    }

    /// Waits until the other end has closed.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        while self.frame().is_some() {}
    }
}

/// Collects what is logged, one line per record.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn logger(&self) -> slog::Logger {
        slog::Logger::root(self.clone(), slog::o!())
    }

    /// Whether some record holds all of the given words.
    pub fn has(&self, words: &[&str]) -> bool {
        self.0.lock().unwrap().iter().any(|line| words.iter().all(|word| line.contains(word)))
    }
}

impl slog::Drain for Log {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, values: &slog::OwnedKVList) -> Result<(), slog::Never> {
        let mut line = Line(format!("{}", record.msg()));
        slog::KV::serialize(&record.kv(), record, &mut line).unwrap();
        slog::KV::serialize(values, record, &mut line).unwrap();
        self.0.lock().unwrap().push(line.0);
        Ok(())
    }
}

struct Line(String);

impl slog::Serializer for Line {
    fn emit_arguments(&mut self, key: slog::Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        self.0.push_str(&format!(" {key}={value}"));
        Ok(())
    }
}

/// A listener that plays a node which other nodes connect to.
pub struct RawNode {
    pub id: NodeId,
    pub listener: TcpListener,
}

impl RawNode {
    pub fn new(id: u64) -> Self {
        Self { id: NodeId::new(id), listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Accepts a connection and hears the other `Hello`.
    pub fn accept(&self) -> (Raw, Hello) {
        let mut raw = Raw::over(self.listener.accept().unwrap().0);
        let hello = raw.hello().expect("who connects, speaks first");
        (raw, hello)
    }

    /// Accepts a connection and shakes hands.
    pub fn welcome(&self) -> Raw {
        let (mut raw, theirs) = self.accept();
        raw.write(&hello_frame(&hello(self.id.get(), theirs.from)));
        raw
    }
}
