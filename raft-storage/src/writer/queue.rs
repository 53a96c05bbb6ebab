//! What waits to be written.

use std::sync::Arc;
use std::time::Duration;

use crate::format::batch::Request;
use crate::state::registry::GroupLink;
use crate::sync::{Condvar, Mutex};

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
}

#[derive(Debug, Default)]
struct Waiting {
    requests: Vec<Queued>,
    byte_count: u64,
    /// What was taken from here, but waits for room on the medium.
    held_bytes: u64,
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
        let waiting_bytes = waiting.byte_count + waiting.held_bytes;
        if waiting_bytes + queued.record_bytes > bytes_max as u64 && waiting_bytes > 0 {
            return Err(Refused::Full { waiting_bytes });
        }
        waiting.byte_count += queued.record_bytes;
        waiting.requests.push(queued);
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
    }

    /// Notes how many bytes of what was taken wait for room on the medium.
    pub(crate) fn hold(&self, held_bytes: u64) {
        self.waiting.lock().held_bytes = held_bytes;
    }

    /// Whether something that was taken waits for room on the medium.
    pub(crate) fn is_held(&self) -> bool {
        self.waiting.lock().held_bytes > 0
    }

    /// Sleeps until there is a request, the queue is closed, or the time is over.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Woken {
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
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }
}
