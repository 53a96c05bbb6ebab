//! The writer as several callers share it: the queue in front, the first failure behind.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use raft_core::{Entries, LogIndex};
use slog::Logger;

use super::Writer;
use super::queue::{Queue, Queued, Refused, Woken};
use crate::error::{Failure, LogError};
use crate::files::maker::ROOM_RETRY;
use crate::files::segment::Segments;
use crate::state::registry::{GroupLink, Registry};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Called when something that groups wait for has happened, from the thread that made it happen.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// What all handles of one log share.
pub(crate) struct Shared {
    pub(crate) segments: Segments,
    pub(crate) registry: Arc<Registry>,
    pub(crate) queue: Queue,
    pub(crate) limits: Limits,
    writer: Mutex<Inner>,
    failure: OnceLock<Failure>,
    /// Whether the files may be somebody else's by now.
    is_closed: AtomicBool,
    wake: Wake,
    logger: Logger,
}

/// The limits that every request keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) queue_bytes_max: usize,
    pub(crate) record_bytes_max: u64,
    /// Whether `persist` writes by itself.
    pub(crate) flushes_on_persist: bool,
    /// Whether a thread of the log's own writes, and groups sleep until it wakes them.
    pub(crate) has_flusher: bool,
}

struct Inner {
    /// Gone once the log is closed.
    writer: Option<Writer>,
    /// An empty list to swap with the queue's, so neither allocates.
    spare: Vec<Queued>,
}

impl Shared {
    pub(crate) fn new(
        writer: Writer,
        segments: Segments,
        registry: Arc<Registry>,
        limits: Limits,
        wake: Wake,
        logger: Logger,
    ) -> Self {
        let writer = Mutex::new(Inner { writer: Some(writer), spare: Vec::new() });
        let queue = Queue::default();
        let (failure, is_closed) = (OnceLock::new(), AtomicBool::new(false));
        Self { segments, registry, queue, limits, writer, failure, is_closed, wake, logger }
    }

    /// Queues a request.
    pub(crate) fn submit(&self, queued: Queued) -> Result<(), LogError> {
        self.check()?;
        self.queue.push(queued, self.limits.queue_bytes_max).map_err(|refused| match refused {
            Refused::Closed => LogError::Closed,
            Refused::Full { waiting_bytes } => LogError::QueueFull {
                waiting_bytes: usize::try_from(waiting_bytes).unwrap_or(usize::MAX),
                limit_bytes: self.limits.queue_bytes_max,
            },
        })
    }

    /// Whether the log still works.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        match self.failure.get() {
            Some(failure) => Err(LogError::Failed(failure.clone())),
            None if self.is_closed.load(Ordering::Acquire) => Err(LogError::Closed),
            None => Ok(()),
        }
    }

    /// Reads entries of a group. Nobody waits for it: what it takes is looked up before.
    pub(crate) fn load(
        &self,
        group: &GroupLink,
        first: LogIndex,
        end: LogIndex,
        bytes_max: usize,
    ) -> Result<Vec<Entries>, LogError> {
        self.check()?;
        let stretch = group.view().stretch(&self.segments, first, end, bytes_max)?;
        // If the log was closed meanwhile, somebody else may have filled the segments again.
        stretch.load().or_else(|error| self.check().and(Err(error)))
    }

    /// Writes all that waits, on this thread, as far as there is room for it.
    pub(crate) fn flush(&self) -> Result<(), LogError> {
        self.with_writer(|writer, spare| {
            self.queue.take_into(spare);
            let held_before = writer.held().byte_count();
            writer.flush(spare)?;
            let held_bytes = writer.held().byte_count();
            if held_bytes != held_before {
                self.queue.hold(held_bytes);
            }
            Ok(())
        })
    }

    /// The same beside the flusher, if there is one: it will find nothing left to do, so whoever
    /// sleeps until it has flushed must be woken from here. It is an error if something still waits.
    pub(crate) fn flush_now(&self) -> Result<(), LogError> {
        let flushed = self.flush().and_then(|()| self.check_room());
        self.wake_beside_flusher();
        flushed
    }

    /// Notes how far the log is durable, beside the flusher.
    pub(crate) fn write_sync_mark_now(&self) -> Result<(), LogError> {
        let written = self.write_sync_mark();
        if written.is_err() {
            self.wake_beside_flusher();
        }
        written
    }

    /// Notes how far the log is durable.
    fn write_sync_mark(&self) -> Result<(), LogError> {
        self.with_writer(|writer, _| writer.write_sync_mark())
    }

    /// Writes all that waits and lets go of the files.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        self.queue.close();
        let flushed = self.flush().and_then(|()| self.write_sync_mark()).and_then(|()| self.check_room());
        let mut inner = self.writer.lock();
        self.is_closed.store(true, Ordering::Release);
        inner.writer = None;
        flushed
    }

    /// What the flusher thread does: until the queue is closed or the medium fails.
    pub(crate) fn run_flusher(&self, sync_mark_idle: Duration) {
        let mut is_noted = true;
        loop {
            let timeout =
                if is_noted { self.queue.is_held().then_some(ROOM_RETRY) } else { Some(sync_mark_idle) };
            let outcome = match self.queue.wait(timeout) {
                Woken::Closed => return,
                Woken::Timeout if !is_noted => {
                    is_noted = true;
                    self.write_sync_mark()
                }
                // Without a request, because there may be room by now for what waits.
                Woken::Requests | Woken::Timeout => {
                    is_noted = false;
                    let flushed = self.flush();
                    // Right behind the sync: whoever waits for it has been told by now.
                    (self.wake)();
                    flushed
                }
            };
            if outcome.is_err() {
                (self.wake)();
                return;
            }
        }
    }

    /// Whether all that was taken has found room.
    fn check_room(&self) -> Result<(), LogError> {
        let inner = self.writer.lock();
        let refusal = inner.writer.as_ref().and_then(|writer| writer.held().refusal());
        refusal.map_or(Ok(()), |failure| Err(LogError::NoRoom(failure.clone())))
    }

    fn wake_beside_flusher(&self) {
        if self.limits.has_flusher {
            (self.wake)();
        }
    }

    /// The first failure ends it for all: what is on the medium is unknown from then on (W6).
    fn with_writer(
        &self,
        work: impl FnOnce(&mut Writer, &mut Vec<Queued>) -> Result<(), Failure>,
    ) -> Result<(), LogError> {
        let mut inner = self.writer.lock();
        let Inner { writer, spare } = &mut *inner;
        self.check()?;
        let Some(open) = writer else { return Err(LogError::Closed) };
        work(open, spare).map_err(|failure| {
            slog::crit!(self.logger, "the log stops"; "error" => %failure);
            LogError::Failed(self.failure.get_or_init(|| failure).clone())
        })
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("segments", &self.segments).field("failure", &self.failure).finish()
    }
}
