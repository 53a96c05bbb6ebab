//! What the tests on the simulated disk share: requests, a plain list to compare with, and a log on
//! a disk that can be cut off from power.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod checks;
pub(crate) mod decayed;
pub(crate) mod faulty;
pub(crate) mod glass;
pub(crate) mod hooked;
pub(crate) mod images;
pub(crate) mod lives;
pub(crate) mod paged;
pub(crate) mod random;
pub(crate) mod slow;
pub(crate) mod snapshots;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raft_core::{
    Batches, EntriesBuilder, EntryKind, GroupId, HardState, LogIndex, LogStore, Membership, NewMark, NodeId,
    Persist, PersistId, Position, Recovered, Run, SnapshotMark, SnapshotStore, Term,
};
use raft_storage::fs::SimFs;
use raft_storage::{Flushing, GroupLog, Identity, LogError, OpenError, Start, Wal, WalOptions};
use snapshots::Snapshot;

pub(crate) const IDENTITY: Identity = Identity { cluster: 0xc1, node: NodeId::new(1) };
pub(crate) const DIR: &str = "/data/log";

/// Options for a log on a simulated disk; every opening draws other salts.
pub(crate) fn options(fs: &SimFs, start: Start) -> WalOptions {
    options_of(fs, start, IDENTITY)
}

/// The same for any node.
pub(crate) fn options_of(fs: &SimFs, start: Start, identity: Identity) -> WalOptions {
    static OPENINGS: AtomicU64 = AtomicU64::new(1);
    WalOptions::new(DIR, identity)
        .start(start)
        .flushing(Flushing::Manual)
        .segment_bytes(WalOptions::SEGMENT_BYTES_MIN)
        .seed(OPENINGS.fetch_add(1, Ordering::Relaxed))
        .fs(Arc::new(fs.clone()))
}

pub(crate) fn open(fs: &SimFs) -> Result<Wal, OpenError> {
    Wal::open(&options(fs, Start::Existing), || ())
}

pub(crate) fn initialise(fs: &SimFs) -> Result<Wal, OpenError> {
    Wal::open(&options(fs, Start::InitialiseIfMissing), || ())
}

pub(crate) fn segment(seq: u32) -> PathBuf {
    PathBuf::from(format!("{DIR}/{seq:08x}.wal"))
}

/// What one group should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) mark: Option<SnapshotMark>,
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<(LogIndex, Term, Vec<u8>)>,
}

impl Model {
    pub(crate) fn apply(&mut self, request: &Persist) {
        if let Some(new) = &request.mark {
            self.mark = Some(new.mark.clone());
            self.entries.retain(|entry| new.keeps_entries && entry.0 > new.mark.last.index);
        }
        if let Some(from) = request.truncate_from {
            self.entries.retain(|entry| entry.0 < from);
        }
        let new = request.entries.entries();
        self.entries.extend(new.map(|entry| (entry.index, entry.term, entry.payload.to_vec())));
        self.hard_state = request.hard_state.unwrap_or(self.hard_state);
    }

    pub(crate) fn last(&self) -> LogIndex {
        let mark = self.mark.as_ref().map_or(LogIndex::ZERO, |mark| mark.last.index);
        self.entries.last().map_or(mark, |entry| entry.0)
    }

    /// What a log holds, read in full.
    pub(crate) fn read(log: &mut GroupLog) -> Result<Self, LogError> {
        let Recovered { hard_state, mark, runs } = log.recover()?;
        let mut entries = Vec::new();
        if let (Some(first), Some(last)) = (runs.first(), runs.last()) {
            let batches = log.load(first.first, last.last.next(), usize::MAX)?;
            for batch in &batches {
                entries.extend(batch.iter().map(|entry| (entry.index, entry.term, entry.payload.to_vec())));
            }
            let count: u64 = runs.iter().map(|Run { first, last, .. }| last.get() - first.get() + 1).sum();
            assert_eq!(entries.len() as u64, count);
        }
        Ok(Self { mark, hard_state, entries })
    }
}

/// All groups of a log.
pub(crate) type Models = BTreeMap<GroupId, Model>;

/// Reads every group; groups that hold nothing are left out.
pub(crate) fn read_all(wal: &Wal) -> Result<Models, LogError> {
    let mut models = Models::new();
    for id in wal.group_ids() {
        let model = Model::read(&mut wal.group(id)?)?;
        if model != Model::default() {
            models.insert(id, model);
        }
    }
    Ok(models)
}

pub(crate) fn request(id: u64) -> Persist {
    Persist {
        id: PersistId::new(id),
        mark: None,
        truncate_from: None,
        entries: Batches::new(),
        hard_state: None,
    }
}

/// Entries of a term with payloads of so many bytes, some of them all zeros.
pub(crate) fn entries(term: u64, first: u64, count: u64, bytes: usize) -> Batches {
    let mut builder = EntriesBuilder::default();
    for index in first..first + count {
        let text = if index % 5 == 0 { "\0".to_owned() } else { format!("{term}/{index} ") };
        let payload: Vec<u8> = text.bytes().cycle().take(bytes).collect();
        builder.push(&payload).unwrap();
    }
    let position = Position::new(Term::new(term), LogIndex::new(first));
    builder.take(position, EntryKind::Command).unwrap().into()
}

pub(crate) fn hard_state(term: u64, vote: u64, commit: u64) -> Option<HardState> {
    Some(HardState { term: Term::new(term), vote: Some(NodeId::new(vote)), commit: LogIndex::new(commit) })
}

pub(crate) fn mark(term: u64, index: u64) -> SnapshotMark {
    let membership = Membership::of_voters([1, 2, 3].map(NodeId::new)).unwrap();
    SnapshotMark { last: Position::new(Term::new(term), LogIndex::new(index)), membership }
}

/// The log begins anew behind this position, without entries.
pub(crate) fn reset(term: u64, index: u64) -> NewMark {
    NewMark { mark: mark(term, index), keeps_entries: false }
}

/// The log begins behind this position; the entries behind it stay.
pub(crate) fn compact(term: u64, index: u64) -> NewMark {
    NewMark { mark: mark(term, index), keeps_entries: true }
}

/// One thing that a workload does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Persist(u64, Persist),
    /// Begins, writes and finishes a snapshot; the next flush makes it durable.
    Snapshot(u64, Snapshot),
    Flush,
    SyncMark,
    Reopen,
}

/// What a workload has reached.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// What the log holds after each first part of the steps, the empty log first.
    pub(crate) states: Vec<Models>,
    /// How many of them are certain to be durable.
    pub(crate) acknowledged: usize,
    /// Whether the log was ever open.
    pub(crate) was_open: bool,
    /// The newest snapshot of each group that was reported.
    pub(crate) reported: BTreeMap<GroupId, LogIndex>,
}

/// Runs steps until the disk stops.
pub(crate) fn run(fs: &SimFs, steps: &[Step]) -> History {
    let mut history =
        History { states: vec![Models::new()], acknowledged: 0, was_open: false, reported: BTreeMap::new() };
    // The error is the end of the run; what counts is what was acknowledged before it.
    let _ = try_run(fs, steps, &mut history);
    history
}

fn try_run(fs: &SimFs, steps: &[Step], history: &mut History) -> Result<(), Box<dyn std::error::Error>> {
    let mut wal = initialise(fs)?;
    history.was_open = true;
    let mut groups: BTreeMap<u64, GroupLog> = BTreeMap::new();
    for step in steps {
        let mut now = history.states.last().unwrap().clone();
        let group = match step {
            Step::Persist(group, _) | Step::Snapshot(group, _) => Some(*group),
            Step::Flush | Step::SyncMark | Step::Reopen => None,
        };
        if let Some(Entry::Vacant(group)) = group.map(|group| groups.entry(group)) {
            let id = GroupId::new(*group.key());
            group.insert(wal.group(id)?);
        }
        match step {
            Step::Persist(group, request) => {
                now.entry(GroupId::new(*group)).or_default().apply(request);
                history.states.push(now);
                groups.get_mut(group).unwrap().persist(request.clone())?;
            }
            Step::Snapshot(group, snapshot) => snapshot.hand_over(groups.get_mut(group).unwrap()),
            Step::Flush => {
                wal.flush_now()?;
                history.acknowledged = history.states.len() - 1;
                for group in groups.values_mut() {
                    group.poll_persisted()?;
                    while let Some(meta) =
                        group.poll_snapshot().transpose().map_err(|failure| failure.error)?
                    {
                        history.reported.insert(group.id(), meta.last.index);
                    }
                }
            }
            Step::SyncMark => wal.write_sync_mark()?,
            Step::Reopen => {
                groups.clear();
                wal.close()?;
                history.acknowledged = history.states.len() - 1;
                wal = open(fs)?;
            }
        }
    }
    // A crash, not a clean end: what waits is never written.
    fs.stop_after(0);
    Ok(())
}

/// A workload that rolls, truncates, installs, compacts, closes and reopens, with two groups.
pub(crate) fn workload() -> Vec<Step> {
    let mut steps = Vec::new();
    steps.persist(1, Persist { mark: Some(reset(0, 0)), hard_state: hard_state(1, 1, 0), ..request(1) });
    steps.persist(1, Persist { entries: entries(1, 1, 3, 40), ..request(2) });
    steps.push(Step::Flush);
    steps.persist(
        2,
        Persist { entries: entries(4, 1, 4, 700), hard_state: hard_state(4, 3, 2), ..request(1) },
    );
    steps.persist(
        1,
        Persist { entries: entries(1, 4, 2, 900), hard_state: hard_state(1, 1, 3), ..request(3) },
    );
    steps.persist(2, Persist { hard_state: hard_state(5, 2, 2), ..request(2) });
    steps.push(Step::Flush);
    steps.push(Step::SyncMark);
    steps.persist(
        1,
        Persist {
            truncate_from: Some(LogIndex::new(4)),
            entries: entries(2, 4, 1, 50),
            hard_state: hard_state(2, 2, 3),
            ..request(4)
        },
    );
    steps.push(Step::Flush);
    // Three of these fill a segment.
    for (id, first) in (3..).zip([5, 17, 29, 41]) {
        steps.persist(2, Persist { entries: entries(5, first, 12, 900), ..request(id) });
    }
    steps.push(Step::Flush);
    steps.persist(2, Persist { mark: Some(compact(5, 30)), ..request(7) });
    steps.push(Step::Flush);
    steps.push(Step::Reopen);
    steps.persist(1, Persist { mark: Some(reset(6, 90)), hard_state: hard_state(6, 1, 90), ..request(1) });
    steps.persist(
        2,
        Persist { entries: entries(6, 53, 20, 900), hard_state: hard_state(6, 1, 40), ..request(1) },
    );
    steps.push(Step::Flush);
    steps.persist(2, Persist { mark: Some(compact(6, 60)), ..request(2) });
    steps.push(Step::Flush);
    for (id, first) in (3..).zip([73, 85, 97]) {
        steps.persist(2, Persist { entries: entries(6, first, 12, 900), ..request(id) });
        steps.persist(1, Persist { entries: entries(6, 88 + id, 1, 10), ..request(id) });
    }
    steps.push(Step::Flush);
    steps
}

pub(crate) trait Steps {
    fn persist(&mut self, group: u64, request: Persist);
}

impl Steps for Vec<Step> {
    fn persist(&mut self, group: u64, request: Persist) {
        self.push(Step::Persist(group, request));
    }
}
