//! The door for messages: what is let in, which term it brings, and which room it belongs to.

use crate::books::Books;
use crate::books::reads::Asked;
use crate::books::role::{Leader, Role};
use crate::corridor::Machine;
use crate::means::quorum::Tally;
use crate::rooms::{election, following, installing, proposing, reading, replication, sending};
use crate::words::ids::{ForwardId, LogIndex, NodeId, ReadId, Term};
use crate::words::message::{Body, Heartbeat, HeartbeatReply, Message, Refusal, VoteReply, VoteRequest};
use crate::words::notice::{Offence, StepDown};
use raft_proto::bytes::Bytes;

/// No honest term is this far above ours: it would take longer than any cluster lives (N10).
const TERM_JUMP_MAX: u64 = 1 << 32;

/// How a message's term compares, once it was let in.
enum TermCheck {
    /// Handle it; our term is at least the message's.
    Accept,
    /// Done, or not worth an answer.
    Drop,
}

impl Machine {
    /// Takes a message. Whatever it says, it cannot lower term, commit or log, and cannot make
    /// this panic.
    pub(crate) fn receive(&mut self, message: Message) {
        self.books.log.seal();
        let Message { from, to, term, body } = message;
        let offence = if to != self.books.id() {
            Offence::Misaddressed
        } else if from == self.books.id() {
            Offence::FromSelf
        } else if term.get() > self.books.term().get().saturating_add(TERM_JUMP_MAX) {
            Offence::TermJump
        } else if let Body::Append(append) = &body
            && !append.holds_together(term)
        {
            Offence::MalformedAppend
        } else {
            return self.admit(from, term, body);
        };
        self.books.offend(from, offence);
    }

    /// A vote that this node gave to itself and that is durable now.
    pub(super) fn receive_own(&mut self, message: &Message) {
        if message.term != self.books.term() {
            return;
        }
        self.trace.own_vote(&self.books, &self.role, message);
        if let Body::PreVoteReply(reply) = message.body {
            self.on_pre_vote_reply(message.from, reply);
        } else if let Body::VoteReply(reply) = message.body {
            self.on_vote_reply(message.from, reply);
        }
    }

    fn admit(&mut self, from: NodeId, term: Term, body: Body) {
        if let TermCheck::Accept = self.check_term(from, term, &body) {
            self.dispatch(from, term, body);
        }
    }

    /// Raft figure 2, "rules for servers": a higher term is adopted, a lower one answered so that
    /// its sender learns ours. Pre-votes are about a term that nobody has entered yet.
    fn check_term(&mut self, from: NodeId, term: Term, body: &Body) -> TermCheck {
        if term == self.books.term() {
            return TermCheck::Accept;
        }
        if let Body::PreVote(_) | Body::PreVoteReply(VoteReply { granted: true, .. }) = body {
            return TermCheck::Accept;
        }
        if term < self.books.term() {
            if let Body::PreVoteReply(_) = body {
                return TermCheck::Accept;
            }
            self.answer_lower_term(from, body);
            return TermCheck::Drop;
        }
        let leads = claims_leadership(body);
        if !leads && self.hears_leader() {
            if !self.is_member(from) {
                // Whoever is not a member here cannot depose a leader that is heard (N5).
                self.books.offend(from, Offence::OutsiderTerm);
                return TermCheck::Drop;
            }
            if self.books.config.check_quorum && matches!(body, Body::Vote(_)) && !self.is_wanted(from, body)
            {
                self.books.counters.votes_ignored_for_leader += 1;
                // Nor can a candidate that does not hear the leader itself (diss. §4.2.3).
                return TermCheck::Drop;
            }
        }
        self.books.counters.terms_learned += 1;
        let was_asking = matches!(&self.role, Role::PreCandidate(_));
        self.step_down_to(term, leads.then_some(from));
        if was_asking && matches!(body, Body::PreVoteReply(_)) {
            // It asked about a term that is over, and asks about the next one at once: while it waited,
            // somebody whom nobody elects could raise the term once more, and again. One that cannot
            // stand any more follows.
            let _ = self.try_campaign();
        }
        TermCheck::Accept
    }

    /// Whether the leader itself wants this candidate: then it need not fall silent first.
    fn is_wanted(&self, from: NodeId, body: &Body) -> bool {
        matches!(body, Body::Vote(VoteRequest { transfer: true, .. })) && self.transferee() == Some(from)
    }

    fn step_down_to(&mut self, term: Term, leader: Option<NodeId>) {
        match &self.role {
            Role::Leader(_) => self.step_down(StepDown::HigherTerm, term),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {}
        }
        self.become_follower(term, leader);
    }

    /// A leader or candidate of an earlier term learns that it is over.
    fn answer_lower_term(&mut self, from: NodeId, body: &Body) {
        match body {
            Body::Vote(VoteRequest { campaign, .. }) => {
                self.books.counters.votes_refused_for_term += 1;
                let reply = VoteReply { campaign: *campaign, granted: false };
                self.books.send(from, Body::VoteReply(reply));
            }
            Body::Append(_) | Body::Heartbeat(_) | Body::InstallSnapshot(_) => {
                self.books.counters.late_leader_messages += 1;
                // Only the term matters to it; what else the answer says is of no term it leads.
                let (durable, received) = (LogIndex::ZERO, LogIndex::ZERO);
                let reply = HeartbeatReply { round: 0, durable, received };
                self.books.send_in_durable_term(from, Body::HeartbeatReply(reply));
            }
            Body::Read { epoch, request } => {
                let (epoch, request) = (*epoch, *request);
                let reply = Body::ReadReply { epoch, request, result: Err(Refusal::NotLeader) };
                self.books.send(from, reply);
            }
            Body::VoteReply(_) => self.books.counters.late_vote_replies += 1,
            Body::AppendReply(_) | Body::HeartbeatReply(_) | Body::InstallSnapshotReply(_) => {
                self.books.counters.late_follower_replies += 1;
            }
            Body::PreVote(_)
            | Body::PreVoteReply(_)
            | Body::SnapshotRequest { .. }
            | Body::TimeoutNow
            | Body::ReadReply { .. }
            | Body::Propose { .. }
            | Body::ProposeReply { .. } => {}
        }
    }

    fn dispatch(&mut self, from: NodeId, term: Term, body: Body) {
        match body {
            Body::PreVote(request) => {
                let hears_leader = self.hears_leader();
                election::on_pre_vote(&mut self.books, hears_leader, from, term.get(), request);
            }
            Body::PreVoteReply(reply) => self.on_pre_vote_reply(from, reply),
            Body::Vote(request) => {
                let is_bound = self.leader().is_some() || self.books.is_lease_given();
                if election::on_vote(&mut self.books, is_bound, from, request) {
                    self.books.reset_clock();
                }
            }
            Body::VoteReply(reply) => self.on_vote_reply(from, reply),
            Body::Append(append) => {
                if self.try_follow(from)
                    && let Role::Follower(follower) = &mut self.role
                {
                    following::on_append(&mut self.books, follower, from, append);
                }
            }
            Body::Heartbeat(beat) => self.on_heartbeat(from, beat),
            Body::AppendReply(reply) => self
                .on_follower_reply(|books, leader| replication::on_append_reply(books, leader, from, reply)),
            Body::HeartbeatReply(reply) => self.on_follower_reply(|books, leader| {
                replication::on_heartbeat_reply(books, leader, from, reply)
            }),
            Body::InstallSnapshotReply(reply) => self.on_follower_reply(|books, leader| {
                sending::on_reply(books, leader, from, reply);
                replication::wake(leader);
                false
            }),
            Body::Read { epoch, request } => self.on_read(from, epoch, request),
            Body::ReadReply { epoch, request, result } => {
                if let Role::Follower(follower) = &mut self.role {
                    reading::on_reply(&mut self.books, follower, from, (epoch, request), result);
                }
            }
            Body::Propose { epoch, request, payloads } => self.on_propose(from, (epoch, request), payloads),
            Body::ProposeReply { epoch, request, count, result } => {
                proposing::on_reply(&mut self.books, (epoch, request), count, result);
            }
            Body::TimeoutNow => self.on_timeout_now(from),
            Body::InstallSnapshot(install) => {
                if self.try_follow(from)
                    && let Role::Follower(follower) = &mut self.role
                {
                    installing::on_chunk(&mut self.books, follower, from, install);
                }
            }
            Body::SnapshotRequest { at_least } => {
                if let Role::Leader(leader) = &mut self.role {
                    sending::on_request(&mut self.books, leader, from, at_least);
                }
            }
        }
    }

    /// The leader of our term wants us to take over at once (S55). While there are leases its
    /// heartbeats must say so too: those are dated, so a late message of a transfer that was given
    /// up is known as such (S51).
    fn on_timeout_now(&mut self, from: NodeId) {
        let Role::Follower(follower) = &self.role else { return };
        let is_late = self.books.config.has_leases() && follower.transferee != Some(self.books.id());
        if follower.leader == Some(from) && !is_late && self.books.is_electable() {
            self.become_candidate(true);
        }
    }

    fn on_pre_vote_reply(&mut self, from: NodeId, reply: VoteReply) {
        if let Role::PreCandidate(campaign) = &mut self.role {
            match election::on_vote_reply(&mut self.books, campaign, from, reply) {
                Tally::Won => self.become_candidate(false),
                Tally::Lost => self.become_follower(self.books.term(), None),
                Tally::Pending => {}
            }
        }
    }

    fn on_vote_reply(&mut self, from: NodeId, reply: VoteReply) {
        if let Role::Candidate(campaign) = &mut self.role {
            match election::on_vote_reply(&mut self.books, campaign, from, reply) {
                Tally::Won => self.become_leader(),
                Tally::Lost => self.become_follower(self.books.term(), None),
                Tally::Pending => {}
            }
        } else {
            self.books.counters.late_vote_replies += 1;
        }
    }

    /// Hands a follower's answer to the room that `take`s it, which tells whether more of its log is
    /// known to be durable.
    fn on_follower_reply(&mut self, take: impl FnOnce(&mut Books, &mut Leader) -> bool) {
        if let Role::Leader(leader) = &mut self.role {
            let has_risen = take(&mut self.books, leader);
            self.after_reply(has_risen);
        } else {
            self.books.counters.late_follower_replies += 1;
        }
    }

    fn on_heartbeat(&mut self, from: NodeId, beat: Heartbeat) {
        if self.try_follow(from)
            && let Role::Follower(follower) = &mut self.role
        {
            following::on_heartbeat(&mut self.books, follower, from, beat);
        }
    }

    fn on_propose(&mut self, from: NodeId, request: (u64, ForwardId), payloads: Bytes) {
        if !self.is_member(from) {
            self.books.offend(from, Offence::OutsiderRequest);
        }
        if let Role::Leader(leader) = &mut self.role
            && let Some(last) = proposing::on_propose(&mut self.books, leader, from, request, payloads)
        {
            replication::want_commit(&mut self.books, leader, from, last.index);
            replication::wake(leader);
        }
    }

    fn on_read(&mut self, from: NodeId, epoch: u64, request: ReadId) {
        let is_member = self.is_member(from);
        let is_witness = self.books.memberships.current().is_witness(from);
        let refusal = match &mut self.role {
            Role::Leader(_) if is_witness => Refusal::Witness,
            Role::Leader(leader) if is_member => {
                return leader.reads.ask(Asked { asker: from, epoch, up_to: request });
            }
            Role::Leader(_) => Refusal::NotMember,
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => Refusal::NotLeader,
        };
        if !is_member {
            self.books.offend(from, Offence::OutsiderRequest);
        }
        self.books.send(from, Body::ReadReply { epoch, request, result: Err(refusal) });
    }

    /// Follows the sender, which says that it leads our term; false if another one does.
    fn try_follow(&mut self, from: NodeId) -> bool {
        match self.leader() {
            Some(leader) if leader != from => {
                self.books.offend(from, Offence::SecondLeader);
                return false;
            }
            Some(_) => {}
            None => self.become_follower(self.books.term(), Some(from)),
        }
        self.books.clock.election_elapsed = 0;
        self.books.clock.leader_silence = 0;
        true
    }

    fn is_member(&self, id: NodeId) -> bool {
        self.books.memberships.current().member(id).is_some()
    }
}

/// Whether only a leader of the message's term sends this.
fn claims_leadership(body: &Body) -> bool {
    match body {
        Body::Append(_) | Body::Heartbeat(_) | Body::InstallSnapshot(_) => true,
        Body::PreVote(_)
        | Body::PreVoteReply(_)
        | Body::Vote(_)
        | Body::VoteReply(_)
        | Body::AppendReply(_)
        | Body::HeartbeatReply(_)
        | Body::InstallSnapshotReply(_)
        | Body::SnapshotRequest { .. }
        | Body::TimeoutNow
        | Body::Read { .. }
        | Body::ReadReply { .. }
        | Body::Propose { .. }
        | Body::ProposeReply { .. } => false,
    }
}
