//! What the protocol tests are built from: one node on a disk that a test holds in its hand, a
//! cluster of them around a bag of messages, and short words for messages and logs.
//!
//! Everything goes through the public door: inputs in, actions out. Every action that comes out is
//! checked against what is durable at that moment, so each test is a test of that as well.

mod cluster;
mod dice;
mod make;
mod peer;
mod snapshots;
mod store;

pub(crate) use cluster::{Cluster, carries_entries};
pub(crate) use dice::Dice;
pub(crate) use make::{
    append, append_reply, at, batch, batches, chunk, config, crc32c, ends_at, heartbeat, heartbeat_reply,
    hollow_append, index, joint, kind, message, new_log, node, payload, refused, small, snapshot_meta,
    snapshot_reply, store_behind, term, vote, voters, with_learner, with_witness,
};
pub(crate) use peer::{Applied, Peer};
pub(crate) use snapshots::keep;
pub(crate) use store::Shelf;
