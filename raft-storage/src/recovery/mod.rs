//! Opening a directory: lock, identity, segments, records, and what a crash left behind.
//!
//! Nothing on the medium is changed before all of it has been found whole.

pub(crate) mod carry;
pub(crate) mod directory;
mod evidence;
pub(crate) mod initialise;
pub(crate) mod lost;
pub(crate) mod newest;
mod prepared;
mod reader;
pub(crate) mod replay;
pub(crate) mod scan;
pub(crate) mod window;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use raft_core::GroupId;

use crate::error::{Damage, OpenError};
use crate::files::dir::DataDir;
use crate::files::maker::Maker;
use crate::files::mark_file::MarkFile;
use crate::files::salts::Salts;
use crate::files::segment::{Segment, Segments};
use crate::format::identity::IdentityFile;
use crate::format::record::Link;
use crate::fs::LockGuard;
use crate::options::WalOptions;
use crate::report::{Recovery, TornTail};
use crate::snapshot::found::{self, Candidates};
use crate::state::group::GroupState;
use crate::writer::Position;
use carry::Carried;
use directory::Found;
use reader::Read;
use replay::Replay;
use scan::{Record, Scanned};
use window::Window;

/// A directory that is ready to be written to.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) owner: IdentityFile,
    pub(crate) position: Position,
    pub(crate) segments: Segments,
    pub(crate) groups: BTreeMap<GroupId, GroupState>,
    pub(crate) dir: DataDir,
    pub(crate) snapshots: Candidates,
    pub(crate) maker: Maker,
    pub(crate) mark: MarkFile,
    pub(crate) lock: Box<dyn LockGuard>,
    pub(crate) report: Recovery,
}

/// Opens the directory that the options name.
pub(crate) fn open(options: &WalOptions) -> Result<Opened, OpenError> {
    options.check().map_err(OpenError::Options)?;
    let dir = DataDir::new(Arc::clone(&options.fs), options.dir.clone());
    let mut salts = Salts::new(options.seed);
    let lock = initialise::lock(&dir, options.start)?;
    let (owner, initialised) = initialise::identify(&dir, options, &mut salts)?;
    let mut window = Window::default();
    let examined = examine(&dir, &owner, options.threads_of_recovery(), &mut window)?;
    let Examined { mark, found, last, carried, replay, snapshots } = examined;
    for segment in found.all() {
        salts.absorb(segment.salt);
    }

    // From here on the medium is changed.
    let mut report = Recovery {
        initialised,
        records: replay.records(),
        torn_tail: last.torn_tail.clone(),
        carried_records: carried.as_ref().map_or(0, Carried::record_count),
        mark_loss: mark.loss(),
        snapshots: found.names.snapshots.len(),
        ignored_files: found.names.ignored.clone(),
        ..Recovery::default()
    };
    directory::remove(&dir, &found.names.unfinished)?;
    // A process that died may have given names and not synced them: that of a snapshot, for which
    // the log will drop what it replaces, or that of the identity itself (F10, F18).
    dir.sync()?;
    let segments = Segments::default();
    for segment in found.live() {
        segments.insert(Arc::clone(segment));
    }
    let last_seq = carried.as_ref().map_or(last.segment.seq, Carried::seq);
    let ready: VecDeque<Arc<Segment>> = found.ready_behind(last_seq);
    let mut maker = Maker::new(dir.clone(), owner, salts, ready, options);
    let position = match carried {
        None => last.position(),
        Some(carried) => carried.write(&last, &mut maker, &segments, &mut window)?,
    };
    // Not earlier: the link that says they are dead may only now be durable.
    maker.remove(found.unreadable());
    maker.retire(found.into_dead());
    maker.reserve(position.segment.seq, options.reserved_bytes)?;
    report.segments = segments.all().len();
    let groups = replay.into_groups();
    report.groups = groups.len();
    Ok(Opened { owner, position, segments, groups, dir, snapshots, maker, mark, lock, report })
}

/// What a directory holds, all of it found whole.
#[derive(Debug)]
pub(crate) struct Examined {
    mark: MarkFile,
    found: Found,
    pub(crate) last: LastSegment,
    pub(crate) carried: Option<Carried>,
    replay: Replay,
    snapshots: Candidates,
}

/// Reads a directory, with so many threads, and decides what opening it does or why it is refused.
/// Changes nothing.
pub(crate) fn examine(
    dir: &DataDir,
    owner: &IdentityFile,
    threads: usize,
    window: &mut Window,
) -> Result<Examined, OpenError> {
    let judged = judge(dir, owner, threads, window);
    judged.map_err(|error| lost::explain(dir, owner, newest::explain(dir, owner, error)))
}

fn judge(
    dir: &DataDir,
    owner: &IdentityFile,
    threads: usize,
    window: &mut Window,
) -> Result<Examined, OpenError> {
    let mark = MarkFile::open(dir)?;
    let found = directory::read(dir, owner, mark.newest().seq, window)?;
    let mut replay = Replay::new(found.first_live() > 1);
    let read = reader::read_all(
        &found.readings(),
        threads,
        |segment, piece| replay.apply(segment, piece),
        |segment, read| found.check_left(segment, &read.scanned),
    )?;
    let read = read.expect("the last segment is always read");
    let last = LastSegment::new(&found, &mark, read, window)?;
    let carried = last.carried();
    if let Some(carried) = &carried {
        replay.relocate(carried.how(&last));
    }
    replay.check().map_err(|damage| last.damaged(damage))?;
    let snapshots = found::read(dir, owner, &found.names.snapshots)?;
    Ok(Examined { mark, found, last, carried, replay, snapshots })
}

/// The segment in which the log ends, and what is known about its end.
#[derive(Debug)]
pub(crate) struct LastSegment {
    pub(crate) segment: Arc<Segment>,
    pub(crate) link: Link,
    pub(crate) scanned: Scanned,
    pub(crate) records: Vec<Record>,
    /// Everything before this offset is proven to have been durable.
    pub(crate) proven: u32,
    /// Whether there are records behind the end, which must never come to life again.
    has_stray_records: bool,
    pub(crate) torn_tail: Option<TornTail>,
}

impl LastSegment {
    /// Reads the last segment alone.
    pub(crate) fn read(found: &Found, mark: &MarkFile, window: &mut Window) -> Result<Self, OpenError> {
        let mut replay = Replay::new(true);
        let last = found.readings().split_off(found.live().count() - 1);
        let read = reader::read_all(&last, 1, |segment, piece| replay.apply(segment, piece), |_, _| Ok(()))?;
        Self::new(found, mark, read.expect("the last segment is always read"), window)
    }

    /// Tells torn from corrupt: what is missing or broken but proven to have been durable was
    /// acknowledged (F4, F5, F8, F14).
    fn new(found: &Found, mark: &MarkFile, read: Read, window: &mut Window) -> Result<Self, OpenError> {
        let segment = Arc::clone(found.last());
        let (size, capacity) = (segment.byte_count()?, u64::from(segment.capacity));
        if size < capacity {
            // It had its full size before it had its name, so no crash made it shorter (F14).
            let damage = Damage::TooShort { needed_bytes: capacity };
            return Err(OpenError::damaged(segment.path(), size, damage));
        }
        let Read { scanned, records, behind } = read;
        let marked = Self::marked(found, mark, &segment)?;
        let noted = records.iter().map(|record| record.header.durable).max().unwrap_or(0);
        let link = *found.last_link();
        let proven = noted.max(marked).max(behind.durable).max(link.born_end);
        let has_stray_records = behind.has_records;
        let torn_tail = None;
        let mut last = Self { segment, link, scanned, records, proven, has_stray_records, torn_tail };
        let end = last.scanned.end;
        if proven > end {
            let unexplained = Damage::EndsBeforeMark { durable: u64::from(proven) };
            return Err(last.damaged(last.scanned.broken.unwrap_or(unexplained)));
        }
        // Bytes that are no record of ours may be those of a former life.
        let is_torn = |damage: &Damage| *damage != Damage::Missing || has_stray_records;
        if let Some(damage) = last.scanned.broken.filter(is_torn) {
            let path = last.segment.path().clone();
            last.torn_tail = Some(TornTail { path, offset: end, byte_count: behind.byte_count, damage });
        }
        if last.scanned.is_sealed {
            // The next segment was there before this one was sealed, and nothing in it was durable.
            let next = last.segment.seq + 1;
            found.find(next).ok_or_else(|| found.missing(next))?;
            newest::check_next(found, window)?;
        }
        Ok(last)
    }

    /// What the sync mark says about this segment.
    fn marked(found: &Found, mark: &MarkFile, segment: &Segment) -> Result<u32, OpenError> {
        newest::check_mark(found, mark)?;
        let newest = mark.newest();
        if let Some(marked) = found.find(newest.seq).filter(|marked| marked.seed != newest.seed) {
            return Err(damaged(marked, Damage::Foreign));
        }
        Ok(if newest.seq == segment.seq { newest.offset } else { 0 })
    }

    /// What moves to a new segment: whatever is not proven to be durable, because a sync of pages
    /// that an earlier sync failed to write proves nothing (F9, F10). The log also goes on in a new
    /// segment if the rest of this one holds anything that must stay dead, or if it is sealed.
    fn carried(&self) -> Option<Carried> {
        let proven_count = self.records.iter().take_while(|record| record.end() <= self.proven).count();
        let is_whole = proven_count == self.records.len();
        let stays = is_whole && !self.has_stray_records && !self.scanned.is_sealed;
        (!stays).then(|| Carried::new(self, proven_count))
    }

    fn position(&self) -> Position {
        Position {
            segment: Arc::clone(&self.segment),
            offset: self.scanned.end,
            chain: self.scanned.chain,
            first_live: self.link.first_live,
        }
    }

    fn damaged(&self, damage: Damage) -> OpenError {
        OpenError::damaged(self.segment.path(), self.scanned.end.into(), damage)
    }
}

/// A segment of which nothing can be read.
fn damaged(segment: &Segment, damage: Damage) -> OpenError {
    OpenError::damaged(segment.path(), Link::OFFSET.into(), damage)
}
