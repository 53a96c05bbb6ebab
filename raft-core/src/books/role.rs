//! What a node is at the moment, with the data that only makes sense then.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::books::lease::Lease;
use crate::books::origins::Origins;
use crate::books::progress::ProgressMap;
use crate::books::reads::ReadQueue;
use crate::words::ids::{LogIndex, NodeId, ReadId};
use crate::words::status::RoleName;

/// The role of a node.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(Campaign),
    Candidate(Campaign),
    Leader(Box<Leader>),
}

impl Role {
    pub(crate) fn name(&self) -> RoleName {
        match self {
            Self::Follower(_) => RoleName::Follower,
            Self::PreCandidate(_) => RoleName::PreCandidate,
            Self::Candidate(_) => RoleName::Candidate,
            Self::Leader(_) => RoleName::Leader,
        }
    }
}

/// A follower, with or without a leader.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Follower {
    pub(crate) leader: Option<NodeId>,
    /// Up to here our log is known to equal the leader's. What is committed equals every
    /// leader's, so it begins there.
    pub(crate) verified: LogIndex,
    /// What we acknowledged as durable last.
    pub(crate) acknowledged: LogIndex,
    /// The leader waits for an answer, whether or not there is news.
    pub(crate) owes_answer: bool,
    /// To whom the leader said that it hands over, in the newest round.
    pub(crate) transferee: Option<NodeId>,
    /// The newest round of the leader.
    pub(crate) leader_round: u64,
    /// The highest read round seen in an append.
    pub(crate) round: u64,
    /// Reads up to here were sent on to this leader.
    pub(crate) reads_sent: ReadId,
    /// This leader was asked for a snapshot.
    pub(crate) has_asked_for_snapshot: bool,
}

impl Follower {
    pub(crate) fn new(leader: Option<NodeId>, commit: LogIndex, reads_done: ReadId) -> Self {
        Self {
            leader,
            verified: commit,
            acknowledged: commit,
            owes_answer: false,
            transferee: None,
            leader_round: 0,
            round: 0,
            reads_sent: reads_done,
            has_asked_for_snapshot: false,
        }
    }

    /// The leader is in this round; a heartbeat says to whom it hands over.
    ///
    /// An older message says nothing any more, and whatever else comes from a newer round takes back
    /// what earlier ones said: by answering it we vouch for a leader that no longer hands over, so we
    /// must not go on listening to the target (S51).
    pub(crate) fn note_round(&mut self, round: u64, transferee: Option<Option<NodeId>>) {
        if round > self.leader_round {
            self.leader_round = round;
            self.transferee = None;
        }
        if round == self.leader_round
            && let Some(transferee) = transferee
        {
            self.transferee = transferee;
        }
    }
}

/// A (pre-)candidate.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Campaign {
    /// Tells answers to this campaign from late ones to earlier ones.
    pub(crate) number: u64,
    pub(crate) votes: Vec<(NodeId, bool)>,
}

impl Campaign {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, votes: Vec::new() }
    }

    /// Notes an answer; the first one counts.
    pub(crate) fn record(&mut self, voter: NodeId, granted: bool) {
        if self.vote_of(voter).is_none() {
            self.votes.push((voter, granted));
        }
    }

    pub(crate) fn vote_of(&self, voter: NodeId) -> Option<bool> {
        self.votes.iter().find(|(id, _)| *id == voter).map(|(_, granted)| *granted)
    }
}

/// A leader.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Leader {
    pub(crate) progress: ProgressMap,
    /// The entry that opened the term. Until it is committed, reads wait (Raft §8).
    pub(crate) term_start: LogIndex,
    /// The last read round that was begun; every heartbeat begins one.
    pub(crate) round: u64,
    pub(crate) reads: ReadQueue,
    /// Which rounds may spare reads a round.
    pub(crate) lease: Lease,
    /// Which forwarded proposals were judged.
    pub(crate) origins: Origins,
    /// The membership calls for something: it is joint, has no place for us, or somebody joins.
    pub(crate) is_in_flux: bool,
    /// Leadership is being handed over.
    pub(crate) transfer: Option<Transfer>,
    /// Payload bytes appended in this term and not yet handed out for applying.
    pub(crate) uncommitted_bytes: usize,
    /// Some member may have something to be sent; members before the cursor have been asked.
    pub(crate) may_send: bool,
    pub(crate) cursor: usize,
    /// How many bytes of snapshots may be sent until the next tick; below zero by what the last
    /// chunk went over it.
    pub(crate) snapshot_budget: i64,
    /// Who was sent a chunk of a snapshot last.
    pub(crate) chunk_turn: NodeId,
}

impl Leader {
    /// Gives back memory that nothing needs now.
    pub(crate) fn shrink(&mut self) {
        self.reads.shrink();
        self.progress.iter_mut().for_each(|progress| progress.inflight.shrink());
    }

    /// To whom leadership is being handed over.
    pub(crate) fn transferee(&self) -> Option<NodeId> {
        self.transfer.map(|transfer| transfer.to)
    }
}

/// A hand-over under way.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Transfer {
    pub(crate) to: NodeId,
    pub(crate) ticks: u32,
    /// It was told to campaign.
    pub(crate) is_told: bool,
}
