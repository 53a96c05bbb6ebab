//! Writes the answers of a chunk in the order of its requests.

use std::fmt;

use bytes::BytesMut;
use raft_core::sessions::SessionError;

use super::chunk::Chunk;
use crate::kv::{Replies, Reply, ReplySink};
use crate::resp::{Protocol, ReplyWriter};

/// Why the operations of a chunk were not carried out, or why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No leader came up in time. Nothing was done.
    NoLeader,
    /// The leader gave the command up. Nothing was done.
    NotApplied,
    /// Too many writes wait. Nothing was done.
    Busy,
    /// The chunk does not fit into a log entry. Nothing was done.
    TooLarge,
    /// The node is about to end. Nothing was done.
    Stopping,
    /// The node keeps no data. Nothing was done.
    Witness,
    /// The cluster goes on without this node. Nothing was done.
    Outsider,
    /// The write may have been carried out, or may be later, or never.
    Unknown,
    /// The same of a command of a session, which can be repeated.
    UnknownCall,
    /// The session does not take the call, or is none.
    Session(SessionError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLeader => "CLUSTERDOWN no leader is known; nothing was done, try again",
            Self::NotApplied => "TRYAGAIN the leader gave the command up; nothing was done, try again",
            Self::Busy => "BUSY too many writes wait; nothing was done, try again later",
            Self::TooLarge => "ERR the pipeline is too large for one log entry; nothing was done",
            Self::Stopping => "TRYAGAIN this node is stopping; nothing was done, try another node",
            Self::Witness => "WITNESS this node votes and keeps no data; nothing was done, ask another node",
            Self::Outsider => {
                "NOTMEMBER this node was removed from the cluster, or is not taken in yet; nothing was done, \
                 ask another node"
            }
            Self::Unknown => "UNKNOWN the write may or may not have happened; look before you try again",
            Self::UnknownCall => {
                "UNKNOWN it may or may not have happened; repeat the same command, at any node"
            }
            Self::Session(SessionError::Expired) => {
                "EXPIRED the session is not open any more; nothing was done now, but whether an earlier \
                 copy of the call was carried out is not known any more"
            }
            Self::Session(SessionError::Answered) => {
                "ANSWERED the client has said that it has the reply to this call; nothing was done"
            }
            Self::Session(error @ (SessionError::TooFarAhead { .. } | SessionError::RepliesFull { .. })) => {
                let remedy = "nothing was done, repeat when calls before it are answered";
                return write!(f, "TRYAGAIN {error}; {remedy}");
            }
            Self::Session(error) => return write!(f, "ERR {error}"),
        })
    }
}

/// What the operations of a chunk are answered with.
pub(super) enum Answer {
    /// There are none.
    Ready,
    /// What applying them gave.
    Replies(Replies),
    /// What the state says now.
    Read,
    /// Why they were not carried out.
    Failure(Failure),
}

/// Takes the answers of a chunk's operations and puts the ready replies between them.
pub(super) struct AnswerSink<'a> {
    chunk: &'a Chunk,
    out: &'a mut BytesMut,
    protocol: Protocol,
    out_bytes_max: usize,
    operation: usize,
    mark: usize,
    /// Values of the current operation's answer that are still to come.
    values_left: usize,
}

/// The answers of one chunk are longer than a connection may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutputTooLong;

impl<'a> AnswerSink<'a> {
    pub(super) fn new(
        chunk: &'a Chunk,
        out: &'a mut BytesMut,
        protocol: Protocol,
        out_bytes_max: usize,
    ) -> Self {
        Self { chunk, out, protocol, out_bytes_max, operation: 0, mark: 0, values_left: 0 }
    }

    /// Answers all operations that have no answer yet with this failure.
    pub(super) fn fail_rest(&mut self, failure: Failure) {
        let text = failure.to_string();
        while self.operation < self.chunk.operation_count() || self.values_left > 0 {
            self.begin_value();
            ReplyWriter::new(self.out, self.protocol).error(&text);
            self.end_value(0);
        }
    }

    /// Ends the answers; what no operation answered is answered as unknown.
    pub(super) fn finish(mut self) -> Result<(), OutputTooLong> {
        self.fail_rest(Failure::Unknown);
        self.write_ready();
        if self.out.len() > self.out_bytes_max { Err(OutputTooLong) } else { Ok(()) }
    }

    fn begin_value(&mut self) {
        if self.values_left == 0 {
            self.write_ready();
            self.values_left = 1;
        }
    }

    fn end_value(&mut self, more: usize) {
        self.values_left = self.values_left - 1 + more;
        if self.values_left == 0 {
            self.operation += 1;
        }
    }

    fn write_ready(&mut self) {
        while let Some(ready) = self.chunk.ready_before(self.operation, self.mark) {
            self.out.extend_from_slice(ready);
            self.mark += 1;
        }
    }
}

impl ReplySink for AnswerSink<'_> {
    fn push(&mut self, reply: Reply<'_>) {
        self.begin_value();
        // Past the limit the connection is closed, so what is left out here is never missed.
        if self.out.len() <= self.out_bytes_max {
            ReplyWriter::new(self.out, self.protocol).push(reply);
        }
        self.end_value(if let Reply::Array(count) = reply { count } else { 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Class;

    /// PING, GET a, PING, PING, MGET b c, PING.
    fn chunk() -> Chunk {
        let mut chunk = Chunk::default();
        chunk.reply(Protocol::Resp2, |out| out.word("P1"));
        chunk.operations(Class::Read).fetch(b"a");
        chunk.reply(Protocol::Resp2, |out| out.word("P2"));
        chunk.reply(Protocol::Resp2, |out| out.word("P3"));
        chunk.operations(Class::Read).fetch_many([&b"b"[..], b"c"].into_iter());
        chunk.reply(Protocol::Resp2, |out| out.word("P4"));
        chunk
    }

    fn answered(push: impl FnOnce(&mut AnswerSink<'_>)) -> String {
        let (chunk, mut out) = (chunk(), BytesMut::new());
        let mut sink = AnswerSink::new(&chunk, &mut out, Protocol::Resp2, 10_000);
        push(&mut sink);
        sink.finish().unwrap();
        String::from_utf8(out.to_vec()).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn replies_leave_in_the_order_of_requests() {
        let text = answered(|sink| {
            sink.push(Reply::Integer(1));
            sink.push(Reply::Array(2));
            sink.push(Reply::Nil);
            sink.push(Reply::Integer(2));
        });
        assert_eq!(text, "+P1 :1 +P2 +P3 *2 $-1 :2 +P4 ");
    }

    #[test]
    fn failure_answers_each_operation_once_and_keeps_ready_replies() {
        let busy = Failure::Busy.to_string();
        let text = answered(|sink| sink.fail_rest(Failure::Busy));
        assert_eq!(text, format!("+P1 -{busy} +P2 +P3 -{busy} +P4 "));
    }

    #[test]
    fn answers_over_the_limit_are_reported() {
        let (chunk, mut out) = (chunk(), BytesMut::new());
        let mut sink = AnswerSink::new(&chunk, &mut out, Protocol::Resp2, 100);
        sink.push(Reply::Bulk(&[b'x'; 200]));
        assert_eq!(sink.finish(), Err(OutputTooLong));
    }
}
