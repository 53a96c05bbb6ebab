//! The operating system's files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{Fs, FsFile, LockGuard, LockOutcome};

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

/// Refuses what is no file of a log: opening a pipe of that name could wait for ever.
fn check_regular(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file; move it away")),
    }
}

/// Takes the lock of the directory in which the lock's file is or was, by one of the ways to lock a file:
/// that file can be removed beside a process that has it locked. `None` if somebody has the directory
/// locked. File systems that lock no directories go without.
fn lock_directory(path: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<File>> {
    let directory = File::open(path.parent().unwrap_or(path))?;
    let is_locked = matches!(lock(&directory), Err(TryLockError::WouldBlock));
    Ok((!is_locked).then_some(directory))
}

/// Who has the lock, if its file says nobody.
fn holder_without_file(path: &Path) -> io::Result<Option<String>> {
    match lock_directory(path, File::try_lock_shared) {
        Ok(free) => Ok(free.is_none().then(|| WITHOUT_FILE.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Fs for RealFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        check_regular(path)?;
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        check_regular(path)?;
        Ok(Arc::new(RealFile(File::open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn try_lock(&self, path: &Path, holder: &str) -> io::Result<LockOutcome> {
        match check_regular(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                let Some(directory) = lock_directory(path, File::try_lock)? else {
                    return Ok(LockOutcome::Held(WITHOUT_FILE.to_owned()));
                };
                // In this order a full disk has room for it where the last holder's name was (F12).
                file.write_all(holder.as_bytes())?;
                file.set_len(holder.len() as u64)?;
                Ok(LockOutcome::Taken(Box::new(RealLock { _file: file, _directory: directory })))
            }
            Err(TryLockError::WouldBlock) => Ok(LockOutcome::Held(read_holder(file)?)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        let file = match check_regular(path).and_then(|()| File::open(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return holder_without_file(path),
            Err(error) => return Err(error),
        };
        // A shared lock fails while an owner has the exclusive one. It is let go of at once: only a
        // node that starts in this very moment would find it in its way, and start at the next try.
        match file.try_lock_shared() {
            Ok(()) => holder_without_file(path),
            Err(TryLockError::WouldBlock) => read_holder(file).map(Some),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn read_holder(file: File) -> io::Result<String> {
    let mut holder = Vec::new();
    file.take(HOLDER_BYTES_MAX).read_to_end(&mut holder)?;
    Ok(String::from_utf8_lossy(&holder).trim().to_owned())
}

#[derive(Debug)]
struct RealFile(File);

impl FsFile for RealFile {
    fn byte_count(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn set_byte_count(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    #[cfg(target_os = "linux")]
    fn open_direct(&self) -> io::Result<Box<dyn super::DirectFile>> {
        super::direct::open(&self.0)
    }
}

#[derive(Debug)]
struct RealLock {
    /// Closing them releases the lock.
    _file: File,
    _directory: File,
}

impl LockGuard for RealLock {}

/// How much of a lock file is read to tell who holds it, in bytes.
const HOLDER_BYTES_MAX: u64 = 256;
/// What is known of a holder whose lock file is gone.
const WITHOUT_FILE: &str = "a process beside which the file `lock` was removed";
