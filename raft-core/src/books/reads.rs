//! Linearizable reads that wait: at the leader for a quorum, elsewhere for the leader.
//!
//! Reads are numbered here, never by the caller (S83). All reads asked for between two rounds share
//! one round, and all rounds up to a confirmed one are confirmed with it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::words::ids::{LogIndex, NodeId, ReadId};

/// The reads of this node: all up to `asked` were asked for, up to `done` answered.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct LocalReads {
    pub(crate) asked: ReadId,
    pub(crate) done: ReadId,
}

impl LocalReads {
    /// Whether a read has no answer yet.
    pub(crate) fn is_waiting(self) -> bool {
        self.done < self.asked
    }
}

/// All reads of one node up to one of them.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Asked {
    pub(crate) asker: NodeId,
    /// Which start of the asker the number belongs to.
    pub(crate) epoch: u64,
    pub(crate) up_to: ReadId,
}

/// Reads a leader answers, its own and other members'.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct ReadQueue {
    /// Asked for and not yet part of a round: the last read of each asker.
    open: Vec<Asked>,
    /// Part of a round that no quorum confirmed yet.
    rounds: VecDeque<Round>,
}

#[derive(Clone, Debug, Hash)]
struct Round {
    number: u64,
    /// The commit index when the round began.
    index: LogIndex,
    reads: Vec<Asked>,
}

/// Reads that a quorum confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Confirmed {
    pub(crate) index: LogIndex,
    pub(crate) reads: Vec<Asked>,
}

impl ReadQueue {
    /// These reads wait for the next round.
    pub(crate) fn ask(&mut self, asked: Asked) {
        let same = self.open.iter_mut().find(|open| open.asker == asked.asker);
        match same {
            Some(open) if open.epoch == asked.epoch => open.up_to = asked.up_to.max(open.up_to),
            // It restarted: nobody waits for what it asked before.
            Some(open) => *open = asked,
            None => self.open.push(asked),
        }
    }

    /// Whether reads wait that are not part of a round.
    #[inline]
    pub(crate) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The reads of one asker that are not part of a round, and need none.
    pub(crate) fn take_open_of(&mut self, asker: NodeId) -> Option<Asked> {
        let at = self.open.iter().position(|open| open.asker == asker)?;
        Some(self.open.swap_remove(at))
    }

    /// Whether reads wait for a round, and another round may begin.
    pub(crate) fn wants_round(&self, rounds_max: u32) -> bool {
        self.has_open() && self.rounds.len() < rounds_max as usize
    }

    /// Everything open becomes part of this round.
    pub(crate) fn begin_round(&mut self, number: u64, index: LogIndex) {
        let reads = core::mem::take(&mut self.open);
        self.rounds.push_back(Round { number, index, reads });
    }

    /// Whether a round waits to be confirmed.
    #[inline]
    pub(crate) fn has_round(&self) -> bool {
        !self.rounds.is_empty()
    }

    /// How many rounds wait to be confirmed.
    pub(crate) fn round_count(&self) -> u32 {
        u32::try_from(self.rounds.len()).unwrap_or(u32::MAX)
    }

    /// Gives back memory that nothing needs now.
    pub(crate) fn shrink(&mut self) {
        self.rounds.shrink_to_fit();
    }

    /// The next round that is confirmed by `number` being confirmed.
    pub(crate) fn confirm(&mut self, number: u64) -> Option<Confirmed> {
        let round = self.rounds.pop_front_if(|round| round.number <= number)?;
        Some(Confirmed { index: round.index, reads: round.reads })
    }
}
