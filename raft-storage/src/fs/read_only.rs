//! Another file system seen through glass: whatever would change it is refused.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Fs, FsFile, LockOutcome};

/// Called with the number of bytes after each read.
pub(crate) type OnRead = Arc<dyn Fn(u64) + Send + Sync>;

/// Lets reading through and nothing else, so code that shares recovery's steps cannot change
/// anything, not even by mistake.
pub(crate) struct ReadOnlyFs {
    inner: Arc<dyn Fs>,
    on_read: OnRead,
}

impl ReadOnlyFs {
    pub(crate) fn new(inner: Arc<dyn Fs>, on_read: OnRead) -> Self {
        Self { inner, on_read }
    }
}

impl std::fmt::Debug for ReadOnlyFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReadOnlyFs").field(&self.inner).finish()
    }
}

impl Fs for ReadOnlyFs {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        refuse()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.open_to_read(path)
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let (inner, on_read) = (self.inner.open_to_read(path)?, Arc::clone(&self.on_read));
        Ok(Arc::new(ReadOnlyFile { inner, on_read }))
    }

    fn create(&self, _path: &Path) -> io::Result<Arc<dyn FsFile>> {
        refuse()
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refuse()
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        refuse()
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        refuse()
    }

    fn try_lock(&self, _path: &Path, _holder: &str) -> io::Result<LockOutcome> {
        refuse()
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        self.inner.lock_holder(path)
    }
}

struct ReadOnlyFile {
    inner: Arc<dyn FsFile>,
    on_read: OnRead,
}

impl std::fmt::Debug for ReadOnlyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReadOnlyFile").field(&self.inner).finish()
    }
}

impl FsFile for ReadOnlyFile {
    fn byte_count(&self) -> io::Result<u64> {
        self.inner.byte_count()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.inner.read_at(buffer, offset)?;
        (self.on_read)(count as u64);
        Ok(count)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        refuse()
    }

    fn set_byte_count(&self, _bytes: u64) -> io::Result<()> {
        refuse()
    }

    fn sync_data(&self) -> io::Result<()> {
        refuse()
    }
}

fn refuse<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}
