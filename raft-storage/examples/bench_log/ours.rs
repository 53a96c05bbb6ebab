//! This log as a node uses it: a batch is built, persisted, waited for.

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use raft_core::{
    Batches, EntriesBuilder, EntryKind, GroupId, HardState, LogIndex, LogStore, NodeId, Persist, PersistId,
    Position, Term,
};
use raft_storage::{Flushing, GroupLog, Identity, Start, Wal, WalOptions};

use super::contest::{Caller, Entrant, Log, Outcome};

/// Written and synced by the caller's thread.
pub(crate) const INLINE: Entrant =
    Entrant { name: "raft-storage", open: |dir, bytes| open(dir, bytes, Flushing::Manual) };
/// Written and synced by the log's own thread.
pub(crate) const THREAD: Entrant =
    Entrant { name: "raft-storage, own thread", open: |dir, bytes| open(dir, bytes, Flushing::Thread) };

struct Ours {
    wal: Wal,
    group: Group,
    flushing: Flushing,
    flushes: Arc<Flushes>,
}

/// Counts the log's wake-ups.
#[derive(Default)]
struct Flushes {
    count: Mutex<u64>,
    changed: Condvar,
}

struct Group {
    log: GroupLog,
    builder: EntriesBuilder,
    next: u64,
    id: u64,
}

fn open(dir: &Path, bytes: u64, flushing: Flushing) -> Outcome<Box<dyn Log>> {
    let dir = dir.join("log");
    let reserved = if dir.exists() { 0 } else { bytes };
    let options = WalOptions::new(dir, Identity { cluster: 1, node: NodeId::new(1) })
        .start(Start::InitialiseIfMissing)
        .flushing(flushing)
        .recovery_threads(std::thread::available_parallelism()?)
        .reserved_bytes(reserved);
    let flushes: Arc<Flushes> = Arc::default();
    let woken = Arc::clone(&flushes);
    let wal = Wal::open(&options, move || {
        *woken.count.lock() += 1;
        woken.changed.notify_all();
    })?;
    let group = Group::open(&wal, 1)?;
    Ok(Box::new(Ours { wal, group, flushing, flushes }))
}

impl Group {
    fn open(wal: &Wal, id: u64) -> Outcome<Self> {
        let mut log = wal.group(GroupId::new(id))?;
        let next = log.recover()?.last().index.get() + 1;
        Ok(Self { log, builder: EntriesBuilder::default(), next, id: 0 })
    }

    fn persist(&mut self, payloads: &[&[u8]]) -> Outcome<PersistId> {
        for payload in payloads {
            self.builder.push(payload).ok_or("a payload too long")?;
        }
        let position = Position::new(Term::new(1), LogIndex::new(self.next));
        let entries: Batches = self.builder.take(position, EntryKind::Command).ok_or("no entries")?.into();
        let hard_state = (self.next == 1).then(|| HardState { term: Term::new(1), ..HardState::default() });
        self.next += payloads.len() as u64;
        self.id += 1;
        let id = PersistId::new(self.id);
        self.log.persist(Persist { id, mark: None, truncate_from: None, entries, hard_state })?;
        Ok(id)
    }

    /// Sleeps between flushes until the request is durable.
    fn wait(&mut self, id: PersistId, flushes: &Flushes) -> Outcome<()> {
        loop {
            let seen = *flushes.count.lock();
            if self.log.poll_persisted()? == Some(id) {
                return Ok(());
            }
            let mut count = flushes.count.lock();
            while *count == seen {
                flushes.changed.wait(&mut count);
            }
        }
    }
}

impl Log for Ours {
    fn append(&mut self, _first: u64, payloads: &[&[u8]]) -> Outcome<()> {
        let id = self.group.persist(payloads)?;
        if self.flushing == Flushing::Manual {
            self.group.log.flush_now()?;
        }
        self.group.wait(id, &self.flushes)
    }

    fn last(&mut self) -> Outcome<u64> {
        Ok(self.group.next - 1)
    }

    fn read(&mut self, first: u64, count: u64) -> Outcome<usize> {
        let batches = self.group.log.load(LogIndex::new(first), LogIndex::new(first + count), usize::MAX)?;
        Ok(batches.iter().flat_map(|batch| batch.iter()).map(|entry| entry.payload.len()).sum())
    }

    fn callers(&mut self, count: usize) -> Outcome<Vec<Caller>> {
        if self.flushing != Flushing::Thread {
            return Ok(Vec::new());
        }
        let ids = 2..2 + count as u64;
        ids.map(|id| {
            let (mut group, flushes) = (Group::open(&self.wal, id)?, Arc::clone(&self.flushes));
            Ok(Box::new(move |payload: &[u8]| {
                let id = group.persist(&[payload])?;
                group.wait(id, &flushes)
            }) as Caller)
        })
        .collect()
    }
}
