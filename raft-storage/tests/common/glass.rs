//! A disk behind glass: calls that would change something fail and are remembered.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use raft_storage::fs::{Fs, FsFile, LockOutcome, SimFs};

#[derive(Clone, Debug)]
pub(crate) struct Glass {
    disk: SimFs,
    /// At most so many bytes are given by one read.
    read_bytes_max: usize,
    touched: Arc<Mutex<Vec<&'static str>>>,
}

#[derive(Debug)]
struct GlassFile {
    file: Arc<dyn FsFile>,
    glass: Glass,
}

impl Glass {
    pub(crate) fn new(disk: &SimFs) -> Self {
        Self { disk: disk.clone(), read_bytes_max: usize::MAX, touched: Arc::default() }
    }

    /// The same, with short reads.
    pub(crate) fn with_read_bytes_max(self, read_bytes_max: usize) -> Self {
        Self { read_bytes_max, ..self }
    }

    /// The calls that would have changed something.
    pub(crate) fn touched(&self) -> Vec<&'static str> {
        self.touched.lock().clone()
    }

    fn refuse<T>(&self, call: &'static str) -> io::Result<T> {
        self.touched.lock().push(call);
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl Fs for Glass {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        self.refuse("create_dir_all")
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open(&self, _: &Path) -> io::Result<Arc<dyn FsFile>> {
        // A file that is open for writing is one call away from being changed.
        self.refuse("open")
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let file = self.disk.open_to_read(path)?;
        Ok(Arc::new(GlassFile { file, glass: self.clone() }))
    }

    fn create(&self, _: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.refuse("create")
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.refuse("rename")
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        self.refuse("remove")
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.refuse("sync_dir")
    }

    fn try_lock(&self, _: &Path, _: &str) -> io::Result<LockOutcome> {
        self.refuse("try_lock")
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        self.disk.lock_holder(path)
    }
}

impl FsFile for GlassFile {
    fn byte_count(&self) -> io::Result<u64> {
        self.file.byte_count()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = buffer.len().min(self.glass.read_bytes_max);
        self.file.read_at(&mut buffer[..count], offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        self.glass.refuse("write_at")
    }

    fn set_byte_count(&self, _: u64) -> io::Result<()> {
        self.glass.refuse("set_byte_count")
    }

    fn sync_data(&self) -> io::Result<()> {
        self.glass.refuse("sync_data")
    }
}
