//! A file system that lets a test look on, or step in, at the calls it is interested in.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_storage::fs::{DirectFile, Fs, FsFile, LockOutcome};

/// What a test does at the calls it is interested in.
pub(crate) trait Hook: Debug + Send + Sync + 'static {
    fn before_read(&self) {}

    /// The path is the one under which the file was made or opened.
    fn before_sync(&self, _path: &Path) {}

    fn open_direct(&self, _file: &Arc<dyn FsFile>) -> io::Result<Box<dyn DirectFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Another file system with a hook in it.
#[derive(Debug)]
pub(crate) struct HookedFs<H> {
    inner: Arc<dyn Fs>,
    hook: Arc<H>,
}

#[derive(Debug)]
struct HookedFile<H> {
    inner: Arc<dyn FsFile>,
    path: PathBuf,
    hook: Arc<H>,
}

impl<H: Hook> HookedFs<H> {
    pub(crate) fn new(inner: Arc<dyn Fs>, hook: Arc<H>) -> Arc<Self> {
        Arc::new(Self { inner, hook })
    }

    fn hooked(&self, path: &Path, file: io::Result<Arc<dyn FsFile>>) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(HookedFile { inner: file?, path: path.to_owned(), hook: Arc::clone(&self.hook) }))
    }
}

impl<H: Hook> Fs for HookedFs<H> {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.hooked(path, self.inner.open(path))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.hooked(path, self.inner.open_to_read(path))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.hooked(path, self.inner.create(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn try_lock(&self, path: &Path, holder: &str) -> io::Result<LockOutcome> {
        self.inner.try_lock(path, holder)
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        self.inner.lock_holder(path)
    }
}

impl<H: Hook> FsFile for HookedFile<H> {
    fn byte_count(&self) -> io::Result<u64> {
        self.inner.byte_count()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.hook.before_read();
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.inner.write_at(bytes, offset)
    }

    fn set_byte_count(&self, bytes: u64) -> io::Result<()> {
        self.inner.set_byte_count(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.hook.before_sync(&self.path);
        self.inner.sync_data()
    }

    fn open_direct(&self) -> io::Result<Box<dyn DirectFile>> {
        self.hook.open_direct(&self.inner)
    }
}
