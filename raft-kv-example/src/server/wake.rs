//! Wakes the server's thread from others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

use mio::{Registry, Token, Waker};

/// Wakes the server's thread; many calls before it wakes cost as much as one.
#[derive(Clone)]
pub struct Wake(Arc<Shared>);

struct Shared {
    is_pending: AtomicBool,
    waker: Waker,
}

impl Wake {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let waker = Waker::new(registry, token)?;
        Ok(Self(Arc::new(Shared { is_pending: AtomicBool::new(false), waker })))
    }

    /// Makes the thread look at all its sources soon.
    pub fn wake(&self) {
        if !self.0.is_pending.swap(true, Ordering::AcqRel) {
            // A failure means that the kernel has no memory; the next tick wakes the thread anyway.
            let _ = self.0.waker.wake();
        }
    }

    /// Called when awake and before looking at the sources: what comes after wakes again.
    pub(super) fn rearm(&self) {
        self.0.is_pending.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wake").field("is_pending", &self.0.is_pending).finish_non_exhaustive()
    }
}
