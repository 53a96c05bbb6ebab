//! Which membership is in force.
//!
//! A membership takes effect when its entry is appended, committed or not (Raft §6), and the one
//! before comes back if it is cut off (S31). Those of the whole retained log are kept: a snapshot
//! needs the one in force at its own position, which may be long past (S44).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::means::quorum::{self, Tally};
use crate::words::ids::{LogIndex, NodeId};
use crate::words::membership::Membership;

/// The memberships of the retained log.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Memberships {
    /// Where each one was appended; the first one is in force at the mark. Never empty.
    history: VecDeque<(LogIndex, Membership)>,
}

impl Memberships {
    /// The membership at the beginning of the log, and the entries since, in order.
    pub(crate) fn new(mark: (LogIndex, Membership), entries: Vec<(LogIndex, Membership)>) -> Self {
        let mut history = VecDeque::with_capacity(1 + entries.len());
        history.push_back(mark);
        history.extend(entries);
        Self { history }
    }

    /// The one in force.
    pub(crate) fn current(&self) -> &Membership {
        &self.history.back().expect("never empty").1
    }

    /// Where the one in force was appended.
    pub(crate) fn current_index(&self) -> LogIndex {
        self.history.back().expect("never empty").0
    }

    /// The one in force at `index`, which is not before the mark.
    pub(crate) fn at(&self, index: LogIndex) -> &Membership {
        let behind = self.history.partition_point(|(at, _)| *at <= index);
        &self.history[behind.saturating_sub(1)].1
    }

    /// Whether a node may stand for election: it can lead in the membership in force, or in one
    /// that may come back.
    ///
    /// A node that a change leaves out still campaigns until that change is committed: it may be
    /// the only one whose log is long enough to win and to finish the change (diss. §4.2.2).
    pub(crate) fn may_campaign(&self, id: NodeId, commit: LogIndex) -> bool {
        let newest_first = self.history.iter().rev();
        let mut is_settled = false;
        let unsettled =
            newest_first.take_while(|(at, _)| !core::mem::replace(&mut is_settled, *at <= commit));
        unsettled.into_iter().any(|(_, membership)| membership.can_lead(id))
    }

    /// Whether nobody but this node votes, as of a membership that is committed.
    pub(crate) fn is_only_voter(&self, id: NodeId, commit: LogIndex) -> bool {
        let current = self.current();
        let others = current.members().iter().filter(|member| member.id != id);
        self.current_index() <= commit
            && current.is_voter(id)
            && others.filter(|member| current.is_voter(member.id)).count() == 0
    }

    /// A membership entry was appended.
    pub(crate) fn push(&mut self, index: LogIndex, membership: Membership) {
        self.history.push_back((index, membership));
    }

    /// The log was cut at `from`, behind the mark.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        while self.history.len() > 1 && self.history.back().is_some_and(|(index, _)| *index >= from) {
            self.history.pop_back();
        }
    }

    /// The log begins behind `mark` from now on.
    pub(crate) fn compact(&mut self, mark: LogIndex) {
        while self.history.get(1).is_some_and(|(index, _)| *index <= mark) {
            self.history.pop_front();
        }
    }

    /// How a vote stands in every active configuration.
    pub(crate) fn tally(&self, vote: impl Fn(NodeId) -> Option<bool>) -> Tally {
        let current = self.current();
        let incoming = quorum::tally(current.voters().map(&vote));
        incoming.and(quorum::tally(current.outgoing_voters().map(&vote)))
    }
}
