//! The follower's side of replication (Raft §5.3).

use crate::books::Books;
use crate::books::role::Follower;
use crate::words::batches::Batches;
use crate::words::entries::{Entries, EntryKind};
use crate::words::ids::{LogIndex, NodeId, Position};
use crate::words::membership::Membership;
use crate::words::message::{Append, AppendReply, Body, Conflict, Heartbeat, HeartbeatReply};
use crate::words::notice::Offence;

/// Takes entries from the leader of the current term.
///
/// What is appended is acknowledged once it is durable, by [`poll_answer`]; a refusal, and an append
/// without news, is answered right away.
pub(crate) fn on_append(books: &mut Books, follower: &mut Follower, from: NodeId, append: Append) {
    follower.round = follower.round.max(append.round);
    follower.note_round(append.round, None);
    let commit = books.commit();
    let (prev, batches) = if append.prev.index < commit {
        // Everything committed equals every leader's log (Raft §5.4), compacted or not.
        if contradicts_committed(books, &append) {
            books.offend(from, Offence::CommittedConflict);
            return;
        }
        (commit, behind(append.batches, commit))
    } else {
        (append.prev.index, append.batches)
    };
    if append.prev.index >= commit && !books.log.matches(append.prev) {
        refuse(books, follower, from, append.prev);
        return;
    }
    let last = batches.last().unwrap_or(prev);
    match take_new(books, follower.verified, batches) {
        Ok(is_new) => follower.owes_answer |= !is_new,
        Err(offence) => return books.offend(from, offence),
    }
    follower.verified = follower.verified.max(last);
    books.commit_to(append.commit.min(follower.verified));
}

/// Notes that the leader lives, and what it has committed as far as our logs are known to be
/// equal (S16).
pub(crate) fn on_heartbeat(books: &mut Books, follower: &mut Follower, from: NodeId, beat: Heartbeat) {
    follower.note_round(beat.round, Some(beat.transferee));
    books.commit_to(beat.commit.min(follower.verified));
    let reply = HeartbeatReply {
        round: beat.round,
        durable: follower.verified.min(books.disk.durable()),
        received: follower.verified,
    };
    books.send_in_durable_term(from, Body::HeartbeatReply(reply));
}

/// The acknowledgement that is due, if any: up to what equals the leader's log and is durable.
///
/// However many appends and disk writes went before, one answer covers them all (S15, S93).
pub(crate) fn poll_answer(books: &mut Books, follower: &mut Follower) -> bool {
    let durable = follower.verified.min(books.disk.durable());
    if (durable <= follower.acknowledged && !follower.owes_answer) || !books.disk.is_hard_state_durable() {
        return false;
    }
    let Some(leader) = follower.leader else { return false };
    follower.acknowledged = follower.acknowledged.max(durable);
    follower.owes_answer = false;
    let (round, received) = (follower.round, follower.verified);
    books.send(leader, Body::AppendReply(AppendReply { round, durable, received, conflict: None }));
    true
}

/// Appends what is not there yet, cutting off what contradicts it; whether anything was new.
///
/// Entries that are there already stay, even behind the last one sent: a late, shorter append must
/// not cut off what a newer one brought (S14).
///
/// A leader never changes its own log, so whatever contradicts what was `verified` is no leader's.
fn take_new(books: &mut Books, verified: LogIndex, batches: Batches) -> Result<bool, Offence> {
    let mut is_new = false;
    for batch in batches {
        let batch = if is_new {
            batch
        } else {
            let Some(first) = books.log.first_mismatch(batch.first(), batch.last(), batch.term()) else {
                continue;
            };
            if first <= verified {
                return Err(Offence::LeaderConflict);
            }
            if first <= books.log.last().index {
                books.truncate(first);
            }
            batch.into_suffix_from(first).expect("the mismatch is within the batch")
        };
        is_new = true;
        append(books, batch)?;
    }
    Ok(is_new)
}

fn append(books: &mut Books, batch: Entries) -> Result<(), Offence> {
    if let Some(offence) = books.misfit(batch.kind()) {
        return Err(offence);
    }
    match batch.kind() {
        EntryKind::Command | EntryKind::Empty | EntryKind::Hollow => {}
        EntryKind::Membership => {
            for entry in &batch {
                let membership = Membership::decode(entry.payload).expect("checked when the message came in");
                books.memberships.push(entry.index, membership);
            }
        }
    }
    books.log.append(batch);
    Ok(())
}

/// Says no, and where the logs may meet: nothing above the hint can match, because terms only rise
/// along a log (Raft §5.3).
fn refuse(books: &mut Books, follower: &Follower, from: NodeId, prev: Position) {
    books.counters.appends_refused += 1;
    let hint = books.log.highest_within(prev);
    let reply = AppendReply {
        round: follower.round,
        durable: follower.verified.min(books.disk.durable()),
        received: follower.verified,
        conflict: Some(Conflict { rejected: prev.index, hint }),
    };
    books.send_in_durable_term(from, Body::AppendReply(reply));
}

/// Whether entries at or below the commit index differ from ours, as far as ours are retained; of
/// what the mark replaced the last position is known.
fn contradicts_committed(books: &Books, append: &Append) -> bool {
    let (mark, commit) = (books.log.mark().index, books.commit());
    append.batches.iter().any(|batch| {
        let (first, last) = (batch.first().max(mark), batch.last().min(commit));
        first <= last && books.log.first_mismatch(first, last, batch.term()).is_some()
    })
}

/// The part of the batches behind `index`.
fn behind(batches: Batches, index: LogIndex) -> Batches {
    let mut rest = Batches::new();
    for batch in batches {
        if let Some(batch) = batch.into_suffix_from(index.next()) {
            rest.push(batch);
        }
    }
    rest
}
