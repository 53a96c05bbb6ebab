//! A property that did not hold, and where.

use alloc::string::{String, ToString};
use core::{error, fmt};

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which property.
    pub property: &'static str,
    /// What was seen instead.
    pub details: String,
}

impl Violation {
    /// Says what did not hold, and what was seen instead.
    #[must_use]
    pub fn new(property: &'static str, details: impl fmt::Display) -> Self {
        Self { property, details: details.to_string() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.details)
    }
}

impl error::Error for Violation {}

/// A violated property, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// The step at which it was seen.
    pub step: u64,
    /// What was violated.
    pub violation: Violation,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, step {}: {}", self.seed, self.step, self.violation)
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.violation)
    }
}
