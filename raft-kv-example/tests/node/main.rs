//! Tests of the node as real processes on real disks: `raft-kv serve` and `raft-kv demo`.
#![allow(clippy::unwrap_used, reason = "a failed expectation of a helper fails its test")]

mod cluster;
mod common;
mod demo;
mod ledger;
mod log_tool;
mod membership;
mod sessions;
mod single;
mod snapshots;
mod witness;
