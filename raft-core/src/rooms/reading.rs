//! Linearizable reads without the log (diss. §6.4).

use crate::books::Books;
use crate::books::reads::{Asked, Confirmed};
use crate::books::role::{Follower, Leader};
use crate::words::action::Action;
use crate::words::ids::{LogIndex, NodeId, ReadId};
use crate::words::message::{Body, Refusal};

/// Whether reads need no round, because a quorum has confirmed one that began a short while ago, and
/// whoever did so votes for nobody else yet (diss. §6.4.1).
///
/// A leader that hands over wants somebody else to be elected, so it has no lease (S51). The quorum
/// is that of the configurations in force now, whatever was in force when the round began (S53).
pub(crate) fn has_lease(books: &Books, leader: &Leader) -> bool {
    let lease_ticks = books.config.read_lease_ticks;
    lease_ticks > 0
        && leader.transfer.is_none()
        && books.commit() >= leader.term_start
        && leader.lease.covers(leader.progress.confirmed_round(), lease_ticks)
}

/// Answers this node's own reads that wait and are not part of a round.
///
/// Not those of other members: a read must be asked for before the clock was looked at, and of what
/// comes from the network nobody can tell. A process that pauses between its ticks and its messages
/// would answer, by an old lease, a read that was asked for while it slept (N18).
pub(crate) fn answer_by_lease(books: &mut Books, leader: &mut Leader) -> bool {
    let Some(asked) = leader.reads.take_open_of(books.id()) else { return false };
    books.counters.lease_reads += 1;
    ready(books, asked.up_to, books.commit());
    true
}

/// Begins a round for all reads that wait, if any: they will see what is committed now.
///
/// Before the first entry of the term is committed the leader may not know what was committed
/// before it, so they wait (Raft §8; S25, S86). Whether a round is due; its heartbeat is the
/// caller's to send, and carries `leader.round + 1`.
pub(crate) fn begin_round(books: &mut Books, leader: &mut Leader) -> bool {
    let is_due =
        books.commit() >= leader.term_start && leader.reads.wants_round(books.config.read_rounds_max);
    if is_due {
        books.counters.read_rounds += 1;
        leader.reads.begin_round(leader.round + 1, books.commit());
    }
    is_due
}

/// Answers the reads of every round that a quorum of each active configuration has confirmed. Each
/// confirming message was sent after the round began, so nobody else led and committed before (S48, S53).
/// The answers' remote addressees, who now wait for the commit index, are given to `notify`.
pub(crate) fn answer_confirmed(
    books: &mut Books,
    leader: &mut Leader,
    mut notify: impl FnMut(NodeId, LogIndex),
) {
    let confirmed = leader.progress.confirmed_round();
    while let Some(Confirmed { index, reads }) = leader.reads.confirm(confirmed) {
        for Asked { asker, epoch, up_to } in reads {
            if asker == books.id() {
                ready(books, up_to, index);
            } else {
                books.send(asker, Body::ReadReply { epoch, request: up_to, result: Ok(index) });
                notify(asker, index);
            }
        }
    }
}

/// Sends this node's reads on to the leader, once.
pub(crate) fn poll_request(books: &mut Books, follower: &mut Follower) {
    let asked = books.local_reads.asked;
    if let Some(leader) = follower.leader
        && follower.reads_sent < asked
    {
        follower.reads_sent = asked;
        books.clock.beat_elapsed = 0;
        books.send(leader, Body::Read { epoch: books.epoch, request: asked });
    }
}

/// Takes the leader's answer. Only the leader of our own term can give one, and only to what was
/// asked since this node started (S50).
pub(crate) fn on_reply(
    books: &mut Books,
    follower: &mut Follower,
    from: NodeId,
    (epoch, request): (u64, ReadId),
    result: Result<LogIndex, Refusal>,
) {
    if epoch != books.epoch
        || follower.leader != Some(from)
        || request > follower.reads_sent
        || request <= books.local_reads.done
    {
        return;
    }
    match result {
        Ok(index) => ready(books, request, index),
        Err(_) => refuse_up_to(books, request),
    }
}

/// Refuses every read that waits: nobody is known who could answer.
pub(crate) fn refuse_all(books: &mut Books) {
    let asked = books.local_reads.asked;
    refuse_up_to(books, asked);
}

fn refuse_up_to(books: &mut Books, up_to: ReadId) {
    if books.local_reads.done < up_to {
        books.local_reads.done = up_to;
        books.outbox.push(Action::ReadRefused { up_to });
    }
}

fn ready(books: &mut Books, up_to: ReadId, index: LogIndex) {
    if books.local_reads.done < up_to {
        books.local_reads.done = up_to;
        books.outbox.push(Action::ReadReady { up_to, index });
    }
}
