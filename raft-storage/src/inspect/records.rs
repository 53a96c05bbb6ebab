//! Shows the log record by record.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use raft_core::bytes::Bytes;
use raft_core::{Entries, GroupId, HardState, LogIndex, NewMark};

use super::report::FoundDamage;
use super::survey::{self, Survey};
use crate::error::OpenError;
use crate::files::dir::DataDir;
use crate::files::mark_file::MarkFile;
use crate::files::segment::Segment;
use crate::format::batch::{BatchPlace, Decoded};
use crate::format::extent::Extent;
use crate::format::record::{Link, RecordHeader, RecordKind};
use crate::recovery::directory::Names;
use crate::recovery::initialise;
use crate::recovery::scan::{self, Record};
use crate::recovery::window::Window;
use crate::state::group::GroupState;

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecord {
    /// The number of its segment.
    pub segment: u32,
    /// Where in it, in bytes from the file's start.
    pub offset: u32,
    /// How many bytes it takes.
    pub byte_count: u32,
    /// What it says.
    pub content: RecordContent,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordContent {
    /// The segment begins: the log comes from this place of an earlier one.
    Link {
        /// The number of the segment before; zero for the first of all.
        previous_segment: u32,
        /// Where the log leaves that one.
        previous_end: u32,
        /// The oldest segment that matters.
        first_live: u32,
    },
    /// One request of a group, whose parts take effect in this order.
    Request {
        /// The group.
        group: GroupId,
        /// The log begins anew behind this position.
        mark: Option<NewMark>,
        /// Entries from here on are dropped.
        truncate_from: Option<LogIndex>,
        /// The new entries.
        batches: Vec<RecordBatch>,
        /// The new term, vote and commit index.
        hard_state: Option<HardState>,
    },
    /// The segment is full.
    Seal,
    /// The bytes are intact, but nothing that this version writes.
    Unknown,
}

/// A batch of entries in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordBatch {
    /// All that was written.
    pub written: Entries,
    /// Those of them that the log still holds: not truncated, and not behind its beginning.
    pub held: Option<Entries>,
}

/// Shows every readable record of the log.
pub(super) fn for_each(
    dir: &DataDir,
    names: Names,
    mut show: impl FnMut(&LogRecord) -> ControlFlow<()>,
) -> Result<Vec<FoundDamage>, OpenError> {
    let owner = match initialise::find_owner(dir) {
        Ok(owner) => Some(owner),
        Err(OpenError::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    let mark = MarkFile::open(dir).ok();
    let mut survey = Survey::new(dir, names, owner.as_ref());
    survey.judge_last(mark.as_ref());
    let Survey { found, groups, wrong, .. } = survey;
    if let Some(error) = wrong.others.into_iter().next() {
        return Err(error);
    }
    let damages = wrong.damages;
    let Some(found) = found else { return Ok(damages) };
    let mut window = Window::default();
    let mut is_over = false;
    for (segment, next) in survey::in_log(&found) {
        let limit = next.map(|next| next.previous_end);
        scan::scan(segment, limit, &mut window, |record, body| {
            is_over = is_over || show(&decode(segment, record, body, &groups)).is_break();
            Ok(())
        })?;
        if is_over {
            break;
        }
    }
    Ok(damages)
}

fn decode(
    segment: &Arc<Segment>,
    record: &Record,
    body: &[u8],
    groups: &BTreeMap<GroupId, GroupState>,
) -> LogRecord {
    let content = match record.header.kind {
        RecordKind::Seal => Some(RecordContent::Seal),
        RecordKind::Link => Link::decode(body).map(|link| RecordContent::Link {
            previous_segment: link.previous_seq,
            previous_end: link.previous_end,
            first_live: link.first_live,
        }),
        RecordKind::Batch => decode_request(segment, record, body, groups),
    };
    let content = content.unwrap_or(RecordContent::Unknown);
    LogRecord { segment: segment.seq, offset: record.offset, byte_count: record.byte_count, content }
}

fn decode_request(
    segment: &Segment,
    record: &Record,
    body: &[u8],
    groups: &BTreeMap<GroupId, GroupState>,
) -> Option<RecordContent> {
    let mut batches = Vec::new();
    let Decoded { mark, truncate_from, hard_state } = Decoded::decode(&record.header, body, &mut batches)?;
    let group = GroupId::new(record.header.group);
    let body = Bytes::copy_from_slice(body);
    let state = groups.get(&group);
    let read = |batch: &BatchPlace| {
        let written = Entries::parse(batch.first, batch.term, batch.kind, batch.payloads(&body)).ok()?;
        let offset = record.offset + RecordHeader::BYTES + u32::try_from(batch.start).ok()?;
        let payloads = offset..offset + u32::try_from(batch.byte_count).ok()?;
        let is_of_batch =
            |extent: &Extent| extent.segment == segment.seq && payloads.contains(&extent.offset);
        let held = state.and_then(|state| held(&written, state, is_of_batch));
        Some(RecordBatch { written, held })
    };
    let batches = batches.iter().map(read).collect::<Option<Vec<_>>>()?;
    Some(RecordContent::Request { group, mark, truncate_from, batches, hard_state })
}

/// What of a batch the group's log still holds.
fn held(written: &Entries, state: &GroupState, is_of_batch: impl Fn(&Extent) -> bool) -> Option<Entries> {
    let index = &state.index;
    let at = index.position_of(written.first().max(index.first_extent()?.first));
    let extents = (at..).map_while(|at| index.extent(at));
    let behind = at + extents.take_while(|extent| is_of_batch(extent)).count();
    let first = index.extent(at).filter(|_| behind > at)?.first;
    let end = index.extent(behind).map_or(index.last().next(), |next| next.first);
    let behind_mark = state.mark_position().index.next().max(first);
    written.prefix_before(end)?.suffix_from(behind_mark)
}
