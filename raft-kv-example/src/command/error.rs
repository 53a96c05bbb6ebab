//! Why a command was not taken, in the words that Redis's clients know.

use std::{error, fmt};

use crate::resp::ProtocolError;

/// Why a command was not taken. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// No such command.
    Unknown {
        /// The name as given.
        name: String,
        /// The beginning of what came with it, quoted.
        words: String,
    },
    /// No such subcommand.
    UnknownSubcommand {
        /// The name as given.
        name: String,
    },
    /// Too few or too many words.
    WordCount {
        /// The command in small letters.
        name: &'static str,
    },
    /// Words that contradict each other or mean nothing here.
    Syntax,
    /// A word that should be a number of 64 bits is none.
    NotAnInteger,
    /// The difference does not fit 64 bits.
    Overflow,
    /// Scans go on at numbers that earlier answers gave.
    InvalidCursor,
    /// The request, or a word of it, is longer than the limit.
    TooLong(ProtocolError),
    /// The key is longer than the limit.
    KeyTooLong {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The value is longer than the limit.
    ValueTooLong {
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// Keys do not expire here: time would have to be agreed upon like data.
    NoExpiry,
    /// There is one database.
    DatabaseIndex,
    /// There are no passwords.
    NoPassword,
    /// HELLO asks for a version of the protocol that does not exist.
    NoProtocol,
    /// The command cannot stand between MULTI and EXEC.
    NotInTransaction {
        /// The command in small letters.
        name: &'static str,
    },
    /// EXEC or DISCARD without MULTI.
    NoTransaction {
        /// The command in capitals.
        name: &'static str,
    },
    /// MULTI inside MULTI.
    NestedTransaction,
    /// A command between MULTI and EXEC was refused.
    BrokenTransaction,
    /// WATCH is not offered.
    NoWatch,
    /// A command that does not write, where RAFT.ONCE takes one that does.
    NotOnce {
        /// The command in small letters.
        name: &'static str,
    },
    /// A session or call has no number, or FIRST names a later call than this one.
    Sequence,
    /// A word that should be a node's id is none.
    NodeId,
    /// A word that should be an address is none.
    Address,
    /// More was queued than one log entry takes.
    TransactionTooLong {
        /// The limit in bytes.
        bytes_max: usize,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, words } => {
                write!(f, "ERR unknown command '{name}', with args beginning with: {words}")
            }
            Self::UnknownSubcommand { name } => write!(f, "ERR unknown subcommand '{name}'"),
            Self::WordCount { name } => write!(f, "ERR wrong number of arguments for '{name}' command"),
            Self::Syntax => f.write_str("ERR syntax error"),
            Self::NotAnInteger => f.write_str("ERR value is not an integer or out of range"),
            Self::Overflow => f.write_str("ERR increment or decrement would overflow"),
            Self::InvalidCursor => f.write_str("ERR invalid cursor"),
            Self::TooLong(limit) => write!(f, "ERR {limit}; nothing was done"),
            Self::KeyTooLong { bytes_max } => write!(f, "ERR key is longer than {bytes_max} bytes"),
            Self::ValueTooLong { bytes_max } => write!(f, "ERR value is longer than {bytes_max} bytes"),
            Self::NoExpiry => f.write_str("ERR keys do not expire here, leave out EX, PX, EXAT and PXAT"),
            Self::DatabaseIndex => f.write_str("ERR DB index is out of range"),
            Self::NoPassword => f.write_str(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ),
            Self::NoProtocol => f.write_str("NOPROTO unsupported protocol version"),
            Self::NotInTransaction { name } => write!(f, "ERR '{name}' cannot stand between MULTI and EXEC"),
            Self::NoTransaction { name } => write!(f, "ERR {name} without MULTI"),
            Self::NestedTransaction => f.write_str("ERR MULTI calls can not be nested"),
            Self::BrokenTransaction => {
                f.write_str("EXECABORT Transaction discarded because of previous errors.")
            }
            Self::NoWatch => {
                f.write_str("ERR WATCH is not offered, use CAS to change what nobody else changed")
            }
            Self::NotOnce { name } => {
                write!(f, "ERR RAFT.ONCE takes a command that writes, and '{name}' is none")
            }
            Self::Sequence => f.write_str(
                "ERR sessions and calls are numbers from 1 up, and FIRST is not above the call's own",
            ),
            Self::NodeId => f.write_str("ERR a node's id is a number from 1 up"),
            Self::Address => f.write_str("ERR an address is HOST:PORT, as in 10.0.0.4:7001"),
            Self::TransactionTooLong { bytes_max } => {
                write!(f, "ERR a transaction takes at most {bytes_max} bytes")
            }
        }
    }
}

impl error::Error for CommandError {}
