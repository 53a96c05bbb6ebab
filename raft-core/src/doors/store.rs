//! The durable log as the node needs it.

use alloc::vec::Vec;
use core::error;

use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, PersistId};
use crate::words::persist::{Persist, Recovered};

/// A durable log of one group.
///
/// **Contract.** (1) [`recover`](Self::recover) is called first, and once. (2) What
/// [`persist`](Self::persist) was given takes effect at once for [`load`](Self::load), and in order
/// of the ids on the medium. (3) [`poll_persisted`](Self::poll_persisted) reports an id only when
/// that request and all before it survive a crash and a power cut. (4) After the first error every
/// later call fails: what a failed write left behind is unknown, so only reopening tells (F9).
///
/// `raft_core::conformance` (feature `sim`) tests a store against this contract.
pub trait LogStore {
    /// What can go wrong; carries enough for an operator to act on.
    type Error: error::Error + Send + Sync + 'static;

    /// What is there. All of it is durable when this returns (F10).
    ///
    /// # Errors
    ///
    /// If the medium fails or holds what cannot have been written so.
    fn recover(&mut self) -> Result<Recovered, Self::Error>;

    /// Takes a request and returns without waiting for the medium.
    ///
    /// # Errors
    ///
    /// If an earlier write failed.
    fn persist(&mut self, request: Persist) -> Result<(), Self::Error>;

    /// The newest request that is durable, if that is news; never waits.
    ///
    /// # Errors
    ///
    /// If a write failed: nothing after the last reported id may be relied upon.
    fn poll_persisted(&mut self) -> Result<Option<PersistId>, Self::Error>;

    /// Reads entries from `first` up to, not including, `end`: batches in order, cut so that
    /// they hold at most `bytes_max` bytes, but at least one entry.
    ///
    /// Durable or not, what was given to `persist` can be read. The range is within the log.
    ///
    /// # Errors
    ///
    /// If the entries cannot be read back exactly as they were written (F13).
    fn load(&mut self, first: LogIndex, end: LogIndex, bytes_max: usize)
    -> Result<Vec<Entries>, Self::Error>;
}
