//! The key-value machine that ships, with outputs that sessions can keep.

use raft_core::{Entry, InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};
use raft_kv::kv::{Machine, Reply};

/// The machine, one operation per command.
#[derive(Debug)]
pub(crate) struct KvMachine(Machine);

impl Default for KvMachine {
    fn default() -> Self {
        Self(Machine::new(0))
    }
}

impl KvMachine {
    /// The number under a key.
    pub(super) fn value(&self, key: &str) -> Option<i64> {
        self.0.store().value(key.as_bytes()).map(number)
    }
}

/// What an operation answers: nothing but numbers are ever stored.
pub(super) type Output = Option<i64>;

impl StateMachine for KvMachine {
    type Output = Output;

    fn apply(&mut self, entry: &Entry<'_>) -> Output {
        let replies = self.0.apply(entry);
        match replies.iter().next() {
            Some(Reply::Integer(number)) => Some(number),
            Some(Reply::Bulk(bytes)) => Some(number(bytes)),
            Some(Reply::Ok) => Some(1),
            Some(Reply::Nil) => None,
            other => panic!("clients never ask for what answers {other:?}"),
        }
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        self.0.snapshot()
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        self.0.restore(piece)
    }
}

fn number(bytes: &[u8]) -> i64 {
    let text = std::str::from_utf8(bytes).expect("clients store digits");
    text.parse().expect("clients store numbers")
}
