//! Elections: who gets a vote, and who won (Raft §5.2, §5.4.1; diss. §9.6).

use alloc::vec::Vec;

use crate::books::Books;
use crate::books::role::Campaign;
use crate::means::quorum::Tally;
use crate::words::ids::NodeId;
use crate::words::message::{Body, VoteReply, VoteRequest};

/// Asks every voter whether this node could win (pre-vote) or for its vote.
///
/// A real request is held until the term, our own vote and every entry our claim rests on are
/// durable: a candidate that forgot them in a crash could campaign again in the same term with a
/// shorter log and be elected by late votes for the longer one.
///
/// `transfer` says that the leader asked for this candidacy (diss. §3.10).
pub(crate) fn request_votes(books: &mut Books, campaign: &Campaign, is_pre: bool, transfer: bool) {
    let request = VoteRequest {
        campaign: campaign.number,
        last: books.log.last(),
        priority: books.config.priority,
        transfer,
    };
    let own = VoteReply { campaign: campaign.number, granted: true };
    for voter in voters(books) {
        let is_own = voter == books.id();
        match (is_pre, is_own) {
            (true, true) => books.send(voter, Body::PreVoteReply(own)),
            (true, false) => books.send(voter, Body::PreVote(request)),
            (false, true) => books.send_when_durable(voter, Body::VoteReply(own)),
            (false, false) => books.send_when_durable(voter, Body::Vote(request)),
        }
    }
}

/// Answers whether the sender could win. Promises nothing, so nothing needs to be durable.
///
/// The answer carries our own term, so that a candidate that fell behind learns of it (S5).
pub(crate) fn on_pre_vote(
    books: &mut Books,
    hears_leader: bool,
    from: NodeId,
    sender_term: u64,
    request: VoteRequest,
) {
    let granted = sender_term >= books.term().get() && !hears_leader && is_up_to_date(books, &request);
    books.send(from, Body::PreVoteReply(VoteReply { campaign: request.campaign, granted }));
}

/// Answers a request for a vote in our own term. At most one candidate gets it (Raft §5.2), none if
/// this node `is_bound` to a leader, and the answer waits until that is durable (S1). Whether the vote
/// was given.
pub(crate) fn on_vote(books: &mut Books, is_bound: bool, from: NodeId, request: VoteRequest) -> bool {
    let is_free = match books.hard.vote {
        Some(voted) => voted == from,
        None => !is_bound,
    };
    let granted = is_free && is_up_to_date(books, &request);
    let reply = Body::VoteReply(VoteReply { campaign: request.campaign, granted });
    if granted {
        books.counters.votes_granted += 1;
        if books.hard.vote.is_none() {
            books.hard.vote = Some(from);
            books.disk.touch_hard_state();
        }
        books.send_when_durable(from, reply);
    } else {
        if is_free {
            books.counters.votes_refused_for_log += 1;
        } else {
            books.counters.votes_refused_as_bound += 1;
        }
        books.send(from, reply);
    }
    granted
}

/// Takes a vote and counts in every active configuration. An answer to another campaign says
/// nothing about this one (S3, S4), nor does one from who does not vote (N5).
pub(crate) fn on_vote_reply(
    books: &mut Books,
    campaign: &mut Campaign,
    from: NodeId,
    reply: VoteReply,
) -> Tally {
    if reply.campaign != campaign.number {
        books.counters.late_vote_replies += 1;
        return Tally::Pending;
    }
    if !books.memberships.current().is_voter(from) {
        return Tally::Pending;
    }
    campaign.record(from, reply.granted);
    books.memberships.tally(|voter| campaign.vote_of(voter))
}

/// Whether the candidate's log is at least as complete as ours (Raft §5.4.1): the later last term
/// wins, then the longer log. Priorities decide between equal logs only (S84).
fn is_up_to_date(books: &Books, request: &VoteRequest) -> bool {
    let last = books.log.last();
    request.last > last || (request.last == last && request.priority >= books.config.priority)
}

/// Everyone who votes in an active configuration, once.
fn voters(books: &Books) -> Vec<NodeId> {
    let membership = books.memberships.current();
    membership.members().iter().map(|member| member.id).filter(|id| membership.is_voter(*id)).collect()
}
