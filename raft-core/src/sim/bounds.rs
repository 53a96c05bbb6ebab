//! What waits in a node stays within its settings.

use alloc::format;

use super::by_node::ByNode;
use super::plan::{APPEND_BYTES_MAX, ENTRY_BYTES_MAX};
use super::violation::Violation;
use crate::doors::raft::Raft;
use crate::means::config::Config;
use crate::words::status::PeerStatus;

/// How wide the settings of each node were at most since it started: what was let in under wider ones
/// than there are now may still wait.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    widest: ByNode<Config>,
}

impl Bounds {
    /// A node starts, and nothing waits in it.
    pub(super) fn on_start(&mut self, raft: &Raft) {
        self.widest.insert(raft.id(), raft.config().clone());
    }

    /// A node's settings have changed.
    pub(super) fn on_settings(&mut self, raft: &Raft) {
        if let Some(widest) = self.widest.get_mut(&raft.id()) {
            widen(widest, raft.config());
        }
    }

    /// Whether a node keeps to its settings.
    pub(super) fn check(&self, raft: &Raft) -> Result<(), Violation> {
        let limits = self.widest.get(&raft.id()).unwrap_or_else(|| raft.config());
        let waits = raft.backlog();
        // What is larger than the limit is taken if nothing else waits, and the length of the last one
        // is not asked for.
        let proposals = limits.proposals_bytes_max.max(APPEND_BYTES_MAX) + CHANGES_BYTES_MAX;
        let forwarded = limits.forward_bytes_max.max(ENTRY_BYTES_MAX) + LENGTH_BYTES_MAX;
        let bounds = [
            ("proposals_bytes", waits.proposals_bytes, proposals),
            ("forward_bytes", waits.forward_bytes, forwarded),
            ("read_rounds", u64::from(waits.read_rounds), limits.read_rounds_max),
            ("apply_bytes", waits.apply_bytes, limits.apply_bytes_max + CHANGES_BYTES_MAX),
        ];
        let is_over = |(_, waiting, limit): &&(&str, u64, u32)| *waiting > u64::from(*limit);
        if let Some((name, waiting, limit)) = bounds.iter().find(is_over) {
            let details = format!("node {} has {waiting} {name}, {limit} are allowed", raft.id());
            return Err(Violation::new(KEPT, details));
        }
        match raft.peers().find(|peer| is_window_over(peer, limits)) {
            Some(peer) => {
                let details = format!("node {} has {peer:?}, {limits:?} are allowed", raft.id());
                Err(Violation::new(KEPT, details))
            }
            None => Ok(()),
        }
    }
}

/// Whether more is on its way to a member than may be. One append, and one chunk, may go over it.
fn is_window_over(peer: &PeerStatus, limits: &Config) -> bool {
    let chunk_bytes = u64::from(limits.snapshot_chunk_bytes);
    let chunks_bytes_max = chunk_bytes * u64::from(limits.snapshot_chunks_max);
    let append_bytes_max = limits.append_bytes_max.max(CHANGES_BYTES_MAX);
    peer.inflight_messages > limits.inflight_messages_max
        || peer.inflight_bytes >= limits.inflight_bytes_max + append_bytes_max
        || peer.snapshot.is_some_and(|sending| {
            sending.sent_bytes - sending.acknowledged_bytes >= chunks_bytes_max + chunk_bytes
        })
}

fn widen(widest: &mut Config, now: &Config) {
    for (widest, now) in [
        (&mut widest.append_bytes_max, now.append_bytes_max),
        (&mut widest.apply_bytes_max, now.apply_bytes_max),
        (&mut widest.forward_bytes_max, now.forward_bytes_max),
        (&mut widest.inflight_bytes_max, now.inflight_bytes_max),
        (&mut widest.inflight_messages_max, now.inflight_messages_max),
        (&mut widest.proposals_bytes_max, now.proposals_bytes_max),
        (&mut widest.read_rounds_max, now.read_rounds_max),
        (&mut widest.snapshot_chunk_bytes, now.snapshot_chunk_bytes),
        (&mut widest.snapshot_chunks_max, now.snapshot_chunks_max),
    ] {
        *widest = now.max(*widest);
    }
}

const KEPT: &str = "what waits is bounded";

/// In a batch, a command of the simulator's has its length before it.
const LENGTH_BYTES_MAX: u32 = 1;

/// Changes of membership count as well, but are not refused for the room they take.
const CHANGES_BYTES_MAX: u32 = 300;
