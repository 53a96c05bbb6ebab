//! Reads every segment that can be opened, whatever is wrong with the others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use raft_core::GroupId;

use super::report::{FoundDamage, SegmentReport, SegmentRole};
use crate::error::{Failure, OpenError, Operation};
use crate::files::dir::DataDir;
use crate::files::mark_file::MarkFile;
use crate::files::segment::Segment;
use crate::format::batch::Decoded;
use crate::format::identity::IdentityFile;
use crate::format::record::{Link, RecordKind};
use crate::format::segment::{SegmentSeq, segment_name};
use crate::recovery::LastSegment;
use crate::recovery::directory::{self, Found, Names};
use crate::recovery::newest;
use crate::recovery::replay::Replay;
use crate::recovery::scan::{self, Record};
use crate::recovery::window::Window;
use crate::state::group::GroupState;

/// What the segments hold.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) found: Option<Found>,
    pub(super) segments: Vec<SegmentReport>,
    pub(super) wrong: Wrong,
    /// The groups as far as the log is whole.
    pub(super) groups: BTreeMap<GroupId, GroupState>,
    pub(super) counts: Counts,
}

/// What is wrong, in the order in which it was found.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    pub(super) damages: Vec<FoundDamage>,
    /// What is no damage of a file's content.
    pub(super) others: Vec<OpenError>,
}

/// What is counted on the way.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) record_sizes: BTreeMap<u64, u64>,
    pub(super) batch_sizes: BTreeMap<u64, u64>,
    /// Records and their bytes.
    pub(super) groups: BTreeMap<GroupId, (u64, u64)>,
}

/// Builds the groups up to the first damage. Behind it a new log, so to speak, is applied for
/// nothing but to be checked.
#[derive(Debug)]
struct Builder {
    replay: Replay,
    whole: Option<BTreeMap<GroupId, GroupState>>,
}

impl Survey {
    pub(super) fn new(dir: &DataDir, names: Names, owner: Option<&IdentityFile>) -> Self {
        let mut survey = Self::default();
        let opened = survey.open(dir, &names, owner);
        let mut window = Window::default();
        match Found::salvage(dir, names, opened, &mut window) {
            Ok(found) => survey.found = found,
            Err(error) => survey.wrong.add(error),
        }
        let Some(found) = survey.found.take() else { return survey };
        survey.note_missing(&found, &mut window);
        let mut builder = Builder { replay: Replay::new(found.first_live() > 1), whole: None };
        for ((segment, next), expected) in in_log(&found).zip(found.first_live()..) {
            // Once a segment is missing the numbers no longer meet.
            if segment.seq != expected {
                builder.restart();
            }
            if let Err(error) = survey.read(&found, segment, next, &mut builder, &mut window) {
                builder.restart();
                survey.wrong.add(error);
            }
        }
        for segment in found.all().filter(|segment| !is_in_log(&found, segment.seq)) {
            let role = if segment.seq < found.first_live() {
                SegmentRole::LeftBehind
            } else {
                SegmentRole::Prepared
            };
            survey.segments.push(report_of(segment, role));
        }
        survey.segments.sort_by_key(|segment| segment.number);
        survey.groups = builder.whole.unwrap_or_else(|| builder.replay.into_groups());
        survey.found = Some(found);
        survey
    }

    /// Tells at the end of the log what is torn from what is damaged, whatever is wrong before it.
    pub(super) fn judge_last(&mut self, mark: Option<&MarkFile>) -> Option<LastSegment> {
        let judged = LastSegment::read(self.found.as_ref()?, mark?, &mut Window::default());
        judged.map_err(|error| self.wrong.add(error)).ok()
    }

    /// Opens what can be opened. If nobody says whose directory it is, the first head that can be
    /// read does.
    fn open(
        &mut self,
        dir: &DataDir,
        names: &Names,
        owner: Option<&IdentityFile>,
    ) -> BTreeMap<SegmentSeq, Arc<Segment>> {
        let first = || names.segments.iter().find_map(|seq| directory::open_head(dir, *seq).ok());
        let owner = owner.copied().or_else(|| first().map(|(header, ..)| header.owner));
        let mut opened = BTreeMap::new();
        for &seq in &names.segments {
            let outcome = match &owner {
                Some(owner) => directory::open_segment(dir, seq, owner),
                None => match directory::open_head(dir, seq) {
                    Ok(_) => continue,
                    Err(error) => Err(error),
                },
            };
            match outcome {
                Ok(segment) => {
                    opened.insert(seq, Arc::new(segment));
                }
                Err(error) => {
                    self.segments.push(unknown(dir, seq));
                    self.wrong.add(error);
                }
            }
        }
        opened
    }

    fn note_missing(&mut self, found: &Found, window: &mut Window) {
        let highest = found.all().map(|segment| segment.seq).max().unwrap_or(0);
        // If the newest link is broken, nobody knows which ones before it still mattered.
        let first = match newest::check_next(found, window) {
            Ok(()) => found.first_live(),
            Err(_) => found.last().seq,
        };
        for seq in first..=highest.max(found.last().seq) {
            if !found.names.segments.contains(&seq) {
                self.wrong.add(found.missing(seq));
            }
        }
    }

    /// Reads one segment of the log, up to where the next one says that the log leaves it.
    fn read(
        &mut self,
        found: &Found,
        segment: &Arc<Segment>,
        next: Option<&Link>,
        builder: &mut Builder,
        window: &mut Window,
    ) -> Result<(), OpenError> {
        let is_last = segment.seq == found.last().seq;
        let mut report = report_of(segment, if is_last { SegmentRole::Last } else { SegmentRole::Full });
        let limit = next.map(|next| next.previous_end);
        let Self { wrong, counts, .. } = self;
        let scanned = scan::scan(segment, limit, window, |record, body| {
            report.records += 1;
            report.durable_offset = report.durable_offset.max(record.header.durable);
            counts.add(record, body);
            if let Err(error) = builder.replay.apply_record(segment, record, body) {
                builder.restart();
                report.is_whole = false;
                wrong.add(error);
            }
            Ok(())
        })?;
        report.end_offset = scanned.end;
        let broken = match next {
            Some(next) => {
                report.durable_offset = next.previous_end;
                directory::missing_to(next, &scanned)
            }
            // Where the log ends, only the proofs of durability tell damage from a torn write.
            None if is_last => None,
            None => scanned.broken,
        };
        if let Some(damage) = broken {
            builder.restart();
            report.is_whole = false;
            wrong.add(OpenError::damaged(segment.path(), scanned.end.into(), damage));
        }
        self.segments.push(report);
        Ok(())
    }
}

/// The segments from the oldest that matters up to the last, as far as they can be opened, each with
/// the link of the next one.
pub(super) fn in_log(found: &Found) -> impl Iterator<Item = (&Arc<Segment>, Option<&Link>)> {
    let segments = found.all().filter(|segment| is_in_log(found, segment.seq));
    segments.map(|segment| (segment, found.link(segment.seq.saturating_add(1))))
}

fn is_in_log(found: &Found, seq: SegmentSeq) -> bool {
    (found.first_live()..=found.last().seq).contains(&seq)
}

impl Wrong {
    pub(super) fn add(&mut self, error: OpenError) {
        match error {
            OpenError::Damaged { path, offset, damage, lost } => {
                self.note(FoundDamage { path, offset, damage, lost, is_fatal: true });
            }
            OpenError::NotInitialised { .. }
            | OpenError::AlreadyInitialised { .. }
            | OpenError::Locked { .. }
            | OpenError::OtherIdentity { .. }
            | OpenError::Version { .. }
            | OpenError::Options(_)
            | OpenError::Io(_) => self.others.push(error),
        }
    }

    /// The first that is said about a place is kept: opening says it, and it knows most.
    fn note(&mut self, found: FoundDamage) {
        let is_known = |known: &FoundDamage| (&known.path, known.offset) == (&found.path, found.offset);
        if !self.damages.iter().any(is_known) {
            self.damages.push(found);
        }
    }

    /// Notes what an error says about a file; what it says beyond that stays with the caller.
    pub(super) fn add_copy(&mut self, error: &OpenError) {
        if let OpenError::Damaged { path, offset, damage, lost } = error {
            let (path, offset, damage, lost) = (path.clone(), *offset, *damage, *lost);
            self.note(FoundDamage { path, offset, damage, lost, is_fatal: true });
        }
    }

    pub(super) fn append(&mut self, more: Self) {
        more.damages.into_iter().for_each(|found| self.note(found));
        self.others.extend(more.others);
    }

    pub(super) fn is_about(&self, path: &Path) -> bool {
        self.damages.iter().any(|found| found.path == path)
    }
}

impl Counts {
    fn add(&mut self, record: &Record, body: &[u8]) {
        if record.header.kind != RecordKind::Batch {
            return;
        }
        let bytes = u64::from(record.byte_count);
        *self.record_sizes.entry(bytes.next_power_of_two()).or_default() += 1;
        let (records, record_bytes) = self.groups.entry(GroupId::new(record.header.group)).or_default();
        *records += 1;
        *record_bytes += bytes;
        let mut batches = Vec::new();
        if Decoded::decode(&record.header, body, &mut batches).is_none() {
            batches.clear();
        }
        for batch in batches {
            let entries = batch.last.get() - batch.first.get() + 1;
            *self.batch_sizes.entry(entries.next_power_of_two()).or_default() += 1;
        }
    }
}

impl Builder {
    fn restart(&mut self) {
        let built = std::mem::replace(&mut self.replay, Replay::new(true)).into_groups();
        self.whole.get_or_insert(built);
    }
}

fn report_of(segment: &Segment, role: SegmentRole) -> SegmentReport {
    SegmentReport {
        number: segment.seq,
        path: segment.path().clone(),
        byte_count: segment.byte_count().unwrap_or(0),
        role,
        records: 0,
        first_offset: Link::OFFSET,
        end_offset: Link::OFFSET,
        durable_offset: Link::OFFSET,
        is_whole: true,
    }
}

fn unknown(dir: &DataDir, seq: SegmentSeq) -> SegmentReport {
    let name = segment_name(seq);
    SegmentReport {
        number: seq,
        path: dir.path_of(&name),
        byte_count: byte_count(dir, &name).unwrap_or(0),
        role: SegmentRole::Unknown,
        records: 0,
        first_offset: 0,
        end_offset: 0,
        durable_offset: 0,
        is_whole: false,
    }
}

/// How many bytes a file has.
pub(super) fn byte_count(dir: &DataDir, name: &str) -> Result<u64, Failure> {
    dir.open(name)?.byte_count().map_err(Failure::of(Operation::Read, &dir.path_of(name)))
}
