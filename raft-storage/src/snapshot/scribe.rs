//! Writes the snapshots of all groups, in the order in which their parts are handed over.
//!
//! Plain work behind a queue, with three shells around it like the log's writer: a thread of its own,
//! so that no sync of a snapshot delays one of the log; whoever flushes by hand; or whoever hands
//! something over. What goes wrong is an outcome of that one snapshot and nothing else (F12).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

use raft_core::bytes::Bytes;
use raft_core::{GroupId, Position, SnapshotMeta};
use slog::Logger;

use super::draft::{Draft, unfinished_name};
use super::file::SnapshotFile;
use crate::error::{Failure, LogError};
use crate::files::dir::DataDir;
use crate::format::identity::IdentityFile;
use crate::format::snapshot::{SnapshotName, parse_snapshot_name, snapshot_file_name};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex};
use crate::writer::shared::Wake;

/// Writes snapshots.
pub(crate) struct Scribe {
    pub(crate) dir: DataDir,
    owner: IdentityFile,
    limits: Limits,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// What is being written. Whoever works holds this, so parts are written in their order.
    drafts: Mutex<BTreeMap<GroupId, Draft>>,
    wake: Wake,
    pub(crate) logger: Logger,
}

/// How snapshots are taken in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many bytes of one group's snapshots may wait to be written.
    pub(crate) room_bytes: usize,
    /// Whether whoever hands something over writes it as well.
    pub(crate) works_at_once: bool,
    /// Whether a thread of the scribe's own writes, and groups sleep until they are woken.
    pub(crate) has_thread: bool,
}

/// One snapshot on its way, as its group and the scribe share it.
#[derive(Debug)]
pub(crate) struct Desk {
    name: SnapshotName,
    /// Bytes that were handed over and are not written yet.
    waiting_bytes: AtomicUsize,
    /// Nobody wants it any more.
    is_dropped: AtomicBool,
    outcome: Mutex<Option<Result<SnapshotFile, LogError>>>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<(Arc<Desk>, Work)>,
    is_closed: bool,
}

#[derive(Debug)]
enum Work {
    Begin,
    Write(Bytes),
    /// Its predecessor stays, should it turn out damaged (F6).
    Finish(SnapshotMeta, Option<SnapshotName>),
    Discard,
}

impl Scribe {
    pub(crate) fn new(dir: DataDir, owner: IdentityFile, limits: Limits, wake: Wake, logger: Logger) -> Self {
        let (queue, changed, drafts) = Default::default();
        Self { dir, owner, limits, queue, changed, drafts, wake, logger }
    }

    /// Begins a snapshot.
    pub(crate) fn begin(&self, name: SnapshotName) -> Arc<Desk> {
        let desk = Desk {
            name,
            waiting_bytes: AtomicUsize::new(0),
            is_dropped: AtomicBool::new(false),
            outcome: Mutex::default(),
        };
        let desk = Arc::new(desk);
        self.submit(&desk, Work::Begin);
        desk
    }

    /// Adds bytes behind those handed over so far.
    pub(crate) fn write(&self, desk: &Arc<Desk>, piece: Bytes) {
        desk.waiting_bytes.fetch_add(piece.len(), Ordering::AcqRel);
        self.submit(desk, Work::Write(piece));
    }

    /// Makes the snapshot durable, and removes the group's older ones but its predecessor.
    pub(crate) fn finish(&self, desk: &Arc<Desk>, meta: SnapshotMeta, predecessor: Option<SnapshotName>) {
        self.submit(desk, Work::Finish(meta, predecessor));
    }

    /// Removes what has been written, and writes no more of it.
    pub(crate) fn discard(&self, desk: &Arc<Desk>) {
        desk.is_dropped.store(true, Ordering::Release);
        self.submit(desk, Work::Discard);
    }

    /// How many more bytes a group may hand over that has these under way.
    pub(crate) fn room<'a>(&self, desks: impl Iterator<Item = &'a Arc<Desk>>) -> usize {
        let waiting: usize = desks.map(|desk| desk.waiting_bytes.load(Ordering::Acquire)).sum();
        self.limits.room_bytes.saturating_sub(waiting)
    }

    /// Does all that waits, on this thread, and returns when it is done.
    pub(crate) fn work(&self) {
        let mut drafts = self.drafts.lock();
        loop {
            // A statement of its own: the queue must not stay locked meanwhile.
            let job = self.queue.lock().jobs.pop_front();
            let Some((desk, work)) = job else { return };
            self.do_work(&mut drafts, &desk, work);
        }
    }

    /// What the scribe's thread does, until the queue is closed.
    pub(crate) fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            while queue.jobs.is_empty() {
                if queue.is_closed {
                    return;
                }
                self.changed.wait(&mut queue);
            }
            drop(queue);
            self.work();
        }
    }

    /// Takes nothing more; what waits is still to be done.
    pub(crate) fn stop_taking(&self) {
        self.queue.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Does what waits and drops what is unfinished. The directory may be another's afterwards.
    pub(crate) fn close(&self) {
        self.stop_taking();
        self.work();
        for draft in std::mem::take(&mut *self.drafts.lock()).into_values() {
            self.remove_unfinished(draft.name());
        }
    }

    fn submit(&self, desk: &Arc<Desk>, work: Work) {
        let mut queue = self.queue.lock();
        if queue.is_closed {
            drop(queue);
            desk.outcome.lock().get_or_insert(Err(LogError::Closed));
            return;
        }
        queue.jobs.push_back((Arc::clone(desk), work));
        drop(queue);
        self.changed.notify_one();
        if self.limits.works_at_once {
            self.work();
        }
    }

    fn do_work(&self, drafts: &mut BTreeMap<GroupId, Draft>, desk: &Desk, work: Work) {
        let is_wanted = !desk.is_dropped.load(Ordering::Acquire);
        match work {
            Work::Begin if is_wanted => self.do_begin(drafts, desk),
            Work::Write(piece) => self.do_write(drafts, desk, &piece),
            Work::Finish(meta, predecessor) if is_wanted => {
                if let Some(draft) = drafts.remove(&desk.name.group) {
                    self.do_finish(draft, desk, meta, predecessor);
                }
            }
            Work::Begin | Work::Finish(..) => {}
            Work::Discard => {
                if drafts.remove(&desk.name.group).is_some() {
                    self.remove_unfinished(desk.name);
                }
            }
        }
    }

    /// Wakes groups that sleep until the scribe's thread has done something, whoever has done it.
    fn tell(&self) {
        if self.limits.has_thread {
            (self.wake)();
        }
    }

    fn do_begin(&self, drafts: &mut BTreeMap<GroupId, Draft>, desk: &Desk) {
        match Draft::create(&self.dir, self.owner, desk.name) {
            Ok(draft) => {
                drafts.insert(desk.name.group, draft);
            }
            Err(failure) => self.fail(desk, failure.into()),
        }
    }

    fn do_write(&self, drafts: &mut BTreeMap<GroupId, Draft>, desk: &Desk, piece: &[u8]) {
        let is_wanted = !desk.is_dropped.load(Ordering::Acquire);
        let draft = drafts.get_mut(&desk.name.group).filter(|_| is_wanted);
        let written = draft.map_or(Ok(()), |draft| draft.add(piece));
        let before = desk.waiting_bytes.fetch_sub(piece.len(), Ordering::AcqRel);
        if let Err(failure) = written {
            drafts.remove(&desk.name.group);
            self.fail(desk, failure.into());
        } else if before > self.limits.room_bytes / 2 && before - piece.len() <= self.limits.room_bytes / 2 {
            // Whoever filled the room may sleep until there is some again.
            self.tell();
        }
    }

    fn do_finish(
        &self,
        mut draft: Draft,
        desk: &Desk,
        meta: SnapshotMeta,
        predecessor: Option<SnapshotName>,
    ) {
        match draft.finish(&self.dir, meta) {
            Ok(file) => {
                *desk.outcome.lock() = Some(Ok(file));
                self.tell();
                self.purge(desk.name, predecessor);
            }
            Err(error) => self.fail(desk, error),
        }
    }

    /// Ends a snapshot that cannot be written. The log goes on.
    fn fail(&self, desk: &Desk, error: LogError) {
        slog::warn!(self.logger, "a snapshot could not be written; the log goes on without it";
            "group" => %desk.name.group, "last" => %desk.name.last, "error" => %error);
        self.remove_unfinished(desk.name);
        *desk.outcome.lock() = Some(Err(error));
        self.tell();
    }

    /// If that fails too, the file only takes room until the next opening.
    fn remove_unfinished(&self, name: SnapshotName) {
        match self.dir.remove(&unfinished_name(name)) {
            Err(failure) if failure.source.kind() != ErrorKind::NotFound => {
                slog::warn!(self.logger, "an unfinished snapshot stays"; "error" => %failure);
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Removes the group's snapshots that are older than this one, but its predecessor.
    pub(crate) fn purge(&self, newest: SnapshotName, predecessor: Option<SnapshotName>) {
        if let Err(failure) = self.try_purge(newest, predecessor) {
            slog::warn!(self.logger, "old snapshots stay"; "error" => %failure);
        }
    }

    fn try_purge(&self, newest: SnapshotName, predecessor: Option<SnapshotName>) -> Result<(), Failure> {
        let is_old = |name: &SnapshotName| name.group == newest.group && name.order() < newest.order();
        let names = self.dir.list()?;
        let old = names.iter().filter_map(|name| parse_snapshot_name(name)).filter(is_old);
        let mut removed_count = 0;
        for name in old.filter(|name| Some(*name) != predecessor) {
            self.dir.remove(&snapshot_file_name(name))?;
            removed_count += 1;
        }
        if removed_count > 0 { self.dir.sync() } else { Ok(()) }
    }
}

impl Desk {
    /// What it is a snapshot of.
    pub(crate) fn last(&self) -> Position {
        self.name.last
    }

    /// What became of the snapshot, if it is known and was not asked for before.
    pub(crate) fn take_outcome(&self) -> Option<Result<SnapshotFile, LogError>> {
        self.outcome.lock().take()
    }
}

impl fmt::Debug for Scribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scribe").field("dir", &self.dir).field("limits", &self.limits).finish_non_exhaustive()
    }
}
