//! The log of a node: opened once, shared by its groups.

use std::sync::Arc;

use raft_core::GroupId;

use crate::error::{Failure, LogError, OpenError, Operation, RequestRule};
use crate::format::segment::SegmentHeader;
use crate::group::log::GroupLog;
use crate::options::{Flushing, WalOptions};
use crate::recovery::{self, Opened};
use crate::report::Recovery;
use crate::snapshot::found::Candidates;
use crate::snapshot::scribe::{self, Scribe};
use crate::snapshot::shelf::Shelf;
use crate::state::registry::Registry;
use crate::sync::Mutex;
use crate::sync::thread::{Builder, JoinHandle};
use crate::writer::Writer;
use crate::writer::shared::{Limits, Shared, Wake};

/// One durable log for all groups of a node: whatever they have waiting is written with one write
/// and one sync.
///
/// ```
/// use raft_core::{GroupId, HardState, LogIndex, LogStore, NodeId, Persist, PersistId, Position, Term};
/// use raft_core::{Entries, EntryKind};
/// use raft_storage::{Flushing, Identity, Start, Wal, WalOptions};
///
/// # let dir = tempfile::tempdir()?;
/// let identity = Identity { cluster: 7, node: NodeId::new(1) };
/// let options = WalOptions::new(dir.path().join("log"), identity)
///     .start(Start::Initialise)
///     .flushing(Flushing::OnPersist);
/// let wal = Wal::open(&options, || ())?;
/// let mut log = wal.group(GroupId::new(1))?;
/// log.recover()?;
///
/// let first = Position::new(Term::new(1), LogIndex::new(1));
/// let entries = Entries::single(first, EntryKind::Command, b"hello")?.into();
/// let hard_state = Some(HardState { term: Term::new(1), ..HardState::default() });
/// let id = PersistId::new(1);
/// log.persist(Persist { id, mark: None, truncate_from: None, entries, hard_state })?;
/// assert_eq!(log.poll_persisted()?, Some(id));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Wal {
    shared: Arc<Shared>,
    flusher: Option<JoinHandle<()>>,
    scribe: Arc<Scribe>,
    scribe_thread: Option<JoinHandle<()>>,
    /// The snapshots of groups that have not been opened.
    snapshots: Mutex<Candidates>,
    report: Recovery,
    incarnation: u64,
}

impl Wal {
    /// Opens the log in a directory. `wake` is called after every flush, after a failure, and when a
    /// snapshot is done or can go on: time to poll the groups. The log's own threads call it, and
    /// beside them whoever calls `flush_now`; without such threads nobody does.
    ///
    /// # Errors
    ///
    /// If the directory is not this node's, another process has it, the system refuses, or what is
    /// there cannot be what was written.
    pub fn open(options: &WalOptions, wake: impl Fn() + Send + Sync + 'static) -> Result<Self, OpenError> {
        let Opened { owner, position, segments, groups, dir, snapshots, maker, mark, lock, report } =
            recovery::open(options)?;
        warn(&options.logger, &report);
        slog::info!(options.logger, "log opened"; "records" => report.records, "groups" => report.groups,
            "segments" => report.segments, "carried" => report.carried_records);
        let registry = Arc::new(Registry::new(groups, position.segment.seq));
        let (files, logger) = (segments.clone(), options.logger.clone());
        let mut writer = Writer::new(position, files, Arc::clone(&registry), maker, mark, lock, logger)?;
        if options.flushing == Flushing::Thread {
            writer.start_maker()?;
        }
        let limits = Limits {
            queue_bytes_max: options.queue_bytes_max,
            record_bytes_max: RECORD_BYTES_MAX,
            flushes_on_persist: options.flushing == Flushing::OnPersist,
            has_flusher: options.flushing == Flushing::Thread,
        };
        let (wake, logger): (Wake, _) = (Arc::new(wake), options.logger.clone());
        let snapshot_limits = scribe::Limits {
            room_bytes: options.snapshot_room_bytes,
            works_at_once: options.flushing == Flushing::OnPersist,
            has_thread: options.flushing == Flushing::Thread,
        };
        let scribe = Scribe::new(dir, owner, snapshot_limits, Arc::clone(&wake), logger.clone());
        let mut wal = Self {
            shared: Arc::new(Shared::new(writer, segments, registry, limits, wake, logger)),
            flusher: None,
            scribe: Arc::new(scribe),
            scribe_thread: None,
            snapshots: Mutex::new(snapshots),
            report,
            incarnation: owner.incarnation,
        };
        if options.flushing == Flushing::Thread {
            wal.start_threads(options)?;
        }
        Ok(wal)
    }

    /// Opens a group's part of the log; it may be empty. Each group is opened once.
    ///
    /// # Errors
    ///
    /// If it has been opened before, or the log has failed.
    pub fn group(&self, id: GroupId) -> Result<GroupLog, LogError> {
        self.shared.check()?;
        let rule = RequestRule::OpenedOnce;
        let link = self.shared.registry.open(id).ok_or(LogError::BadRequest { group: id, rule })?;
        let snapshots = self.snapshots.lock().remove(&id).unwrap_or_default();
        let shelf = Shelf::new(Arc::clone(&self.scribe), id, snapshots);
        Ok(GroupLog::new(Arc::clone(&self.shared), link, shelf))
    }

    /// The groups that have something in the log, or have been opened.
    #[must_use]
    pub fn group_ids(&self) -> Vec<GroupId> {
        self.shared.registry.ids()
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.report
    }

    /// Which life of the directory this is: drawn when it was initialised.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Writes all that waits, of all groups, on this thread, and returns when it is durable.
    ///
    /// # Errors
    ///
    /// If a write or sync of the log fails or has failed; [`NoRoom`](LogError::NoRoom) if the medium is
    /// full, after which the log goes on. What becomes of snapshots, each group's
    /// [`poll_snapshot`](raft_core::SnapshotStore::poll_snapshot) tells.
    pub fn flush_now(&self) -> Result<(), LogError> {
        let flushed = self.shared.flush_now();
        self.scribe.work();
        flushed
    }

    /// Whether something that was asked for waits for room on the medium (F12). It is not reported as
    /// durable, and is written once there is room.
    #[must_use]
    pub fn waits_for_room(&self) -> bool {
        self.shared.queue.is_held()
    }

    /// Notes how far the log is durable, so that damage before that is never taken for a torn
    /// write. The log does so by itself with the first sync in a segment and every thousand syncs, the
    /// flusher's thread also when the log is quiet.
    ///
    /// # Errors
    ///
    /// If a write or sync fails or has failed.
    pub fn write_sync_mark(&self) -> Result<(), LogError> {
        self.shared.write_sync_mark_now()
    }

    /// Writes all that waits and lets go of the directory. Dropping does the same and tells nobody
    /// how it went.
    ///
    /// # Errors
    ///
    /// If a write or sync fails or has failed, or there was no room for all of it.
    pub fn close(mut self) -> Result<(), LogError> {
        self.stop()
    }

    fn start_threads(&mut self, options: &WalOptions) -> Result<(), OpenError> {
        let (shared, idle) = (Arc::clone(&self.shared), options.sync_mark_idle);
        let flusher = Builder::new().name("wal-flusher".to_owned()).spawn(move || shared.run_flusher(idle));
        self.flusher = Some(flusher.map_err(Failure::of(Operation::StartThread, &options.dir))?);
        let scribe = Arc::clone(&self.scribe);
        let thread = Builder::new().name("wal-snapshots".to_owned()).spawn(move || scribe.run());
        self.scribe_thread = Some(thread.map_err(Failure::of(Operation::StartThread, &options.dir))?);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), LogError> {
        self.shared.queue.close();
        if let Some(flusher) = self.flusher.take() {
            // It catches nothing and holds no lock between flushes; if it panicked, the writer
            // below still knows what was written.
            let _ = flusher.join();
        }
        self.scribe.stop_taking();
        if let Some(Err(_)) = self.scribe_thread.take().map(JoinHandle::join) {
            slog::error!(self.scribe.logger, "the thread that writes snapshots panicked");
        }
        // Before the directory's lock is let go.
        self.scribe.close();
        self.shared.close()
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`. What is not durable has not been reported as such.
        let _ = self.stop();
    }
}

/// Says what opening found that an operator should know of.
fn warn(logger: &slog::Logger, report: &Recovery) {
    if let Some(tail) = &report.torn_tail {
        slog::warn!(logger, "cut off an interrupted write";
            "file" => %tail.path.display(), "offset" => tail.offset, "bytes" => tail.byte_count,
            "found" => %tail.damage);
    }
    if let Some(loss) = &report.mark_loss {
        slog::warn!(logger, "the sync mark is damaged; the last flush before this start may be lost unseen, \
                and if it is, this node must leave the cluster and join again under a new id";
            "file" => %loss.path.display(), "unreadable_slots" => loss.unreadable_slots);
    }
}

/// The most that one request may take: a quarter of what a segment can hold at all.
const RECORD_BYTES_MAX: u64 = 256 << 20;

const _: () = assert!(RECORD_BYTES_MAX + (SegmentHeader::BYTES as u64) < u32::MAX as u64);
