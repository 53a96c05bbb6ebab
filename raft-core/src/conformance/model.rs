//! The store as a plain list, and requests that keep the rules.

use alloc::vec::Vec;

use crate::doors::store::LogStore;
use crate::words::batches::Batches;
use crate::words::entries::{Entries, EntriesBuilder, EntryKind};
use crate::words::ids::{LogIndex, NodeId, PersistId, Position, Term};
use crate::words::membership::Membership;
use crate::words::persist::{HardState, NewMark, Persist, Recovered, Run, SnapshotMark};

/// What a store should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) mark: Option<SnapshotMark>,
    pub(super) hard_state: HardState,
    pub(super) entries: Vec<ModelEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelEntry {
    pub(super) index: LogIndex,
    pub(super) term: Term,
    pub(super) kind: EntryKind,
    pub(super) payload: Vec<u8>,
}

impl Model {
    pub(super) fn apply(&mut self, request: &Persist) {
        if let Some(new) = &request.mark {
            self.mark = Some(new.mark.clone());
            self.entries.retain(|entry| new.keeps_entries && entry.index > new.mark.last.index);
        }
        if let Some(from) = request.truncate_from {
            self.entries.retain(|entry| entry.index < from);
        }
        self.entries.extend(request.entries.entries().map(|entry| ModelEntry {
            index: entry.index,
            term: entry.term,
            kind: entry.kind,
            payload: entry.payload.to_vec(),
        }));
        self.hard_state = request.hard_state.unwrap_or(self.hard_state);
    }

    pub(super) fn mark_position(&self) -> Position {
        self.mark.as_ref().map_or(Position::ZERO, |mark| mark.last)
    }

    pub(super) fn last(&self) -> Position {
        self.entries.last().map_or(self.mark_position(), |entry| Position::new(entry.term, entry.index))
    }

    pub(super) fn recovered(&self) -> Recovered {
        let mut runs: Vec<Run> = Vec::new();
        for entry in &self.entries {
            match runs.last_mut() {
                Some(run) if run.term == entry.term && run.kind == entry.kind => run.last = entry.index,
                _ => runs.push(Run {
                    first: entry.index,
                    last: entry.index,
                    term: entry.term,
                    kind: entry.kind,
                }),
            }
        }
        Recovered { hard_state: self.hard_state, mark: self.mark.clone(), runs }
    }

    /// Compares all that a store can be asked for.
    pub(super) fn check<S: LogStore>(&self, store: &mut S) {
        if self.entries.is_empty() {
            return;
        }
        let (first, end) = (self.mark_position().index.next(), self.last().index.next());
        let found = load_all(store, first, end, usize::MAX);
        assert!(found == self.entries, "loaded {found:?}, expected {:?}", self.entries);
    }
}

/// Loads a range as single entries and checks that the batches follow each other.
pub(super) fn load_all<S: LogStore>(
    store: &mut S,
    first: LogIndex,
    end: LogIndex,
    bytes_max: usize,
) -> Vec<ModelEntry> {
    let batches = store.load(first, end, bytes_max).unwrap_or_else(|error| panic!("load failed: {error}"));
    let mut next = first;
    let mut found = Vec::new();
    for batch in &batches {
        assert!(batch.first() == next, "a batch at {} where {next} should be", batch.first());
        next = batch.last().next();
        found.extend(batch.iter().map(|entry| ModelEntry {
            index: entry.index,
            term: entry.term,
            kind: entry.kind,
            payload: entry.payload.to_vec(),
        }));
    }
    assert!(next <= end, "entries up to {next}, asked for up to {end}");
    found
}

/// An empty request.
pub(super) fn request(id: u64) -> Persist {
    Persist {
        id: PersistId::new(id),
        mark: None,
        truncate_from: None,
        entries: Batches::new(),
        hard_state: None,
    }
}

/// A batch of commands whose payloads tell where they stand.
pub(super) fn batch(term: u64, first: u64, count: u64) -> Entries {
    batch_of(EntryKind::Command, term, first, count, 8)
}

pub(super) fn batch_of(kind: EntryKind, term: u64, first: u64, count: u64, bytes: usize) -> Entries {
    let mut builder = EntriesBuilder::default();
    for index in first..first + count {
        let text = alloc::format!("{term}/{index} ");
        let payload: Vec<u8> = text.bytes().cycle().take(bytes).collect();
        builder.push(&payload).expect("short enough");
    }
    builder.take(Position::new(Term::new(term), LogIndex::new(first)), kind).expect("at least one entry")
}

pub(super) fn hard_state(term: u64, vote: u64, commit: u64) -> HardState {
    let vote = Some(NodeId::new(vote)).filter(|vote| *vote != NodeId::ZERO);
    HardState { term: Term::new(term), vote, commit: LogIndex::new(commit) }
}

pub(super) fn mark(term: u64, index: u64) -> SnapshotMark {
    let voters = [1, 2, 3 + index].map(NodeId::new);
    SnapshotMark {
        last: Position::new(Term::new(term), LogIndex::new(index)),
        membership: Membership::of_voters(voters).expect("three different voters"),
    }
}

/// The log begins anew behind this position, without entries.
pub(super) fn reset(term: u64, index: u64) -> NewMark {
    NewMark { mark: mark(term, index), keeps_entries: false }
}

/// The log begins behind this position, which it has; the entries behind it stay.
pub(super) fn compact(term: u64, index: u64) -> NewMark {
    NewMark { mark: mark(term, index), keeps_entries: true }
}

/// Persists or panics.
pub(super) fn persist<S: LogStore>(store: &mut S, request: Persist) {
    store.persist(request).unwrap_or_else(|error| panic!("persist failed: {error}"));
}

/// Recovers or panics.
pub(super) fn recover<S: LogStore>(store: &mut S) -> Recovered {
    store.recover().unwrap_or_else(|error| panic!("recover failed: {error}"))
}

/// Polls or panics.
pub(super) fn poll<S: LogStore>(store: &mut S) -> Option<PersistId> {
    store.poll_persisted().unwrap_or_else(|error| panic!("poll failed: {error}"))
}
