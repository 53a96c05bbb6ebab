//! Puts together what opening would say and what reading everything finds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use raft_core::GroupId;

use super::report::{FoundDamage, GroupReport, Inspection, MarkPlace, Refusal, SnapshotReport};
use super::survey::{Survey, Wrong, byte_count};
use crate::error::{LogError, OpenError};
use crate::files::dir::DataDir;
use crate::files::mark_file::MarkFile;
use crate::format::identity::IdentityFile;
use crate::format::mark::SyncMark;
use crate::format::segment::segment_name;
use crate::format::snapshot::{CHUNK_BYTES, SnapshotName, snapshot_file_name};
use crate::recovery::carry::Carried;
use crate::recovery::directory::Names;
use crate::recovery::lost::Left;
use crate::recovery::window::Window;
use crate::recovery::{self, Examined, LastSegment, initialise};
use crate::report::{SnapshotLoss, TornTail};
use crate::snapshot::file::SnapshotFile;
use crate::snapshot::found::{self, Candidate, Candidates, Choice};
use crate::state::group::GroupState;

/// What opening would do at the end of the log.
#[derive(Debug, Default)]
struct LogEnd {
    torn_tail: Option<TornTail>,
    carried_records: u64,
    /// The last segment and up to where it was durable.
    durable: Option<(PathBuf, u32)>,
}

/// The snapshots of a directory, each of them read through.
#[derive(Debug, Default)]
struct Snapshots {
    reports: Vec<SnapshotReport>,
    candidates: Candidates,
    /// What is damaged in those whose head and foot are whole.
    verified: BTreeMap<PathBuf, Result<Option<SnapshotLoss>, LogError>>,
    losses: Vec<SnapshotLoss>,
    wrong: Wrong,
}

/// Looks at all of a directory once.
pub(super) fn look(dir: &DataDir, names: Names) -> Result<Inspection, OpenError> {
    // Before the segments: those only grow, so what the mark proves must be in them.
    let mark = MarkFile::open(dir).ok();
    let (owner, judged) = match initialise::find_owner(dir) {
        Ok(owner) => (Some(owner), LogEnd::judge(dir, &owner)),
        Err(error @ OpenError::NotInitialised { .. }) => return Err(error),
        Err(error) => (None, Err(error)),
    };
    let (unfinished_files, ignored_files) = (names.unfinished.clone(), names.ignored.clone());
    let mut snapshots = Snapshots::read(dir, owner.as_ref(), &names.snapshots);
    let mut survey = Survey::new(dir, names, owner.as_ref());
    let mut wrong = Wrong::default();
    let mut refusals = Vec::new();
    let opens = judged.is_ok();
    let end = judged.unwrap_or_else(|error| {
        wrong.add_copy(&error);
        refusals.push(Refusal::Log(error));
        survey.judge_last(mark.as_ref()).as_ref().map(LogEnd::of).unwrap_or_default()
    });
    wrong.append(std::mem::take(&mut survey.wrong));
    wrong.append(std::mem::take(&mut snapshots.wrong));
    end.note_in(&mut survey, &wrong);
    let groups = snapshots.choose(dir, &survey);
    if opens {
        let refused = |group: &GroupReport| Some(Refusal::Group(group.group, group.snapshot.clone().err()?));
        refusals.extend(groups.iter().filter_map(refused));
    }
    for error in wrong.others {
        if !refusals.iter().any(|known| known.to_string() == error.to_string()) {
            refusals.push(Refusal::Log(error));
        }
    }
    if let Some(owner) = &owner {
        say_lost(dir, owner, &mut wrong.damages);
    }
    let damages = wrong
        .damages
        .into_iter()
        .chain(snapshots.losses.iter().map(|loss| damage_of(loss, &refusals)))
        .collect();
    let newest = mark.as_ref().map(|mark| *mark.newest()).filter(|newest| newest.count > 0);
    Ok(Inspection {
        dir: dir.path().to_owned(),
        in_use_by: None,
        is_steady: true,
        identity: owner.map(|owner| owner.identity),
        incarnation: owner.map(|owner| owner.incarnation),
        sync_mark: newest.map(|SyncMark { count, seq: segment, offset, .. }| MarkPlace {
            count,
            segment,
            offset,
        }),
        mark_loss: mark.as_ref().and_then(MarkFile::loss),
        segments: survey.segments,
        groups,
        snapshots: snapshots.reports,
        torn_tail: end.torn_tail,
        carried_records: end.carried_records,
        damages,
        refusals,
        unfinished_files,
        ignored_files,
        record_sizes: survey.counts.record_sizes,
        batch_sizes: survey.counts.batch_sizes,
    })
}

/// About how many bytes one look reads: the log once to judge it and once to survey it, snapshots
/// once.
pub(super) fn bytes_to_read(dir: &DataDir, names: &Names) -> u64 {
    let size = |name: String| byte_count(dir, &name).unwrap_or(0);
    let segments: u64 = names.segments.iter().map(|seq| size(segment_name(*seq))).sum();
    let snapshots: u64 = names.snapshots.iter().map(|name| size(snapshot_file_name(*name))).sum();
    2 * segments + snapshots
}

/// Says of the first damages what is lost with them, where opening has not said so.
fn say_lost(dir: &DataDir, owner: &IdentityFile, damages: &mut [FoundDamage]) {
    let mut left = Left::new(dir, owner);
    for found in damages.iter_mut().take(EXPLAINED_MAX).filter(|found| found.lost.is_none()) {
        found.lost = left.lost_at(&found.path, found.offset, &found.damage);
    }
}

/// A damaged snapshot is as bad as what its group says of it.
fn damage_of(loss: &SnapshotLoss, refusals: &[Refusal]) -> FoundDamage {
    let is_fatal = refusals.iter().any(|refusal| match refusal {
        Refusal::Group(_, LogError::Corrupt { path, .. }) => *path == loss.path,
        Refusal::Group(..) | Refusal::Log(_) => false,
    });
    let (path, offset, damage) = (loss.path.clone(), loss.offset, loss.damage);
    FoundDamage { path, offset, damage, lost: None, is_fatal }
}

impl LogEnd {
    /// What opening says.
    fn judge(dir: &DataDir, owner: &IdentityFile) -> Result<Self, OpenError> {
        let Examined { last, carried, .. } = recovery::examine(dir, owner, 1, &mut Window::default())?;
        let carried_records = carried.as_ref().map_or(0, Carried::record_count);
        Ok(Self { carried_records, ..Self::of(&last) })
    }

    fn of(last: &LastSegment) -> Self {
        let durable = Some((last.segment.path().clone(), last.proven));
        Self { torn_tail: last.torn_tail.clone(), carried_records: 0, durable }
    }

    fn note_in(&self, survey: &mut Survey, wrong: &Wrong) {
        for segment in &mut survey.segments {
            let is_torn = self.torn_tail.as_ref().is_some_and(|tail| tail.path == segment.path);
            segment.is_whole &= !is_torn && !wrong.is_about(&segment.path);
            if let Some((_, durable)) = self.durable.as_ref().filter(|(path, _)| *path == segment.path) {
                segment.durable_offset = *durable;
            }
        }
    }
}

impl Snapshots {
    fn read(dir: &DataDir, owner: Option<&IdentityFile>, names: &[SnapshotName]) -> Self {
        let mut snapshots = Self::default();
        for &name in names {
            snapshots.add(dir, owner, name);
        }
        found::sort(&mut snapshots.candidates);
        snapshots
    }

    fn add(&mut self, dir: &DataDir, owner: Option<&IdentityFile>, name: SnapshotName) {
        let file_name = snapshot_file_name(name);
        let mut report = SnapshotReport {
            path: dir.path_of(&file_name),
            byte_count: byte_count(dir, &file_name).unwrap_or(0),
            group: name.group,
            last: name.last,
            meta: None,
            chunks: 0,
            is_whole: false,
        };
        // Without an owner, whose snapshots they are cannot be told.
        match owner.map(|owner| SnapshotFile::open(dir, owner, name)) {
            None => {}
            Some(Err(error)) => self.wrong.add(error),
            Some(Ok(file)) => {
                if let Ok(file) = &file {
                    report.meta = Some(file.meta.clone());
                    report.chunks = file.meta.size.div_ceil(CHUNK_BYTES as u64);
                    report.is_whole = self.verify(dir, name.group, file);
                }
                self.losses.extend(file.as_ref().err().cloned());
                self.candidates.entry(name.group).or_default().push(Candidate { name, file });
            }
        }
        self.reports.push(report);
    }

    fn verify(&mut self, dir: &DataDir, group: GroupId, file: &SnapshotFile) -> bool {
        let loss = file.find_loss(dir, group);
        let is_whole = matches!(loss, Ok(None));
        match &loss {
            Ok(loss) => self.losses.extend(loss.clone()),
            Err(LogError::Failed(failure)) => self.wrong.add(failure.clone().into()),
            // Nothing else comes of reading a file.
            Err(_) => {}
        }
        self.verified.insert(file.path.clone(), loss);
        is_whole
    }

    /// Reports each group with the snapshot that counts for it.
    fn choose(&mut self, dir: &DataDir, survey: &Survey) -> Vec<GroupReport> {
        let ids: BTreeSet<GroupId> = survey.groups.keys().chain(self.candidates.keys()).copied().collect();
        let empty = GroupState::default();
        let choose = |id| self.choose_for(dir, id, survey.groups.get(&id).unwrap_or(&empty), survey);
        ids.into_iter().map(choose).collect()
    }

    fn choose_for(
        &mut self,
        dir: &DataDir,
        group: GroupId,
        state: &GroupState,
        survey: &Survey,
    ) -> GroupReport {
        let mark = state.mark_position();
        let candidates = self.candidates.remove(&group).unwrap_or_default();
        let verify = |file: &SnapshotFile| self.verified.remove(&file.path).unwrap_or(Ok(None));
        let snapshot = Choice::new(candidates, mark, verify).and_then(|choice| {
            choice.check(dir, group, mark)?;
            Ok(choice.kept.into_iter().next().map(|file| file.meta))
        });
        let (records, record_bytes) = survey.counts.groups.get(&group).copied().unwrap_or_default();
        let recovered = state.recovered();
        GroupReport {
            group,
            mark: recovered.mark,
            hard_state: recovered.hard_state,
            runs: recovered.runs,
            records,
            record_bytes,
            live_bytes: live_bytes(state),
            oldest_segment: state.live_from(),
            snapshot,
        }
    }
}

/// How many bytes the group's entries take, less the heads of their records.
fn live_bytes(state: &GroupState) -> u64 {
    state.index.extents().map(|extent| u64::from(extent.byte_count)).sum()
}

/// What is lost is looked for with so many damages, since each means to read the log again.
const EXPLAINED_MAX: usize = 16;
