//! What the core wants done.

use super::batches::Batches;
use super::ids::{ForwardId, LoadId, LogIndex, Position, ReadId};
use super::message::{Message, Refusal};
use super::notice::Notice;
use super::persist::Persist;

/// One thing to do. Carry actions out in the order they come; nothing needs to be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Action {
    /// Send this; it may leave at once.
    Send(Message),
    /// Make this durable, then call `persisted`.
    Persist(Persist),
    /// Apply these committed entries in order, then call `applied`.
    Apply(Batches),
    /// Read these entries from the log, then call `loaded`.
    Load(Load),
    /// Reads up to `up_to` may be served as soon as everything up to `index` is applied.
    ReadReady {
        /// The last read this covers.
        up_to: ReadId,
        /// What they must see.
        index: LogIndex,
    },
    /// Reads up to `up_to` that are not ready yet will not be; ask again.
    ReadRefused {
        /// The last read this covers.
        up_to: ReadId,
    },
    /// What became of proposals sent on to the leader.
    Forwarded {
        /// The first of them.
        first: ForwardId,
        /// How many, consecutive.
        count: u32,
        /// What became of them.
        result: ForwardResult,
    },
    /// For logs, metrics and tests.
    Notice(Notice),
}

/// What became of forwarded proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardResult {
    /// The leader appended them, the first one here, the others right behind.
    Appended(Position),
    /// The leader did not take them: they will never be applied.
    Refused(Refusal),
    /// No answer will come: they may or may not be applied.
    Unknown,
}

/// A range of the log to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Names the request.
    pub id: LoadId,
    /// The first entry wanted.
    pub first: LogIndex,
    /// Behind the last entry wanted.
    pub end: LogIndex,
    /// Stop before the payloads pass this many bytes, but give at least one entry.
    pub bytes_max: usize,
}
