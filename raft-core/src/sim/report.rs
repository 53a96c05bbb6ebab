//! Which situations a run reached: a run that never met a crash has proven nothing about crashes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Counts of the situations that runs reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    counts: BTreeMap<&'static str, u64>,
    /// Simulated steps.
    pub steps: u64,
    /// Simulated ticks of all nodes.
    pub ticks: u64,
}

/// Situations that a few hundred seeds must reach together.
const EXPECTED: [&str; 42] = [
    "acknowledged",
    "ambush",
    "campaign against a live leader",
    "committed",
    "compacted",
    "conversion refused",
    "crash",
    "crash with unsynced writes",
    "disk stall",
    "entries cut off",
    "forwarded",
    "full voter lost for ever",
    "joint configuration",
    "leader elected",
    "leader removed",
    "load",
    "joining voter",
    "joining voter promoted",
    "message delayed",
    "message duplicated",
    "message lost",
    "message replayed",
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
    "settings changed",
    "snapshot failed",
    "snapshot installed",
    "snapshot requested",
    "snapshot sent",
    "snapshot taken",
    "stepped down: disk stalled",
    "stepped down: quorum lost",
    "transfer",
    "witness counted for a commit",
];

impl Report {
    /// Notes that a situation was reached.
    pub(super) fn note(&mut self, situation: &'static str) {
        *self.counts.entry(situation).or_default() += 1;
    }

    /// Notes a situation that was reached several times.
    pub(super) fn note_many(&mut self, situation: &'static str, count: u64) {
        *self.counts.entry(situation).or_default() += count;
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
        self.ticks += other.ticks;
    }

    /// The situations that a few hundred seeds should have reached and these did not.
    #[must_use]
    pub fn never_reached(&self) -> Vec<&'static str> {
        EXPECTED.into_iter().filter(|situation| self.count(situation) == 0).collect()
    }
}
