//! What operations answer, independent of any protocol; and how answers are kept for retries.

use std::fmt;

use raft_core::sessions;

use super::bytes::{put_string, put_varint, take_array, take_byte, take_string, take_varint};
use super::operation::MalformedBatch;

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

impl KvError {
    /// What stands for it where answers are kept. Never reused.
    fn code(self) -> u8 {
        match self {
            Self::NotAnInteger => 1,
            Self::Overflow => 2,
            Self::ValueTooLong => 3,
            Self::AnswerTooLong => 4,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        let all = [Self::NotAnInteger, Self::Overflow, Self::ValueTooLong, Self::AnswerTooLong];
        all.into_iter().find(|error| error.code() == code)
    }
}

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

/// One value after the other: a byte that says of which kind, then what there is to say. Lengths, counts
/// and codes are varints, numbers eight bytes little endian.
impl sessions::Reply for Replies {
    fn encode(&self, into: &mut Vec<u8>) {
        for value in &self.values {
            match value {
                Kept::Ok => into.push(kind::OK),
                Kept::Nil => into.push(kind::NIL),
                Kept::Integer(number) => {
                    into.push(kind::INTEGER);
                    into.extend_from_slice(&number.to_le_bytes());
                }
                Kept::Bulk(bytes) => {
                    into.push(kind::BULK);
                    put_string(into, bytes);
                }
                Kept::Word(word) => {
                    into.push(kind::WORD);
                    put_string(into, word.as_bytes());
                }
                Kept::Array(count) => {
                    into.push(kind::ARRAY);
                    put_varint(into, *count);
                }
                Kept::Error(error) => {
                    into.push(kind::ERROR);
                    into.push(error.code());
                }
            }
        }
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut replies = Self::default();
        while !bytes.is_empty() {
            replies.push(take_reply(&mut bytes).ok()?);
        }
        Some(replies)
    }
}

fn take_reply<'a>(rest: &mut &'a [u8]) -> Result<Reply<'a>, MalformedBatch> {
    Ok(match take_byte(rest)? {
        kind::OK => Reply::Ok,
        kind::NIL => Reply::Nil,
        kind::INTEGER => Reply::Integer(i64::from_le_bytes(take_array(rest)?)),
        kind::BULK => Reply::Bulk(take_string(rest)?),
        kind::WORD => {
            let found = take_string(rest)?;
            let word = WORDS.into_iter().find(|word| word.as_bytes() == found);
            Reply::Word(word.ok_or(MalformedBatch)?)
        }
        kind::ARRAY => Reply::Array(usize::try_from(take_varint(rest)?).map_err(|_| MalformedBatch)?),
        kind::ERROR => Reply::Error(KvError::of_code(take_byte(rest)?).ok_or(MalformedBatch)?),
        _ => return Err(MalformedBatch),
    })
}

/// The byte that opens each kept value. Never reused: snapshots hold them.
mod kind {
    pub(super) const OK: u8 = 1;
    pub(super) const NIL: u8 = 2;
    pub(super) const INTEGER: u8 = 3;
    pub(super) const BULK: u8 = 4;
    pub(super) const WORD: u8 = 5;
    pub(super) const ARRAY: u8 = 6;
    pub(super) const ERROR: u8 = 7;
}

/// All words that operations answer.
const WORDS: [&str; 2] = ["string", "none"];

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
    fn every_reply() -> Replies {
        let mut replies = Replies::default();
        [Reply::Ok, Reply::Nil, Reply::Integer(i64::MIN), Reply::Bulk(b""), Reply::Bulk(&[7; 300])]
            .into_iter()
            .chain(WORDS.map(Reply::Word))
            .chain([Reply::Array(0), Reply::Array(65_536)])
            .chain((1..=4).map(|code| Reply::Error(KvError::of_code(code).unwrap())))
            .for_each(|reply| replies.push(reply));
        replies
    }

    /// S76: what a retry is answered is what the first copy was answered.
    #[test]
    fn kept_replies_read_back_as_written_and_take_little() {
        use sessions::Reply as _;
        let mut bytes = Vec::new();
        every_reply().encode(&mut bytes);
        assert_eq!(Replies::decode(&bytes), Some(every_reply()));
        let mut one = Replies::default();
        one.push(Reply::Integer(5));
        bytes.clear();
        one.encode(&mut bytes);
        assert_eq!(bytes.len(), 9);
    }

    #[test]
    fn kept_replies_cut_or_changed_anywhere_never_panic() {
        use sessions::Reply as _;
        let mut bytes = Vec::new();
        every_reply().encode(&mut bytes);
        for at in 0..bytes.len() {
            let _ = Replies::decode(&bytes[..at]);
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let _ = Replies::decode(&changed);
            }
        }
        assert_eq!(Replies::decode(&[0]), None);
        assert_eq!(Replies::decode(&[5, 1, b'x']), None, "an unknown word");
    }
}
