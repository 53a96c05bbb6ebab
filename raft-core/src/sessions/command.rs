//! What the entries of a log with sessions say: a tag, fixed fields, and the application's command.
//!
//! | tag | fields, integers little endian |
//! |---|---|
//! | 1 plain | command |
//! | 2 register | – |
//! | 3 call | session `u64`, sequence `u64`, first unanswered `u64`, command |
//! | 4 close | session `u64` |
//! | 5 limits | sessions `u32`, idle entries `u64`, calls `u32`, session bytes `u64`, table bytes `u64` |
//!
//! A command reaches to the end of the payload. Tags are never used again for something else: old
//! logs hold them.

use alloc::vec::Vec;
use core::{error, fmt};

use super::bytes::take_u64;
use super::limits::SessionLimits;
use crate::words::ids::{Sequence, SessionId};

/// The payload of an entry, as [`Sessions`](super::Sessions) reads it.
///
/// ```
/// use raft_core::sessions::SessionCommand;
///
/// // The command comes last: write the head, then the command itself behind it, without a copy.
/// let mut payload = Vec::new();
/// SessionCommand::Plain(b"").encode(&mut payload);
/// payload.extend_from_slice(b"set color blue");
/// assert_eq!(SessionCommand::decode(&payload), Ok(SessionCommand::Plain(b"set color blue")));
/// assert_eq!(payload.len(), 1 + b"set color blue".len());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionCommand<'a> {
    /// A command outside of any session: applied each time it is committed.
    Plain(&'a [u8]),
    /// Opens a session.
    Register,
    /// A command of a session: applied the first time it is committed.
    Call {
        /// Whose command.
        session: SessionId,
        /// Which one: a retry has the same number, and no other call has.
        sequence: Sequence,
        /// The client needs no reply to calls before this one any more, and waits for no other copy
        /// of them. At most `sequence`.
        first_unanswered: Sequence,
        /// What to apply.
        command: &'a [u8],
    },
    /// Ends a session and forgets its replies.
    Close(SessionId),
    /// Changes the limits of the session table, at all members at this entry.
    Limits(SessionLimits),
}

/// Why a payload is no [`SessionCommand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// There is nothing, not even a tag.
    Empty,
    /// This version does not know the tag.
    UnknownTag {
        /// The tag.
        tag: u8,
    },
    /// A field is cut short, or bytes follow the last one.
    Length,
    /// A call has number zero, or a lower number than the first unanswered call.
    Sequence,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty payload"),
            Self::UnknownTag { tag } => write!(f, "this version does not know tag {tag}"),
            Self::Length => f.write_str("fields are cut short or followed by more bytes"),
            Self::Sequence => f.write_str("a call whose number is zero or among those it calls answered"),
        }
    }
}

impl error::Error for CommandError {}

impl<'a> SessionCommand<'a> {
    /// Reads a payload, without copying the command in it.
    ///
    /// # Errors
    ///
    /// If it is malformed.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, CommandError> {
        // Most commands of a log may be plain: they get by without a call.
        match payload.split_first() {
            Some((&tag::PLAIN, command)) => Ok(Self::Plain(command)),
            Some((&tag, rest)) => Self::decode_fields(tag, rest),
            None => Err(CommandError::Empty),
        }
    }

    fn decode_fields(tag: u8, mut rest: &'a [u8]) -> Result<Self, CommandError> {
        let command = match tag {
            tag::CALL => return decode_call(rest),
            tag::REGISTER => Self::Register,
            tag::CLOSE => Self::Close(take_u64(&mut rest).ok_or(CommandError::Length)?.into()),
            tag::LIMITS => Self::Limits(SessionLimits::take(&mut rest).ok_or(CommandError::Length)?),
            tag => return Err(CommandError::UnknownTag { tag }),
        };
        if rest.is_empty() { Ok(command) } else { Err(CommandError::Length) }
    }

    /// Appends the payload to a buffer.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match *self {
            Self::Plain(command) => {
                into.push(tag::PLAIN);
                into.extend_from_slice(command);
            }
            Self::Register => into.push(tag::REGISTER),
            Self::Call { session, sequence, first_unanswered, command } => {
                into.push(tag::CALL);
                into.extend_from_slice(&session.get().to_le_bytes());
                into.extend_from_slice(&sequence.get().to_le_bytes());
                into.extend_from_slice(&first_unanswered.get().to_le_bytes());
                into.extend_from_slice(command);
            }
            Self::Close(session) => {
                into.push(tag::CLOSE);
                into.extend_from_slice(&session.get().to_le_bytes());
            }
            Self::Limits(limits) => {
                into.push(tag::LIMITS);
                limits.encode(into);
            }
        }
    }

    /// The payload in a buffer of its own.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        self.encode(&mut payload);
        payload
    }
}

fn decode_call(mut rest: &[u8]) -> Result<SessionCommand<'_>, CommandError> {
    let mut number = || take_u64(&mut rest).ok_or(CommandError::Length);
    let (session, sequence, first_unanswered) = (number()?, number()?, number()?);
    if sequence == 0 || sequence < first_unanswered {
        return Err(CommandError::Sequence);
    }
    Ok(SessionCommand::Call {
        session: SessionId::new(session),
        sequence: Sequence::new(sequence),
        first_unanswered: Sequence::new(first_unanswered),
        command: rest,
    })
}

mod tag {
    pub(super) const PLAIN: u8 = 1;
    pub(super) const REGISTER: u8 = 2;
    pub(super) const CALL: u8 = 3;
    pub(super) const CLOSE: u8 = 4;
    pub(super) const LIMITS: u8 = 5;
}
