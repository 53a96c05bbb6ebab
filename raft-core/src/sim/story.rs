//! What happened last, line by line, for whoever looks into a failure.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The last lines of a run. Off, it costs nothing.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) lines_max: usize,
    lines: VecDeque<String>,
}

impl Story {
    /// Adds a line.
    pub(super) fn tell(&mut self, now: u64, line: fmt::Arguments<'_>) {
        if self.lines_max == 0 {
            return;
        }
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("step {now}: {line}"));
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}
