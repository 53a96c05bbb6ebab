//! The leader's side of a snapshot transfer (Raft §7): chunks beside the log traffic, a window of
//! them on their way, one snapshot per member.

use alloc::boxed::Box;

use raft_proto::bytes::Bytes;
use raft_proto::crc32c;

use crate::books::Books;
use crate::books::progress::{Mode, Progress, Sending};
use crate::books::role::Leader;
use crate::words::action::{Action, ChunkLoad};
use crate::words::ids::{LoadId, LogIndex, NodeId};
use crate::words::message::{Body, InstallSnapshot, InstallSnapshotReply};
use crate::words::notice::{Notice, Offence};

/// The next chunk to read or to send, if some member is due one.
///
/// Members take turns, chunk by chunk. All of them share what may be sent in a tick, and one that has to
/// be sent the same chunks again and again, for its disk is full, would leave nothing to those behind
/// it; the quorum may be waiting for one of these.
pub(crate) fn poll_chunk(books: &mut Books, leader: &mut Leader) -> Option<Action> {
    let (turn, round, budget) = (leader.chunk_turn, leader.round, leader.snapshot_budget);
    for is_later in [true, false] {
        let is_next = |progress: &&mut Progress| (progress.id > turn) == is_later;
        for progress in leader.progress.iter_mut().filter(is_next) {
            let action = poll_chunk_to(books, progress, round, budget);
            if let Some(Action::LoadChunk(_)) = action {
                leader.chunk_turn = progress.id;
            }
            if action.is_some() {
                return action;
            }
        }
    }
    None
}

/// The next chunk for this member, or what must come before it.
fn poll_chunk_to(books: &mut Books, progress: &mut Progress, round: u64, budget: i64) -> Option<Action> {
    if progress.mode != Mode::Snapshot {
        return None;
    }
    let Some(sending) = &mut progress.sending else {
        let meta = books.snapshots.sendable()?.clone();
        books.counters.snapshots_sent += 1;
        books.outbox.notice(Notice::SnapshotSending { to: progress.id, last: meta.last });
        progress.send_snapshot(Some(meta), false);
        return books.outbox.poll();
    };
    if sending.is_probe_due {
        sending.is_probe_due = false;
        return Some(chunk_message(books, progress.id, round, sending, Bytes::new()));
    }
    let chunk_bytes = u64::from(books.config.snapshot_chunk_bytes);
    let window = chunk_bytes * u64::from(books.config.snapshot_chunks_max);
    let has_room = sending.sent - sending.acknowledged < window && has_budget(books, budget);
    if sending.sent == sending.meta.size || sending.loading.is_some() || !has_room {
        return None;
    }
    let load = books.next_load();
    sending.loading = Some(load);
    let bytes_max = books.config.snapshot_chunk_bytes as usize;
    let (last, offset) = (sending.meta.last, sending.sent);
    Some(Action::LoadChunk(ChunkLoad { id: load, last, offset, bytes_max }))
}

/// Sends a chunk that was read. One that nobody waits for any more is forgotten.
pub(crate) fn on_loaded(books: &mut Books, leader: &mut Leader, id: LoadId, chunk: Bytes) {
    let round = leader.round;
    let Some(progress) = waiting_for(leader, id) else { return };
    let to = progress.id;
    let Some(sending) = &mut progress.sending else { return };
    sending.loading = None;
    let left = sending.meta.size - sending.sent;
    let len = chunk.len() as u64;
    if len == 0 || len > left {
        return on_unavailable(books, leader, to);
    }
    let message = chunk_message(books, to, round, sending, chunk);
    sending.sent += len;
    if books.config.snapshot_bytes_per_tick > 0 {
        leader.snapshot_budget = leader.snapshot_budget.saturating_sub_unsigned(len);
    }
    books.outbox.push(message);
}

/// A snapshot that should be sent cannot be read. If it is the newest one, another one must be taken.
pub(crate) fn on_unreadable(books: &mut Books, leader: &mut Leader, id: LoadId) {
    if let Some(to) = waiting_for(leader, id).map(|progress| progress.id) {
        on_unavailable(books, leader, to);
    }
}

/// Takes a follower's answer to a chunk.
pub(crate) fn on_reply(books: &mut Books, leader: &mut Leader, from: NodeId, reply: InstallSnapshotReply) {
    let round = leader.round;
    let Some(progress) = leader.progress.find(from) else {
        return books.offend(from, Offence::OutsiderReply);
    };
    if reply.round > round {
        return books.offend(from, Offence::UnknownRound);
    }
    progress.is_active = true;
    progress.round = progress.round.max(reply.round);
    let Some(sending) = progress.sending.as_mut().filter(|sending| sending.meta.last == reply.last) else {
        return;
    };
    if reply.received > sending.meta.size {
        return books.offend(from, Offence::AckBeyondLog);
    }
    sending.idle_ticks = 0;
    if reply.received > sending.acknowledged {
        sending.acknowledged = reply.received;
        sending.sent = sending.sent.max(reply.received);
        sending.has_gone_back = false;
    } else if !sending.has_gone_back && sending.sent > reply.received {
        // A chunk got lost, or all of them: the receiver restarted, or found the whole wanting (S43).
        sending.acknowledged = reply.received;
        sending.go_back();
    }
    if sending.is_requested && reply.received == sending.meta.size {
        // Its log is as it was, so it goes on from there.
        let next = progress.next;
        progress.probe_from(next);
    }
}

/// A member whose state is lost wants a snapshot, although the log would do.
pub(crate) fn on_request(books: &mut Books, leader: &mut Leader, from: NodeId, at_least: LogIndex) {
    let Some(progress) = leader.progress.find(from) else {
        return books.offend(from, Offence::OutsiderRequest);
    };
    match books.snapshots.sendable() {
        Some(meta) if meta.last.index >= at_least => {
            if progress.sending.is_none() && progress.mode != Mode::Stopped {
                let meta = meta.clone();
                books.counters.snapshots_sent += 1;
                books.outbox.notice(Notice::SnapshotSending { to: from, last: meta.last });
                progress.send_snapshot(Some(meta), true);
            }
        }
        // It asks again.
        Some(_) | None => books.snapshots.is_wanted = true,
    }
}

/// Time passes: more may be sent, and what was not answered for `patience` ticks got lost.
pub(crate) fn advance(books: &Books, leader: &mut Leader, ticks: u32) {
    let patience = books.config.election_timeout_ticks_min;
    let rate = i64::from(books.config.snapshot_bytes_per_tick);
    leader.snapshot_budget =
        leader.snapshot_budget.saturating_add(rate.saturating_mul(i64::from(ticks))).min(rate);
    for sending in leader.progress.iter_mut().filter_map(|progress| progress.sending.as_mut()) {
        sending.idle_ticks = sending.idle_ticks.saturating_add(ticks);
        if sending.idle_ticks >= patience {
            sending.go_back();
            // Nothing is on its way, so the next answer tells how things stand, even if that is worse.
            sending.has_gone_back = false;
        }
    }
}

/// Members that were not heard of are not sent a snapshot any longer; if they come back, the logs
/// are compared anew. Until then the log need not be kept for them. Whoever still waits for one that
/// can be read needs one to be taken, even if that failed before.
pub(crate) fn drop_silent(books: &mut Books, leader: &mut Leader) {
    for progress in leader.progress.iter_mut().filter(|progress| progress.mode == Mode::Snapshot) {
        if !progress.is_active {
            let next = progress.next;
            progress.probe_from(next);
        } else if progress.sending.is_none() {
            books.snapshots.is_wanted = true;
        }
    }
}

/// Chunks to this member may have been lost.
pub(crate) fn on_unreachable(leader: &mut Leader, peer: NodeId) {
    if let Some(sending) = leader.progress.find(peer).and_then(|progress| progress.sending.as_mut()) {
        sending.go_back();
    }
}

/// How long until more may be sent, or something is taken for lost; `u32::MAX` if nothing is on its
/// way.
pub(crate) fn ticks_until_due(books: &Books, leader: &Leader) -> u32 {
    let patience = books.config.election_timeout_ticks_min;
    let sendings = leader.progress.iter().filter_map(|progress| progress.sending.as_ref());
    let lost = sendings.map(|sending| patience.saturating_sub(sending.idle_ticks).max(1)).min();
    let waits_for_budget = !has_budget(books, leader.snapshot_budget);
    lost.map_or(u32::MAX, |lost| if waits_for_budget { 1 } else { lost })
}

fn has_budget(books: &Books, budget: i64) -> bool {
    books.config.snapshot_bytes_per_tick == 0 || budget > 0
}

fn on_unavailable(books: &mut Books, leader: &mut Leader, to: NodeId) {
    let Some(progress) = leader.progress.find(to) else { return };
    let is_newest = progress.sending.as_ref().is_some_and(|lost| lost.meta.last == books.snapshots.last());
    if is_newest {
        books.snapshots.is_unreadable = true;
        books.snapshots.is_wanted = true;
    }
    progress.send_snapshot(None, false);
}

fn waiting_for(leader: &mut Leader, id: LoadId) -> Option<&mut Progress> {
    let waits = |progress: &&mut Progress| {
        progress.sending.as_ref().is_some_and(|sending| sending.loading == Some(id))
    };
    leader.progress.iter_mut().find(waits)
}

fn chunk_message(books: &Books, to: NodeId, round: u64, sending: &Sending, chunk: Bytes) -> Action {
    let chunk_crc32c = crc32c(&chunk);
    let install =
        InstallSnapshot { meta: sending.meta.clone(), round, offset: sending.sent, chunk, chunk_crc32c };
    Action::Send(books.message(to, Body::InstallSnapshot(Box::new(install))))
}
