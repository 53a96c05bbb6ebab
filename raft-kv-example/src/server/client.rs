//! One connection: its socket, what it has sent, and what it has not yet taken.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use mio::net::TcpStream;

use super::chunk::Chunk;
use super::replica::Ticket;
use super::session::Session;
use crate::resp::{Progress, ProtocolError, Skip};

/// One connection. While it is idle it holds no buffers.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    pub(super) session: Session,
    /// What arrived and has not become part of a chunk.
    pub(super) input: Vec<u8>,
    /// How far the request at the head of the input has been followed.
    pub(super) progress: Progress,
    /// The request over a limit at the head of the input, while it is passed over.
    pub(super) skip: Option<Skip>,
    /// Whether the input may hold a complete request.
    pub(super) has_request: bool,
    /// What was no request, so that the connection ends; until somebody says so.
    pub(super) offence: Option<ProtocolError>,
    /// Replies that the socket did not take.
    output: BytesMut,
    /// The chunk under way, if one is.
    pub(super) chunk: Option<Box<Chunk>>,
    pub(super) wait: Wait,
    /// Since when the chunk waits, or the request at the head of the input is incomplete.
    pub(super) since: Instant,
    can_read: bool,
    is_read_closed: bool,
    /// How many bytes more may come from the other side, once all was said to it.
    parting_bytes_left: Option<usize>,
}

/// What the chunk under way waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// There is none.
    Nothing,
    /// A leader.
    Leader,
    /// The outcome of a proposal.
    Write(Ticket),
    /// A read point.
    Read,
    /// What comes of an order.
    Order(Ticket),
}

/// What reading from the socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// This many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The other side has closed, or the connection is broken.
    End,
}

impl Client {
    pub(super) fn new(stream: TcpStream, id: u64, now: Instant) -> Self {
        Self {
            stream,
            session: Session::new(id),
            input: Vec::new(),
            progress: Progress::default(),
            skip: None,
            has_request: false,
            offence: None,
            output: BytesMut::new(),
            chunk: None,
            wait: Wait::Nothing,
            since: now,
            can_read: false,
            is_read_closed: false,
            parting_bytes_left: None,
        }
    }

    /// Notes that the socket has something to read, or has ended.
    pub(super) fn on_readable(&mut self, is_closed: bool) {
        self.can_read = true;
        self.is_read_closed |= is_closed;
    }

    /// Reads what is there, as much as the buffer takes.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Received::End,
                Ok(count) => {
                    // A short read has emptied the socket; its next bytes raise a new event. The
                    // end of the stream may have come in the same event, though.
                    self.can_read = count == buffer.len() || self.is_read_closed;
                    return Received::Bytes(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.can_read = false;
                    return Received::Nothing;
                }
                Err(_) => return Received::End,
            }
        }
    }

    /// Whether it can be given attention: it has something to say, and all is answered and taken.
    pub(super) fn is_ready(&self) -> bool {
        self.wait == Wait::Nothing
            && self.output.is_empty()
            && !self.session.is_closing
            && (self.has_request || self.can_read)
    }

    /// Sends replies, as far as the socket takes them, and keeps the rest.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    pub(super) fn send(&mut self, replies: &[u8]) -> io::Result<()> {
        let mut rest = replies;
        if self.output.is_empty() {
            let sent = send_some(&mut self.stream, rest)?;
            rest = &rest[sent..];
        }
        self.output.extend_from_slice(rest);
        Ok(())
    }

    /// Sends what was kept.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let sent = send_some(&mut self.stream, &self.output)?;
        self.output.advance(sent);
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// How many bytes of replies the client has not taken.
    pub(super) fn unsent_byte_count(&self) -> usize {
        self.output.len()
    }

    /// Whether it has begun a request and not ended it.
    pub(super) fn is_amid_request(&self) -> bool {
        self.wait == Wait::Nothing && (!self.input.is_empty() || self.skip.is_some())
    }

    /// Says that nothing more will be said. The socket stays for a while, for closing it before the
    /// other side has sent everything would break the connection, and the last replies with it.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    pub(super) fn part(&mut self, now: Instant, bytes_max: usize) -> io::Result<()> {
        self.parting_bytes_left = Some(bytes_max);
        self.since = now;
        self.stream.shutdown(Shutdown::Write)
    }

    /// Whether nothing more will be said.
    pub(super) fn is_parting(&self) -> bool {
        self.parting_bytes_left.is_some()
    }

    /// Reads what is there, as much as the buffer takes, and drops it; says that this is the end also if
    /// enough was dropped.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) -> Received {
        let received = self.receive(buffer);
        let Received::Bytes(count) = received else { return received };
        self.parting_bytes_left = self.parting_bytes_left.unwrap_or(0).checked_sub(count);
        if self.parting_bytes_left.is_some() { received } else { Received::End }
    }

    /// Whether the socket may have something to read.
    pub(super) fn can_read(&self) -> bool {
        self.can_read
    }

    /// Where the other side is.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Whether nothing is under way and all replies are sent.
    pub(super) fn is_settled(&self) -> bool {
        self.wait == Wait::Nothing && self.unsent_byte_count() == 0
    }

    /// Drops input that has become part of a chunk; gives memory back when none is left.
    pub(super) fn consume(&mut self, count: usize) {
        if count == self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..count);
        }
    }

    pub(super) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

/// Writes until everything is sent or the socket takes no more.
fn send_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
