//! A disk whose syncs take as long as a test likes.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use raft_storage::fs::{Fs, SimFs};

use super::hooked::{Hook, HookedFs};

/// Something that one thread waits for and another brings about.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    is_given: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn give(&self) {
        *self.is_given.lock() = true;
        self.changed.notify_all();
    }

    pub(crate) fn wait(&self) {
        let mut is_given = self.is_given.lock();
        while !*is_given {
            self.changed.wait(&mut is_given);
        }
    }

    /// Waits for a signal, which then has to be given again.
    pub(crate) fn wait_for_next(&self) {
        self.wait();
        *self.is_given.lock() = false;
    }
}

/// A disk on which syncs of some files are held up.
pub(crate) struct SlowFs {
    pub(crate) disk: SimFs,
    slow: Arc<SlowSyncs>,
}

/// Of files whose names end so.
#[derive(Debug)]
pub(crate) struct SlowSyncs {
    name_end: &'static str,
    pub(crate) reached: Signal,
    pub(crate) released: Signal,
}

impl SlowFs {
    pub(crate) fn new(disk: SimFs, name_end: &'static str) -> Self {
        let (reached, released) = (Signal::default(), Signal::default());
        Self { disk, slow: Arc::new(SlowSyncs { name_end, reached, released }) }
    }

    pub(crate) fn fs(&self) -> Arc<dyn Fs> {
        HookedFs::new(Arc::new(self.disk.clone()), Arc::clone(&self.slow))
    }
}

impl Deref for SlowFs {
    type Target = SlowSyncs;

    fn deref(&self) -> &SlowSyncs {
        &self.slow
    }
}

impl Hook for SlowSyncs {
    fn before_sync(&self, path: &Path) {
        if path.to_string_lossy().ends_with(self.name_end) {
            self.reached.give();
            self.released.wait();
        }
    }
}
