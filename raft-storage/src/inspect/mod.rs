//! Looks at a data directory without changing anything: what is in it, and what a node that starts
//! there would find (W7).
//!
//! The verdict is that of opening itself, which asks the same code before it changes anything. On
//! top of it, looking goes on behind the first damage and reads every file through.

mod records;
mod report;
mod survey;
mod verdict;

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Failure, OpenError, Operation};
use crate::files::dir::DataDir;
use crate::fs::read_only::{OnRead, ReadOnlyFs};
use crate::fs::{Fs, RealFs};
use crate::recovery::directory::Names;
use crate::recovery::initialise::LOCK_NAME;

pub use records::{LogRecord, RecordBatch, RecordContent};
pub use report::{
    FoundDamage, GroupReport, Inspection, MarkPlace, Outcome, Refusal, SegmentReport, SegmentRole,
    SnapshotReport,
};

/// Looks at one data directory. It never creates, locks, writes, cuts or removes anything, so it
/// works on a read-only medium, and beside a node that runs.
///
/// ```
/// use raft_core::NodeId;
/// use raft_storage::inspect::{Inspector, Outcome};
/// use raft_storage::{Identity, Start, Wal, WalOptions};
///
/// # let temp = tempfile::tempdir()?;
/// # let dir = temp.path().join("log");
/// let options = WalOptions::new(&dir, Identity { cluster: 7, node: NodeId::new(1) });
/// Wal::open(&options.start(Start::Initialise), || ())?.close()?;
///
/// let inspection = Inspector::new(&dir).inspect()?;
/// assert_eq!(inspection.outcome(), Outcome::Whole);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Inspector {
    path: PathBuf,
    fs: Arc<dyn Fs>,
    on_read: OnRead,
}

impl Inspector {
    /// For a directory of the operating system.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { path: dir.into(), fs: Arc::new(RealFs), on_read: Arc::new(|_| ()) }
    }

    /// The file system.
    #[must_use]
    pub fn fs(self, fs: Arc<dyn Fs>) -> Self {
        Self { fs, ..self }
    }

    /// What to call after each read, with the number of its bytes; for a progress bar, together with
    /// [`bytes_to_read`](Self::bytes_to_read).
    #[must_use]
    pub fn on_read(self, on_read: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { on_read: Arc::new(on_read), ..self }
    }

    /// Reads the whole directory and says what is in it and what is wrong with it.
    ///
    /// What is wrong in a directory that a process has open may be a write in the middle. There, it
    /// counts if a second look sees the same.
    ///
    /// # Errors
    ///
    /// [`NotInitialised`](OpenError::NotInitialised) if the directory is not a node's, and
    /// [`Io`](OpenError::Io) if it cannot be listed. All else is part of the report.
    pub fn inspect(&self) -> Result<Inspection, OpenError> {
        let dir = self.dir();
        let mut seen = self.look(&dir)?;
        for _ in 1..LOOKS_MAX {
            if seen.in_use_by.is_none() || seen.outcome() == Outcome::Whole {
                return Ok(seen);
            }
            let again = self.look(&dir)?;
            if again.is_like(&seen) {
                return Ok(again);
            }
            seen = again;
        }
        seen.is_steady = seen.in_use_by.is_none();
        Ok(seen)
    }

    /// Shows every readable record of the log in the order in which they were written, until told to
    /// stop. Tells which segments are damaged; what is behind a damaged place in the same segment is
    /// not shown.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Self::inspect), and if a file cannot be read or is of another version or node.
    pub fn for_each_record(
        &self,
        show: impl FnMut(&LogRecord) -> ControlFlow<()>,
    ) -> Result<Vec<FoundDamage>, OpenError> {
        let dir = self.dir();
        let names = Names::read(&dir).map_err(|failure| self.unlisted(failure))?;
        let damages = records::for_each(&dir, names, show)?;
        if damages.is_empty() || self.holder(&dir)?.is_none() {
            return Ok(damages);
        }
        // It may have been a write in the middle.
        let seen = self.inspect()?;
        Ok(seen.damages.into_iter().filter(|damage| damage.is_fatal && seen.is_steady).collect())
    }

    /// About how many bytes [`inspect`](Self::inspect) will read.
    ///
    /// # Errors
    ///
    /// If the directory cannot be listed.
    pub fn bytes_to_read(&self) -> Result<u64, OpenError> {
        let dir = self.dir();
        let names = Names::read(&dir).map_err(|failure| self.unlisted(failure))?;
        Ok(verdict::bytes_to_read(&dir, &names))
    }

    fn look(&self, dir: &DataDir) -> Result<Inspection, OpenError> {
        // Before and after, because the process may start or end in between.
        let before = self.holder(dir)?;
        let names = Names::read(dir).map_err(|failure| self.unlisted(failure))?;
        let mut inspection = verdict::look(dir, names)?;
        inspection.in_use_by = before.or(self.holder(dir)?);
        Ok(inspection)
    }

    fn holder(&self, dir: &DataDir) -> Result<Option<String>, OpenError> {
        let path = dir.path_of(LOCK_NAME);
        match dir.fs().lock_holder(&path) {
            Ok(holder) => Ok(holder),
            // Whoever may not even read the lock is told so by the files that matter.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(Failure::new(Operation::Lock, &path, error).into()),
        }
    }

    /// A directory that is not there is no node's.
    fn unlisted(&self, failure: Failure) -> OpenError {
        match failure.source.kind() {
            ErrorKind::NotFound => OpenError::NotInitialised { dir: self.path.clone() },
            _ => failure.into(),
        }
    }

    fn dir(&self) -> DataDir {
        let fs = ReadOnlyFs::new(Arc::clone(&self.fs), Arc::clone(&self.on_read));
        DataDir::new(Arc::new(fs), self.path.clone())
    }
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector").field("path", &self.path).field("fs", &self.fs).finish_non_exhaustive()
    }
}

/// How often a directory in use is looked at until two looks agree.
const LOOKS_MAX: usize = 6;
