//! Moves what groups at rest hold in old segments to the end of the log.
//!
//! All groups share the segments, so a quiet one would hold every segment behind its last entry for ever.
//! All that it needs is written anew in one request, as if its owner had asked for that: a crash leaves it
//! at the old place or at the new one. The next link lets go of the old segments, as it always does.

use std::sync::Arc;

use super::{KEPT_SHARE, Writer};
use crate::error::Failure;
use crate::format::record::RecordKind;
use crate::format::segment::SegmentSeq;
use crate::state::registry::GroupLink;
use crate::state::view::View;
use crate::sync::MutexGuard;

/// A group at rest; as long as this is held, its owner waits.
struct Resting<'a> {
    link: &'a GroupLink,
    view: MutexGuard<'a, View>,
}

impl Writer {
    /// Moves groups at rest out of old segments, if that frees several times as many bytes as it takes.
    pub(super) fn move_resting(&mut self) -> Result<(), Failure> {
        let old_end = self.segment.seq.saturating_sub(YOUNG_SEGMENTS);
        let holding = self.registry.holding_before(old_end);
        let mut bytes_left = u64::from(self.segment.capacity / SEGMENT_SHARE);
        let mut moved = Vec::new();
        for Resting { link, view } in self.worth_moving(&holding, old_end) {
            let request = match view.whole(&self.segments) {
                Ok(request) => request,
                Err(error) => {
                    // It stays where it is, and whoever reads it is told (F13).
                    slog::error!(self.logger, "what a quiet group holds in an old segment cannot be read";
                        "group" => link.id.get(), "error" => %error);
                    break;
                }
            };
            let record_bytes = request.record_bytes();
            let has_room = self.has_room(record_bytes + u64::from(self.segment.capacity / KEPT_SHARE));
            if record_bytes > bytes_left || !has_room || !request.has_countable_rows() {
                break;
            }
            bytes_left -= record_bytes;
            let extents_before = self.extents.len();
            self.append(RecordKind::Batch, link.id.get(), &request);
            moved.push((link, view, self.extents.len() - extents_before));
        }
        let mut extents = std::mem::take(&mut self.extents);
        self.commit()?;
        let group_count = moved.len();
        for (link, mut view, extent_count) in moved {
            view.moved(extents.drain(..extent_count));
            link.set_live_from(self.segment.seq);
        }
        self.extents = extents;
        if group_count > 0 {
            slog::debug!(self.logger, "moved quiet groups out of old segments"; "groups" => group_count);
        }
        Ok(())
    }

    /// Those of the groups, from the one on that needs the oldest segment, that are to be moved.
    fn worth_moving<'a>(
        &self,
        holding: &'a [(SegmentSeq, Arc<GroupLink>)],
        old_end: SegmentSeq,
    ) -> Vec<Resting<'a>> {
        // What is older goes without this.
        let oldest = holding.first().map_or(old_end, |(live_from, _)| *live_from);
        let segments = self.segments.all();
        let freed_before = |end: SegmentSeq| {
            let freed = segments.iter().filter(|segment| (oldest..end).contains(&segment.seq));
            freed.map(|segment| u64::from(segment.capacity)).sum::<u64>()
        };
        let bytes_max = u64::from(self.segment.capacity / SEGMENT_SHARE);
        let (mut resting, mut worth, mut bytes) = (Vec::new(), 0, 0);
        for (at, (_, link)) in holding.iter().enumerate() {
            // Whoever is not at rest needs its old segments, and with them all behind.
            let Some(view) = link.try_view() else { break };
            let Some(own_bytes) = view.bytes_at_rest(bytes_max) else { break };
            bytes += own_bytes + OVERHEAD_BYTES;
            resting.push(Resting { link, view });
            let next = holding.get(at + 1).map_or(old_end, |(live_from, _)| *live_from);
            if bytes * FREED_TIMES <= freed_before(next) {
                worth = resting.len();
            }
        }
        resting.truncate(worth);
        resting
    }
}

/// The newest segments are left alone: most groups compact what they hold there before long.
const YOUNG_SEGMENTS: SegmentSeq = 4;
/// What is moved frees at least so many times as many bytes, so it adds a tenth to what is written.
const FREED_TIMES: u64 = 10;
/// For each segment that is filled, at most one part in so many of one is moved: that bounds how long
/// others wait for it.
const SEGMENT_SHARE: u32 = 4;
/// What a record takes beside its entries, about: its head, a small table, the hard state.
const OVERHEAD_BYTES: u64 = 100;
