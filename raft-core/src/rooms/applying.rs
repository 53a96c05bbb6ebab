//! Handing committed entries to the state machine.

use crate::books::Books;
use crate::words::action::{Action, Load};
use crate::words::batches::Batches;
use crate::words::entries::Entries;
use crate::words::error::LoadError;
use crate::words::ids::LogIndex;

/// The next committed entries, or the load that fetches them.
///
/// Only what is durable here is handed out: after a crash the log must not be behind what a state
/// machine has on disk (S62).
pub(crate) fn poll_apply(books: &mut Books) -> Option<Action> {
    let end = books.commit().min(books.disk.durable()).next();
    let first = books.applying.handed.next();
    if first >= end || !books.applying.has_room(books.config.apply_bytes_max) {
        return None;
    }
    let bytes_max = books.config.apply_bytes_max as usize;
    if let Some(batches) = books.log.slice(first, end, bytes_max) {
        return Some(hand_out(books, batches));
    }
    let id = books.next_load();
    books.applying.loading = Some(id);
    let end = end.min(books.log.tail_first());
    Some(Action::Load(Load { id, first, end, bytes_max }))
}

/// Hands out entries that were loaded.
pub(crate) fn hand_out_loaded(books: &mut Books, batches: Batches) {
    books.applying.loading = None;
    let action = hand_out(books, batches);
    books.outbox.push(action);
}

/// Entries up to `index` are applied.
pub(crate) fn on_applied(books: &mut Books, index: LogIndex) {
    books.applying.complete(index);
    let free = books.applying.applied.min(books.disk.durable());
    books.log.shrink_tail(free, books.config.tail_bytes_max);
}

/// Whether loaded entries are what the log has in the range that was asked for. Entries behind it may
/// not be committed, so they are no more welcome than wrong ones.
pub(crate) fn check_loaded(books: &Books, load: Load, batches: &[Entries]) -> Result<Batches, LoadError> {
    let mut checked = Batches::new();
    let is_range = batches.first().map(Entries::first) == Some(load.first)
        && batches.last().is_some_and(|batch| batch.last() < load.end);
    if !is_range {
        return Err(LoadError::WrongEntries { first: load.first });
    }
    for batch in batches {
        if let Some(at) = books.log.first_mismatch(batch.first(), batch.last(), batch.term()) {
            return Err(LoadError::WrongTerm { at });
        }
        if checked.try_push(batch.clone()).is_err() {
            return Err(LoadError::WrongEntries { first: batch.first() });
        }
    }
    Ok(checked)
}

fn hand_out(books: &mut Books, batches: Batches) -> Action {
    let last = batches.last().expect("a slice is never empty");
    books.applying.hand_out(last, batches.byte_count());
    let bytes = batches.byte_count() as u64;
    books.snapshots.note_handed_out(batches.entry_count(), bytes);
    books.snapshots.reach.note(last, bytes, books.config.retained_bytes);
    Action::Apply(batches)
}
