//! Changes of membership (Raft §6, diss. §4).
//!
//! A membership is in force as soon as its entry is appended. If the voters change, the old and the
//! new ones first rule together, each with a veto; when that is committed, the leader appends the
//! final membership.

use crate::books::Books;
use crate::books::role::Leader;
use crate::words::change::{MembershipChange, leave};
use crate::words::entries::{Entries, EntryKind};
use crate::words::error::ChangeError;
use crate::words::ids::Position;
use crate::words::membership::{Member, Membership};
use crate::words::notice::Notice;

/// Appends what the change leads to first; where it stands.
///
/// One change at a time, and none before an entry of the leader's own term is committed. Else a
/// leader could build on a membership that is still to be overwritten, and two leaders that each
/// know only of their own change could find disjoint majorities: from {1,2,3,4}, leader 1 adds 5
/// unnoticed; leader 2 removes 1 and commits with {2,3} of {2,3,4}; leader 1 returns and is elected
/// with {1,4,5} of {1,2,3,4,5} (S29).
pub(crate) fn change(
    books: &mut Books,
    leader: &mut Leader,
    change: &MembershipChange,
) -> Result<Position, ChangeError> {
    check_is_settled(books, leader)?;
    if books.memberships.current().is_joint() {
        return Err(ChangeError::InProgress);
    }
    let next = change.enter(books.memberships.current())?;
    Ok(append(books, leader, next))
}

/// Leaves a joint configuration that does not leave by itself.
pub(crate) fn leave_joint(books: &mut Books, leader: &mut Leader) -> Result<Position, ChangeError> {
    check_is_settled(books, leader)?;
    let current = books.memberships.current();
    if !current.is_joint() {
        return Err(ChangeError::NotJoint);
    }
    let next = leave(current);
    Ok(append(books, leader, next))
}

/// Leaves a joint configuration once it is committed, whoever began it (S89); whether it did.
pub(crate) fn finish(books: &mut Books, leader: &mut Leader) -> bool {
    let current = books.memberships.current();
    if !current.leaves_by_itself() || check_is_settled(books, leader).is_err() {
        return false;
    }
    let next = leave(current);
    append(books, leader, next);
    true
}

/// Makes voters of the members that join and have caught up, in one change, whoever took them in
/// (diss. §4.2.1, S36); whether there were any.
///
/// Caught up is who has what was durable here an election timeout ago, which is what the
/// dissertation's rounds ask for. To have reached the commit index would be too much: under load,
/// it runs ahead of a member that is far away for ever. If another change is in progress, or the
/// term young, this is asked again with the next answer.
pub(crate) fn promote(books: &mut Books, leader: &mut Leader) -> bool {
    let current = books.memberships.current();
    if current.is_joint() || check_is_settled(books, leader).is_err() {
        return false;
    }
    let mut change = MembershipChange::new();
    for member in current.members() {
        if let Some(role) = member.role.joins_as().filter(|_| leader.progress.has_caught_up(member.id)) {
            change = change.role(member.id, role);
        }
    }
    // Nobody is ready if nothing changes.
    let Ok(next) = change.enter(current) else { return false };
    append(books, leader, next);
    true
}

/// Whether the membership calls for something that this leader does by itself.
pub(crate) fn is_in_flux(books: &Books) -> bool {
    let current = books.memberships.current();
    let is_joining = |member: &Member| member.role.joins_as().is_some();
    current.is_joint() || !current.can_lead(books.id()) || current.members().iter().any(is_joining)
}

/// Whether this node was removed, or demoted, for good: then it must not go on leading (S90).
pub(crate) fn is_leader_out(books: &Books, leader: &Leader) -> bool {
    let current = books.memberships.current();
    !current.is_joint() && !current.can_lead(books.id()) && check_is_settled(books, leader).is_ok()
}

/// The term has begun and the last membership is committed.
fn check_is_settled(books: &Books, leader: &Leader) -> Result<(), ChangeError> {
    if books.commit() < leader.term_start {
        return Err(ChangeError::TermNotCommitted);
    }
    if books.memberships.current_index() > books.commit() {
        return Err(ChangeError::InProgress);
    }
    if leader.transfer.is_some() {
        return Err(ChangeError::Transferring);
    }
    Ok(())
}

fn append(books: &mut Books, leader: &mut Leader, membership: Membership) -> Position {
    books.log.seal();
    let position = Position::new(books.term(), books.log.last().index.next());
    let payload = membership.encode();
    let entry = Entries::single(position, EntryKind::Membership, &payload).expect("far below the limits");
    leader.uncommitted_bytes += entry.byte_count();
    books.log.append(entry);
    leader.progress.follow(&membership, position.index);
    books.memberships.push(position.index, membership);
    books.outbox.notice(Notice::MembershipAppended { at: position });
    position
}
