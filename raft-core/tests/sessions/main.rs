//! Client sessions as applications see them: commands in, outputs out.

mod client;
mod cluster;
#[path = "../protocol/support/dice.rs"]
mod dice;
mod expiry;
mod model;
mod payloads;
mod random;
mod register;
mod rules;
mod seen;
mod snapshots;
mod support;
