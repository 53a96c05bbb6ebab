//! The leader's side of replication: what to send, and what is committed (Raft §5.3, §5.4.2).

use crate::books::Books;
use crate::books::progress::{Beat, Mode, Progress};
use crate::books::role::Leader;
use crate::words::action::{Action, Load};
use crate::words::batches::Batches;
use crate::words::ids::{LogIndex, NodeId, Position};
use crate::words::message::{Append, AppendReply, Body, Conflict, Heartbeat, HeartbeatReply};
use crate::words::notice::{Notice, Offence};

/// The next append, or load, that some member is due; `None` if nobody is.
///
/// Called when outputs are drained, not when entries come in: however many proposals came in
/// between, each member gets them as one message.
pub(crate) fn poll_append(books: &mut Books, leader: &mut Leader) -> Option<Action> {
    while leader.may_send {
        let sendable = leader.progress.sendable(leader.cursor);
        let Some(progress) = leader.progress.at(leader.cursor) else {
            leader.may_send = false;
            leader.cursor = 0;
            break;
        };
        let last = books.log.last().index.min(sendable);
        if progress.id != books.id()
            && let Some(action) = next_append(books, progress, leader.round, last)
        {
            return Some(action);
        }
        leader.cursor += 1;
    }
    None
}

/// Somebody may be due an append again.
pub(crate) fn wake(leader: &mut Leader) {
    leader.may_send = true;
    leader.cursor = 0;
}

/// Sends what was loaded for a member, if it still is what the member needs next.
pub(crate) fn send_loaded(books: &mut Books, leader: &mut Leader, peer: NodeId, batches: Batches) {
    let round = leader.round;
    wake(leader);
    let Some(progress) = leader.progress.find(peer) else { return };
    progress.loading = None;
    if batches.first() != Some(progress.next) || progress.mode != Mode::Replicate {
        return;
    }
    let action = append_message(books, progress, round, batches);
    books.outbox.push(action);
}

/// Sends a heartbeat to every other member, beginning a new round.
pub(crate) fn broadcast_heartbeat(books: &mut Books, leader: &mut Leader) {
    leader.round += 1;
    leader.lease.begin(leader.round, books.config.read_lease_ticks);
    books.clock.beat_elapsed = 0;
    let (own, round, transferee) = (books.id(), leader.round, leader.transferee());
    for progress in leader.progress.iter_mut() {
        if progress.id == own {
            progress.round = round;
        } else {
            if !progress.beat.is_open {
                progress.beat = Beat { round, next: progress.next, is_open: true };
            }
            send_heartbeat(books, progress.id, round, transferee);
        }
    }
}

/// Takes a follower's answer to an append; whether more of its log is known to be durable.
pub(crate) fn on_append_reply(
    books: &mut Books,
    leader: &mut Leader,
    from: NodeId,
    reply: AppendReply,
) -> bool {
    let round = leader.round;
    let Some(progress) = accept(books, leader, from, reply.round, reply.durable, reply.received) else {
        return false;
    };
    let has_risen = acknowledge(books, progress, round, reply.durable, reply.received);
    if let Some(conflict) = reply.conflict {
        back_off(books, progress, conflict, reply.round);
    } else if let Mode::Probe { .. } = progress.mode
        && reply.received >= progress.next.prev()
    {
        progress.replicate_from(reply.received.next());
    }
    leader.progress.note_sync(from);
    wake(leader);
    has_risen
}

/// Takes a follower's answer to a heartbeat, which also tells what got lost before it; whether more
/// of its log is known to be durable.
pub(crate) fn on_heartbeat_reply(
    books: &mut Books,
    leader: &mut Leader,
    from: NodeId,
    reply: HeartbeatReply,
) -> bool {
    let round = leader.round;
    let Some(progress) = accept(books, leader, from, reply.round, reply.durable, reply.received) else {
        return false;
    };
    let has_risen = acknowledge(books, progress, round, reply.durable, reply.received);
    if progress.beat.is_open && reply.round >= progress.beat.round {
        progress.beat.is_open = false;
        find_losses(books, progress, reply.received);
    }
    leader.progress.note_sync(from);
    wake(leader);
    has_risen
}

/// Commits what a quorum of every active configuration has made durable, if an entry of our own
/// term is among it; then everything before is committed as well.
///
/// Entries of earlier terms are never committed by counting: one can be on a majority and still be
/// overwritten by a leader elected by a majority that lacks it (Raft §5.4.2, figure 8; S23).
pub(crate) fn advance_commit(books: &mut Books, leader: &mut Leader) {
    let index = leader.progress.committed(books.config.commit_domains_min);
    if index <= books.commit() || books.log.term_at(index) != Some(books.term()) {
        return;
    }
    books.commit_to(index);
    let (round, transferee) = (leader.round, leader.transferee());
    for progress in leader.progress.iter_mut() {
        if progress.commit_wanted != LogIndex::ZERO && progress.commit_wanted <= index {
            progress.commit_wanted = LogIndex::ZERO;
            send_heartbeat(books, progress.id, round, transferee);
        }
    }
}

/// Everything durable on our own disk counts like any other vote (diss. §10.2.1), no earlier (S26).
pub(crate) fn count_own_disk(books: &mut Books, leader: &mut Leader) {
    let own = books.id();
    if let Some(progress) = leader.progress.find(own) {
        progress.matched = progress.matched.max(books.disk.durable());
        progress.is_active = true;
    }
    leader.progress.note_sync(own);
    // A witness may have waited for this copy.
    wake(leader);
    advance_commit(books, leader);
}

/// `peer` waits until everything up to `index` is committed.
pub(crate) fn want_commit(books: &mut Books, leader: &mut Leader, peer: NodeId, index: LogIndex) {
    let (round, transferee) = (leader.round, leader.transferee());
    if index <= books.commit() {
        send_heartbeat(books, peer, round, transferee);
    } else if let Some(progress) = leader.progress.find(peer) {
        progress.commit_wanted = progress.commit_wanted.max(index);
    }
}

/// Messages to this member may have been lost: find out before sending more.
pub(crate) fn on_unreachable(leader: &mut Leader, peer: NodeId) {
    if let Some(progress) = leader.progress.find(peer)
        && progress.mode == Mode::Replicate
    {
        progress.probe_from(progress.matched.next());
    }
    wake(leader);
}

fn send_heartbeat(books: &mut Books, to: NodeId, round: u64, transferee: Option<NodeId>) {
    let commit = books.commit();
    books.send(to, Body::Heartbeat(Heartbeat { commit, round, transferee }));
}

/// What this member is due of the entries up to `last`: nothing while its window is full or a probe
/// is out.
fn next_append(books: &mut Books, progress: &mut Progress, round: u64, last: LogIndex) -> Option<Action> {
    match progress.mode {
        Mode::Stopped | Mode::Snapshot | Mode::Probe { is_sent: true, .. } => return None,
        Mode::Probe { .. } | Mode::Replicate if progress.next <= books.log.mark().index => {
            // Not to somebody who may be dead: the log would be kept for it (S102).
            if progress.is_active {
                progress.send_snapshot(None, false);
            }
            return None;
        }
        Mode::Probe { is_sent: false, with_entries: false } => {
            return Some(append_message(books, progress, round, Batches::new()));
        }
        Mode::Probe { is_sent: false, with_entries: true } => {}
        Mode::Replicate => {
            let config = &books.config;
            let has_room =
                progress.inflight.has_room(config.inflight_messages_max, config.inflight_bytes_max);
            if progress.next > last || !has_room || progress.loading.is_some() {
                return None;
            }
        }
    }
    let (end, bytes_max) = (last.next(), books.config.append_bytes_max as usize);
    if let Some(batches) = books.log.slice(progress.next, end, bytes_max) {
        return Some(append_message(books, progress, round, batches));
    }
    if progress.mode != Mode::Replicate || progress.next >= end {
        return Some(append_message(books, progress, round, Batches::new()));
    }
    // What is not in memory is durable; what is in memory the store may not even know of.
    let end = end.min(books.log.tail_first());
    let id = books.next_load();
    progress.loading = Some(id);
    Some(Action::Load(Load { id, first: progress.next, end, bytes_max }))
}

/// Builds the append and notes it as sent; never without the position before it (S19, S109).
fn append_message(books: &Books, progress: &mut Progress, round: u64, batches: Batches) -> Action {
    let batches = if progress.is_witness { hollow(batches) } else { batches };
    let index = progress.next.prev();
    let term = books.log.term_at(index).expect("who needs what is compacted away gets a snapshot");
    let prev = Position::new(term, index);
    if let Mode::Probe { is_sent, .. } = &mut progress.mode {
        *is_sent = true;
    }
    // So far payloads alone were counted, by the log and by the store.
    let batches = batches.prefix_within(books.config.append_bytes_max as usize);
    if let Some(last) = batches.last() {
        progress.inflight.push(last, batches.byte_count());
        if progress.mode == Mode::Replicate {
            progress.next = last.next();
        }
    }
    let append = Append { prev, commit: books.commit(), round, batches };
    Action::Send(books.message(progress.id, Body::Append(append)))
}

/// What a witness gets of these entries.
fn hollow(batches: Batches) -> Batches {
    let mut hollow = Batches::new();
    for batch in batches {
        hollow.push(batch.into_hollow());
    }
    hollow
}

/// Lets a reply in if it can be true: from a member, of a round we began, about entries we have.
fn accept<'a>(
    books: &mut Books,
    leader: &'a mut Leader,
    from: NodeId,
    round: u64,
    durable: LogIndex,
    received: LogIndex,
) -> Option<&'a mut Progress> {
    let offence = if round > leader.round {
        Offence::UnknownRound
    } else if durable > received || received > books.log.last().index {
        Offence::AckBeyondLog
    } else if let Some(progress) = leader.progress.find(from) {
        progress.is_active = true;
        progress.round = progress.round.max(round);
        if progress.mode == Mode::Stopped {
            return None;
        }
        return Some(progress);
    } else {
        Offence::OutsiderReply
    };
    books.offend(from, offence);
    None
}

/// Progress only goes forward: replies can be late, duplicated and reordered (S13). Whether more is
/// known to be durable.
fn acknowledge(
    books: &mut Books,
    progress: &mut Progress,
    round: u64,
    durable: LogIndex,
    received: LogIndex,
) -> bool {
    let has_risen = durable > progress.matched;
    books.counters.stale_follower_replies += u64::from(durable < progress.matched);
    if has_risen {
        progress.matched = durable;
        progress.matched_round = round;
    }
    progress.next = progress.next.max(received.next());
    progress.inflight.acknowledge(durable);
    let is_requested = progress.sending.as_ref().is_some_and(|sending| sending.is_requested);
    if progress.mode == Mode::Snapshot && received >= books.log.mark().index && !is_requested {
        // The snapshot is in force, or some other leader's entries led it here. This answer may be an
        // old one (S13).
        progress.replicate_from(received.max(progress.matched).next());
    }
    has_risen
}

/// The follower's log does not have the position before the append: try where they may meet.
///
/// A refusal of anything but the probe that is out, or of what is known to match, is an old one
/// (S13). Above our own highest position within the hint nothing can match (Raft §5.3), so
/// differing logs meet after at most one round trip per term of either (S18).
fn back_off(books: &mut Books, progress: &mut Progress, conflict: Conflict, round: u64) {
    if conflict.rejected <= progress.matched {
        // The round tells an old refusal from one of an append that left after `matched` was
        // acknowledged; the latter means that durable entries are gone (F23, S85).
        if round > progress.matched_round {
            progress.stop();
            let (acknowledged, reported) = (progress.matched, conflict.hint.index);
            books.outbox.notice(Notice::PeerRegressed { peer: progress.id, acknowledged, reported });
        }
        return;
    }
    let is_old = match progress.mode {
        Mode::Probe { .. } => conflict.rejected != progress.next.prev(),
        Mode::Replicate => false,
        Mode::Snapshot | Mode::Stopped => true,
    };
    if !is_old {
        books.counters.back_offs += 1;
        let meeting = books.log.highest_within(conflict.hint).index;
        progress.probe_from(meeting.next().min(conflict.rejected));
    }
}

/// Compares what was sent before a heartbeat with what the follower had when it answered.
fn find_losses(books: &mut Books, progress: &mut Progress, received: LogIndex) {
    match progress.mode {
        Mode::Replicate if received < progress.beat.next.prev() => {
            books.counters.losses_found += 1;
            progress.probe_from(received.next());
        }
        // Even if the logs meet: it takes an answered append to open the window again, or a follower
        // that loses every append would be sent a whole window with every other heartbeat (S87).
        Mode::Probe { is_sent: true, .. } => {
            progress.mode = Mode::Probe { is_sent: false, with_entries: false };
        }
        Mode::Probe { is_sent: false, .. } | Mode::Replicate | Mode::Snapshot | Mode::Stopped => {}
    }
}
