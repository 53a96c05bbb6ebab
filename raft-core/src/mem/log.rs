//! A log in memory, durable as soon as it is told.

use alloc::vec::Vec;
use core::{error, fmt};

use crate::doors::store::LogStore;
use crate::words::entries::Entries;
use crate::words::ids::{LogIndex, PersistId, Term};
use crate::words::persist::{HardState, Persist, Recovered, Run, SnapshotMark};

/// A [`LogStore`] in memory.
///
/// A clone is a copy of what is stored, which is how a test reopens it.
#[derive(Clone, Debug, Default)]
pub struct MemLog {
    hard_state: HardState,
    mark: Option<SnapshotMark>,
    batches: Vec<Entries>,
    persisted: Option<PersistId>,
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
        if let Some(mark) = request.mark {
            self.batches.clear();
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
