//! How a log is opened, with the limits it keeps.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use slog::Logger;

use crate::error::OptionsError;
use crate::format::identity::Identity;
use crate::fs::{Fs, RealFs};

/// What to do with the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Open what is there; refuse a directory that is not a node's. The default, because a node that
    /// starts empty under an id under which it has voted can break the cluster (F24).
    #[default]
    Existing,
    /// Make the directory a node's; refuse one that is already.
    Initialise,
    /// Either, for tests and demos.
    InitialiseIfMissing,
}

/// Who writes to the medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flushing {
    /// A thread of the log's own, which writes whatever waits with one write and one sync, then
    /// calls the wake-up function. `persist` never waits. Another thread writes snapshots, so that
    /// neither waits for the other. The default.
    #[default]
    Thread,
    /// `persist` itself: durable when it returns.
    OnPersist,
    /// Nobody until `flush_now` is called: for callers with nothing else to do, and for
    /// simulations. No thread is started.
    Manual,
}

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct WalOptions {
    pub(crate) dir: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) start: Start,
    pub(crate) flushing: Flushing,
    pub(crate) segment_bytes: u32,
    pub(crate) reserved_bytes: u64,
    pub(crate) spare_segments_max: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) snapshot_room_bytes: usize,
    pub(crate) sync_mark_idle: Duration,
    pub(crate) recovery_threads: Option<NonZeroUsize>,
    pub(crate) seed: Option<u64>,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) logger: Logger,
}

impl WalOptions {
    /// The default size of a full-grown segment file: 64 MiB.
    pub const SEGMENT_BYTES_DEFAULT: u32 = 64 << 20;
    /// The smallest segment size: 32 KiB.
    pub const SEGMENT_BYTES_MIN: u32 = 32 << 10;
    /// The largest segment size: 1 GiB.
    pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
    /// How many full-grown segments that the log has left behind are kept by default: 4.
    pub const SPARE_SEGMENTS_MAX_DEFAULT: usize = 4;
    /// The default limit of what may wait to be written: 256 MiB.
    pub const QUEUE_BYTES_MAX_DEFAULT: usize = 256 << 20;
    /// The default limit of what may wait to be written of a group's snapshots: 8 MiB.
    pub const SNAPSHOT_ROOM_BYTES_DEFAULT: usize = 8 << 20;
    /// How long the log is quiet before it notes how far it is durable: 200 ms.
    pub const SYNC_MARK_IDLE_DEFAULT: Duration = Duration::from_millis(200);

    /// The defaults for a node's directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, identity: Identity) -> Self {
        Self {
            dir: dir.into(),
            identity,
            start: Start::default(),
            flushing: Flushing::default(),
            segment_bytes: Self::SEGMENT_BYTES_DEFAULT,
            reserved_bytes: 0,
            spare_segments_max: Self::SPARE_SEGMENTS_MAX_DEFAULT,
            queue_bytes_max: Self::QUEUE_BYTES_MAX_DEFAULT,
            snapshot_room_bytes: Self::SNAPSHOT_ROOM_BYTES_DEFAULT,
            sync_mark_idle: Self::SYNC_MARK_IDLE_DEFAULT,
            recovery_threads: None,
            seed: None,
            fs: Arc::new(RealFs),
            logger: Logger::root(slog::Discard, slog::o!()),
        }
    }

    /// What to do with the directory.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Who writes to the medium.
    #[must_use]
    pub fn flushing(self, flushing: Flushing) -> Self {
        Self { flushing, ..self }
    }

    /// How large a segment file grows. The first ones of a log are smaller, so a small log takes
    /// little room. A request larger than a segment gets one of its own. Only segments whose length is a
    /// multiple of 4096 are written past the page cache.
    #[must_use]
    pub fn segment_bytes(self, segment_bytes: u32) -> Self {
        Self { segment_bytes, ..self }
    }

    /// How many bytes of segments are made ready before [`open`](crate::Wal::open) returns, for
    /// loads that will come at once. Default 0: they are made in the background, ahead of need.
    #[must_use]
    pub fn reserved_bytes(self, reserved_bytes: u64) -> Self {
        Self { reserved_bytes, ..self }
    }

    /// How many full-grown segments that the log has left behind are kept to be filled again, which
    /// saves writing zeros to new ones. As many as die at one compaction is best; others are removed.
    #[must_use]
    pub fn spare_segments_max(self, spare_segments_max: usize) -> Self {
        Self { spare_segments_max, ..self }
    }

    /// How many bytes may wait to be written, for their turn or for room, before `persist` fails with
    /// [`QueueFull`](crate::LogError::QueueFull). Whoever bounds what is in flight never meets it.
    #[must_use]
    pub fn queue_bytes_max(self, queue_bytes_max: usize) -> Self {
        Self { queue_bytes_max, ..self }
    }

    /// How many bytes of a group's snapshots may wait to be written: what
    /// [`snapshot_room`](raft_core::SnapshotStore::snapshot_room) starts from, at least 1.
    #[must_use]
    pub fn snapshot_room_bytes(self, snapshot_room_bytes: usize) -> Self {
        Self { snapshot_room_bytes: snapshot_room_bytes.max(1), ..self }
    }

    /// How long the log is quiet before the flusher notes in a file of its own how far it is
    /// durable. Until then, damage to the last flush may look like a torn write.
    #[must_use]
    pub fn sync_mark_idle(self, sync_mark_idle: Duration) -> Self {
        Self { sync_mark_idle, ..self }
    }

    /// How many threads read the log while it is opened. Default: as many as the processor can run
    /// at once, at most 4; with [`Flushing::Manual`] and [`Flushing::OnPersist`] the caller's alone.
    #[must_use]
    pub fn recovery_threads(self, threads: NonZeroUsize) -> Self {
        Self { recovery_threads: Some(threads), ..self }
    }

    /// Where salts and the incarnation are drawn from. Default: the system's randomness. Whoever
    /// sets it, for repeatable simulations, must set another one at each opening.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// The file system.
    #[must_use]
    pub fn fs(self, fs: Arc<dyn Fs>) -> Self {
        Self { fs, ..self }
    }

    /// Where the log reports what it recovered, rolled, removed and failed at.
    #[must_use]
    pub fn logger(self, logger: Logger) -> Self {
        Self { logger, ..self }
    }

    /// How many threads are to read the log.
    pub(crate) fn threads_of_recovery(&self) -> usize {
        let default = match self.flushing {
            Flushing::Thread => std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(4),
            Flushing::OnPersist | Flushing::Manual => 1,
        };
        self.recovery_threads.map_or(default, NonZeroUsize::get)
    }

    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let (min, max) = (Self::SEGMENT_BYTES_MIN, Self::SEGMENT_BYTES_MAX);
        if !(min..=max).contains(&self.segment_bytes) {
            return Err(OptionsError::SegmentBytes { given: self.segment_bytes, min, max });
        }
        if self.identity.node.get() == 0 {
            return Err(OptionsError::NodeId);
        }
        Ok(())
    }
}
