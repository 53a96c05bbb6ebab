//! What clients may use of the node.

use std::time::Duration;

use crate::command::KeyLimits;
use crate::resp::RequestLimits;

/// What clients may use of the node. Over a limit comes an error, never growth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. Default 10 000.
    pub clients_max: usize,
    /// Bytes of a key. Default 64 KiB.
    pub key_bytes_max: usize,
    /// Bytes of a value. Default 1 MiB.
    pub value_bytes_max: usize,
    /// Words of one request. Default 65 536.
    pub request_words_max: usize,
    /// Bytes of one request. Default 2 MiB.
    pub request_bytes_max: usize,
    /// Bytes of a request over a limit that are read and dropped, so that the connection can go on; and
    /// of what still arrives on a connection that ends. Default 64 MiB.
    pub skipped_bytes_max: usize,
    /// A chunk takes no further request once it holds this many bytes. Default 64 KiB.
    pub chunk_bytes_max: usize,
    /// Bytes of replies that a client has not read; more closes its connection. Default 64 MiB.
    pub output_bytes_max: usize,
    /// How long a command waits for a leader before it is refused. Default 2 s.
    pub hold_time_max: Duration,
    /// How long a command waits for its outcome before it is called unknown. Default 10 s.
    pub answer_time_max: Duration,
    /// How long a client may take to send one request. Default 60 s.
    pub request_time_max: Duration,
    /// How long a connection that ends waits for the other side to end it too. Default 2 s.
    pub parting_time_max: Duration,
    /// How long commands under way may hold up the end of the process. Default 2 s.
    pub stop_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: 10_000,
            key_bytes_max: 64 << 10,
            value_bytes_max: 1 << 20,
            request_words_max: 64 << 10,
            request_bytes_max: 2 << 20,
            skipped_bytes_max: 64 << 20,
            chunk_bytes_max: 64 << 10,
            output_bytes_max: 64 << 20,
            hold_time_max: Duration::from_secs(2),
            answer_time_max: Duration::from_secs(10),
            request_time_max: Duration::from_secs(60),
            parting_time_max: Duration::from_secs(2),
            stop_time_max: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// The largest log entry that clients can cause: a chunk that is almost full, and then one more
    /// request. Its encoding is never longer than the request.
    #[must_use]
    pub fn entry_bytes_max(&self) -> usize {
        self.chunk_bytes_max + self.request_bytes_max
    }

    pub(super) fn requests(&self) -> RequestLimits {
        RequestLimits {
            words_max: self.request_words_max,
            word_bytes_max: self.value_bytes_max.max(self.key_bytes_max),
            request_bytes_max: self.request_bytes_max,
        }
    }

    pub(super) fn keys(&self) -> KeyLimits {
        KeyLimits { key_bytes_max: self.key_bytes_max, value_bytes_max: self.value_bytes_max }
    }
}
