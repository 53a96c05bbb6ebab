//! The snapshots that opening finds. Which of them counts is decided when the group's log is known.

use std::collections::BTreeMap;

use raft_core::{GroupId, LogIndex, Position};

use super::file::SnapshotFile;
use crate::error::{Damage, LogError, OpenError};
use crate::files::dir::DataDir;
use crate::format::identity::IdentityFile;
use crate::format::snapshot::{SnapshotName, snapshot_file_name};
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
    sort(&mut candidates);
    Ok(candidates)
}

/// Puts the newest of each group first.
pub(crate) fn sort(candidates: &mut Candidates) {
    for group in candidates.values_mut() {
        group.sort_by_key(|candidate| std::cmp::Reverse(candidate.name.order()));
    }
}

/// What a group can use of its candidates.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// The newest first; the first one counts.
    pub(crate) kept: Vec<SnapshotFile>,
    /// What turned out damaged.
    pub(crate) losses: Vec<SnapshotLoss>,
}

impl Choice {
    /// Finds the newest whole snapshot that fits a log that begins behind `mark`. `verify` reads one
    /// through and tells what is damaged.
    ///
    /// Every snapshot at or past the mark does: the log has what lies between, or nothing there was
    /// ever acknowledged (F19). So a damaged one is passed over only as long as another fits, or as
    /// the log reaches back to its very beginning (F6).
    pub(crate) fn new(
        candidates: Vec<Candidate>,
        mark: Position,
        mut verify: impl FnMut(&SnapshotFile) -> Result<Option<SnapshotLoss>, LogError>,
    ) -> Result<Self, LogError> {
        let mut choice = Self::default();
        for Candidate { name: SnapshotName { last, .. }, file } in candidates {
            let fits = last == mark || last.index > mark.index;
            match file {
                Ok(_) if choice.kept.is_empty() && !fits => break,
                // A predecessor was verified when it was the newest. It is verified again when it
                // is needed.
                Ok(file) if choice.kept.is_empty() => match verify(&file)? {
                    None => choice.kept.push(file),
                    Some(loss) => choice.losses.push(loss),
                },
                Ok(file) => choice.kept.push(file),
                Err(loss) => choice.losses.push(loss),
            }
        }
        Ok(choice)
    }

    /// Whether the group's log can do with what was found: with a snapshot, or without any.
    pub(crate) fn check(&self, dir: &DataDir, group: GroupId, mark: Position) -> Result<(), LogError> {
        if !self.kept.is_empty() || mark.index == LogIndex::ZERO {
            return Ok(());
        }
        Err(match self.losses.first() {
            Some(SnapshotLoss { path, offset, damage }) => {
                LogError::Corrupt { path: path.clone(), offset: *offset, damage: *damage }
            }
            None => {
                let name = snapshot_file_name(SnapshotName { group, last: mark });
                let damage = Damage::SnapshotMissing { group, mark };
                LogError::Corrupt { path: dir.path_of(&name), offset: 0, damage }
            }
        })
    }
}
