//! The file of the sync mark, open.

use std::path::PathBuf;
use std::sync::Arc;

use super::dir::DataDir;
use crate::error::{Failure, Operation};
use crate::format::mark::SyncMark;
use crate::fs::{FsFile, read_up_to, write_all_at};

/// The sync mark's file and the newest mark in it.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: Arc<dyn FsFile>,
    path: PathBuf,
    newest: SyncMark,
}

impl MarkFile {
    pub(crate) const NAME: &str = "sync-mark";

    /// Makes the file; its name is durable once the directory is synced.
    pub(crate) fn create(dir: &DataDir) -> Result<(), Failure> {
        let (file, path) = (dir.create(Self::NAME)?, dir.path_of(Self::NAME));
        write_all_at(&*file, &[0; SyncMark::FILE_BYTES], 0).map_err(Failure::of(Operation::Write, &path))?;
        file.sync_data().map_err(Failure::of(Operation::Sync, &path))
    }

    /// Opens the file and reads the newest mark.
    pub(crate) fn open(dir: &DataDir) -> Result<Self, Failure> {
        let (file, path) = (dir.open(Self::NAME)?, dir.path_of(Self::NAME));
        let mut bytes = [0; SyncMark::FILE_BYTES];
        let count = read_up_to(&*file, &mut bytes, 0).map_err(Failure::of(Operation::Read, &path))?;
        let newest = SyncMark::decode_newest(&bytes[..count]).unwrap_or_default();
        Ok(Self { file, path, newest })
    }

    /// The newest mark; segment zero if none was ever written.
    pub(crate) fn newest(&self) -> &SyncMark {
        &self.newest
    }

    /// Notes durably that the log is durable up to there; does nothing if it says so already.
    pub(crate) fn write(&mut self, seq: u32, seed: u32, offset: u32) -> Result<(), Failure> {
        let mark = SyncMark { count: self.newest.count, seq, seed, offset };
        if mark == self.newest {
            return Ok(());
        }
        let mark = SyncMark { count: self.newest.count + 1, ..mark };
        let (at, bytes) = mark.encode();
        write_all_at(&*self.file, &bytes, at).map_err(Failure::of(Operation::Write, &self.path))?;
        self.file.sync_data().map_err(Failure::of(Operation::Sync, &self.path))?;
        self.newest = mark;
        Ok(())
    }
}
