//! What opening a log found and did (W8).

use std::path::PathBuf;

use crate::error::Damage;

/// What opening a log found and did. Worth logging at every start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Whether the directory was made a node's just now.
    pub initialised: bool,
    /// How many segments hold the log.
    pub segments: usize,
    /// How many groups have something in it.
    pub groups: usize,
    /// How many requests were read.
    pub records: u64,
    /// How many of these were not proven to be durable and were written again.
    pub carried_records: u64,
    /// What was cut off: a write that a crash interrupted, of which nothing was acknowledged.
    pub torn_tail: Option<TornTail>,
    /// What of the sync mark could not be read: evidence is lost with it, so damage to the end of
    /// the log may have passed for a torn write (F27).
    pub mark_loss: Option<MarkLoss>,
    /// How many snapshots there are, of all groups. Those that cannot be used are only known once
    /// [`recover_snapshot`](raft_core::SnapshotStore::recover_snapshot) has read them.
    pub snapshots: usize,
    /// Files in the directory that are none of the log's.
    pub ignored_files: Vec<String>,
}

/// A sync mark that is damaged: empty, cut or overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MarkLoss {
    /// The mark's file.
    pub path: PathBuf,
    /// How many of its two slots cannot be read. One may be a torn write of the mark itself.
    pub unreadable_slots: usize,
}

/// A snapshot that is damaged, and that another one or the log makes up for (F6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotLoss {
    /// The snapshot's file.
    pub path: PathBuf,
    /// Where in it, in bytes from its start.
    pub offset: u64,
    /// What is wrong.
    pub damage: Damage,
}

/// The rest of a write that a crash interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment's file.
    pub path: PathBuf,
    /// Where the log ends.
    pub offset: u32,
    /// How many bytes were cut off, up to the last that was not zero; in a segment that was filled
    /// before, those of its former life are counted too.
    pub byte_count: u64,
    /// Why they are no record.
    pub damage: Damage,
}
