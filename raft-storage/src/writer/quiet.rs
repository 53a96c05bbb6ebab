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

impl Writer {
    /// Moves groups at rest out of old segments, where that frees several times as many bytes as it takes.
    ///
    /// Their owners do not wait for it. What one asks for meanwhile is written later, so the log says the
    /// right thing in the right order; only where the entries are is then not noted, and the old segments
    /// stay until the next try.
    pub(super) fn move_resting(&mut self) -> Result<(), Failure> {
        let mut bytes_left = u64::from(self.segment.capacity / SEGMENT_SHARE);
        let mut moved = Vec::new();
        for link in self.worth_moving() {
            let whole = link.view().whole(&self.segments);
            let request = match whole.and_then(|whole| whole.map(|whole| whole.request()).transpose()) {
                Ok(Some(request)) => request,
                // Its owner was faster.
                Ok(None) => continue,
                Err(error) => {
                    // It stays where it is, and whoever reads it is told (F13).
                    slog::error!(self.logger, "what a quiet group holds in an old segment cannot be read";
                        "group" => link.id.get(), "error" => %error);
                    continue;
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
            moved.push((link, self.extents.len() - extents_before));
        }
        let mut extents = std::mem::take(&mut self.extents);
        self.commit()?;
        let mut group_count = 0;
        for (link, extent_count) in moved {
            let places = extents.drain(..extent_count);
            if link.view().moved(places) {
                link.set_live_from(self.segment.seq);
                group_count += 1;
            }
        }
        self.extents = extents;
        if group_count > 0 {
            slog::debug!(self.logger, "moved quiet groups out of old segments"; "groups" => group_count);
        }
        Ok(())
    }

    /// The groups at rest that hold so many old segments that moving all who hold any would pay.
    fn worth_moving(&self) -> Vec<Arc<GroupLink>> {
        let mut end = self.segment.seq.saturating_sub(YOUNG_SEGMENTS);
        let bytes_max = u64::from(self.segment.capacity / SEGMENT_SHARE);
        let (mut resting, mut bytes) = (Vec::new(), 0);
        for (live_from, link) in self.registry.holding_before(end) {
            let view = link.view();
            let Some(held_bytes) = view.held_bytes(bytes_max) else {
                // It stays, and with it all behind.
                end = live_from;
                break;
            };
            bytes += held_bytes + OVERHEAD_BYTES;
            // Whoever is in the middle of something is looked at another time.
            let is_at_rest = view.is_at_rest();
            drop(view);
            if is_at_rest {
                resting.push((live_from, link));
            }
        }
        let segments = self.segments.all();
        let held_from = |live_from: SegmentSeq| {
            let held = segments.iter().filter(|segment| (live_from..end).contains(&segment.seq));
            held.map(|segment| u64::from(segment.capacity)).sum::<u64>()
        };
        resting.retain(|(live_from, _)| held_from(*live_from) >= bytes * FREED_TIMES);
        resting.into_iter().map(|(_, link)| link).collect()
    }
}

/// The newest segments are left alone: most groups compact what they hold there before long.
const YOUNG_SEGMENTS: SegmentSeq = 4;
/// Before all who hold old segments are moved again, at least so many times as many bytes are written, so
/// it adds a tenth to them.
const FREED_TIMES: u64 = 10;
/// For each segment that is filled, at most one part in so many of one is moved: that bounds how long
/// others wait for it.
const SEGMENT_SHARE: u32 = 4;
/// What a record takes beside its entries, about: its head, a small table, the hard state.
const OVERHEAD_BYTES: u64 = 100;
