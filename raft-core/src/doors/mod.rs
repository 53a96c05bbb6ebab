//! Doors: what users of the crate call and implement.

pub(crate) mod node;
pub(crate) mod outcome;
pub(crate) mod raft;
mod snapshots;
pub(crate) mod state_machine;
pub(crate) mod store;
pub(crate) mod transport;
pub(crate) mod waiting;
