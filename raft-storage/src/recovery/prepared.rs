//! Tells a broken segment that was only made ahead of need from one that the log had reached.

use std::sync::Arc;

use super::scan;
use super::window::Window;
use crate::error::{Damage, Failure, OpenError, Operation};
use crate::files::dir::DataDir;
use crate::files::segment::Segment;
use crate::format::record::Link;
use crate::format::segment::{HEADER_BYTES, SegmentHeader, SegmentSeq, segment_name};
use crate::fs::{FsFile, read_up_to};

/// Says of the newest segment, whose head cannot be read and which no sync mark names, what the
/// evidence allows to say: that nothing is lost with it, that this cannot be told, or `error` as it
/// is.
///
/// The log enters a segment only when the one before it is sealed or cut.
pub(crate) fn explain(
    dir: &DataDir,
    seq: SegmentSeq,
    before: Option<&Arc<Segment>>,
    error: OpenError,
    window: &mut Window,
) -> Result<OpenError, OpenError> {
    let is_head = is_broken_head(&error);
    let OpenError::Damaged { path, offset, damage, .. } = error else { return Ok(error) };
    let is_entered = match before {
        Some(before) => is_left(before, window)?,
        None => true,
    };
    if !is_head || is_entered {
        return Ok(OpenError::damaged(path, offset, damage));
    }
    let file = dir.open(&segment_name(seq))?;
    let read = Failure::of(Operation::Read, &path);
    let (is_empty, size) = zeros_behind_head(&*file).map_err(read)?;
    let damage = match is_empty {
        true if size >= u64::from(Link::END) => Damage::Unused { is_certain: true },
        true => Damage::Unused { is_certain: false },
        false => damage,
    };
    Ok(OpenError::damaged(path, offset, damage))
}

/// Whether nothing can be told about a segment, because its head cannot be read.
pub(crate) fn is_broken_head(error: &OpenError) -> bool {
    let OpenError::Damaged { damage, .. } = error else { return false };
    matches!(damage, Damage::Magic | Damage::Checksum { .. } | Damage::TooShort { .. })
}

/// Whether the log has gone on behind this segment.
fn is_left(segment: &Arc<Segment>, window: &mut Window) -> Result<bool, OpenError> {
    let is_cut = segment.byte_count()? < u64::from(segment.capacity);
    Ok(is_cut || scan::scan(segment, None, window, |_, _| Ok(()))?.is_sealed)
}

/// Whether a file holds only zeros behind a segment's head, where the first records would be, and
/// how long it is. Further on there may be records of a former life.
fn zeros_behind_head(file: &dyn FsFile) -> std::io::Result<(bool, u64)> {
    let mut bytes = [0; START_BYTES];
    let count = read_up_to(file, &mut bytes, 0)?;
    let is_empty = bytes[HEADER_BYTES.min(count)..count].iter().all(|byte| *byte == 0);
    Ok((is_empty, file.byte_count()?))
}

/// The head's page, and the one in which a segment's first record is.
const START_BYTES: usize = 2 * SegmentHeader::BYTES as usize;
