//! What a connection has agreed on, and where each of its requests goes.

use super::chunk::Chunk;
use super::local::{self, Local};
use crate::command::{self, Class, CommandError, KeyLimits, Order, Spec, Verb};
use crate::kv::{Batch, Reply, ReplySink};
use crate::resp::{Protocol, Request};

/// What a connection has agreed on.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The connection's number, never used again.
    pub(super) id: u64,
    /// The version of the protocol that replies are written in.
    pub(super) protocol: Protocol,
    /// The name that the client gave itself.
    pub(super) name: Option<Box<str>>,
    /// Whether the connection ends once its replies are sent.
    pub(super) is_closing: bool,
    transaction: Option<Box<Queued>>,
}

/// The commands between MULTI and EXEC.
#[derive(Debug, Default)]
struct Queued {
    batch: Batch,
    has_writes: bool,
    is_broken: bool,
}

/// Whether a request has joined the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It has, answers included.
    Yes,
    /// It must wait for the next chunk; nothing has happened yet.
    NextChunk,
}

/// What requests are held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) keys: KeyLimits,
    /// Bytes between MULTI and EXEC.
    pub(super) transaction_bytes_max: usize,
}

impl Session {
    /// What every connection begins with.
    pub(super) fn new(id: u64) -> Self {
        Self { id, ..Self::default() }
    }

    /// Adds a request to the chunk: as operations, or answered at once.
    pub(super) fn join(
        &mut self,
        request: Request<'_>,
        rules: Rules,
        chunk: &mut Chunk,
        local: &Local<'_>,
    ) -> Joined {
        if request.is_empty() {
            return Joined::Yes;
        }
        let spec = match command::spec_of(request) {
            Ok(spec) => spec,
            Err(error) => {
                self.refuse(chunk, &error);
                return Joined::Yes;
            }
        };
        if !chunk.admits(spec.class) {
            return Joined::NextChunk;
        }
        let done = match spec.class {
            Class::Transaction => self.transact(spec.verb, chunk),
            _ if self.transaction.is_some() => self.queue(spec, request, rules, chunk),
            Class::Write | Class::Read | Class::Scan => {
                command::compile(spec, request, rules.keys, chunk.operations(spec.class))
            }
            Class::Session => command::session_payload(spec.verb, request, rules.keys)
                .map(|payload| chunk.put_session_entry(payload)),
            Class::Admin => Order::parse(spec.verb, request).map(|order| chunk.put_order(order)),
            Class::Handshake | Class::Local => local::answer(spec, request, self, chunk, local),
        };
        if let Err(error) = done {
            self.refuse(chunk, &error);
        }
        Joined::Yes
    }

    /// Forgets what the client agreed on, as RESET asks.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.id);
    }

    /// Answers a request that was not taken; a transaction with it comes to nothing.
    pub(super) fn refuse(&mut self, chunk: &mut Chunk, error: &CommandError) {
        if let Some(queued) = &mut self.transaction {
            queued.is_broken = true;
        }
        chunk.reply(self.protocol, |out| out.error(&error.to_string()));
    }

    fn transact(&mut self, verb: Verb, chunk: &mut Chunk) -> Result<(), CommandError> {
        match verb {
            Verb::Multi if self.transaction.is_some() => Err(CommandError::NestedTransaction),
            Verb::Multi => {
                self.transaction = Some(Box::default());
                chunk.reply(self.protocol, |out| out.push(Reply::Ok));
                Ok(())
            }
            Verb::Exec => self.execute(chunk),
            Verb::Discard => {
                self.transaction.take().ok_or(CommandError::NoTransaction { name: "DISCARD" })?;
                chunk.reply(self.protocol, |out| out.push(Reply::Ok));
                Ok(())
            }
            Verb::Unwatch => {
                chunk.reply(self.protocol, |out| out.push(Reply::Ok));
                Ok(())
            }
            _ => Err(CommandError::NoWatch),
        }
    }

    /// Hands the queued operations to the chunk. They stay together: a chunk is one log entry.
    fn execute(&mut self, chunk: &mut Chunk) -> Result<(), CommandError> {
        let queued = self.transaction.take().ok_or(CommandError::NoTransaction { name: "EXEC" })?;
        if queued.is_broken {
            return Err(CommandError::BrokenTransaction);
        }
        let count = queued.batch.operation_count();
        chunk.reply(self.protocol, |out| out.push(Reply::Array(count)));
        if count > 0 {
            let class = if queued.has_writes { Class::Write } else { Class::Read };
            chunk.operations(class).extend(&queued.batch);
        }
        Ok(())
    }

    fn queue(
        &mut self,
        spec: &Spec,
        request: Request<'_>,
        rules: Rules,
        chunk: &mut Chunk,
    ) -> Result<(), CommandError> {
        let Some(queued) = &mut self.transaction else { return Ok(()) };
        if !matches!(spec.class, Class::Write | Class::Read) {
            return Err(CommandError::NotInTransaction { name: spec.name });
        }
        command::compile(spec, request, rules.keys, &mut queued.batch)?;
        if queued.batch.as_bytes().len() > rules.transaction_bytes_max {
            queued.batch = Batch::new();
            return Err(CommandError::TransactionTooLong { bytes_max: rules.transaction_bytes_max });
        }
        queued.has_writes |= spec.class == Class::Write;
        chunk.reply(self.protocol, |out| out.word("QUEUED"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::kv::Machine;
    use crate::resp::{Progress, RequestLimits, RequestReader};
    use crate::server::answer::AnswerSink;
    use crate::server::chunk::ChunkKind;
    use crate::server::local::tests::local;

    const RULES: Rules =
        Rules { keys: KeyLimits { key_bytes_max: 100, value_bytes_max: 100 }, transaction_bytes_max: 200 };

    /// Joins lines to chunks until one must wait; gives each chunk's kind and answers.
    fn talk(session: &mut Session, machine: &mut Machine, lines: &str) -> Vec<(ChunkKind, String)> {
        let limits = RequestLimits { words_max: 20, word_bytes_max: 500, request_bytes_max: 1000 };
        let mut reader = RequestReader::new(limits);
        let bytes = lines.replace(';', "\r\n") + "\r\n";
        let (mut at, mut chunks, mut chunk) = (0, Vec::new(), Chunk::default());
        let mut finish = |chunk: &mut Chunk, protocol| {
            let replies = machine.apply_batch(chunk.operation_bytes());
            let mut out = BytesMut::new();
            let mut sink = AnswerSink::new(chunk, &mut out, protocol, 10_000);
            replies.iter().for_each(|reply| sink.push(reply));
            sink.finish().unwrap();
            chunks.push((chunk.kind(), String::from_utf8_lossy(&out).replace("\r\n", " ")));
            chunk.clear();
        };
        while let Some((request, length)) =
            reader.read(&bytes.as_bytes()[at..], &mut Progress::default()).unwrap()
        {
            match session.join(request, RULES, &mut chunk, &local()) {
                Joined::Yes => at += length,
                Joined::NextChunk => finish(&mut chunk, session.protocol),
            }
        }
        finish(&mut chunk, session.protocol);
        chunks
    }

    fn answers(lines: &str) -> String {
        let chunks = talk(&mut Session::default(), &mut Machine::new(0), lines);
        chunks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn pipeline_with_writes_is_one_chunk_and_sees_its_own_writes() {
        let lines = "get k;set k 1;ping;get k;nonsense a b;incr k;get";
        let chunks = talk(&mut Session::default(), &mut Machine::new(0), lines);
        let text = "$-1 +OK +PONG $1 1 -ERR unknown command 'nonsense', with args beginning with: 'a' 'b'  \
                    :2 -ERR wrong number of arguments for 'get' command ";
        assert_eq!(chunks, [(ChunkKind::Writes, text.to_owned())]);
    }

    #[test]
    fn scan_waits_for_the_writes_before_it_and_writes_for_it() {
        let chunks = talk(&mut Session::default(), &mut Machine::new(0), "set k 1;keys *;dbsize;del k");
        let kinds: Vec<_> = chunks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [ChunkKind::Writes, ChunkKind::Scans, ChunkKind::Writes]);
        assert_eq!(chunks[1].1, "*1 $1 k :1 ");
    }

    #[test]
    fn transaction_is_carried_out_together() {
        assert_eq!(
            answers("multi;set k x;incr k;get k;exec;get k"),
            "+OK +QUEUED +QUEUED +QUEUED *3 +OK -ERR value is not an integer or out of range $1 x $1 x "
        );
        assert_eq!(answers("multi;exec"), "+OK *0 ");
        assert_eq!(answers("multi;set k 1;discard;get k"), "+OK +QUEUED +OK $-1 ");
    }

    #[test]
    fn transaction_with_a_refused_command_does_nothing() {
        let broken = "-EXECABORT Transaction discarded because of previous errors. ";
        for refused in ["get", "nonsense", "ping", "keys *", "incrby k x", "set k v ex 1"] {
            let text = answers(&format!("multi;set k 1;{refused};exec;get k"));
            assert!(text.ends_with(&format!("{broken}$-1 ")), "{refused}: {text}");
        }
        let long = format!("multi;set k {0};set l {0};set m {0};exec", "x".repeat(90));
        assert!(answers(&long).ends_with(broken));
    }

    #[test]
    fn transaction_words_without_sense_are_refused() {
        assert_eq!(answers("exec"), "-ERR EXEC without MULTI ");
        assert_eq!(answers("discard"), "-ERR DISCARD without MULTI ");
        assert!(answers("multi;multi").contains("-ERR MULTI calls can not be nested"));
        assert!(answers("watch k").contains("-ERR WATCH is not offered"));
    }
}
