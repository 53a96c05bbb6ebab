//! A connection to one node, as simple as a client can be.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

/// A connection that waits for each answer, but not for ever.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeStatus {
    pub(crate) role: String,
    pub(crate) term: u64,
    pub(crate) leader: u64,
    pub(crate) commit: u64,
    pub(crate) applied: u64,
    pub(crate) operations: u64,
    pub(crate) keys: u64,
}

impl Link {
    /// Connects to a node, given as `host:port`; all addresses that the name has are tried.
    pub(crate) fn open(address: &str, patience: Duration) -> io::Result<Self> {
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
    pub(crate) fn ask(&mut self, commands: &[Vec<String>]) -> io::Result<Vec<OwnedFrame>> {
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
    pub(crate) fn status(&mut self) -> io::Result<NodeStatus> {
        let mut answers = self.ask(&[vec!["RAFT.STATUS".to_owned()]])?;
        let answer = answers.pop();
        let fields = answer.as_ref().and_then(fields).ok_or(io::ErrorKind::InvalidData)?;
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

/// Where a node on this machine takes commands.
pub(crate) fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The fields of an answer that is a map.
pub(crate) fn fields(frame: &OwnedFrame) -> Option<HashMap<String, &OwnedFrame>> {
    let OwnedFrame::Array(words) = frame else { return None };
    Some(words.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, &pair[1]))).collect())
}

/// The text of an answer, if it is one.
pub(crate) fn text(frame: &OwnedFrame) -> Option<String> {
    match frame {
        OwnedFrame::BulkString(bytes) | OwnedFrame::SimpleString(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        OwnedFrame::Error(_) | OwnedFrame::Integer(_) | OwnedFrame::Array(_) | OwnedFrame::Null => None,
    }
}
