//! A snapshot from the leader: taken in chunk by chunk, and put in force when it is durable.
//!
//! The store keeps the bytes; this room knows how many came. Once the snapshot is durable nothing
//! else needs to be: a node that starts with a snapshot its log does not lead up to begins its log
//! behind it (S106, F19).

use alloc::boxed::Box;

use raft_proto::crc32c;

use crate::books::Books;
use crate::books::role::Follower;
use crate::books::snapshots::Incoming;
use crate::words::action::Action;
use crate::words::entries::EntryKind;
use crate::words::error::SnapshotError;
use crate::words::ids::{NodeId, Position, Term};
use crate::words::message::{Body, InstallSnapshot, InstallSnapshotReply, SnapshotMeta};
use crate::words::notice::{Notice, Offence};
use crate::words::persist::SnapshotMark;

/// Takes a chunk from the leader of the current term.
pub(crate) fn on_chunk(
    books: &mut Books,
    follower: &mut Follower,
    from: NodeId,
    install: Box<InstallSnapshot>,
) {
    if let Err(offence) = check(books, &install) {
        return books.offend(from, offence);
    }
    follower.round = follower.round.max(install.round);
    follower.note_round(install.round, None);
    let (last, term) = (install.meta.last, books.term());
    if !is_needed(books, last) {
        // The log leads up to it, so there is nothing to send, and the ordinary answer: how far the
        // logs are equal.
        follower.verified = follower.verified.max(last.index);
        books.commit_to(last.index);
        follower.owes_answer = true;
        return reply(books, follower, last, install.meta.size);
    }
    let end = install.offset + install.chunk.len() as u64;
    match &mut books.snapshots.incoming {
        Some(incoming) if incoming.meta == install.meta => {
            let is_next = install.offset == incoming.received && end > incoming.received;
            if !is_next {
                let written = incoming.written;
                return reply(books, follower, last, written);
            }
            (incoming.received, incoming.term) = (end, term);
        }
        // One that reaches further is on its way from the same leader, so this is late; or all of it is
        // here, and must not be overwritten by this one once it is in force.
        Some(incoming) if incoming.meta.last > last && (incoming.term == term || incoming.is_whole()) => {
            return;
        }
        Some(_) | None if install.offset > 0 => return reply(books, follower, last, 0),
        incoming @ (Some(_) | None) => {
            let meta = install.meta.clone();
            *incoming = Some(Box::new(Incoming { meta, term, received: end, written: 0 }));
            // The store writes one at a time, and this one is worth more.
            books.snapshots.taking = None;
        }
    }
    books.outbox.push(Action::StoreChunk(install));
}

/// The store has taken this many bytes of the snapshot: the leader may send more. It is noted even
/// while there is none to be told, for the next one goes on from here.
pub(crate) fn on_written(books: &mut Books, follower: Option<&Follower>, last: Position, bytes: u64) {
    if let Some(incoming) = books.snapshots.incoming.as_mut().filter(|incoming| incoming.meta.last == last) {
        incoming.written = bytes.min(incoming.received).max(incoming.written);
        let written = incoming.written;
        if let Some(follower) = follower {
            reply(books, follower, last, written);
        }
    }
}

/// The snapshot is durable: puts it in force, if it still is of use. Whether the log was replaced.
pub(crate) fn install(books: &mut Books, meta: &SnapshotMeta) -> bool {
    let last = meta.last;
    // The store may drop an older one, so it must not be restored from any longer.
    let replaces_log = !books.log.matches(last);
    let is_newer = books.applying.restoring.is_some_and(|restoring| restoring < last.index);
    let supersedes = is_newer && !replaces_log;
    if !supersedes && !is_needed(books, last) {
        // The log leads up to it by now, and what a snapshot covers is committed.
        books.commit_to(last.index);
        return false;
    }
    if replaces_log {
        books.reset_log(SnapshotMark { last, membership: meta.membership.clone() });
    }
    books.commit_to(last.index);
    books.applying.restore(last.index);
    books.counters.snapshots_installed += 1;
    books.outbox.notice(Notice::SnapshotInstalled { last });
    books.outbox.push(Action::RestoreSnapshot(meta.clone()));
    replaces_log
}

/// The state of this node is lost: nothing is applied until a snapshot of the leader's is in force.
pub(crate) fn request(books: &mut Books) -> Result<(), SnapshotError> {
    if !books.applying.has_state() {
        return Err(SnapshotError::InProgress);
    }
    books.applying.awaited = Some(books.applying.handed);
    books.applying.loading = None;
    Ok(())
}

/// Asks the leader for the snapshot this node waits for, once.
pub(crate) fn poll_request(books: &mut Books, follower: &mut Follower) {
    if let (Some(at_least), Some(leader)) = (books.applying.awaited, follower.leader)
        && !follower.has_asked_for_snapshot
    {
        follower.has_asked_for_snapshot = true;
        books.clock.beat_elapsed = 0;
        books.send(leader, Body::SnapshotRequest { at_least });
    }
}

/// The snapshot could not be stored, or was not what its meta says: it is needed from its beginning,
/// by whoever leads next if nobody does now.
pub(crate) fn on_failed(books: &mut Books, follower: Option<&Follower>, last: Position) {
    let failed = books.snapshots.incoming.take_if(|incoming| incoming.meta.last == last);
    if let (Some(_), Some(follower)) = (failed, follower) {
        reply(books, follower, last, 0);
    }
}

/// Whether a snapshot up to here brings anything: the log does not lead up to it, or the state is
/// lost and this one makes up for it.
fn is_needed(books: &Books, last: Position) -> bool {
    let leads_up = books.log.matches(last);
    let is_awaited = books.applying.awaited.is_some_and(|at_least| last.index >= at_least);
    if last.index > books.commit() { is_awaited || !leads_up } else { is_awaited && leads_up }
}

/// What no leader sends.
fn check(books: &Books, install: &InstallSnapshot) -> Result<(), Offence> {
    let InstallSnapshot { meta, offset, chunk, .. } = install;
    let kind = if meta.is_hollow { EntryKind::Hollow } else { EntryKind::Command };
    if let Some(offence) = books.misfit(kind) {
        return Err(offence);
    }
    let len = chunk.len() as u64;
    let is_whole = offset.checked_add(len).is_some_and(|end| end <= meta.size);
    let is_position = meta.last.term > Term::ZERO
        && meta.last.term <= books.term()
        && (1..INDEX_MAX).contains(&meta.last.index.get());
    let has_voters = meta.membership.voters().next().is_some();
    let is_state = meta.size == 0 || !meta.is_hollow;
    if !is_whole || !is_state || !is_position || !has_voters || crc32c(chunk) != install.chunk_crc32c {
        return Err(Offence::MalformedChunk);
    }
    if meta.size > books.config.snapshot_bytes_max {
        return Err(Offence::SnapshotTooLarge);
    }
    // Of what is committed and retained, every leader has the same (S41).
    let known = books.log.term_at(meta.last.index).filter(|_| meta.last.index <= books.commit());
    if known.is_some_and(|term| term != meta.last.term) {
        return Err(Offence::CommittedConflict);
    }
    Ok(())
}

fn reply(books: &mut Books, follower: &Follower, last: Position, received: u64) {
    if let Some(leader) = follower.leader {
        let round = follower.round;
        let reply = InstallSnapshotReply { round, last, received };
        books.send_in_durable_term(leader, Body::InstallSnapshotReply(reply));
    }
}

/// No log is this long; what comes behind could not be counted.
const INDEX_MAX: u64 = 1 << 62;
