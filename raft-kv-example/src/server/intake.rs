//! From a connection's bytes to a chunk.

use super::chunk::Chunk;
use super::client::{Client, Received};
use super::limits::Limits;
use super::local::Local;
use super::session::{Joined, Rules, Session};
use crate::resp::{Progress, ProtocolError, RequestReader};

/// Reads connections and makes chunks; shared by all of them.
#[derive(Debug)]
pub(super) struct Intake {
    reader: RequestReader,
    buffer: Box<[u8]>,
    rules: Rules,
    chunk_bytes_max: usize,
    commands_total: u64,
    /// Chunks that are not in use. They move between here and the connections as they are.
    #[allow(
        clippy::vec_box,
        reason = "moving a box is cheaper than moving a chunk, and idle clients hold none"
    )]
    spare: Vec<Box<Chunk>>,
}

/// What came of looking at a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A chunk, to be found in the connection.
    Chunk,
    /// Nothing; more must arrive.
    Nothing,
    /// The connection has ended and owes nothing.
    End,
}

impl Intake {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            reader: RequestReader::new(limits.requests()),
            buffer: vec![0; READ_BYTES].into(),
            rules: Rules { keys: limits.keys(), transaction_bytes_max: limits.request_bytes_max },
            chunk_bytes_max: limits.chunk_bytes_max,
            commands_total: 0,
            spare: Vec::new(),
        }
    }

    /// Takes the next chunk from a connection that is ready.
    pub(super) fn take(&mut self, client: &mut Client, local: &Local<'_>) -> Taken {
        let mut chunk = self.spare.pop().unwrap_or_default();
        let taken = loop {
            if client.has_request {
                let input = std::mem::take(&mut client.input);
                let consumed = self.join_all(&input, client, &mut chunk, local);
                client.input = input;
                client.consume(consumed);
            } else {
                match client.receive(&mut self.buffer) {
                    Received::End => break Taken::End,
                    Received::Nothing => break Taken::Nothing,
                    Received::Bytes(count) => self.join_received(count, client, &mut chunk, local),
                }
            }
            if !chunk.is_empty() || client.session.is_closing {
                break Taken::Chunk;
            }
            if !client.is_ready() {
                break Taken::Nothing;
            }
        };
        if taken == Taken::Chunk {
            client.chunk = Some(chunk);
        } else {
            self.spare(chunk);
        }
        taken
    }

    /// Gives back a chunk that is answered.
    pub(super) fn spare(&mut self, mut chunk: Box<Chunk>) {
        if self.spare.len() < SPARE_CHUNKS_MAX {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// How many requests have been read.
    pub(super) fn commands_total(&self) -> u64 {
        self.commands_total
    }

    /// Joins what was just received; what is left over is kept in the connection.
    fn join_received(&mut self, count: usize, client: &mut Client, chunk: &mut Chunk, local: &Local<'_>) {
        let buffer = std::mem::take(&mut self.buffer);
        let received = &buffer[..count];
        if client.input.is_empty() {
            let consumed = self.join_all(received, client, chunk, local);
            client.input.extend_from_slice(&received[consumed..]);
        } else {
            let mut input = std::mem::take(&mut client.input);
            input.extend_from_slice(received);
            let consumed = self.join_all(&input, client, chunk, local);
            client.input = input;
            client.consume(consumed);
        }
        self.buffer = buffer;
    }

    /// Joins requests until the chunk takes no more; gives the number of bytes used up.
    fn join_all(&mut self, bytes: &[u8], client: &mut Client, chunk: &mut Chunk, local: &Local<'_>) -> usize {
        let mut at = 0;
        client.has_request = false;
        while !client.session.is_closing {
            if chunk.byte_count() >= self.chunk_bytes_max {
                client.has_request = at < bytes.len();
                break;
            }
            let (request, length) = match self.reader.read(&bytes[at..], &mut client.progress) {
                Ok(Some(read)) => read,
                Ok(None) => break,
                Err(error) => {
                    refuse(&mut client.session, chunk, error);
                    break;
                }
            };
            match client.session.join(request, self.rules, chunk, local) {
                Joined::Yes => at += length,
                Joined::NextChunk => {
                    client.has_request = true;
                    break;
                }
            }
            self.commands_total += 1;
        }
        if client.session.is_closing {
            // Nothing that follows will be read.
            client.progress = Progress::default();
            return bytes.len();
        }
        at
    }
}

/// Answers what is no request and ends the connection: where the next one begins is unknown.
fn refuse(session: &mut Session, chunk: &mut Chunk, error: ProtocolError) {
    session.is_closing = true;
    chunk.reply(session.protocol, |out| out.error(&format!("ERR Protocol error: {error}")));
}

const READ_BYTES: usize = 64 << 10;
const SPARE_CHUNKS_MAX: usize = 256;
