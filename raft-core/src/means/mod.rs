//! Means: settings, randomness and quorum arithmetic; pure, no protocol.

pub(crate) mod config;
pub(crate) mod quorum;
pub(crate) mod rng;
