//! What waits to be written.

use std::sync::Arc;
use std::time::Duration;

use crate::format::batch::Request;
use crate::state::registry::GroupLink;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Moment, Mutex, hint};

/// One request on its way to the medium.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) group: Arc<GroupLink>,
    pub(crate) request: Request,
    /// The room its record takes.
    pub(crate) record_bytes: u64,
}

/// Requests in the order in which they were made, from all groups.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Whether there is anything to look at behind the lock.
    has_news: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: Vec<Queued>,
    byte_count: u64,
    closed: bool,
    /// Whether somebody sleeps in [`Queue::wait`]; waking nobody costs a system call.
    has_sleeper: bool,
}

/// Why the queue takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full { waiting_bytes: u64 },
    Closed,
}

/// How one thread waits, time and again: awake for a moment if the last wait was over within one. That
/// spares both sides the waking of a thread, and a log that is quiet is not watched.
#[derive(Debug, Default)]
pub(crate) struct Waiter {
    stays_awake: bool,
}

/// Why [`Queue::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Requests,
    Timeout,
    Closed,
}

impl Queue {
    /// Adds a request and wakes whoever waits for one.
    pub(crate) fn push(&self, queued: Queued, bytes_max: usize) -> Result<(), Refused> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(Refused::Closed);
        }
        let bytes = waiting.byte_count + queued.record_bytes;
        if bytes > bytes_max as u64 && waiting.byte_count > 0 {
            return Err(Refused::Full { waiting_bytes: waiting.byte_count });
        }
        waiting.byte_count = bytes;
        waiting.requests.push(queued);
        self.has_news.store(true, Ordering::Release);
        if std::mem::take(&mut waiting.has_sleeper) {
            drop(waiting);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Exchanges what waits for an empty list.
    pub(crate) fn take_into(&self, empty: &mut Vec<Queued>) {
        assert!(empty.is_empty(), "{} requests would be forgotten", empty.len());
        let mut waiting = self.waiting.lock();
        std::mem::swap(&mut waiting.requests, empty);
        waiting.byte_count = 0;
        self.has_news.store(waiting.closed, Ordering::Release);
    }

    /// Waits until there is a request, the queue is closed, or the time is over.
    pub(crate) fn wait(&self, timeout: Option<Duration>, waiter: &mut Waiter) -> Woken {
        let moment = Moment::begin();
        while waiter.stays_awake && !self.has_news.load(Ordering::Acquire) && !moment.is_over() {
            hint::spin_loop();
        }
        let woken = self.sleep(timeout);
        waiter.stays_awake = woken == Woken::Requests && !moment.is_over();
        woken
    }

    /// Sleeps until there is a request, the queue is closed, or the time is over.
    fn sleep(&self, timeout: Option<Duration>) -> Woken {
        let mut waiting = self.waiting.lock();
        loop {
            if !waiting.requests.is_empty() {
                return Woken::Requests;
            }
            if waiting.closed {
                return Woken::Closed;
            }
            waiting.has_sleeper = true;
            match timeout {
                None => self.changed.wait(&mut waiting),
                Some(timeout) => {
                    if self.changed.wait_for(&mut waiting, timeout).timed_out() {
                        waiting.has_sleeper = false;
                        return if waiting.requests.is_empty() { Woken::Timeout } else { Woken::Requests };
                    }
                }
            }
        }
    }

    /// Takes no more requests; those that wait are still to be written.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        self.has_news.store(true, Ordering::Release);
        drop(waiting);
        self.changed.notify_all();
    }
}
