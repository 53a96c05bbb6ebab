//! One group's snapshots as its owner sees them: which one counts, what is being written, what is
//! being read.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;

use raft_core::bytes::Bytes;
use raft_core::{GroupId, Position, SnapshotFailure, SnapshotMeta};

use super::file::SnapshotFile;
use super::found::{Candidate, Choice};
use super::scribe::{Desk, Scribe};
use crate::error::LogError;
use crate::format::snapshot::{SnapshotName, snapshot_file_name};
use crate::fs::FsFile;
use crate::report::SnapshotLoss;

/// The snapshots of one group.
#[derive(Debug)]
pub(crate) struct Shelf {
    scribe: Arc<Scribe>,
    group: GroupId,
    /// What opening found, until it is looked at.
    candidates: Vec<Candidate>,
    /// The newest first. Two of them have names; others are only here because they are being read.
    kept: Vec<Kept>,
    /// The one that is being written.
    desk: Option<Arc<Desk>>,
    /// Finished ones that are not durable yet.
    finishing: VecDeque<Arc<Desk>>,
    /// What became of them, until it is asked for.
    news: VecDeque<Result<SnapshotMeta, SnapshotFailure<LogError>>>,
    losses: Vec<SnapshotLoss>,
}

/// A whole snapshot.
#[derive(Debug)]
struct Kept {
    file: SnapshotFile,
    /// Open while somebody reads it, so that it can be read to its end though newer ones replace it.
    open: Option<Arc<dyn FsFile>>,
    /// Whether it was read since the last time that a new one came.
    was_read: bool,
}

impl Shelf {
    pub(crate) fn new(scribe: Arc<Scribe>, group: GroupId, candidates: Vec<Candidate>) -> Self {
        let (kept, finishing, news, losses) = Default::default();
        Self { scribe, group, candidates, kept, desk: None, finishing, news, losses }
    }

    /// Finds the snapshot that counts for a log that begins behind `mark`.
    pub(crate) fn recover(&mut self, mark: Position) -> Result<Option<SnapshotMeta>, LogError> {
        let candidates = std::mem::take(&mut self.candidates);
        let names: Vec<SnapshotName> = candidates.iter().map(|candidate| candidate.name).collect();
        let dir = &self.scribe.dir;
        let choice = Choice::new(candidates, mark, |file| file.find_loss(dir, self.group))?;
        let is_usable = choice.check(dir, self.group, mark);
        self.losses = choice.losses;
        self.kept = choice.kept.into_iter().take(NAMES_KEPT).map(Kept::new).collect();
        is_usable?;
        self.warn();
        let Some(newest) = self.kept.first() else { return Ok(None) };
        let (newest, meta) = (self.name_of(newest), newest.file.meta.clone());
        let predecessor = self.kept.get(1).map(|kept| self.name_of(kept));
        let is_left_over = |name: &SnapshotName| name.order() < newest.order() && Some(*name) != predecessor;
        if names.iter().any(is_left_over) {
            self.scribe.purge(newest, predecessor);
        }
        Ok(Some(meta))
    }

    /// What turned out damaged and was passed over.
    pub(crate) fn losses(&self) -> &[SnapshotLoss] {
        &self.losses
    }

    pub(crate) fn begin(&mut self, last: Position) {
        self.abort();
        self.desk = Some(self.scribe.begin(SnapshotName { group: self.group, last }));
    }

    pub(crate) fn write(&mut self, piece: Bytes) {
        if let Some(desk) = &self.desk {
            self.scribe.write(desk, piece);
        }
    }

    pub(crate) fn room(&self) -> usize {
        self.scribe.room(self.desk.iter().chain(&self.finishing))
    }

    pub(crate) fn finish(&mut self, meta: SnapshotMeta) {
        if let Some(desk) = self.desk.take() {
            let order = (meta.last.index, meta.last.term);
            let predecessor = self.kept.iter().find(|kept| kept.file.order() < order);
            self.scribe.finish(&desk, meta, predecessor.map(|kept| self.name_of(kept)));
            self.finishing.push_back(desk);
        }
    }

    pub(crate) fn abort(&mut self) {
        if let Some(desk) = self.desk.take() {
            self.scribe.discard(&desk);
        }
    }

    /// Writes what waits, of all groups.
    pub(crate) fn work(&self) {
        self.scribe.work();
    }

    pub(crate) fn poll(&mut self) -> Option<Result<SnapshotMeta, SnapshotFailure<LogError>>> {
        self.absorb();
        self.news.pop_front()
    }

    pub(crate) fn read(
        &mut self,
        last: Position,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, LogError> {
        self.absorb();
        let Some(at) = self.kept.iter().position(|kept| kept.file.meta.last == last) else { return Ok(None) };
        let Some(file) = self.open(at)? else {
            self.kept.remove(at);
            return Ok(None);
        };
        let kept = &mut self.kept[at];
        kept.was_read = true;
        let piece = kept.file.read(&*file, offset, bytes_max).inspect_err(|error| {
            slog::error!(self.scribe.logger, "a snapshot cannot be read"; "error" => %error);
        })?;
        let is_at_end = offset.saturating_add(piece.len() as u64) >= kept.file.meta.size;
        // One without a name could not be opened again for whoever else reads it.
        kept.open = Some(file).filter(|_| !is_at_end || at >= NAMES_KEPT);
        Ok(Some(piece))
    }

    /// The file of a snapshot, or none if it is gone.
    fn open(&self, at: usize) -> Result<Option<Arc<dyn FsFile>>, LogError> {
        let kept = &self.kept[at];
        if let Some(file) = &kept.open {
            return Ok(Some(Arc::clone(file)));
        }
        match self.scribe.dir.open(&snapshot_file_name(self.name_of(kept))) {
            Ok(file) => Ok(Some(file)),
            Err(failure) if failure.source.kind() == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Learns what became of snapshots that were handed over.
    fn absorb(&mut self) {
        while let Some((desk, outcome)) = self.finishing.front().and_then(outcome_of) {
            self.finishing.pop_front();
            let outcome = outcome.map(|file| {
                let meta = file.meta.clone();
                self.keep(file);
                meta
            });
            self.news.push_back(outcome.map_err(|error| SnapshotFailure { last: desk.last(), error }));
        }
        // What is not finished can only have failed.
        if let Some((desk, Err(error))) = self.desk.as_ref().and_then(outcome_of) {
            self.desk = None;
            self.news.push_back(Err(SnapshotFailure { last: desk.last(), error }));
        }
    }

    /// Takes in a new one. Whatever has no name any more stays as long as it is being read.
    fn keep(&mut self, file: SnapshotFile) {
        self.kept.retain(|kept| kept.file.order() != file.order());
        self.kept.push(Kept::new(file));
        self.kept.sort_by_key(|kept| Reverse(kept.file.order()));
        for kept in &mut self.kept {
            kept.open = kept.open.take().filter(|_| std::mem::take(&mut kept.was_read));
        }
        let mut at = 0;
        self.kept.retain(|kept| {
            at += 1;
            at <= NAMES_KEPT || kept.open.is_some()
        });
    }

    fn warn(&self) {
        for SnapshotLoss { path, offset, damage } in &self.losses {
            slog::warn!(self.scribe.logger, "a snapshot is damaged; another one or the log makes up for it";
                "file" => %path.display(), "offset" => offset, "found" => %damage);
        }
    }

    fn name_of(&self, kept: &Kept) -> SnapshotName {
        SnapshotName { group: self.group, last: kept.file.meta.last }
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.abort();
    }
}

/// What became of a snapshot, if that is known and nobody asked before.
fn outcome_of(desk: &Arc<Desk>) -> Option<(Arc<Desk>, Result<SnapshotFile, LogError>)> {
    desk.take_outcome().map(|outcome| (Arc::clone(desk), outcome))
}

impl Kept {
    fn new(file: SnapshotFile) -> Self {
        Self { file, open: None, was_read: false }
    }
}

/// So many snapshots of a group keep their names: the newest, and its predecessor, should the newest
/// turn out damaged (F6).
const NAMES_KEPT: usize = 2;
