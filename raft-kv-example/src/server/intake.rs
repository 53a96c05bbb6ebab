//! From a connection's bytes to a chunk.

use super::chunk::Chunk;
use super::client::{Client, Received};
use super::limits::Limits;
use super::local::Local;
use super::session::{Joined, Rules};
use crate::command::CommandError;
use crate::resp::{Progress, ProtocolError, RequestReader, Skip, Skipped};

/// Reads connections and makes chunks; shared by all of them.
#[derive(Debug)]
pub(super) struct Intake {
    reader: RequestReader,
    buffer: Box<[u8]>,
    rules: Rules,
    chunk_bytes_max: usize,
    skipped_bytes_max: usize,
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
    /// Nothing; more must arrive, or was passed over for now.
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
            skipped_bytes_max: limits.skipped_bytes_max,
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
            // What is passed over may be much; others have their turn meanwhile.
            if client.skip.is_some() || !client.is_ready() {
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

    /// Reads a piece of what a connection that ends still sends, and drops it.
    pub(super) fn drain(&mut self, client: &mut Client) -> Received {
        client.drain(&mut self.buffer)
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
            if client.skip.is_some() {
                at += pass_over(&bytes[at..], client, chunk);
                if client.skip.is_some() {
                    break;
                }
                continue;
            }
            let (request, length) = match self.reader.read(&bytes[at..], &mut client.progress) {
                Ok(Some(read)) => read,
                Ok(None) => break,
                Err(error) => {
                    let progress = std::mem::take(&mut client.progress);
                    client.skip = Skip::begin(error, progress, self.skipped_bytes_max);
                    if client.skip.is_none() {
                        refuse(client, chunk, error);
                    }
                    continue;
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

/// Passes over a request that is over a limit, and refuses it at its end; gives the number of bytes
/// that are done with.
fn pass_over(bytes: &[u8], client: &mut Client, chunk: &mut Chunk) -> usize {
    let Some(skip) = &mut client.skip else { return 0 };
    match skip.pass(bytes) {
        Ok(Skipped::Some(count)) => count,
        Ok(Skipped::All(count, refusal)) => {
            client.skip = None;
            client.session.refuse(chunk, &CommandError::TooLong(refusal));
            count
        }
        Err(error) => {
            client.skip = None;
            refuse(client, chunk, error);
            bytes.len()
        }
    }
}

/// Answers what is no request and ends the connection: where the next one begins is unknown. HTTP is
/// not answered, as whoever speaks it would not understand.
fn refuse(client: &mut Client, chunk: &mut Chunk, error: ProtocolError) {
    client.offence = Some(error);
    client.session.is_closing = true;
    if error != ProtocolError::Http {
        chunk.reply(client.session.protocol, |out| out.error(&format!("ERR Protocol error: {error}")));
    }
}

const READ_BYTES: usize = 64 << 10;
const SPARE_CHUNKS_MAX: usize = 256;
