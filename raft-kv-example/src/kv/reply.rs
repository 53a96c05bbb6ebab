//! What operations answer, independent of any protocol.

use std::fmt;

/// One value of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Done.
    Ok,
    /// No value.
    Nil,
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(&'a [u8]),
    /// A fixed word.
    Word(&'static str),
    /// The head of an array; that many values follow.
    Array(usize),
    /// The operation changed nothing, for this reason.
    Error(KvError),
}

/// Why an operation was not carried out. It changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvError {
    /// The value is not a decimal number that fits 64 bits.
    NotAnInteger,
    /// The sum does not fit 64 bits.
    Overflow,
    /// The value would become longer than the cluster's limit.
    ValueTooLong,
    /// The answers of one batch would take too much memory.
    AnswerTooLong,
}

impl fmt::Display for KvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnInteger => "value is not an integer or out of range",
            Self::Overflow => "increment or decrement would overflow",
            Self::ValueTooLong => "string exceeds maximum allowed size",
            Self::AnswerTooLong => {
                "the replies of one pipeline with writes are too long, ask for less at once"
            }
        })
    }
}

impl std::error::Error for KvError {}

/// Takes answers in order: an operation answers one value, or an array's head and its values.
pub trait ReplySink {
    /// Takes the next value.
    fn push(&mut self, reply: Reply<'_>);
}

/// The answers of one batch, kept until the client's connection can take them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    values: Vec<Kept>,
    kept_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    Ok,
    Nil,
    Integer(i64),
    Bulk(Box<[u8]>),
    Word(&'static str),
    Array(usize),
    Error(KvError),
}

impl Replies {
    /// Room for this many values.
    #[must_use]
    pub fn with_capacity(values: usize) -> Self {
        Self { values: Vec::with_capacity(values), kept_bytes: 0 }
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Reply<'_>> {
        self.values.iter().map(|value| match value {
            Kept::Ok => Reply::Ok,
            Kept::Nil => Reply::Nil,
            Kept::Integer(number) => Reply::Integer(*number),
            Kept::Bulk(bytes) => Reply::Bulk(bytes),
            Kept::Word(word) => Reply::Word(word),
            Kept::Array(count) => Reply::Array(*count),
            Kept::Error(error) => Reply::Error(*error),
        })
    }
}

impl ReplySink for Replies {
    fn push(&mut self, reply: Reply<'_>) {
        self.values.push(match reply {
            Reply::Ok => Kept::Ok,
            Reply::Nil => Kept::Nil,
            Reply::Integer(number) => Kept::Integer(number),
            Reply::Bulk(bytes) if self.kept_bytes + bytes.len() > ANSWER_BYTES_MAX => {
                Kept::Error(KvError::AnswerTooLong)
            }
            Reply::Bulk(bytes) => {
                self.kept_bytes += bytes.len();
                Kept::Bulk(bytes.into())
            }
            Reply::Word(word) => Kept::Word(word),
            Reply::Array(count) => Kept::Array(count),
            Reply::Error(error) => Kept::Error(error),
        });
    }
}

/// Answers to reads inside the log are copied on every node, so they are bounded.
const ANSWER_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_over_the_limit_become_errors() {
        let mut replies = Replies::default();
        let big = vec![0; ANSWER_BYTES_MAX];
        replies.push(Reply::Bulk(&big));
        replies.push(Reply::Bulk(b"x"));
        replies.push(Reply::Integer(1));
        let values: Vec<_> = replies.iter().skip(1).collect();
        assert_eq!(values, [Reply::Error(KvError::AnswerTooLong), Reply::Integer(1)]);
    }
}
