//! A node's snapshots: what its state is, and the file it would be in.

use raft_core::bytes::Bytes;
use raft_core::mem::MemLog;
use raft_core::{Action, EntryKind, InstallSnapshot, LogIndex, SnapshotMark, SnapshotMeta, SnapshotStore};

use super::make::crc32c;
use super::peer::{Applied, Peer};

/// A snapshot that a test can hold back.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) meta: SnapshotMeta,
    pub(crate) state: Vec<u8>,
}

impl Peer {
    /// The state of the node: what it has applied, in words.
    pub(crate) fn state(&self) -> Vec<u8> {
        self.applied.iter().flat_map(Applied::state).collect()
    }

    /// Carries out what concerns snapshots.
    pub(crate) fn carry_out_snapshot(&mut self, action: Action) {
        match action {
            Action::TakeSnapshot(SnapshotMark { last, membership }) => {
                self.pictures += 1;
                let is_hollow = self.raft.is_witness();
                let state = if is_hollow { Vec::new() } else { self.state() };
                let (size, crc32c) = (state.len() as u64, crc32c(&state));
                self.write_snapshot(Written {
                    meta: SnapshotMeta { last, membership, size, crc32c, is_hollow },
                    state,
                });
            }
            Action::LoadChunk(load) => {
                let chunk = self.written.read_snapshot(load.last, load.offset, load.bytes_max);
                match chunk.expect("memory does not fail").filter(|_| !self.is_snapshot_unreadable) {
                    Some(chunk) => self.raft.chunk_loaded(load.id, chunk),
                    None => self.raft.chunk_unavailable(load.id),
                }
            }
            Action::StoreChunk(chunk) => self.store_chunk(*chunk),
            Action::RestoreSnapshot(meta) => {
                let state =
                    self.written.read_snapshot(meta.last, 0, usize::MAX).expect("memory does not fail");
                let payload = state.expect("what is in force is stored").to_vec();
                self.applied = vec![Applied { position: meta.last, kind: EntryKind::Empty, payload }];
                self.raft.applied(meta.last.index);
            }
            action => self.told.push(action),
        }
    }

    fn store_chunk(&mut self, install: InstallSnapshot) {
        if install.offset == 0 {
            self.incoming.clear();
        }
        assert_eq!(self.incoming.len() as u64, install.offset, "chunks come in order");
        self.incoming.extend_from_slice(&install.chunk);
        let written = self.incoming.len() as u64;
        self.raft.snapshot_written(install.meta.last, written);
        if written == install.meta.size {
            if crc32c(&self.incoming) == install.meta.crc32c {
                self.write_snapshot(Written { meta: install.meta, state: self.incoming.clone() });
            } else {
                self.raft.snapshot_failed(install.meta.last);
            }
        }
    }

    fn write_snapshot(&mut self, written: Written) {
        self.unsynced_snapshot = Some(written);
        if !self.is_snapshot_slow {
            self.sync_snapshot();
        }
    }

    /// Takes a snapshot, and carries on.
    pub(crate) fn take_snapshot(&mut self) {
        self.raft.take_snapshot().expect("there is something new");
        self.drain();
    }

    /// Asks for a snapshot, and carries on.
    pub(crate) fn request_snapshot(&mut self) {
        self.raft.request_snapshot().expect("it has its state");
        self.drain();
    }

    /// The snapshot that waits cannot be written.
    pub(crate) fn fail_snapshot(&mut self) {
        let Written { meta, .. } = self.unsynced_snapshot.take().expect("a snapshot is under way");
        self.raft.snapshot_failed(meta.last);
        self.drain();
    }

    /// The snapshot that waits becomes durable; the node is not polled.
    pub(crate) fn sync_snapshot(&mut self) {
        let Written { meta, state } = self.unsynced_snapshot.take().expect("a snapshot is under way");
        for store in [&mut self.durable, &mut self.written] {
            keep(store, &meta, &state);
        }
        self.raft.snapshot_stored(&meta);
    }

    /// How many bytes of a snapshot came in.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.incoming.len() as u64
    }

    /// Up to where the node's durable snapshot reaches.
    pub(crate) fn snapshot_last(&self) -> LogIndex {
        self.durable.snapshot().map_or(LogIndex::ZERO, |meta| meta.last.index)
    }
}

impl Applied {
    /// What this entry adds to the state; a restored snapshot is the state itself.
    pub(super) fn state(&self) -> Vec<u8> {
        match self.kind {
            EntryKind::Command => [&self.payload[..], b";"].concat(),
            EntryKind::Hollow | EntryKind::Empty | EntryKind::Membership => self.payload.clone(),
        }
    }
}

/// Puts a whole snapshot into a store.
pub(crate) fn keep(store: &mut MemLog, meta: &SnapshotMeta, state: &[u8]) {
    store.begin_snapshot(meta.last);
    store.write_snapshot(Bytes::copy_from_slice(state));
    store.finish_snapshot(meta.clone());
    let _is_news = store.poll_snapshot();
}
