//! The file of the sync mark, open.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use super::dir::DataDir;
use crate::error::{Damage, Failure, OpenError, Operation};
use crate::format::mark::SyncMark;
use crate::fs::{FsFile, read_up_to, write_all_at};
use crate::report::MarkLoss;

/// The sync mark's file and the newest mark in it.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: Arc<dyn FsFile>,
    path: PathBuf,
    newest: SyncMark,
    /// How many of its two slots cannot be read.
    unreadable_slots: usize,
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
    ///
    /// A slot that cannot be read is evidence lost, not data: the log opens, and the report says so.
    /// A file that is not there at all is refused: no crash removes it (F27).
    pub(crate) fn open(dir: &DataDir) -> Result<Self, OpenError> {
        let path = dir.path_of(Self::NAME);
        let file = dir.open(Self::NAME).map_err(|failure| match failure.source.kind() {
            ErrorKind::NotFound => OpenError::damaged(&path, 0, Damage::MarkMissing),
            _ => failure.into(),
        })?;
        let mut bytes = [0; SyncMark::FILE_BYTES];
        let count = read_up_to(&*file, &mut bytes, 0).map_err(Failure::of(Operation::Read, &path))?;
        let newest = SyncMark::decode_newest(&bytes[..count]).unwrap_or_default();
        let unreadable_slots = SyncMark::unreadable_slots(&bytes[..count]);
        Ok(Self { file, path, newest, unreadable_slots })
    }

    /// What is to be reported about slots that could not be read.
    pub(crate) fn loss(&self) -> Option<MarkLoss> {
        let (path, unreadable_slots) = (self.path.clone(), self.unreadable_slots);
        (unreadable_slots > 0).then_some(MarkLoss { path, unreadable_slots })
    }

    /// The newest mark; segment zero if none was ever written.
    pub(crate) fn newest(&self) -> &SyncMark {
        &self.newest
    }

    /// Notes durably that the log is durable up to there; does nothing if it says so already, in a file
    /// that is whole.
    ///
    /// The slot that is written is the one that does not hold the newest mark, so it is the unreadable one
    /// if there is one.
    pub(crate) fn write(&mut self, seq: u32, seed: u32, offset: u32) -> Result<(), Failure> {
        let mark = SyncMark { count: self.newest.count, seq, seed, offset };
        if mark == self.newest && self.unreadable_slots == 0 {
            return Ok(());
        }
        let mark = SyncMark { count: self.newest.count.wrapping_add(1), ..mark };
        let (at, bytes) = mark.encode();
        write_all_at(&*self.file, &bytes, at).map_err(Failure::of(Operation::Write, &self.path))?;
        self.file.sync_data().map_err(Failure::of(Operation::Sync, &self.path))?;
        self.newest = mark;
        self.unreadable_slots = self.unreadable_slots.saturating_sub(1);
        Ok(())
    }
}
