//! Proposals: appended by the leader, sent on to it by everyone else.

use raft_proto::bytes::Bytes;

use crate::books::Books;
use crate::books::role::{Follower, Leader};
use crate::words::action::{Action, ForwardResult};
use crate::words::entries::{Entries, EntryKind};
use crate::words::error::ProposeError;
use crate::words::ids::{ForwardId, NodeId, Position};
use crate::words::message::{Body, Refusal};
use crate::words::notice::Offence;

/// Appends a command to the leader's log.
pub(crate) fn append(
    books: &mut Books,
    leader: &mut Leader,
    payload: &[u8],
) -> Result<Position, ProposeError> {
    check_size(books, payload)?;
    if leader.transfer.is_some() {
        return Err(ProposeError::Transferring);
    }
    let bytes_max = books.config.proposals_bytes_max;
    if leader.uncommitted_bytes + payload.len() > bytes_max as usize && leader.uncommitted_bytes > 0 {
        return Err(ProposeError::Busy { bytes_max });
    }
    let open_bytes = books.log.open_bytes();
    let position = books
        .log
        .push_command(books.hard.term, payload)
        .ok_or(ProposeError::TooLarge { bytes_max: books.config.entry_bytes_max })?;
    leader.uncommitted_bytes += books.log.open_bytes() - open_bytes;
    Ok(position)
}

/// Adds a command to what is sent on to the leader next.
pub(crate) fn forward(
    books: &mut Books,
    follower: &Follower,
    payload: &[u8],
) -> Result<ForwardId, ProposeError> {
    if !books.config.forward_proposals {
        return Err(ProposeError::ForwardingOff);
    }
    if follower.leader.is_none() {
        return Err(ProposeError::NoLeader);
    }
    check_size(books, payload)?;
    let bytes_max = books.config.forward_bytes_max;
    let waiting = books.forwards.byte_count();
    if waiting + payload.len() > bytes_max as usize && waiting > 0 {
        return Err(ProposeError::Busy { bytes_max });
    }
    if books.forwards.open_bytes() + payload.len() > books.config.append_bytes_max as usize {
        poll_forward(books, follower);
    }
    let too_large = ProposeError::TooLarge { bytes_max: books.config.entry_bytes_max };
    books.forwards.push(payload).ok_or(too_large)
}

/// Sends what was added since the last call.
pub(crate) fn poll_forward(books: &mut Books, follower: &Follower) {
    if let Some(leader) = follower.leader
        && let Some((request, payloads)) = books.forwards.take_message()
    {
        let epoch = books.epoch;
        books.send(leader, Body::Propose { epoch, request, payloads });
    }
}

/// Appends what another member sent on, once, and tells it where. The last position, if it was
/// taken.
///
/// A refusal promises that the proposals will never be applied, so it takes the leader of the very
/// term in which they were sent to refuse: anybody else may have taken them before it stepped down.
pub(crate) fn on_propose(
    books: &mut Books,
    leader: &mut Leader,
    from: NodeId,
    (epoch, request): (u64, ForwardId),
    payloads: Bytes,
) -> Option<Position> {
    books.log.seal();
    let first = books.log.last().index.next();
    let Ok(batch) = Entries::parse(first, books.term(), EntryKind::Command, payloads) else {
        books.offend(from, Offence::MalformedProposal);
        return None;
    };
    let count = batch.count();
    let is_member = books.memberships.current().member(from).is_some();
    if !leader.origins.admit(from, is_member, (epoch, request), count) {
        return None;
    }
    let result = take_batch(books, leader, from, batch);
    books.send(from, Body::ProposeReply { epoch, request, count, result });
    result.is_ok().then(|| books.log.last())
}

/// Takes the leader's answer.
pub(crate) fn on_reply(
    books: &mut Books,
    (epoch, first): (u64, ForwardId),
    count: u32,
    result: Result<Position, Refusal>,
) {
    if epoch == books.epoch && books.forwards.answer(first, count) {
        let result = match result {
            Ok(position) => ForwardResult::Appended(position),
            Err(refusal) => ForwardResult::Refused(refusal),
        };
        books.outbox.push(Action::Forwarded { first, count, result });
    }
}

/// The leader they went to is no longer it: no answer will come.
pub(crate) fn give_up_sent(books: &mut Books) {
    while let Some((first, count)) = books.forwards.drop_sent() {
        books.outbox.push(Action::Forwarded { first, count, result: ForwardResult::Unknown });
    }
}

/// What was lost on the way, or whose answer was, will not be answered.
pub(crate) fn expire(books: &mut Books) {
    while let Some((first, count)) = books.forwards.drop_expired(books.config.proposal_timeout_ticks) {
        books.outbox.push(Action::Forwarded { first, count, result: ForwardResult::Unknown });
    }
}

/// There is no leader to send to: what was not sent was certainly not appended.
pub(crate) fn give_up_unsent(books: &mut Books) {
    if let Some((first, count)) = books.forwards.drop_unsent() {
        let result = ForwardResult::Refused(Refusal::NotLeader);
        books.outbox.push(Action::Forwarded { first, count, result });
    }
}

fn take_batch(
    books: &mut Books,
    leader: &mut Leader,
    from: NodeId,
    batch: Entries,
) -> Result<Position, Refusal> {
    if books.memberships.current().member(from).is_none() {
        return Err(Refusal::NotMember);
    }
    if leader.transfer.is_some() {
        return Err(Refusal::Transferring);
    }
    if batch.iter().any(|entry| entry.payload.len() > books.config.entry_bytes_max as usize) {
        return Err(Refusal::TooLarge);
    }
    let bytes = leader.uncommitted_bytes + batch.byte_count();
    if bytes > books.config.proposals_bytes_max as usize && leader.uncommitted_bytes > 0 {
        return Err(Refusal::Busy);
    }
    leader.uncommitted_bytes = bytes;
    let position = Position::new(batch.term(), batch.first());
    books.log.append(batch);
    Ok(position)
}

fn check_size(books: &Books, payload: &[u8]) -> Result<(), ProposeError> {
    let bytes_max = books.config.entry_bytes_max;
    if payload.len() > bytes_max as usize { Err(ProposeError::TooLarge { bytes_max }) } else { Ok(()) }
}
