//! Everything that must end at shutdown: threads are joined, streams closed, waits cut short.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::stream::Stream;

/// The threads and streams of one transport.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    alive: Mutex<Alive>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Alive {
    stopping: bool,
    threads: HashMap<ThreadId, JoinHandle<()>>,
    streams: HashMap<u64, Arc<Stream>>,
    next_stream: u64,
}

impl Lifecycle {
    /// Starts a thread that [`stop`](Self::stop) joins.
    ///
    /// # Errors
    ///
    /// If the system gives none, or everything is being stopped.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut alive = self.alive.lock();
        if alive.stopping {
            return Err(io::Error::other("the transport is shut down"));
        }
        let lifecycle = Arc::clone(self);
        let thread = thread::Builder::new().name(name).spawn(move || {
            body();
            // A thread that ends by itself needs no joining; its handle would only pile up.
            lifecycle.alive.lock().threads.remove(&thread::current().id());
        })?;
        alive.threads.insert(thread.thread().id(), thread);
        Ok(())
    }

    /// Makes sure that [`stop`](Self::stop) closes the stream; `None` if that has happened already.
    pub(crate) fn watch(self: &Arc<Self>, stream: &Arc<Stream>) -> Option<Watched> {
        let mut alive = self.alive.lock();
        if alive.stopping {
            return None;
        }
        let number = alive.next_stream;
        alive.next_stream += 1;
        alive.streams.insert(number, Arc::clone(stream));
        Some(Watched { lifecycle: Arc::clone(self), number })
    }

    /// Whether [`stop`](Self::stop) was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.alive.lock().stopping
    }

    /// Waits, but not past a stop.
    pub(crate) fn pause(&self, duration: Duration) {
        let mut alive = self.alive.lock();
        let deadline = Instant::now() + duration;
        while !alive.stopping && !self.changed.wait_until(&mut alive, deadline).timed_out() {}
    }

    /// Closes every stream and lets nothing new begin.
    pub(crate) fn stop(&self) {
        let mut alive = self.alive.lock();
        alive.stopping = true;
        for stream in alive.streams.values() {
            stream.close();
        }
        self.changed.notify_all();
    }

    /// Waits until all threads have ended, other than the calling one.
    pub(crate) fn join(&self) {
        let own = thread::current().id();
        let mut alive = self.alive.lock();
        alive.threads.remove(&own);
        let threads: Vec<_> = alive.threads.drain().collect();
        drop(alive);
        for (_, thread) in threads {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// Keeps a stream known to the [`Lifecycle`].
#[derive(Debug)]
pub(crate) struct Watched {
    lifecycle: Arc<Lifecycle>,
    number: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.lifecycle.alive.lock().streams.remove(&self.number);
    }
}
