//! A connection to one node, as simple as a client can be.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use redis_protocol::resp2::decode::decode;
pub use redis_protocol::resp2::types::OwnedFrame as Frame;

/// A connection that waits for each answer, but not for ever.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its role in a word.
    pub role: String,
    /// Its term.
    pub term: u64,
    /// Who leads, as far as it knows; zero if it knows nobody.
    pub leader: u64,
    /// The commit index.
    pub commit: u64,
    /// Up to here its state machine has applied.
    pub applied: u64,
    /// How many operations it has applied.
    pub operations: u64,
    /// How many keys it has.
    pub keys: u64,
}

impl Link {
    /// Connects to a node, given as `host:port`; all addresses that the name has are tried.
    ///
    /// # Errors
    ///
    /// If nobody answers there within this time, which every later answer may take as well.
    pub fn open(address: &str, patience: Duration) -> io::Result<Self> {
        let mut result = Err(io::ErrorKind::NotFound.into());
        for address in address.to_socket_addrs()? {
            result = TcpStream::connect_timeout(&address, patience);
            if result.is_ok() {
                break;
            }
        }
        let stream = result?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends commands together and waits for all their answers.
    ///
    /// # Errors
    ///
    /// If the connection breaks, an answer takes too long or is none. Whether the commands were carried
    /// out is unknown then, and the connection is of no more use.
    pub fn ask(&mut self, commands: &[Vec<String>]) -> io::Result<Vec<Frame>> {
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
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask), and if the answer is no status.
    pub fn status(&mut self) -> io::Result<NodeStatus> {
        let mut answers = self.ask(&[vec!["RAFT.STATUS".to_owned()]])?;
        let answer = answers.pop();
        let fields = answer.as_ref().and_then(fields).ok_or(io::ErrorKind::InvalidData)?;
        let number = |name: &str| match fields.get(name) {
            Some(Frame::Integer(number)) => u64::try_from(*number).unwrap_or(0),
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

    fn receive(&mut self) -> io::Result<Frame> {
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

/// Where a node on this machine takes commands.
#[must_use]
pub fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The fields of an answer that is a map.
#[must_use]
pub fn fields(frame: &Frame) -> Option<HashMap<String, &Frame>> {
    let Frame::Array(words) = frame else { return None };
    Some(words.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, &pair[1]))).collect())
}

/// The text of an answer, if it is one.
#[must_use]
pub fn text(frame: &Frame) -> Option<String> {
    match frame {
        Frame::BulkString(bytes) | Frame::SimpleString(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        Frame::Error(_) | Frame::Integer(_) | Frame::Array(_) | Frame::Null => None,
    }
}
