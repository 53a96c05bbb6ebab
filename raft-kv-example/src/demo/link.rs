//! A connection to one node, as simple as a client can be.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

/// A connection that waits for each answer, but not for ever.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeStatus {
    pub(super) role: String,
    pub(super) term: u64,
    pub(super) leader: u64,
    pub(super) commit: u64,
    pub(super) applied: u64,
    pub(super) operations: u64,
    pub(super) keys: u64,
}

impl Link {
    /// Connects to a node on this machine.
    pub(super) fn open(port: u16, patience: Duration) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends commands together and waits for all their answers.
    pub(super) fn ask(&mut self, commands: &[Vec<String>]) -> io::Result<Vec<OwnedFrame>> {
        let mut request = Vec::new();
        for words in commands {
            write!(request, "*{}\r\n", words.len())?;
            for word in words {
                write!(request, "${}\r\n{word}\r\n", word.len())?;
            }
        }
        self.stream.write_all(&request)?;
        (0..commands.len()).map(|_| self.receive()).collect()
    }

    /// Asks for the node's status.
    pub(super) fn status(&mut self) -> io::Result<NodeStatus> {
        let mut answers = self.ask(&[vec!["RAFT.STATUS".to_owned()]])?;
        let Some(OwnedFrame::Array(fields)) = answers.pop() else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let pairs = fields.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, &pair[1])));
        let fields: HashMap<String, &OwnedFrame> = pairs.collect();
        let number = |name: &str| match fields.get(name) {
            Some(OwnedFrame::Integer(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        Ok(NodeStatus {
            role: fields.get("role").and_then(|frame| text(frame)).unwrap_or_default(),
            term: number("term"),
            leader: number("leader"),
            commit: number("commit"),
            applied: number("applied"),
            operations: number("operations"),
            keys: number("keys"),
        })
    }

    fn receive(&mut self) -> io::Result<OwnedFrame> {
        loop {
            if let Some((frame, length)) = decode(&self.received).map_err(io::Error::other)? {
                self.received.drain(..length);
                return Ok(frame);
            }
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// The text of an answer, if it is one.
pub(super) fn text(frame: &OwnedFrame) -> Option<String> {
    match frame {
        OwnedFrame::BulkString(bytes) | OwnedFrame::SimpleString(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        OwnedFrame::Error(_) | OwnedFrame::Integer(_) | OwnedFrame::Array(_) | OwnedFrame::Null => None,
    }
}
