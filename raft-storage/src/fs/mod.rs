//! The file system as the log needs it: a few calls behind a few traits, so that the same log code
//! runs on real files and on a simulated disk that loses, tears and refuses.

#[cfg(target_os = "linux")]
mod direct;
pub(crate) mod read_only;
mod real;
pub mod sim;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use real::RealFs;
pub use sim::SimFs;

/// A directory tree with explicit durability.
///
/// Nothing is durable by itself: the bytes of a file are after [`FsFile::sync_data`], unless a
/// [`DirectFile`] wrote them, and that a name exists, is gone or means another file is after
/// [`sync_dir`](Fs::sync_dir) (F18).
pub trait Fs: Send + Sync + Debug {
    /// Makes a directory and those above it; it may exist already.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The names of the files in a directory, in any order.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>>;

    /// Opens an existing file for reading alone, which a read-only medium allows too.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>>;

    /// Makes an empty file, also where there was one.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>>;

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a name away.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    ///
    /// What the system says. Names may then be durable or not.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock that the file stands for and writes `holder` into it, or tells who has it.
    /// The lock ends with the process, however that ends.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn try_lock(&self, path: &Path, holder: &str) -> io::Result<LockOutcome>;

    /// Who has the lock now, by what that one wrote into the file; `None` if nobody has it, or there
    /// is no such file. Changes nothing.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>>;
}

/// An open file. Reads and writes name their place, so many readers can share it with one writer.
pub trait FsFile: Send + Sync + Debug {
    /// How many bytes it holds.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn byte_count(&self) -> io::Result<u64>;

    /// Reads at most the length of `buffer`; zero at the end of the file.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at least one byte of `bytes`, growing the file if need be.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file or grows it by zeros.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn set_byte_count(&self, bytes: u64) -> io::Result<()>;

    /// Makes all that was written durable, and the file's size.
    ///
    /// # Errors
    ///
    /// What the system says. What was written may then be lost for good, even if a later call
    /// succeeds (F9).
    fn sync_data(&self) -> io::Result<()>;

    /// Opens a way to write whole pages of this very file that are durable at once. It is used for as
    /// long as the file is appended to, and does no more than save time: without it the file is written
    /// and synced.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] if there is no such way, as is the default; or what the system
    /// says, if it has no descriptor left for instance.
    fn open_direct(&self) -> io::Result<Box<dyn DirectFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A file that is written past the page cache. Who reads it in the ordinary way sees what was written.
pub trait DirectFile: Send + Sync + Debug {
    /// Writes at least one byte of `pages`, inside the file, and makes what it wrote durable.
    ///
    /// The length of `pages`, their address in memory and `offset` are multiples of [`PAGE_BYTES`].
    ///
    /// # Errors
    ///
    /// What the system says. What these pages hold is then unknown, even if a later call succeeds (F9).
    fn write_durably_at(&self, pages: &[u8], offset: u64) -> io::Result<usize>;
}

/// The length of a page: what is written to the end of the log begins and ends at multiples of it.
pub const PAGE_BYTES: usize = 4096;

/// What came of trying to take a lock.
#[derive(Debug)]
pub enum LockOutcome {
    /// It is ours until the guard is dropped.
    Taken(Box<dyn LockGuard>),
    /// Somebody else has it: what that one wrote into the file.
    Held(String),
}

/// Holds a lock until dropped.
pub trait LockGuard: Send + Sync + Debug {}

/// Fills as much of `buffer` as the file has from `offset` on.
pub(crate) fn read_up_to(file: &dyn FsFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of `bytes`, in several calls if the system takes less at once (F11).
pub(crate) fn write_all_at(file: &dyn FsFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `pages` durably. If the system takes less at once, it goes on where the last whole page
/// ended (F11).
pub(crate) fn write_pages_at(file: &dyn DirectFile, pages: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < pages.len() {
        match file.write_durably_at(&pages[done..], offset + done as u64) {
            Ok(count) if count < PAGE_BYTES => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count - count % PAGE_BYTES,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
