//! What a session's command may be told instead of an output.

use core::{error, fmt};

use super::command::CommandError;

/// Why an entry gave no output. The entry changed nothing in the application's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// The session is not open: it expired, was closed, or never was. Whether an earlier copy of
    /// this call was applied is not known any more (S78).
    Expired,
    /// The client said before that it needs no reply to this call any more.
    Answered,
    /// Too many calls before this one are unanswered. Try again with the same number when they are
    /// answered.
    TooFarAhead {
        /// The limit.
        calls_max: u32,
    },
    /// The replies kept for the session are too large. Try again with the same number when calls
    /// before it are answered.
    RepliesFull {
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// The call was applied before, and its [`Reply`](super::Reply) cannot read back what it wrote.
    UnreadableReply,
    /// The payload is no [`SessionCommand`](super::SessionCommand).
    Malformed(CommandError),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("the session has expired"),
            Self::Answered => f.write_str("the client has said that it has the reply to this call"),
            Self::TooFarAhead { calls_max } => write!(f, "{calls_max} calls are unanswered already"),
            Self::RepliesFull { bytes_max } => write!(f, "{bytes_max} bytes of replies are kept already"),
            Self::UnreadableReply => f.write_str("the call was applied, but its reply cannot be read back"),
            Self::Malformed(_) => f.write_str("the payload is no command of a session"),
        }
    }
}

impl error::Error for SessionError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Malformed(source) => Some(source),
            Self::Expired
            | Self::Answered
            | Self::TooFarAhead { .. }
            | Self::RepliesFull { .. }
            | Self::UnreadableReply => None,
        }
    }
}
