//! One directory of a file system, with failures that name what they hit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Failure, Operation};
use crate::fs::{Fs, FsFile};

/// The directory of one log.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    fs: Arc<dyn Fs>,
    path: PathBuf,
}

impl DataDir {
    pub(crate) fn new(fs: Arc<dyn Fs>, path: PathBuf) -> Self {
        Self { fs, path }
    }

    pub(crate) fn fs(&self) -> &dyn Fs {
        &*self.fs
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// All names, in order.
    pub(crate) fn list(&self) -> Result<Vec<String>, Failure> {
        let mut names = self.fs.list(&self.path).map_err(Failure::of(Operation::List, &self.path))?;
        names.sort();
        Ok(names)
    }

    pub(crate) fn open(&self, name: &str) -> Result<Arc<dyn FsFile>, Failure> {
        let path = self.path_of(name);
        self.fs.open(&path).map_err(Failure::of(Operation::Open, &path))
    }

    pub(crate) fn create(&self, name: &str) -> Result<Arc<dyn FsFile>, Failure> {
        let path = self.path_of(name);
        self.fs.create(&path).map_err(Failure::of(Operation::Create, &path))
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        let path = self.path_of(from);
        self.fs.rename(&path, &self.path_of(to)).map_err(Failure::of(Operation::Rename, &path))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path_of(name);
        self.fs.remove(&path).map_err(Failure::of(Operation::Remove, &path))
    }

    pub(crate) fn sync(&self) -> Result<(), Failure> {
        self.fs.sync_dir(&self.path).map_err(Failure::of(Operation::SyncDirectory, &self.path))
    }
}

/// The suffix of files that are being made. They count for nothing and are removed at opening.
pub(crate) const UNFINISHED_SUFFIX: &str = ".new";
