//! A file system with a way past the page cache that insists on whole pages and fails as it is told.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use raft_storage::fs::{DirectFile, Fs, FsFile, LockOutcome, PAGE_BYTES};

/// What becomes of a direct write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Error(io::ErrorKind),
    /// No more than so many bytes are written.
    Short(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct PagedFs {
    inner: Arc<dyn Fs>,
    direct: Arc<Mutex<Direct>>,
}

#[derive(Debug, Default)]
struct Direct {
    fates: VecDeque<Fate>,
    refusal: Option<io::ErrorKind>,
    write_count: u64,
    open_count: usize,
}

#[derive(Debug)]
struct PagedFile {
    file: Arc<dyn FsFile>,
    direct: Arc<Mutex<Direct>>,
}

/// Counted as open until it is dropped.
#[derive(Debug)]
struct PagedDirectFile(PagedFile);

impl PagedFs {
    pub(crate) fn new(inner: Arc<dyn Fs>) -> Self {
        Self { inner, direct: Arc::default() }
    }

    /// What becomes of the next direct writes; all later ones succeed.
    pub(crate) fn inject(&self, fates: &[Fate]) {
        self.direct.lock().fates.extend(fates);
    }

    /// Opens no direct file any more.
    pub(crate) fn refuse(&self, error: io::ErrorKind) {
        self.direct.lock().refusal = Some(error);
    }

    /// How many direct writes there were.
    pub(crate) fn write_count(&self) -> u64 {
        self.direct.lock().write_count
    }

    /// How many direct files are open.
    pub(crate) fn open_count(&self) -> usize {
        self.direct.lock().open_count
    }

    fn wrap(&self, file: Arc<dyn FsFile>) -> Arc<dyn FsFile> {
        Arc::new(PagedFile { file, direct: Arc::clone(&self.direct) })
    }
}

impl Fs for PagedFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.inner.open(path).map(|file| self.wrap(file))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.inner.open_to_read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.inner.create(path).map(|file| self.wrap(file))
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

impl FsFile for PagedFile {
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
        self.file.sync_data()
    }

    fn open_direct(&self) -> io::Result<Box<dyn DirectFile>> {
        let (file, direct) = (Arc::clone(&self.file), Arc::clone(&self.direct));
        let mut state = direct.lock();
        if let Some(refusal) = state.refusal {
            return Err(refusal.into());
        }
        state.open_count += 1;
        drop(state);
        Ok(Box::new(PagedDirectFile(Self { file, direct })))
    }
}

impl DirectFile for PagedDirectFile {
    fn write_durably_at(&self, pages: &[u8], offset: u64) -> io::Result<usize> {
        let page = PAGE_BYTES as u64;
        assert!(pages.as_ptr().addr().is_multiple_of(PAGE_BYTES), "memory at {:p}", pages.as_ptr());
        assert!(offset.is_multiple_of(page) && (pages.len() as u64).is_multiple_of(page));
        assert!(!pages.is_empty() && offset + pages.len() as u64 <= self.0.file.byte_count()?);
        let fate = {
            let mut state = self.0.direct.lock();
            state.write_count += 1;
            state.fates.pop_front()
        };
        let count = match fate {
            None => pages.len(),
            Some(Fate::Short(count)) => count.min(pages.len()),
            Some(Fate::Error(error)) => return Err(error.into()),
        };
        assert_eq!(self.0.file.write_at(&pages[..count], offset)?, count);
        self.0.file.sync_data()?;
        Ok(count)
    }
}

impl Drop for PagedDirectFile {
    fn drop(&mut self) {
        self.0.direct.lock().open_count -= 1;
    }
}
