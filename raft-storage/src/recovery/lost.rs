//! Says which entries are lost with what a refusal names: those between the records that are left before
//! the broken place and behind it (F4, F6, F15).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use raft_core::{GroupId, LogIndex};

use super::directory::{self, Names};
use super::evidence;
use super::reader::Piece;
use super::replay::Replay;
use super::scan::{self, Record};
use super::window::Window;
use crate::error::{Damage, LostEntries, OpenError};
use crate::files::dir::DataDir;
use crate::files::segment::Segment;
use crate::format::identity::IdentityFile;
use crate::format::record::{Link, RecordHeader};
use crate::format::segment::{SegmentSeq, parse_segment_name};
use crate::state::group::GroupState;

/// What is left of a directory's segments, whatever is wrong with them.
#[derive(Debug)]
pub(crate) struct Left {
    segments: BTreeMap<SegmentSeq, Arc<Segment>>,
    first_live: SegmentSeq,
    window: Window,
}

/// What whole records behind a place tell of each group.
#[derive(Debug, Default)]
struct Behind {
    /// The first entry.
    firsts: BTreeMap<GroupId, LogIndex>,
    /// The newest mark: entries up to there are in a snapshot.
    marks: BTreeMap<GroupId, LogIndex>,
}

/// Adds to a refusal what is lost with the place it names.
pub(crate) fn explain(dir: &DataDir, owner: &IdentityFile, error: OpenError) -> OpenError {
    let OpenError::Damaged { path, offset, damage, .. } = error else { return error };
    let lost = Left::new(dir, owner).lost_at(&path, offset, &damage);
    OpenError::Damaged { path, offset, damage, lost }
}

impl Left {
    pub(crate) fn new(dir: &DataDir, owner: &IdentityFile) -> Self {
        let names = Names::read(dir).unwrap_or_default();
        let segments = directory::open_readable(dir, &names, owner);
        let mut window = Window::default();
        let linked = directory::newest_linked(&segments, &mut window).ok().flatten();
        let first_live = linked.map_or(0, |(_, link)| link.first_live);
        Self { segments, first_live, window }
    }

    /// Which entries are lost with a damage, as far as that can be told.
    pub(crate) fn lost_at(&mut self, path: &Path, offset: u64, damage: &Damage) -> Option<LostEntries> {
        if !damage.loses_records() {
            return None;
        }
        let seq = parse_segment_name(path.file_name()?.to_str()?)?;
        let offset = u32::try_from(offset).ok()?;
        let (before, chain) = self.before(seq, offset);
        let Behind { firsts, marks } = self.behind(seq, offset);
        let last_of = |group: &GroupId| before.get(group).map_or(LogIndex::ZERO, |state| state.last().index);
        let lacks = |group: &GroupId, first: Option<LogIndex>| {
            let replaced = marks.get(group).copied().unwrap_or(LogIndex::ZERO);
            first.is_none_or(|first| first > last_of(group).next() && first > replaced.next())
        };
        let header = self.broken_header(seq, offset, chain);
        let mut gaps: Vec<(GroupId, Option<LogIndex>)> = match &header {
            // Only the body is broken.
            Some(header) if header.batch_count == 0 => return None,
            Some(header) => {
                let group = GroupId::new(header.group);
                vec![(group, firsts.get(&group).copied())]
            }
            None => firsts.iter().map(|(group, first)| (*group, Some(*first))).collect(),
        };
        gaps.retain(|(group, first)| lacks(group, *first));
        // Of a record whose header is whole, nobody else's entries are lost.
        if gaps.is_empty() && header.is_none() {
            let ending = before.keys().filter(|group| !firsts.contains_key(group));
            gaps =
                ending.filter(|group| last_of(group) > LogIndex::ZERO).map(|group| (*group, None)).collect();
        }
        let other_groups = gaps.len().saturating_sub(1);
        let (group, first_behind) = gaps.into_iter().next()?;
        Some(LostEntries { group, last_before: last_of(&group), first_behind, other_groups })
    }

    /// The groups as the records before a place leave them, as far as those can be read, and the checksum
    /// of the last header in the place's own segment.
    fn before(&mut self, seq: SegmentSeq, offset: u32) -> (BTreeMap<GroupId, GroupState>, u32) {
        let Self { segments, first_live, window } = self;
        let mut replay = Replay::new(true);
        let mut chain = 0;
        for (at, segment) in segments.range((*first_live).min(seq)..=seq) {
            let next = segments.get(&at.saturating_add(1));
            let link = next.and_then(|next| scan::read_link(next, window).ok()?.ok());
            let limit = if *at == seq { Some(offset) } else { link.map(|link| link.previous_end) };
            let apply = |record: &Record, body: &[u8]| replay.apply_record(segment, record, body);
            let Ok(scanned) = scan::scan(segment, limit, window, apply) else { break };
            chain = scanned.chain;
        }
        (replay.into_groups(), chain)
    }

    /// What whole records behind a place tell.
    fn behind(&mut self, seq: SegmentSeq, offset: u32) -> Behind {
        let Self { segments, window, .. } = self;
        let mut behind = Behind::default();
        for (at, segment) in segments.range(seq..) {
            let from = if *at == seq { offset + RecordHeader::ALIGN } else { Link::OFFSET };
            // What cannot be read does not tell.
            let headers = evidence::headers_from(segment, from, window).unwrap_or_default();
            let mut end = from;
            for (offset, header) in headers {
                let limit = segment.capacity;
                let read = scan::read(segment, offset, header.previous, limit, window);
                let Ok(Ok((record, _, body))) = read else { continue };
                let mut piece = Piece::default();
                // What looks like a record inside of one is none.
                if offset < end || piece.push(segment, &record, body).is_err() {
                    continue;
                }
                end = record.end();
                let shown = piece.show(|request, extents| {
                    if let Some(first) = extents.first() {
                        behind.firsts.entry(request.group).or_insert(first.first);
                    }
                    if let Some(new) = &request.decoded.mark {
                        behind.marks.insert(request.group, new.mark.last.index);
                    }
                    Ok(())
                });
                shown.expect("nothing is refused above");
            }
        }
        behind
    }

    /// The header of the broken record, if that is whole.
    fn broken_header(&mut self, seq: SegmentSeq, offset: u32, chain: u32) -> Option<RecordHeader> {
        let segment = self.segments.get(&seq)?;
        let bytes = self.window.at(segment, offset, RecordHeader::BYTES).ok()?;
        let (header, _) = RecordHeader::decode(bytes.first_chunk()?, segment.seed, offset).ok()?;
        (header.previous == chain).then_some(header)
    }
}
