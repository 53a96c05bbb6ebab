//! The two modes, and how to run a seed in each.

use std::fmt;

use raft_core::TraceEvent;
use raft_core::sim::{self, Digests, Failure, Options, Recording, Report};

use crate::full::{self, Full};

/// What runs in the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The protocol, on a model of a disk.
    Model,
    /// The log that ships on a failing disk, and the key-value machine with sessions.
    Full,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Full => "full",
        })
    }
}

impl Mode {
    /// Runs one seed.
    pub(crate) fn run(self, seed: u64, options: &Options) -> Result<Report, Failure> {
        match self {
            Self::Model => sim::run(seed, options, Digests::default()),
            Self::Full => sim::run(seed, options, Full::default()),
        }
    }

    /// Runs one seed, and writes down all that happens.
    pub(crate) fn record(self, seed: u64, options: &Options) -> Recording {
        match self {
            Self::Model => sim::record(seed, options, Digests::default()),
            Self::Full => sim::record(seed, options, Full::default()),
        }
    }

    /// Runs one seed, and tells what all nodes did in the words of a specification.
    pub(crate) fn trace(self, seed: u64, options: &Options) -> (Vec<TraceEvent>, Result<Report, Failure>) {
        match self {
            Self::Model => sim::trace(seed, options, Digests::default()),
            Self::Full => sim::trace(seed, options, Full::default()),
        }
    }

    /// What to type to run a seed again.
    pub(crate) fn command(self, seed: u64, options: &Options) -> String {
        let mut command = String::from("cargo xtask sim");
        if self == Self::Full {
            command += " --full";
        }
        command += &format!(" --seed {seed}");
        let options = options.to_string();
        if !options.is_empty() {
            command += &format!(" {options}");
        }
        command
    }

    /// Situations that only this mode can reach, and must.
    pub(crate) fn expected(self) -> &'static [&'static str] {
        match self {
            Self::Model => &["disk stall", "snapshot failed"],
            Self::Full => &full::EXPECTED,
        }
    }
}
