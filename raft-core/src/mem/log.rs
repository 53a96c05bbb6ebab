//! A log and its snapshot in memory, durable as soon as they are told.

use alloc::vec::Vec;
use core::{error, fmt};

use raft_proto::bytes::{Bytes, BytesMut};

use crate::doors::store::{LogStore, SnapshotFailure, SnapshotStore};
use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, PersistId, Position, Term};
use crate::words::message::SnapshotMeta;
use crate::words::persist::{HardState, NewMark, Persist, Recovered, Run, SnapshotMark};

/// A [`LogStore`] and [`SnapshotStore`] in memory.
///
/// A clone is a copy of what is stored, which is how a test reopens it.
///
/// ```
/// use raft_core::LogStore;
/// use raft_core::mem::MemLog;
///
/// let mut log = MemLog::new();
/// assert_eq!(log.recover()?.mark, None); // never written to
/// let mut reopened = log.clone();
/// assert_eq!(reopened.last(), 0.into());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Hash)]
pub struct MemLog {
    hard_state: HardState,
    mark: Option<SnapshotMark>,
    batches: Vec<Entries>,
    persisted: Option<PersistId>,
    snapshot: Option<(SnapshotMeta, Bytes)>,
    /// A snapshot that is being written.
    writing: BytesMut,
    /// Snapshots that were finished and nobody asked for yet.
    finished: Vec<SnapshotMeta>,
}

/// Why a [`MemLog`] refuses: its caller broke the contract of [`LogStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemLogError {
    /// Entries that do not follow the last one.
    Gap {
        /// Where they begin.
        first: LogIndex,
    },
    /// Entries that are not there.
    Missing {
        /// The first of them.
        first: LogIndex,
    },
}

impl fmt::Display for MemLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { first } => write!(f, "entries from {first} on do not follow the log"),
            Self::Missing { first } => write!(f, "there is no entry at {first}"),
        }
    }
}

impl error::Error for MemLogError {}

impl MemLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The hard state.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<&SnapshotMeta> {
        self.snapshot.as_ref().map(|(meta, _)| meta)
    }

    /// The term of the entry (or the mark) at `index`, if it is there.
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        let at = self.batches.partition_point(|batch| batch.last() < index);
        match self.batches.get(at).filter(|batch| batch.first() <= index) {
            Some(batch) => Some(batch.term()),
            None => self.mark.as_ref().filter(|mark| mark.last.index == index).map(|mark| mark.last.term),
        }
    }

    /// The index of the last entry, or of the mark if there is none.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        match self.batches.last() {
            Some(batch) => batch.last(),
            None => self.mark.as_ref().map_or(LogIndex::ZERO, |mark| mark.last.index),
        }
    }

    fn drop_to(&mut self, index: LogIndex) {
        let whole = self.batches.partition_point(|batch| batch.last() <= index);
        self.batches.drain(..whole);
        if let Some(first) = self.batches.first_mut()
            && let Some(kept) = first.suffix_from(index.next())
        {
            *first = kept;
        }
    }

    fn truncate(&mut self, from: LogIndex) {
        while let Some(batch) = self.batches.pop() {
            if let Some(kept) = batch.prefix_before(from) {
                self.batches.push(kept);
                break;
            }
        }
    }
}

impl LogStore for MemLog {
    type Error = MemLogError;

    fn recover(&mut self) -> Result<Recovered, MemLogError> {
        let mut runs: Vec<Run> = Vec::new();
        for batch in &self.batches {
            match runs.last_mut() {
                Some(run) if run.term == batch.term() && run.kind == batch.kind() => run.last = batch.last(),
                Some(_) | None => {
                    let (first, last) = (batch.first(), batch.last());
                    runs.push(Run { first, last, term: batch.term(), kind: batch.kind() });
                }
            }
        }
        Ok(Recovered { hard_state: self.hard_state, mark: self.mark.clone(), runs })
    }

    fn persist(&mut self, request: Persist) -> Result<(), MemLogError> {
        if let Some(NewMark { mark, keeps_entries }) = request.mark {
            if keeps_entries {
                self.drop_to(mark.last.index);
            } else {
                self.batches.clear();
            }
            self.mark = Some(mark);
        }
        if let Some(from) = request.truncate_from {
            self.truncate(from);
        }
        for batch in request.entries {
            if batch.first() != self.last().next() {
                return Err(MemLogError::Gap { first: batch.first() });
            }
            self.batches.push(batch);
        }
        if let Some(hard_state) = request.hard_state {
            self.hard_state = hard_state;
        }
        self.persisted = Some(request.id);
        Ok(())
    }

    fn poll_persisted(&mut self) -> Result<Option<PersistId>, MemLogError> {
        Ok(self.persisted.take())
    }

    fn load(
        &mut self,
        first: LogIndex,
        end: LogIndex,
        bytes_max: usize,
    ) -> Result<Vec<Entries>, MemLogError> {
        if end > self.last().next() {
            return Err(MemLogError::Missing { first: self.last().next() });
        }
        let mut loaded = Vec::new();
        let mut bytes = 0;
        let from = self.batches.partition_point(|batch| batch.last() < first);
        for batch in &self.batches[from..] {
            let Some(batch) = batch.suffix_from(first).and_then(|batch| batch.prefix_before(end)) else {
                break;
            };
            let left = bytes_max.saturating_sub(bytes);
            if batch.byte_count() > left {
                if loaded.is_empty() {
                    loaded.push(batch.prefix_within(left));
                }
                break;
            }
            bytes += batch.byte_count();
            loaded.push(batch);
        }
        match loaded.first() {
            Some(batch) if batch.first() == first => Ok(loaded),
            Some(_) | None => Err(MemLogError::Missing { first }),
        }
    }
}

impl SnapshotStore for MemLog {
    fn recover_snapshot(&mut self) -> Result<Option<SnapshotMeta>, MemLogError> {
        self.abort_snapshot();
        Ok(self.snapshot().cloned())
    }

    fn begin_snapshot(&mut self, _last: Position) {
        self.writing.clear();
    }

    fn write_snapshot(&mut self, piece: Bytes) {
        self.writing.extend_from_slice(&piece);
    }

    fn snapshot_room(&self) -> usize {
        usize::MAX
    }

    fn finish_snapshot(&mut self, meta: SnapshotMeta) {
        let state = self.writing.split().freeze();
        self.finished.push(meta.clone());
        let is_newer = |(newest, _): &(SnapshotMeta, Bytes)| meta.last >= newest.last;
        if self.snapshot.as_ref().is_none_or(is_newer) {
            self.snapshot = Some((meta, state));
        }
    }

    fn abort_snapshot(&mut self) {
        self.writing.clear();
    }

    fn poll_snapshot(&mut self) -> Option<Result<SnapshotMeta, SnapshotFailure<MemLogError>>> {
        (!self.finished.is_empty()).then(|| Ok(self.finished.remove(0)))
    }

    fn read_snapshot(
        &mut self,
        last: Position,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, MemLogError> {
        let Some((_, state)) = self.snapshot.as_ref().filter(|(meta, _)| meta.last == last) else {
            return Ok(None);
        };
        let start = usize::try_from(offset).map_or(state.len(), |offset| offset.min(state.len()));
        let end = start.saturating_add(bytes_max).min(state.len());
        Ok(Some(state.slice(start..end)))
    }
}
