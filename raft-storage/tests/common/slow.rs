//! A disk whose syncs take as long as a test likes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use raft_storage::fs::{Fs, FsFile, LockOutcome, SimFs};

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
#[derive(Clone, Debug)]
pub(crate) struct SlowFs {
    pub(crate) disk: SimFs,
    /// How the names of those files end.
    slow: &'static str,
    pub(crate) reached: Arc<Signal>,
    pub(crate) released: Arc<Signal>,
}

impl SlowFs {
    pub(crate) fn new(disk: SimFs, slow: &'static str) -> Self {
        Self { disk, slow, reached: Arc::default(), released: Arc::default() }
    }

    fn slowed(&self, path: &Path, file: Arc<dyn FsFile>) -> Arc<dyn FsFile> {
        let is_slow = path.to_string_lossy().ends_with(self.slow);
        if is_slow { Arc::new(SlowFile { file, fs: self.clone() }) } else { file }
    }
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn FsFile>,
    fs: SlowFs,
}

impl Fs for SlowFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(self.slowed(path, self.disk.open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.disk.open_to_read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(self.slowed(path, self.disk.create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn try_lock(&self, path: &Path, holder: &str) -> io::Result<LockOutcome> {
        self.disk.try_lock(path, holder)
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        self.disk.lock_holder(path)
    }
}

impl FsFile for SlowFile {
    fn byte_count(&self) -> io::Result<u64> {
        self.file.byte_count()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn set_byte_count(&self, bytes: u64) -> io::Result<()> {
        self.file.set_byte_count(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.reached.give();
        self.fs.released.wait();
        self.file.sync_data()
    }
}
