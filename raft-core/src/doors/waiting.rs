//! Proposals and reads whose owner waits for an answer.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::words::ids::{ForwardId, LogIndex, Position, ReadId, Term};

/// Names a proposal made at this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(u64);

impl ProposalId {
    /// The plain number; ids of one node rise by one.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Proposals without an outcome.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    next: u64,
    now: u64,
    /// When we last looked for proposals that have waited too long.
    last_look: u64,
    /// In the order of their indexes.
    appended: VecDeque<Appended>,
    /// Sent on, in the order of their numbers; nobody said where they stand yet.
    forwarded: VecDeque<Forwarded>,
}

#[derive(Clone, Copy, Debug)]
struct Appended {
    id: ProposalId,
    position: Position,
    since: u64,
}

#[derive(Clone, Copy, Debug)]
struct Forwarded {
    id: ProposalId,
    forward: ForwardId,
    since: u64,
}

impl Waiting {
    /// A proposal that was appended here.
    pub(super) fn add_appended(&mut self, position: Position) -> ProposalId {
        let id = self.next_id();
        self.appended(id, position);
        id
    }

    /// A proposal that was sent on.
    pub(super) fn add_forwarded(&mut self, forward: ForwardId) -> ProposalId {
        let id = self.next_id();
        self.forwarded.push_back(Forwarded { id, forward, since: self.now });
        id
    }

    /// A proposal stands in the log at `position`.
    pub(super) fn appended(&mut self, id: ProposalId, position: Position) {
        let appended = Appended { id, position, since: self.now };
        // Usually the last; not so when a later leader's log is shorter.
        let at = match self.appended.back() {
            Some(last) if last.position.index > position.index => {
                self.appended.partition_point(|other| other.position.index <= position.index)
            }
            Some(_) | None => self.appended.len(),
        };
        self.appended.insert(at, appended);
    }

    /// Who waits for the entry at `index`, and whether the one of `term` is theirs. Indexes come in
    /// order; ask again until nobody is left. The rightful owner, if any, comes first.
    #[inline]
    pub(super) fn take_applied(&mut self, index: LogIndex, term: Term) -> Option<(ProposalId, bool)> {
        let first = self.appended.front().filter(|first| first.position.index <= index)?;
        if first.position == Position::new(term, index) {
            return self.appended.pop_front().map(|waiting| (waiting.id, true));
        }
        let same = self.appended.iter().take_while(|other| other.position.index <= index);
        let owner = same.enumerate().find(|(_, other)| other.position == Position::new(term, index));
        let at = owner.map_or(0, |(at, _)| at);
        let is_ours = owner.is_some();
        self.appended.remove(at).map(|waiting| (waiting.id, is_ours))
    }

    /// The proposals whose indexes a snapshot of everything up to `index` covers.
    pub(super) fn take_covered(&mut self, index: LogIndex) -> Vec<ProposalId> {
        let count = self.appended.partition_point(|waiting| waiting.position.index <= index);
        self.appended.drain(..count).map(|waiting| waiting.id).collect()
    }

    /// The proposals that were sent on under these numbers.
    pub(super) fn take_forwarded(&mut self, first: ForwardId, count: u32) -> Vec<ProposalId> {
        let begin = self.forwarded.partition_point(|waiting| waiting.forward < first);
        let end = first.get().saturating_add(u64::from(count));
        let len = self.forwarded.iter().skip(begin).take_while(|waiting| waiting.forward.get() < end).count();
        self.forwarded.drain(begin..begin + len).map(|waiting| waiting.id).collect()
    }

    /// So many ticks later: the proposals that have waited for `timeout` ticks, give or take an
    /// eighth.
    pub(super) fn tick(&mut self, ticks: u64, timeout: u64) -> Vec<ProposalId> {
        self.now += ticks;
        let mut expired = Vec::new();
        if self.now - self.last_look < timeout / 8 {
            return expired;
        }
        self.last_look = self.now;
        let is_over = |since: u64| self.now - since >= timeout;
        self.appended.retain(|waiting| {
            if is_over(waiting.since) {
                expired.push(waiting.id);
            }
            !is_over(waiting.since)
        });
        self.forwarded.retain(|waiting| {
            if is_over(waiting.since) {
                expired.push(waiting.id);
            }
            !is_over(waiting.since)
        });
        expired
    }

    fn next_id(&mut self) -> ProposalId {
        self.next += 1;
        ProposalId(self.next)
    }
}

/// Confirmed reads that wait for entries to be applied.
#[derive(Debug, Default)]
pub(super) struct WaitingReads(VecDeque<(ReadId, LogIndex)>);

impl WaitingReads {
    pub(super) fn add(&mut self, up_to: ReadId, index: LogIndex) {
        self.0.push_back((up_to, index));
    }

    /// The next read whose entries are applied.
    pub(super) fn take_ready(&mut self, applied: LogIndex) -> Option<ReadId> {
        self.0.pop_front_if(|(_, index)| *index <= applied).map(|(up_to, _)| up_to)
    }
}
