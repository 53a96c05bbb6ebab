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

/// Refuses the segment behind the last one if records in it were durable.
pub(crate) fn check_next(found: &Found, window: &mut Window) -> Result<(), OpenError> {
    let Some(next) = found.find(found.last().seq.saturating_add(1)) else { return Ok(()) };
    if evidence::behind(next, Link::OFFSET, window)?.durable <= Link::OFFSET {
        return Ok(());
    }
    let broken = scan::read_link(next, window)?.err();
    Err(damaged(next, broken.unwrap_or(Damage::Missing)))
}

/// Names the newest link instead of what is only missed because that one is broken.
pub(crate) fn explain(dir: &DataDir, owner: &IdentityFile, error: OpenError) -> OpenError {
    let OpenError::Damaged { damage, .. } = &error else { return error };
    match find(dir, owner, damage) {
        Ok(Some(newest)) => newest,
        // What else is wrong with the others is not what was asked.
        Ok(None) | Err(_) => error,
    }
}

fn find(dir: &DataDir, owner: &IdentityFile, damage: &Damage) -> Result<Option<OpenError>, OpenError> {
    let names = Names::read(dir)?;
    let segments = directory::open_readable(dir, &names, owner);
    let mut window = Window::default();
    let Some(found) = Found::salvage(dir, names, segments, &mut window)? else { return Ok(None) };
    let mark = MarkFile::open(dir)?;
    if let Err(error) = check_mark(&found, &mark).and_then(|()| check_next(&found, &mut window)) {
        return Ok(Some(error));
    }
    // A link that a crash tore calls for nothing. But one that was durable alone left its mark: what the
    // older link calls for is gone.
    let is_gone = matches!(damage, Damage::MissingSegment { seq } if *seq < found.last().seq);
    let next = found.find(found.last().seq.saturating_add(1)).filter(|_| is_gone);
    let Some(next) = next else { return Ok(None) };
    let broken = scan::read_link(next, &mut window)?.err();
    Ok(broken.filter(|damage| *damage != Damage::Missing).map(|damage| damaged(next, damage)))
}
