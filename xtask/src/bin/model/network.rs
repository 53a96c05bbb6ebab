//! The network: letters that were sent and may still matter to whom they are for.
//!
//! A letter that was sent may arrive at any time, any number of times or never: that is loss, duplication
//! and delay in one. Letters of a term that is over would tell states apart that have the same future,
//! so of those only that is kept which still has an effect.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use raft_core::{Body, Heartbeat, LogIndex, Message, Position, RoleName, Term, VoteRequest};

use crate::node::Node;

/// A message with its digest.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) message: Message,
    pub(crate) digest: u64,
}

impl PartialEq for Letter {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Letter {
    pub(crate) fn new(message: Message) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        Arc::new(Self { message, digest: hasher.finish() })
    }

    /// The letter with the same effect on this node, from now on, that says the least; `None` if it
    /// has none.
    ///
    /// It rests on what [`Node::judge`] checks in every step: a durable term stays or rises, and within
    /// a term nobody becomes a candidate, or leads, who is a follower.
    pub(crate) fn remainder(self: &Arc<Self>, node: &Node) -> Option<Arc<Self>> {
        let durable = node.durable_term();
        if self.message.term > durable {
            return Some(Arc::clone(self));
        }
        let is_over = self.message.term < durable;
        let (is_candidate, is_follower) = match node.raft.role() {
            RoleName::Candidate => (true, false),
            RoleName::Follower => (false, true),
            RoleName::PreCandidate | RoleName::Leader => (false, false),
        };
        let is_of_now = node.raft.term() == durable;
        match &self.message.body {
            Body::VoteReply(_) if is_over || (is_of_now && !is_candidate) => None,
            Body::AppendReply(_) | Body::HeartbeatReply(_) | Body::InstallSnapshotReply(_)
                if is_over || (is_of_now && is_follower) =>
            {
                None
            }
            // What is left is the answer that the term is over, which repeats the campaign.
            Body::Vote(request) if is_over => {
                let nothing = VoteRequest { last: Position::ZERO, priority: 0, transfer: false, ..*request };
                Some(self.emptied(Body::Vote(nothing)))
            }
            Body::Append(_) | Body::Heartbeat(_) | Body::InstallSnapshot(_) if is_over => {
                let nothing = Heartbeat { commit: LogIndex::ZERO, round: 0, transferee: None };
                Some(self.emptied(Body::Heartbeat(nothing)))
            }
            Body::Vote(_)
            | Body::VoteReply(_)
            | Body::Append(_)
            | Body::AppendReply(_)
            | Body::Heartbeat(_)
            | Body::HeartbeatReply(_)
            | Body::InstallSnapshot(_)
            | Body::InstallSnapshotReply(_)
            | Body::PreVote(_)
            | Body::PreVoteReply(_)
            | Body::SnapshotRequest { .. }
            | Body::TimeoutNow
            | Body::Read { .. }
            | Body::ReadReply { .. }
            | Body::Propose { .. }
            | Body::ProposeReply { .. } => Some(Arc::clone(self)),
        }
    }

    /// A letter of no term that says only so much.
    fn emptied(&self, body: Body) -> Arc<Self> {
        let Message { from, to, .. } = self.message;
        Self::new(Message { from, to, term: Term::ZERO, body })
    }
}
