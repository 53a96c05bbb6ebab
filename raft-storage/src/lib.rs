//! A durable, crash-safe log for raft-core, with snapshots beside it.
//!
//! One [`Wal`] serves all Raft groups of a node. [`Wal::group`] gives each of them a [`GroupLog`],
//! which implements [`raft_core::LogStore`] and [`raft_core::SnapshotStore`]. The format is described byte by byte in
//! `docs/FORMAT.md`; which fault gets which reaction, and the test that shows it, in
//! `docs/FAULTS.md`. [`inspect`] looks at a directory without changing anything.
//!
//! All groups share the segments, so a segment goes only when no group needs anything in it. What a quiet
//! group holds in old segments, the log writes anew at its end by itself, so a group that was written to
//! once and never again holds nothing else; up to a quarter of a segment's size per group, 16 MiB by
//! default. A group that holds more holds all behind its first entry until its owner compacts it.
//!
//! On Linux, where the file system can, the log is written past the page cache, and takes one descriptor
//! more for it; see [`fs::FsFile::open_direct`]. Reads go through the page cache everywhere.
//!
//! This crate knows what was asked to be durable and in which order. It does not know who leads, or
//! what entries mean.

#![deny(unsafe_code)]

mod error;
mod files;
mod format;
pub mod fs;
mod group;
pub mod inspect;
#[cfg(test)]
mod interleavings;
mod options;
mod recovery;
mod report;
mod snapshot;
mod state;
mod sync;
mod wal;
mod writer;

pub use error::{Damage, Failure, LogError, LostEntries, OpenError, Operation, OptionsError, RequestRule};
pub use format::bytes::FORMAT_VERSION;
pub use format::identity::Identity;
pub use group::log::GroupLog;
pub use group::reader::LogReader;
pub use options::{Flushing, Start, WalOptions};
pub use report::{MarkLoss, Recovery, SnapshotLoss, TornTail};
pub use wal::Wal;

/// The program of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
