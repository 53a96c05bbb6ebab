//! Says what is known of a segment that is not there: what its neighbours leave open (F15).

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::{GroupId, LogIndex};

use super::replay::Replay;
use super::scan;
use super::window::Window;
use crate::error::{Damage, LostEntries, OpenError};
use crate::files::dir::DataDir;
use crate::files::segment::Segment;
use crate::format::segment::{SegmentSeq, segment_name};
use crate::state::group::GroupState;

/// Segments by their numbers.
type BySeq = BTreeMap<SegmentSeq, Arc<Segment>>;

/// Names a segment that is missing among these, from the oldest that matters on.
pub(crate) fn explain(
    dir: &DataDir,
    segments: &BySeq,
    first_live: SegmentSeq,
    seq: SegmentSeq,
    window: &mut Window,
) -> OpenError {
    let damage = Damage::MissingSegment { seq, lost: lost(segments, first_live, seq, window) };
    OpenError::Damaged { path: dir.path_of(&segment_name(seq)), offset: 0, damage }
}

/// The entries that are in no segment before the missing one, nor in the next one that is there.
pub(crate) fn lost(
    segments: &BySeq,
    first_live: SegmentSeq,
    seq: SegmentSeq,
    window: &mut Window,
) -> Option<LostEntries> {
    let before = groups_in(segments, first_live.min(seq), seq, window);
    let next = segments.range(seq..).find(|(_, next)| matches!(scan::read_link(next, window), Ok(Ok(_))));
    let last_of = |group: &GroupId| before.get(group).map_or(LogIndex::ZERO, |state| state.last().index);
    let mut gaps: Vec<(GroupId, LogIndex, Option<LogIndex>)> = match next {
        None => before.keys().map(|group| (*group, last_of(group), None)).collect(),
        Some((next, _)) => groups_in(segments, *next, next.saturating_add(1), window)
            .iter()
            .filter_map(|(group, state)| {
                let first = state.index.first_extent()?.first;
                (first > last_of(group).next()).then(|| (*group, last_of(group), Some(first)))
            })
            .collect(),
    };
    gaps.retain(|(_, last, next)| *last > LogIndex::ZERO || next.is_some());
    let other_groups = gaps.len().saturating_sub(1);
    let (group, last_before, first_behind) = gaps.into_iter().next()?;
    Some(LostEntries { group, last_before, first_behind, other_groups })
}

/// The groups as segments leave them, as far as those can be read. Whatever is wrong with them is said
/// once the missing one is back.
fn groups_in(
    segments: &BySeq,
    first: SegmentSeq,
    end: SegmentSeq,
    window: &mut Window,
) -> BTreeMap<GroupId, GroupState> {
    let mut replay = Replay::new(true);
    for (seq, segment) in segments.range(first..end) {
        let next = segments.get(&seq.saturating_add(1));
        let link = next.and_then(|next| scan::read_link(next, window).ok()?.ok());
        let limit = link.map(|link| link.previous_end);
        let scanned =
            scan::scan(segment, limit, window, |record, body| replay.apply_record(segment, record, body));
        if scanned.is_err() {
            break;
        }
    }
    replay.into_groups()
}
