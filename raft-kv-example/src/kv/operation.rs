//! The operations of the store and how they are read back from a log entry.
//!
//! Operations stand one after the other: an opcode byte, then its fields. Byte strings carry their
//! length as a varint, lists their count, numbers are eight bytes little endian. Decoding borrows and
//! is total: malformed bytes are an error, never a panic.

use std::fmt;

use super::bytes::{take_array, take_byte, take_string, take_varint};

/// One operation, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Stores a value.
    Set {
        /// Where.
        key: &'a [u8],
        /// What.
        value: &'a [u8],
        /// Only then.
        condition: SetCondition,
        /// What to answer.
        reply: SetReply,
    },
    /// Stores all pairs; answers OK.
    SetMany(Pairs<'a>),
    /// Stores all pairs if none of the keys exists; answers 1 or 0.
    SetManyIfAbsent(Pairs<'a>),
    /// Removes a key and answers its value.
    Take(&'a [u8]),
    /// Removes keys and answers how many existed.
    Delete(Keys<'a>),
    /// Adds to a number, which is zero if absent; answers the sum.
    Add {
        /// Where.
        key: &'a [u8],
        /// How much.
        delta: i64,
    },
    /// Appends to a value, which is empty if absent; answers its length.
    Append {
        /// Where.
        key: &'a [u8],
        /// What.
        tail: &'a [u8],
    },
    /// Stores `new` if the value is `expected`; answers 1 if it did, 0 if not.
    CompareAndSet {
        /// Where.
        key: &'a [u8],
        /// The value that must be there.
        expected: &'a [u8],
        /// The value to put in its place.
        new: &'a [u8],
    },
    /// Removes everything; answers OK.
    Clear,
    /// Answers the value.
    Get(&'a [u8]),
    /// Answers the values as an array.
    GetMany(Keys<'a>),
    /// Answers how many of the keys exist; a key named twice counts twice.
    Exists(Keys<'a>),
    /// Answers the length of the value, zero if absent.
    Length(&'a [u8]),
    /// Answers `string` or `none`.
    Type(&'a [u8]),
    /// Answers how many keys there are.
    Count,
    /// Answers a cursor and an array of keys.
    Scan {
        /// Where to go on; zero to begin.
        cursor: u64,
        /// About how many keys to look at.
        count: u64,
        /// Which keys to answer, if not all.
        pattern: Option<&'a [u8]>,
    },
    /// Answers all keys that match.
    Match(&'a [u8]),
}

impl<'a> Operation<'a> {
    /// The key that it is about, if it is about one alone.
    pub(super) fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Set { key, .. }
            | Self::Take(key)
            | Self::Add { key, .. }
            | Self::Append { key, .. }
            | Self::CompareAndSet { key, .. }
            | Self::Get(key)
            | Self::Length(key)
            | Self::Type(key) => Some(key),
            Self::SetMany(_)
            | Self::SetManyIfAbsent(_)
            | Self::Delete(_)
            | Self::Clear
            | Self::GetMany(_)
            | Self::Exists(_)
            | Self::Count
            | Self::Scan { .. }
            | Self::Match(_) => None,
        }
    }
}

/// When [`Operation::Set`] stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetCondition {
    /// In any case.
    #[default]
    Always,
    /// If the key is absent.
    Absent,
    /// If the key exists.
    Present,
}

/// What [`Operation::Set`] answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetReply {
    /// OK, or nil if the condition did not hold.
    #[default]
    Done,
    /// The value before, or nil, whether or not it was replaced.
    Before,
    /// 1, or 0 if the condition did not hold.
    Number,
}

/// A batch that no node of this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedBatch;

impl fmt::Display for MalformedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the batch holds operations that this version does not know")
    }
}

impl std::error::Error for MalformedBatch {}

/// The keys of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys<'a> {
    count: u64,
    bytes: &'a [u8],
}

impl<'a> Keys<'a> {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.count).expect("checked against the bytes when decoded")
    }

    /// The keys in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || take_string(&mut rest).ok())
    }
}

/// The keys and values of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs<'a>(Keys<'a>);

impl<'a> Pairs<'a> {
    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut strings = self.0.iter();
        std::iter::from_fn(move || Some((strings.next()?, strings.next()?)))
    }
}

/// The operations of a command, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Operations<'a> {
    rest: &'a [u8],
}

impl<'a> Operations<'a> {
    /// Reads a command of the log.
    #[must_use]
    pub fn decode(command: &'a [u8]) -> Self {
        Self { rest: command }
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<Operation<'a>, MalformedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&opcode, rest) = self.rest.split_first()?;
        self.rest = rest;
        let operation = decode_operation(opcode, &mut self.rest);
        if operation.is_err() {
            self.rest = &[];
        }
        Some(operation)
    }
}

fn decode_operation<'a>(opcode: u8, rest: &mut &'a [u8]) -> Result<Operation<'a>, MalformedBatch> {
    Ok(match opcode {
        opcode::SET => {
            let (condition, reply) = decode_set_flags(take_byte(rest)?)?;
            Operation::Set { key: take_string(rest)?, value: take_string(rest)?, condition, reply }
        }
        opcode::SET_MANY => Operation::SetMany(take_pairs(rest)?),
        opcode::SET_MANY_IF_ABSENT => Operation::SetManyIfAbsent(take_pairs(rest)?),
        opcode::TAKE => Operation::Take(take_string(rest)?),
        opcode::DELETE => Operation::Delete(take_keys(rest)?),
        opcode::ADD => {
            let key = take_string(rest)?;
            Operation::Add { key, delta: i64::from_le_bytes(take_array(rest)?) }
        }
        opcode::APPEND => Operation::Append { key: take_string(rest)?, tail: take_string(rest)? },
        opcode::COMPARE_AND_SET => Operation::CompareAndSet {
            key: take_string(rest)?,
            expected: take_string(rest)?,
            new: take_string(rest)?,
        },
        opcode::CLEAR => Operation::Clear,
        opcode::GET => Operation::Get(take_string(rest)?),
        opcode::GET_MANY => Operation::GetMany(take_keys(rest)?),
        opcode::EXISTS => Operation::Exists(take_keys(rest)?),
        opcode::LENGTH => Operation::Length(take_string(rest)?),
        opcode::TYPE => Operation::Type(take_string(rest)?),
        opcode::COUNT => Operation::Count,
        opcode::SCAN => {
            let cursor = u64::from_le_bytes(take_array(rest)?);
            let count = u64::from_le_bytes(take_array(rest)?);
            let has_pattern = take_byte(rest)? != 0;
            let pattern = if has_pattern { Some(take_string(rest)?) } else { None };
            Operation::Scan { cursor, count, pattern }
        }
        opcode::MATCH => Operation::Match(take_string(rest)?),
        _ => return Err(MalformedBatch),
    })
}

fn decode_set_flags(flags: u8) -> Result<(SetCondition, SetReply), MalformedBatch> {
    let condition = match flags & 0x0f {
        0 => SetCondition::Always,
        1 => SetCondition::Absent,
        2 => SetCondition::Present,
        _ => return Err(MalformedBatch),
    };
    let reply = match flags >> 4 {
        0 => SetReply::Done,
        1 => SetReply::Before,
        2 => SetReply::Number,
        _ => return Err(MalformedBatch),
    };
    Ok((condition, reply))
}

fn take_keys<'a>(rest: &mut &'a [u8]) -> Result<Keys<'a>, MalformedBatch> {
    let count = take_varint(rest)?;
    let bytes = *rest;
    for _ in 0..count {
        take_string(rest)?;
    }
    Ok(Keys { count, bytes: &bytes[..bytes.len() - rest.len()] })
}

fn take_pairs<'a>(rest: &mut &'a [u8]) -> Result<Pairs<'a>, MalformedBatch> {
    let strings = take_keys(rest)?;
    if strings.count.is_multiple_of(2) { Ok(Pairs(strings)) } else { Err(MalformedBatch) }
}

/// The byte that opens each operation. Never reused: old logs hold them.
pub(super) mod opcode {
    pub(crate) const SET: u8 = 1;
    pub(crate) const SET_MANY: u8 = 2;
    pub(crate) const SET_MANY_IF_ABSENT: u8 = 3;
    pub(crate) const TAKE: u8 = 4;
    pub(crate) const DELETE: u8 = 5;
    pub(crate) const ADD: u8 = 6;
    pub(crate) const APPEND: u8 = 7;
    pub(crate) const COMPARE_AND_SET: u8 = 8;
    pub(crate) const CLEAR: u8 = 9;
    pub(crate) const GET: u8 = 32;
    pub(crate) const GET_MANY: u8 = 33;
    pub(crate) const EXISTS: u8 = 34;
    pub(crate) const LENGTH: u8 = 35;
    pub(crate) const TYPE: u8 = 36;
    pub(crate) const COUNT: u8 = 37;
    pub(crate) const SCAN: u8 = 38;
    pub(crate) const MATCH: u8 = 39;
}
