//! Snapshots that the tests write and compare.

use std::path::PathBuf;

use raft_core::bytes::Bytes;
use raft_core::{GroupId, LogStore, SnapshotMeta, SnapshotStore};
use raft_storage::GroupLog;
use raft_storage::fs::SimFs;

use super::faulty::{GROUP, append};
use super::{DIR, compact, mark, open, request};

/// A snapshot and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) meta: SnapshotMeta,
    pub(crate) state: Bytes,
}

impl Snapshot {
    /// Up to an entry, with a state of so many bytes.
    pub(crate) fn new(term: u64, index: u64, bytes: usize) -> Self {
        let state: Vec<u8> = (0u64..).flat_map(|at| (at ^ index << 20).to_be_bytes()).take(bytes).collect();
        let mark = mark(term, index);
        let (size, crc32c) = (state.len() as u64, crc32c::crc32c(&state));
        let meta =
            SnapshotMeta { last: mark.last, membership: mark.membership, size, crc32c, is_hollow: false };
        Self { meta, state: state.into() }
    }

    /// Hands all of it over, in two pieces.
    pub(crate) fn hand_over(&self, log: &mut GroupLog) {
        log.begin_snapshot(self.meta.last);
        let half = self.state.len() / 2;
        log.write_snapshot(self.state.slice(..half));
        log.write_snapshot(self.state.slice(half..));
        log.finish_snapshot(self.meta.clone());
    }

    /// Writes all of it and waits for the disk.
    pub(crate) fn write(&self, log: &mut GroupLog) {
        self.hand_over(log);
        log.flush_now().unwrap();
        assert_eq!(log.poll_snapshot().unwrap().unwrap(), self.meta);
    }

    /// Reads it back.
    pub(crate) fn assert_readable(&self, log: &mut GroupLog, place: &str) {
        let mut found = Vec::new();
        while found.len() < self.state.len() {
            let piece = log.read_snapshot(self.meta.last, found.len() as u64, usize::MAX);
            let piece = piece.unwrap_or_else(|error| panic!("{place}: {error}"));
            found.extend_from_slice(&piece.unwrap_or_else(|| panic!("{place}: it is gone")));
        }
        assert!(found == self.state, "{place}: the state up to {} is different", self.meta.last);
    }

    /// Where its file is.
    pub(crate) fn path(&self) -> PathBuf {
        path_of(GROUP, &self.meta)
    }
}

fn path_of(group: GroupId, meta: &SnapshotMeta) -> PathBuf {
    let (index, term) = (meta.last.index.get(), meta.last.term.get());
    PathBuf::from(format!("{DIR}/{:016x}-{index:016x}-{term:016x}.snap", group.get()))
}

/// A closed log of ten entries with two snapshots, up to 4 and up to 8, that begins behind the first
/// of them or the second.
pub(crate) fn with_two_snapshots(marked: u64) -> (SimFs, [Snapshot; 2]) {
    let fs = SimFs::new();
    let (wal, mut log) = super::faulty::new_log(&fs);
    append(&mut log, 1, 1, 10, 20);
    let snapshots = [Snapshot::new(1, 4, 70_000), Snapshot::new(1, 8, 70_000)];
    for snapshot in &snapshots {
        snapshot.write(&mut log);
    }
    if marked > 0 {
        log.persist(raft_core::Persist { mark: Some(compact(1, marked)), ..request(2) }).unwrap();
    }
    drop(log);
    wal.close().unwrap();
    (fs, snapshots)
}

/// Opens the group's log as a node does at its start.
pub(crate) fn recovered(
    fs: &SimFs,
) -> Result<(raft_storage::Wal, GroupLog, Option<SnapshotMeta>), Box<dyn std::error::Error>> {
    let wal = open(fs)?;
    let mut log = wal.group(GROUP)?;
    let meta = log.recover_snapshot()?;
    log.recover()?;
    Ok((wal, log, meta))
}
