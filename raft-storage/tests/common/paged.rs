//! A file system with a way past the page cache that insists on whole pages and fails as it is told.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use raft_storage::fs::{DirectFile, Fs, FsFile, PAGE_BYTES};

use super::hooked::{Hook, HookedFs};

/// What becomes of a direct write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Error(io::ErrorKind),
    /// No more than so many bytes are written.
    Short(usize),
}

#[derive(Clone)]
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
struct Paged(Arc<Mutex<Direct>>);

/// Counted as open until it is dropped.
#[derive(Debug)]
struct PagedDirectFile {
    file: Arc<dyn FsFile>,
    direct: Arc<Mutex<Direct>>,
}

impl PagedFs {
    pub(crate) fn new(inner: Arc<dyn Fs>) -> Self {
        Self { inner, direct: Arc::default() }
    }

    pub(crate) fn fs(&self) -> Arc<dyn Fs> {
        HookedFs::new(Arc::clone(&self.inner), Arc::new(Paged(Arc::clone(&self.direct))))
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
}

impl Hook for Paged {
    fn open_direct(&self, file: &Arc<dyn FsFile>) -> io::Result<Box<dyn DirectFile>> {
        let mut state = self.0.lock();
        if let Some(refusal) = state.refusal {
            return Err(refusal.into());
        }
        state.open_count += 1;
        Ok(Box::new(PagedDirectFile { file: Arc::clone(file), direct: Arc::clone(&self.0) }))
    }
}

impl DirectFile for PagedDirectFile {
    fn write_durably_at(&self, pages: &[u8], offset: u64) -> io::Result<usize> {
        let page = PAGE_BYTES as u64;
        assert!(pages.as_ptr().addr().is_multiple_of(PAGE_BYTES), "memory at {:p}", pages.as_ptr());
        assert!(offset.is_multiple_of(page) && (pages.len() as u64).is_multiple_of(page));
        assert!(!pages.is_empty() && offset + pages.len() as u64 <= self.file.byte_count()?);
        let fate = {
            let mut state = self.direct.lock();
            state.write_count += 1;
            state.fates.pop_front()
        };
        let count = match fate {
            None => pages.len(),
            Some(Fate::Short(count)) => count.min(pages.len()),
            Some(Fate::Error(error)) => return Err(error.into()),
        };
        assert_eq!(self.file.write_at(&pages[..count], offset)?, count);
        self.file.sync_data()?;
        Ok(count)
    }
}

impl Drop for PagedDirectFile {
    fn drop(&mut self) {
        self.direct.lock().open_count -= 1;
    }
}
