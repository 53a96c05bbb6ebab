//! Which files there are, and which of them make up the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::initialise::{IDENTITY_NAME, LOCK_NAME};
use super::reader::Reading;
use super::scan::Scanned;
use super::window::Window;
use super::{damaged, prepared, scan};
use crate::error::{Damage, Failure, OpenError, Operation};
use crate::files::dir::{DataDir, UNFINISHED_SUFFIX};
use crate::files::mark_file::MarkFile;
use crate::files::segment::Segment;
use crate::format::identity::IdentityFile;
use crate::format::record::Link;
use crate::format::segment::{HEADER_BYTES, SegmentHeader, SegmentSeq, parse_segment_name, segment_name};
use crate::format::snapshot::{SnapshotName, parse_snapshot_name};
use crate::fs::{FsFile, read_up_to};

/// The files of a directory, told apart by their names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) segments: Vec<SegmentSeq>,
    pub(crate) snapshots: Vec<SnapshotName>,
    /// What a crash left half-made.
    pub(crate) unfinished: Vec<String>,
    /// Files that are none of ours, which stay as they are (F16).
    pub(crate) ignored: Vec<String>,
}

/// The segments of a directory.
#[derive(Debug)]
pub(crate) struct Found {
    dir: DataDir,
    segments: BTreeMap<SegmentSeq, Arc<Segment>>,
    /// The links of those that are part of the log, without a gap.
    links: BTreeMap<SegmentSeq, Link>,
    last: Arc<Segment>,
    last_link: Link,
    /// Segments of which not even the head can be read. All of them are dead.
    unreadable: Vec<SegmentSeq>,
    pub(crate) names: Names,
}

/// Opens all segments and finds out which of them hold the log. The sync mark is about segment
/// `marked`.
pub(crate) fn read(
    dir: &DataDir,
    owner: &IdentityFile,
    marked: SegmentSeq,
    window: &mut Window,
) -> Result<Found, OpenError> {
    let names = Names::read(dir)?;
    let (mut segments, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
    for &seq in &names.segments {
        match open_segment(dir, seq, owner) {
            Ok(segment) => {
                segments.insert(seq, Arc::new(segment));
            }
            // In order of their names, so the one before it has been opened.
            Err(error) if Some(&seq) == names.segments.last() && marked < seq => {
                let before = segments.get(&seq.saturating_sub(1));
                return Err(prepared::explain(dir, seq, before, error, window)?);
            }
            Err(error) if prepared::is_broken_head(&error) => {
                unreadable.insert(seq, error);
            }
            Err(error) => return Err(error),
        }
    }
    let linked = newest_linked(&segments, window)?;
    let first_live = linked.as_ref().map_or(0, |(_, link)| link.first_live);
    // A segment that the log has left behind may decay.
    if let Some((_, error)) = unreadable.split_off(&first_live).pop_first() {
        return Err(error);
    }
    let Some((last, newest)) = linked else {
        let Some((_, first)) = segments.first_key_value() else {
            return Err(missing(dir, marked.max(1)));
        };
        let damage = scan::read_link(first, window)?.err().unwrap_or(Damage::Missing);
        let offset = first.byte_count()?.min(u64::from(Link::OFFSET));
        return Err(OpenError::damaged(first.path(), offset, damage));
    };
    let mut links = BTreeMap::new();
    for seq in newest.first_live..=last.seq {
        let Some(segment) = segments.get(&seq) else {
            return Err(missing(dir, seq));
        };
        let link = scan::read_link(segment, window)?.map_err(|damage| damaged(segment, damage))?;
        if link.previous_seq.checked_add(1) != Some(seq) {
            return Err(damaged(segment, Damage::Content));
        }
        links.insert(seq, link);
    }
    let highest = segments.keys().next_back().copied().unwrap_or(last.seq);
    if let Some(gap) = (last.seq..=highest).find(|seq| !segments.contains_key(seq)) {
        return Err(missing(dir, gap));
    }
    if links.is_empty() {
        // The last segment itself is always among those that matter.
        return Err(damaged(&last, Damage::Content));
    }
    let unreadable = unreadable.into_keys().collect();
    Ok(Found { dir: dir.clone(), segments, links, last, last_link: newest, unreadable, names })
}

/// Removes files.
pub(crate) fn remove(dir: &DataDir, names: &[String]) -> Result<(), OpenError> {
    for name in names {
        dir.remove(name)?;
    }
    if !names.is_empty() {
        dir.sync()?;
    }
    Ok(())
}

impl Names {
    /// Lists a directory; every list is in the order of the names.
    pub(crate) fn read(dir: &DataDir) -> Result<Self, Failure> {
        let mut names = Self::default();
        for name in dir.list()? {
            if let Some(seq) = parse_segment_name(&name) {
                names.segments.push(seq);
            } else if let Some(name) = parse_snapshot_name(&name) {
                names.snapshots.push(name);
            } else if is_unfinished(&name) {
                names.unfinished.push(name);
            } else if ![IDENTITY_NAME, LOCK_NAME, MarkFile::NAME].contains(&name.as_str()) {
                names.ignored.push(name);
            }
        }
        Ok(names)
    }
}

impl Found {
    /// What can be made of the segments that could be opened, if any of them is part of the log:
    /// links may be missing, and no promise is made about the rest.
    pub(crate) fn salvage(
        dir: &DataDir,
        names: Names,
        segments: BTreeMap<SegmentSeq, Arc<Segment>>,
        window: &mut Window,
    ) -> Result<Option<Self>, OpenError> {
        let Some((last, last_link)) = newest_linked(&segments, window)? else { return Ok(None) };
        let mut links = BTreeMap::new();
        // A link that was forged may call for segments behind its own.
        for (seq, segment) in segments.range(last_link.first_live.min(last.seq)..=last.seq) {
            if let Ok(link) = scan::read_link(segment, window)? {
                links.insert(*seq, link);
            }
        }
        let (dir, unreadable) = (dir.clone(), Vec::new());
        Ok(Some(Self { dir, segments, links, last, last_link, unreadable, names }))
    }

    /// The link with which a segment begins that is part of the log.
    pub(crate) fn link(&self, seq: SegmentSeq) -> Option<&Link> {
        self.links.get(&seq)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.values()
    }

    /// Those that hold the log, in order.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.links.keys().filter_map(|seq| self.segments.get(seq))
    }

    pub(crate) fn last(&self) -> &Arc<Segment> {
        &self.last
    }

    pub(crate) fn find(&self, seq: SegmentSeq) -> Option<&Arc<Segment>> {
        self.segments.get(&seq)
    }

    /// Names a segment that should be among these.
    pub(crate) fn missing(&self, seq: SegmentSeq) -> OpenError {
        missing(&self.dir, seq)
    }

    pub(crate) fn last_link(&self) -> &Link {
        &self.last_link
    }

    pub(crate) fn first_live(&self) -> SegmentSeq {
        self.last_link.first_live
    }

    /// Whether files of segments that the last link calls for are not there.
    pub(crate) fn lacks_older(&self) -> bool {
        (self.first_live()..self.last.seq).any(|seq| !self.names.segments.contains(&seq))
    }

    /// Segments that the log has left behind, which nobody else has.
    pub(crate) fn into_dead(mut self) -> impl Iterator<Item = Arc<Segment>> {
        drop(self.segments.split_off(&self.first_live()));
        self.segments.into_values()
    }

    /// The names of those of them that cannot be filled again.
    pub(crate) fn unreadable(&self) -> Vec<String> {
        self.unreadable.iter().map(|seq| segment_name(*seq)).collect()
    }

    /// Segments behind `seq`, which were made ahead of need and hold nothing.
    pub(crate) fn ready_behind(&self, seq: SegmentSeq) -> VecDeque<Arc<Segment>> {
        let behind = self.segments.range(seq + 1..).map(|(_, segment)| segment);
        let whole = |segment: &&Arc<Segment>| {
            segment.byte_count().is_ok_and(|bytes| bytes >= u64::from(segment.capacity))
        };
        behind.take_while(whole).cloned().collect()
    }

    /// What there is to read: each segment but the last one up to where the next one says the log
    /// leaves it.
    pub(crate) fn readings(&self) -> Vec<Reading> {
        let ends = self.links.values().skip(1).map(|link| Some(link.previous_end)).chain([None]);
        self.live()
            .zip(ends)
            .map(|(segment, limit)| Reading { segment: Arc::clone(segment), limit })
            .collect()
    }

    /// Checks that a segment is whole up to there: all of that was durable before the next one was
    /// begun.
    pub(crate) fn check_left(&self, segment: &Segment, scanned: &Scanned) -> Result<(), OpenError> {
        let missing = self.links.get(&(segment.seq + 1)).and_then(|link| missing_to(link, scanned));
        missing.map_or(Ok(()), |damage| Err(OpenError::damaged(segment.path(), scanned.end.into(), damage)))
    }
}

/// What is wrong with a segment that does not reach to where the next one's link says the log leaves
/// it.
pub(crate) fn missing_to(link: &Link, scanned: &Scanned) -> Option<Damage> {
    scanned.broken.or_else(|| {
        let (expected, found) = (link.previous_chain, scanned.chain);
        let is_whole = scanned.end == link.previous_end && expected == found;
        (!is_whole).then_some(Damage::Chain { expected, found })
    })
}

/// Names a segment that is not there (F15).
fn missing(dir: &DataDir, seq: SegmentSeq) -> OpenError {
    OpenError::damaged(dir.path_of(&segment_name(seq)), 0, Damage::MissingSegment { seq })
}

/// The last segment that is part of the log. Those behind it are not begun, or nothing in them was
/// ever durable.
pub(super) fn newest_linked(
    segments: &BTreeMap<SegmentSeq, Arc<Segment>>,
    window: &mut Window,
) -> Result<Option<(Arc<Segment>, Link)>, OpenError> {
    for segment in segments.values().rev() {
        if let Ok(link) = scan::read_link(segment, window)? {
            return Ok(Some((Arc::clone(segment), link)));
        }
    }
    Ok(None)
}

/// Opens those segments whose heads are whole and ours.
pub(super) fn open_readable(
    dir: &DataDir,
    names: &Names,
    owner: &IdentityFile,
) -> BTreeMap<SegmentSeq, Arc<Segment>> {
    let open = |seq: &SegmentSeq| Some((*seq, Arc::new(open_segment(dir, *seq, owner).ok()?)));
    names.segments.iter().filter_map(open).collect()
}

pub(crate) fn open_segment(
    dir: &DataDir,
    seq: SegmentSeq,
    owner: &IdentityFile,
) -> Result<Segment, OpenError> {
    let (header, seed, file) = open_head(dir, seq)?;
    let path = dir.path_of(&segment_name(seq));
    OpenError::check_owner(&path, owner, &header.owner)?;
    if header.seq != seq {
        return Err(OpenError::damaged(path, 0, Damage::Misnamed { seq: header.seq }));
    }
    Ok(Segment::new(&header, seed, path, file))
}

/// Opens a segment's file and reads its head, whosever it is.
pub(crate) fn open_head(
    dir: &DataDir,
    seq: SegmentSeq,
) -> Result<(SegmentHeader, u32, Arc<dyn FsFile>), OpenError> {
    let name = segment_name(seq);
    let (file, path) = (dir.open(&name)?, dir.path_of(&name));
    let mut bytes = [0; HEADER_BYTES];
    let count = read_up_to(&*file, &mut bytes, 0).map_err(Failure::of(Operation::Read, &path))?;
    if count < bytes.len() {
        let damage = Damage::TooShort { needed_bytes: bytes.len() as u64 };
        return Err(OpenError::damaged(path, 0, damage));
    }
    let (header, seed) = SegmentHeader::decode(&bytes).map_err(|error| OpenError::of_head(&path, error))?;
    Ok((header, seed, file))
}

/// Whether the file is one that we were making when we were stopped.
fn is_unfinished(name: &str) -> bool {
    let made = name.strip_suffix(UNFINISHED_SUFFIX);
    made.is_some_and(|made| {
        made == IDENTITY_NAME || parse_segment_name(made).is_some() || parse_snapshot_name(made).is_some()
    })
}
