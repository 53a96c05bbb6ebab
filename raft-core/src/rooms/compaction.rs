//! Snapshots of this node's own state, and what they let the log forget (Raft §7).

use crate::books::Books;
use crate::books::role::Leader;
use crate::words::action::Action;
use crate::words::error::SnapshotError;
use crate::words::ids::{LogIndex, Position};
use crate::words::persist::SnapshotMark;

/// Asks for a snapshot now, whatever the policy says.
pub(crate) fn want(books: &mut Books) -> Result<(), SnapshotError> {
    let handed = books.applying.handed;
    books.snapshots.drop_overtaken(handed);
    let snapshots = &books.snapshots;
    if snapshots.taking.is_some() || snapshots.incoming.is_some() || !books.applying.has_state() {
        return Err(SnapshotError::InProgress);
    }
    // One that reaches less far than a leader's must not take its place: the log may begin behind that.
    let newest = snapshots.last().index;
    if handed < newest || (handed == newest && !snapshots.is_unreadable) {
        return Err(SnapshotError::NothingNew);
    }
    // A newcomer learns who founded the group from the first entry that tells of itself (S100).
    if books.memberships.at(handed).voters().next().is_none() {
        return Err(SnapshotError::NothingNew);
    }
    books.snapshots.is_wanted = true;
    Ok(())
}

/// The snapshot to take now, if one is due.
///
/// It covers what was handed out for applying before, so in the order of actions the state is just
/// that. The membership is the one in force there, not the newest (S44).
pub(crate) fn poll_take(books: &mut Books) -> Option<Action> {
    let config = &books.config;
    if !books.snapshots.is_due(config.snapshot_log_entries, config.snapshot_log_bytes) {
        return None;
    }
    if want(books).is_err() {
        return None;
    }
    let index = books.applying.handed;
    let last = Position::new(books.log.term_at(index)?, index);
    books.snapshots.begin(last);
    Some(Action::TakeSnapshot(SnapshotMark { last, membership: books.memberships.at(index).clone() }))
}

/// Lets the log begin later, if the newest snapshot allows: a number of entries stays before its end, for
/// members that are a little behind, but not too many bytes of them (S102); and everything that follows a
/// snapshot on its way to one, which would else arrive there only to be useless (S43).
pub(crate) fn compact(books: &mut Books, leader: Option<&Leader>) {
    let covered = books.snapshots.last().index;
    let kept = LogIndex::new(covered.get().saturating_sub(books.config.retained_entries));
    let kept = books.snapshots.reach.begin().map_or(kept, |begin| begin.clamp(kept, covered));
    // A leader's snapshot can reach further than what is applied and durable here.
    let kept = kept.min(books.applying.handed).min(books.disk.durable());
    let members = leader.iter().flat_map(|leader| leader.progress.iter());
    let on_their_way = members.filter_map(|progress| progress.sending.as_ref());
    let index = on_their_way.map(|sending| sending.meta.last.index).fold(kept, LogIndex::min);
    if index > books.log.mark().index {
        books.compact_log(index);
    }
}
