//! In-memory implementations of the traits: for examples, tests and first steps.
//!
//! Nothing here survives the process; `raft-storage` and `raft-transport-tcp` are the real ones.

mod log;
mod network;

pub use log::{MemLog, MemLogError};
pub use network::{MemNetwork, MemTransport};
