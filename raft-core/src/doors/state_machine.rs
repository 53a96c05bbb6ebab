//! The application as the node needs it.

use alloc::boxed::Box;
use core::{error, fmt};

use raft_proto::bytes::Bytes;

use crate::words::entries::Entry;

/// A deterministic state machine: the same entries in the same order give the same state.
///
/// With [`snapshot`](Self::snapshot) and [`restore`](Self::restore) the log is compacted as it
/// grows, and a member that is far behind gets the state instead of the entries (Raft §7). Without
/// them the log is kept from its first entry on.
///
/// ```
/// use raft_core::bytes::Bytes;
/// use raft_core::{Entry, InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};
///
/// #[derive(Default)]
/// struct Sum(u64, Vec<u8>);
///
/// impl StateMachine for Sum {
///     type Output = u64;
///
///     fn apply(&mut self, entry: &Entry<'_>) -> u64 {
///         self.0 += entry.payload.len() as u64;
///         self.0
///     }
///
///     fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
///         Some(Box::new(Bytes::copy_from_slice(&self.0.to_le_bytes())))
///     }
///
///     fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
///         if piece.offset == 0 {
///             self.1.clear();
///         }
///         self.1.extend_from_slice(piece.bytes);
///         if piece.is_last {
///             self.0 = u64::from_le_bytes(self.1[..].try_into().map_err(|_| InvalidSnapshot)?);
///         }
///         Ok(())
///     }
/// }
///
/// let mut picture = Sum(7, Vec::new()).snapshot().expect("it has snapshots");
/// let bytes = picture.next_piece(1 << 10).expect("eight bytes");
/// let mut copy = Sum::default();
/// copy.restore(SnapshotPiece { offset: 0, bytes: &bytes, is_last: true })?;
/// assert_eq!(copy.0, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait StateMachine {
    /// What applying a command gives to whoever proposed it.
    type Output;

    /// Applies one committed command. Called once per command in the order of the log; after a
    /// restart again, from the first one behind the restored snapshot.
    fn apply(&mut self, entry: &Entry<'_>) -> Self::Output;

    /// A picture of the state as it is now. It stays as it is while later commands are applied, and
    /// is read piece by piece, so taking it must be quick, however large the state is.
    ///
    /// The default says that this machine has no snapshots.
    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        None
    }

    /// Replaces the state by that of a snapshot, piece by piece in order.
    ///
    /// The piece at offset zero begins; it can come again before the last one came, for another
    /// snapshot. Until the last one came, nothing is applied to the machine or read from it.
    ///
    /// # Errors
    ///
    /// If the bytes are no state of this machine. The node stops then. The default always says so.
    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        let _ = piece;
        Err(InvalidSnapshot)
    }
}

/// A picture of a state machine, read front to back.
///
/// ```
/// use raft_core::SnapshotSource;
/// use raft_core::bytes::Bytes;
///
/// struct Pages(std::vec::IntoIter<Bytes>);
///
/// impl SnapshotSource for Pages {
///     fn next_piece(&mut self, _bytes_hint: usize) -> Option<Bytes> {
///         self.0.next()
///     }
/// }
///
/// let mut pages = Pages(vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")].into_iter());
/// assert_eq!(pages.next_piece(3).as_deref(), Some(&b"one"[..]));
/// ```
pub trait SnapshotSource: Send {
    /// The next bytes, about `bytes_hint` of them and never none; `None` at the end.
    fn next_piece(&mut self, bytes_hint: usize) -> Option<Bytes>;
}

/// A state that fits into one buffer is its own picture.
impl SnapshotSource for Bytes {
    fn next_piece(&mut self, bytes_hint: usize) -> Option<Bytes> {
        let len = self.len().min(bytes_hint.max(1));
        (len > 0).then(|| self.split_to(len))
    }
}

/// One piece of a snapshot that is being restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPiece<'a> {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// The bytes; none only if the whole snapshot is empty.
    pub bytes: &'a [u8],
    /// Whether it is the last one.
    pub is_last: bool,
}

/// A snapshot that is no state of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSnapshot;

impl fmt::Display for InvalidSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the snapshot is no state of this machine")
    }
}

impl error::Error for InvalidSnapshot {}
