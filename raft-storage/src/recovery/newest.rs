//! Tells whether the log had gone on behind the last segment whose link can be read. Then the next link is
//! what is broken, whatever an older one says of the segments before: those may be gone by right, or filled
//! again (F6).

use super::damaged;
use super::directory::{self, Found, Names};
use super::evidence;
use super::scan;
use super::window::Window;
use crate::error::{Damage, OpenError};
use crate::files::dir::DataDir;
use crate::files::mark_file::MarkFile;
use crate::format::identity::IdentityFile;
use crate::format::record::Link;

/// Refuses what the sync mark names behind the last segment: records in a later one were durable, but none
/// is readable there.
pub(crate) fn check_mark(found: &Found, mark: &MarkFile) -> Result<(), OpenError> {
    let newest = mark.newest();
    if newest.seq <= found.last().seq {
        return Ok(());
    }
    Err(match found.find(newest.seq) {
        Some(later) => damaged(later, Damage::EndsBeforeMark { durable: u64::from(newest.offset) }),
        None => found.missing(newest.seq),
    })
}

/// Refuses the segment behind the last one if the log had gone on to it.
pub(crate) fn check_next(found: &Found, window: &mut Window) -> Result<(), OpenError> {
    let Some(next) = found.find(found.last().seq.saturating_add(1)) else { return Ok(()) };
    let (size, capacity) = (next.byte_count()?, u64::from(next.capacity));
    if size < capacity {
        // It had its full size before it had its name, so no crash made it shorter (F14).
        return Err(OpenError::damaged(next.path(), size, Damage::TooShort { needed_bytes: capacity }));
    }
    let broken = scan::read_link(next, window)?.err().unwrap_or(Damage::Missing);
    // A link that a crash tore calls for nothing. But once it was durable, it let go of segments.
    let let_go = broken != Damage::Missing && found.lacks_older();
    if let_go || evidence::behind(next, Link::OFFSET, window)?.durable > Link::OFFSET {
        return Err(damaged(next, broken));
    }
    Ok(())
}

/// Names the newest link instead of what is only missed because that one is broken.
pub(crate) fn explain(dir: &DataDir, owner: &IdentityFile, error: OpenError) -> OpenError {
    let is_damage = |error: &OpenError| matches!(error, OpenError::Damaged { .. });
    if !is_damage(&error) {
        return error;
    }
    check(dir, owner).err().filter(is_damage).unwrap_or(error)
}

fn check(dir: &DataDir, owner: &IdentityFile) -> Result<(), OpenError> {
    let names = Names::read(dir)?;
    let segments = directory::open_readable(dir, &names, owner);
    let mut window = Window::default();
    let Some(found) = Found::salvage(dir, names, segments, &mut window)? else { return Ok(()) };
    check_mark(&found, &MarkFile::open(dir)?)?;
    check_next(&found, &mut window)
}
