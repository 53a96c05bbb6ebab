//! What a node's store was asked to make durable, and what of it it has reported: all that the
//! checker believes about a disk, whatever store it is.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::digest::Digest;
use crate::doors::store::LogStore;
use crate::mem::MemLog;
use crate::words::entries::{Entries, Entry, EntryKind};
use crate::words::ids::{LogIndex, PersistId, Position};
use crate::words::message::SnapshotMeta;
use crate::words::persist::{HardState, Persist, Recovered, Run};

/// One node's account.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Everything that was asked for.
    written: MemLog,
    /// What was reported as durable.
    durable: MemLog,
    /// The newest snapshot that was reported as durable.
    snapshot: Option<SnapshotMeta>,
    /// What was asked for and not reported, in order.
    queue: VecDeque<Persist>,
    /// Snapshots that were written to their end, whatever became of them.
    finished: Vec<SnapshotMeta>,
    /// Where in the log, as it was asked for, memberships are.
    changes: Vec<LogIndex>,
    /// Requests that cut the log, since the node started.
    pub(super) cuts: u64,
    /// The medium was spoilt: its newest snapshot may be gone.
    pub(super) is_damaged: bool,
}

impl Ledger {
    /// What is durable now.
    pub(super) fn hard_state(&self) -> HardState {
        self.durable.hard_state()
    }

    /// Everything that was asked for, durable or not.
    pub(super) fn written(&self) -> &MemLog {
        &self.written
    }

    /// Whether the durable log has an entry (or the mark) at this position, or a snapshot covers it.
    pub(super) fn has(&self, position: Position) -> bool {
        position.index <= self.snapshot_last() || self.durable.term_at(position.index) == Some(position.term)
    }

    /// The end of what is durable, in the log or in a snapshot.
    pub(super) fn last(&self) -> LogIndex {
        self.durable.last().max(self.snapshot_last())
    }

    /// The position of the last durable entry, in the log or in a snapshot.
    pub(super) fn last_position(&self) -> Position {
        let last = self.durable.last();
        let in_log = Position::new(self.durable.term_at(last).unwrap_or_default(), last);
        self.snapshot.as_ref().map_or(in_log, |meta| in_log.max(meta.last))
    }

    fn snapshot_last(&self) -> LogIndex {
        self.snapshot.as_ref().map_or(LogIndex::ZERO, |meta| meta.last.index)
    }

    /// Whether something was asked for and not reported.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The store was asked for something.
    pub(super) fn on_persist(&mut self, request: &Persist) {
        let is_anew = request.mark.as_ref().is_some_and(|new| !new.keeps_entries);
        self.cuts += u64::from(request.truncate_from.is_some() || is_anew);
        if is_anew {
            self.changes.clear();
        }
        if let Some(from) = request.truncate_from {
            self.changes.retain(|at| *at < from);
        }
        let changes = request.entries.entries().filter(|entry| entry.kind == EntryKind::Membership);
        self.changes.extend(changes.map(|entry| entry.index));
        apply(&mut self.written, request.clone());
        self.queue.push_back(request.clone());
    }

    /// How many changes of membership are behind an index.
    pub(super) fn changes_behind(&self, index: LogIndex) -> usize {
        self.changes.iter().filter(|at| **at > index).count()
    }

    /// The store reported everything up to here as durable.
    pub(super) fn on_persisted(&mut self, id: PersistId) {
        while let Some(request) = self.queue.pop_front_if(|request| request.id <= id) {
            apply(&mut self.durable, request);
        }
    }

    /// A snapshot was written to its end.
    pub(super) fn on_snapshot_finished(&mut self, meta: &SnapshotMeta) {
        self.finished.push(meta.clone());
    }

    /// A snapshot was reported as durable.
    pub(super) fn on_snapshot_stored(&mut self, meta: &SnapshotMeta) {
        if self.snapshot.as_ref().is_none_or(|newest| newest.last <= meta.last) {
            self.snapshot = Some(meta.clone());
        }
    }

    /// The store was opened anew: it must hold what it had reported, and of what came after that any
    /// number of whole requests.
    pub(super) fn on_recover(
        &mut self,
        recovered: &Recovered,
        entries: &[Entries],
        snapshot: Option<&SnapshotMeta>,
    ) -> Result<(), String> {
        let reported = self.snapshot_last();
        let found = snapshot.map_or(LogIndex::ZERO, |meta| meta.last.index);
        if found < reported && !self.is_damaged {
            return Err(format!("a snapshot up to {reported} was reported, {snapshot:?} is there"));
        }
        if let Some(meta) = snapshot.filter(|meta| !self.finished.contains(meta)) {
            return Err(format!("nobody wrote the snapshot {meta:?}"));
        }
        self.snapshot = snapshot.cloned();
        self.cuts = 0;
        let mut candidate = self.durable.clone();
        let mut requests = core::mem::take(&mut self.queue).into_iter();
        while !holds(&mut candidate, recovered, entries) {
            let Some(request) = requests.next() else {
                return Err(difference(&mut self.durable, recovered, entries));
            };
            apply(&mut candidate, request);
        }
        let memberships = recovered.runs.iter().filter(|run| run.kind == EntryKind::Membership);
        self.changes =
            memberships.flat_map(|run| (run.first.get()..=run.last.get()).map(LogIndex::new)).collect();
        self.durable = candidate.clone();
        self.written = candidate;
        Ok(())
    }
}

fn apply(log: &mut MemLog, request: Persist) {
    log.persist(request).expect("requests follow each other");
}

fn state_of(log: &mut MemLog) -> Recovered {
    log.recover().expect("memory does not fail")
}

/// Whether this is what a store recovered, to the last byte.
fn holds(candidate: &mut MemLog, recovered: &Recovered, entries: &[Entries]) -> bool {
    let state = state_of(candidate);
    if state.hard_state != recovered.hard_state
        || state.mark != recovered.mark
        || state.runs != merged(&recovered.runs)
    {
        return false;
    }
    let (Some(first), Some(last)) = (state.runs.first(), state.runs.last()) else { return true };
    let known = candidate.load(first.first, last.last.next(), usize::MAX).expect("they are there");
    known.iter().flat_map(Entries::iter).eq(entries.iter().flat_map(Entries::iter))
}

/// What of the durable log is not as a store recovered it.
fn difference(durable: &mut MemLog, recovered: &Recovered, entries: &[Entries]) -> String {
    let state = state_of(durable);
    let mut parts = Vec::new();
    if state.hard_state != recovered.hard_state {
        parts.push(format!("{:?} was reported, {:?} is there", state.hard_state, recovered.hard_state));
    }
    if state.mark != recovered.mark {
        parts.push(format!("{:?} was reported, {:?} is there", state.mark, recovered.mark));
    }
    let mut known = Vec::new();
    if let (Some(first), Some(last)) = (state.runs.first(), state.runs.last()) {
        known = durable.load(first.first, last.last.next(), usize::MAX).expect("they are there");
    }
    let mut found = entries.iter().flat_map(Entries::iter);
    for known in known.iter().flat_map(Entries::iter) {
        let found = found.next();
        if found.as_ref() != Some(&known) {
            let found = found.as_ref().map_or_else(|| "nothing".into(), in_short);
            parts.push(format!("{} was reported, {found} is there", in_short(&known)));
            break;
        }
    }
    if parts.is_empty() {
        parts.push(format!("behind {} is what nobody wrote", durable.last()));
    }
    parts.join("; ")
}

/// An entry, with a digest for its payload.
fn in_short(entry: &Entry<'_>) -> String {
    let position = Position::new(entry.term, entry.index);
    let mut digest = Digest::new();
    digest.bytes(entry.payload);
    format!("{:?} {position} of digest {:016x}", entry.kind, digest.value())
}

/// Runs as long as they can be: a store may cut them where it likes.
fn merged(runs: &[Run]) -> Vec<Run> {
    let mut merged: Vec<Run> = Vec::new();
    for run in runs {
        match merged.last_mut() {
            Some(last) if (last.term, last.kind) == (run.term, run.kind) => last.last = run.last,
            Some(_) | None => merged.push(*run),
        }
    }
    merged
}
