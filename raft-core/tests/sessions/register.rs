//! A number that commands add to, or replace if it is what they expect.

use raft_core::bytes::Bytes;
use raft_core::{Entry, InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};

/// Gives the number if the command changed it.
#[derive(Debug, Default)]
pub(crate) struct Register {
    pub(crate) value: u64,
    incoming: Vec<u8>,
}

/// Adds one.
pub(crate) fn add_one() -> Vec<u8> {
    Vec::new()
}

/// Makes it `new` if it is `expected`.
pub(crate) fn compare_and_set(expected: u64, new: u64) -> Vec<u8> {
    [expected, new].map(u64::to_le_bytes).concat()
}

impl StateMachine for Register {
    type Output = Option<u64>;

    fn apply(&mut self, entry: &Entry<'_>) -> Option<u64> {
        let new = match entry.payload.split_first_chunk() {
            None => self.value + 1,
            Some((expected, new)) if u64::from_le_bytes(*expected) == self.value => {
                u64::from_le_bytes(new.try_into().expect("two numbers"))
            }
            Some(_) => return None,
        };
        self.value = new;
        Some(new)
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        Some(Box::new(Bytes::from(self.value.to_le_bytes().to_vec())))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            self.incoming.clear();
        }
        self.incoming.extend(piece.bytes);
        if piece.is_last {
            let value = self.incoming[..].try_into().map_err(|_| InvalidSnapshot)?;
            self.value = u64::from_le_bytes(value);
        }
        Ok(())
    }
}
