//! Which situations a run reached: a run that never met a crash has proven nothing about crashes.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Counts the situations of one run; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Situations(Rc<RefCell<BTreeMap<&'static str, u64>>>);

impl Situations {
    /// Notes that a situation was reached.
    pub fn note(&self, situation: &'static str) {
        self.note_many(situation, 1);
    }

    /// Notes a situation that was reached several times.
    pub fn note_many(&self, situation: &'static str, count: u64) {
        *self.0.borrow_mut().entry(situation).or_default() += count;
    }
}

/// Counts of the situations that runs reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    counts: BTreeMap<&'static str, u64>,
    /// Simulated steps, of which [`STEPS_PER_TICK`](super::STEPS_PER_TICK) make a tick.
    pub steps: u64,
    /// A digest of all that happened: the same seed gives the same.
    pub trace: u64,
}

/// Situations that a few hundred seeds must reach together, whatever is simulated.
const EXPECTED: [&str; 46] = [
    "acknowledged",
    "ambush",
    "answers held back",
    "campaign against a live leader",
    "committed",
    "compacted",
    "conversion refused",
    "crash",
    "crash with unreported writes",
    "entries cut off",
    "forwarded",
    "full voter lost for ever",
    "joint configuration",
    "leader elected",
    "leader removed",
    "leadership handed over in calm times",
    "load",
    "joining voter",
    "joining voter promoted",
    "message delayed",
    "message duplicated",
    "message lost",
    "message replayed",
    "order held back",
    "partition",
    "pause",
    "proposal lost",
    "proposal refused",
    "proposal unknown",
    "read asked of an overtaken leader",
    "read refused",
    "read served",
    "read served by lease",
    "restarted from a snapshot",
    "served by a core while others were cut off",
    "served by a core while others were down",
    "settings changed",
    "snapshot installed",
    "snapshot requested",
    "snapshot sent",
    "snapshot taken",
    "stepped down: disk stalled",
    "stepped down: quorum lost",
    "transfer",
    "transfer called off",
    "witness counted for a commit",
];

impl Report {
    pub(super) fn new(situations: &Situations, steps: u64, trace: u64) -> Self {
        Self { counts: situations.0.borrow().clone(), steps, trace }
    }

    /// How often a situation was reached.
    #[must_use]
    pub fn count(&self, situation: &str) -> u64 {
        self.counts.get(situation).copied().unwrap_or_default()
    }

    /// All situations that were reached, with how often.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(situation, count)| (*situation, *count))
    }

    /// Adds another run.
    pub fn merge(&mut self, other: &Self) {
        for (situation, count) in other.counts() {
            *self.counts.entry(situation).or_default() += count;
        }
        self.steps += other.steps;
        self.trace ^= other.trace;
    }

    /// The situations that a few hundred seeds should have reached and these did not: those that the
    /// simulator knows, and `more`.
    #[must_use]
    pub fn never_reached(&self, more: &[&'static str]) -> Vec<&'static str> {
        EXPECTED.iter().chain(more).copied().filter(|situation| self.count(situation) == 0).collect()
    }
}
