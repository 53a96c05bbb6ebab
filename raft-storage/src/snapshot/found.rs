//! The snapshots that opening finds. Which of them counts is decided when the group's log is known.

use std::collections::BTreeMap;

use raft_core::GroupId;

use super::file::SnapshotFile;
use crate::error::OpenError;
use crate::files::dir::DataDir;
use crate::format::identity::IdentityFile;
use crate::format::snapshot::SnapshotName;
use crate::report::SnapshotLoss;

/// A file with a snapshot's name, whole or not as far as head and foot tell.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) name: SnapshotName,
    pub(crate) file: Result<SnapshotFile, SnapshotLoss>,
}

/// The candidates of each group, the newest first.
pub(crate) type Candidates = BTreeMap<GroupId, Vec<Candidate>>;

/// Reads head and foot of each, and refuses what another node has made (F7, F23).
pub(crate) fn read(
    dir: &DataDir,
    owner: &IdentityFile,
    names: &[SnapshotName],
) -> Result<Candidates, OpenError> {
    let mut candidates = Candidates::new();
    for &name in names {
        let file = SnapshotFile::open(dir, owner, name)?;
        candidates.entry(name.group).or_default().push(Candidate { name, file });
    }
    for group in candidates.values_mut() {
        group.sort_by_key(|candidate| std::cmp::Reverse(candidate.name.order()));
    }
    Ok(candidates)
}
