//! What happened in a run, for whoever looks into it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::options::Options;
use super::recorder::Recorder;
use super::violation::Failure;

/// All that happened in one run; [`record`](super::record) makes it.
#[derive(Clone, Debug)]
pub struct Recording {
    pub(super) seed: u64,
    pub(super) options: Options,
    pub(super) steps: u64,
    pub(super) failure: Option<Failure>,
    pub(super) what: Recorder,
}

impl Recording {
    /// The property that did not hold, if there is one: the run ends with it.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// How many steps the run took.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many messages were sent, each copy that the network made counted.
    #[must_use]
    pub fn message_count(&self) -> usize {
        self.what.flights.len()
    }

    /// The last lines of what struck and what nodes told of themselves, oldest first. Messages and what
    /// clients do are left out; the [page](Self::page) has them.
    #[must_use]
    pub fn story(&self, lines_max: usize) -> Vec<String> {
        let marks = &self.what.marks;
        let last = &marks[marks.len().saturating_sub(lines_max)..];
        last.iter().map(|mark| format!("step {}: {}", mark.step, mark.text)).collect()
    }
}
