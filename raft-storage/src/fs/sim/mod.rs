//! A disk in memory that forgets, tears, fills up and refuses, as told.
//!
//! Processes see every write at once. What a power cut leaves is what was synced, and of everything
//! else whatever part [`SimFs::after_power_cut`] is told to keep. Time does not exist here, so the
//! same calls always give the same result.

mod disk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Fs, FsFile, LockGuard, LockOutcome};
use crate::sync::Mutex;
use disk::{Disk, NodeId};

pub use disk::{Call, Fault, Kept, Unsynced};

/// A simulated disk; clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct SimFs {
    disk: Arc<Mutex<Disk>>,
}

impl SimFs {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes calls fail from now on; several faults may be set.
    pub fn inject(&self, fault: Fault) {
        self.disk.lock().faults.push(fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.disk.lock().faults.clear();
    }

    /// Lets this many more calls change something; all calls after them fail without effect, as if
    /// the machine had stopped there.
    pub fn stop_after(&self, changes: u64) {
        let mut disk = self.disk.lock();
        disk.stop_at = Some(disk.changes + changes);
    }

    /// How many calls have changed something, or tried to.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.disk.lock().changes
    }

    /// How many calls of this kind there have been.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        self.disk.lock().calls[call as usize]
    }

    /// How many bytes files may still grow by; `None` for no limit.
    pub fn set_free_bytes(&self, free_bytes: Option<u64>) {
        self.disk.lock().free_bytes = free_bytes;
    }

    /// How many bytes one write takes at most.
    pub fn set_write_bytes_max(&self, bytes: usize) {
        self.disk.lock().write_bytes_max = Some(bytes);
    }

    /// What a power cut now could lose, in the order of the calls.
    #[must_use]
    pub fn unsynced(&self) -> Vec<Unsynced> {
        self.disk.lock().unsynced()
    }

    /// The disk that a power cut now would leave, if of each unsynced change as much is kept as
    /// `keep` says. This one stays as it is.
    #[must_use]
    pub fn after_power_cut(&self, keep: impl FnMut(usize, &Unsynced) -> Kept) -> Self {
        Self { disk: Arc::new(Mutex::new(self.disk.lock().after_power_cut(keep))) }
    }

    /// The disk as the next process sees it if this one dies now: nothing is lost, nor any more
    /// durable than before. This one stays as it is.
    #[must_use]
    pub fn after_process_death(&self) -> Self {
        Self { disk: Arc::new(Mutex::new(self.disk.lock().after_process_death())) }
    }

    /// Changes a file's content on the medium itself, as decay or a stranger would.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn edit(&self, path: impl AsRef<Path>, change: impl FnOnce(&mut Vec<u8>)) {
        self.disk.lock().edit(path.as_ref(), change);
    }

    /// What a file holds as processes see it.
    #[must_use]
    pub fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.disk.lock().content(path.as_ref())
    }

    /// Puts a durable file there.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        self.disk.lock().put(path.as_ref(), bytes);
    }

    /// Takes a file away for good.
    pub fn delete(&self, path: impl AsRef<Path>) {
        self.disk.lock().delete(path.as_ref());
    }

    /// All files, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.disk.lock().paths()
    }

    fn file(&self, node: NodeId) -> Arc<dyn FsFile> {
        Arc::new(SimFile { disk: Arc::clone(&self.disk), node })
    }
}

impl Fs for SimFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.call(Call::CreateDir)?;
        // Directories are durable at once: what a log does to survive begins inside its own.
        disk.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut disk = self.disk.lock();
        disk.call(Call::List)?;
        disk.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let mut disk = self.disk.lock();
        disk.call(Call::Open)?;
        disk.find(path).map(|node| self.file(node))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let mut disk = self.disk.lock();
        disk.call(Call::Create)?;
        disk.create(path).map(|node| self.file(node))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.call(Call::Rename)?;
        disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.call(Call::Remove)?;
        disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.call(Call::SyncDir)?;
        disk.sync_dir(dir);
        Ok(())
    }

    fn try_lock(&self, path: &Path, holder: &str) -> io::Result<LockOutcome> {
        let mut disk = self.disk.lock();
        disk.call(Call::Lock)?;
        if let Some(holder) = disk.locks.get(path) {
            return Ok(LockOutcome::Held(holder.clone()));
        }
        let node = match disk.find(path) {
            Ok(node) => node,
            Err(_) => disk.create(path)?,
        };
        disk.write_durably(node, holder.as_bytes());
        disk.locks.insert(path.to_owned(), holder.to_owned());
        let guard = SimLock { disk: Arc::clone(&self.disk), path: path.to_owned() };
        Ok(LockOutcome::Taken(Box::new(guard)))
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        Ok(self.disk.lock().locks.get(path).cloned())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Arc<Mutex<Disk>>,
    node: NodeId,
}

impl FsFile for SimFile {
    fn byte_count(&self) -> io::Result<u64> {
        Ok(self.disk.lock().seen(self.node).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk.lock();
        disk.call(Call::Read)?;
        let bytes = disk.seen(self.node);
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk.lock();
        disk.call(Call::Write)?;
        disk.write(self.node, bytes, offset)
    }

    fn set_byte_count(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.call(Call::Resize)?;
        disk.resize(self.node, bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        match disk.call(Call::Sync) {
            Ok(()) => {
                disk.sync(self.node);
                Ok(())
            }
            Err(error) => {
                if !disk.has_stopped() {
                    disk.forget_unsynced(self.node);
                }
                Err(error)
            }
        }
    }
}

#[derive(Debug)]
struct SimLock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock().locks.remove(&self.path);
    }
}
