//! Handing leadership over (diss. §3.10).
//!
//! The leader stops taking proposals, brings the target up to date, and tells it to campaign at
//! once. Its heartbeats name the target, so that voters know whose candidacy the leader wants; a
//! candidate that merely says so is refused like any other (N11, S56).

use crate::books::Books;
use crate::books::role::{Leader, Transfer};
use crate::words::error::TransferError;
use crate::words::ids::NodeId;
use crate::words::message::Body;
use crate::words::notice::Notice;

/// Begins to hand over to `target`. The next heartbeats, which are the caller's to send, announce it.
pub(crate) fn begin(books: &mut Books, leader: &mut Leader, target: NodeId) -> Result<(), TransferError> {
    if let Some(Transfer { to, .. }) = leader.transfer {
        return Err(TransferError::InProgress { to });
    }
    if target == books.id() {
        return Err(TransferError::AlreadyLeader);
    }
    if books.memberships.current().is_witness(target) {
        return Err(TransferError::Witness(target));
    }
    if !books.memberships.current().can_lead(target) {
        return Err(TransferError::NotVoter(target));
    }
    leader.transfer = Some(Transfer { to: target, ticks: 0, is_told: false });
    books.outbox.notice(Notice::TransferBegan { to: target });
    Ok(())
}

/// Tells the target to campaign as soon as its log is as long as ours.
pub(crate) fn tell_if_ready(books: &mut Books, leader: &mut Leader) {
    let Some(transfer) = &mut leader.transfer else { return };
    let to = transfer.to;
    let is_ready = leader.progress.find(to).is_some_and(|target| target.matched == books.log.last().index);
    if is_ready && !transfer.is_told {
        transfer.is_told = true;
        books.send(to, Body::TimeoutNow);
    }
}

/// This node leads no longer than it takes to say who should: heartbeats name the heir at once.
pub(crate) fn hurry(leader: &mut Leader, heir: NodeId) {
    leader.transfer = Some(Transfer { to: heir, ticks: 0, is_told: true });
}

/// A target that has not taken over within an election timeout will not (S54, S98).
pub(crate) fn expire(books: &mut Books, leader: &mut Leader) {
    let timeout = books.config.election_timeout_ticks_min;
    if leader.transfer.is_some_and(|transfer| transfer.ticks >= timeout) {
        abort(books, leader);
    }
}

/// Leads on, if a transfer is under way; whether one was.
///
/// Whoever answered up to now may still listen to the target, and the target may still be told to
/// campaign; whoever answers a round that begins from now on has learned better (S51).
pub(crate) fn abort(books: &mut Books, leader: &mut Leader) -> bool {
    let Some(Transfer { to, .. }) = leader.transfer.take() else { return false };
    leader.lease.revoke();
    books.outbox.notice(Notice::TransferEnded { to });
    true
}

/// The member best suited to take over: a voter that can lead, with the longest log.
pub(crate) fn best_target(books: &Books, leader: &Leader) -> Option<NodeId> {
    let membership = books.memberships.current();
    let others = leader.progress.iter().filter(|progress| progress.id != books.id());
    let voters = others.filter(|progress| membership.can_lead(progress.id));
    voters.max_by_key(|progress| (progress.matched, progress.is_active)).map(|progress| progress.id)
}
