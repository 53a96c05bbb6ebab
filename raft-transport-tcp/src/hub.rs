//! What all threads of one transport share: who is there, and where arrivals go.

use std::collections::HashMap;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use raft_core::{GroupId, NodeId};
use slog::Logger;

use crate::counters::TransportCells;
use crate::handshake::Identity;
use crate::inbox::{Inbox, Received, Wake};
use crate::lifecycle::Lifecycle;
use crate::options::{Limits, Options};
use crate::peer::Peer;

/// The registers of one transport.
pub(crate) struct Hub {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) seed: u64,
    pub(crate) log: Logger,
    pub(crate) counters: TransportCells,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) peers: RwLock<HashMap<NodeId, Arc<Peer>>>,
    /// Counts changes of `peers`, so that groups can keep a copy.
    peers_version: AtomicU64,
    groups: RwLock<HashMap<GroupId, Arc<Inbox>>>,
    wake: Wake,
}

impl Hub {
    pub(crate) fn new(options: Options, wake: Wake) -> Self {
        Self {
            identity: Identity::new(&options),
            limits: options.limits,
            seed: options.seed,
            log: options.log,
            counters: TransportCells::default(),
            lifecycle: Arc::default(),
            peers: RwLock::default(),
            peers_version: AtomicU64::new(1),
            groups: RwLock::default(),
            wake,
        }
    }

    /// Changes whenever a peer comes or goes.
    pub(crate) fn peers_version(&self) -> u64 {
        self.peers_version.load(Ordering::Acquire)
    }

    /// To be called after `peers` was changed.
    pub(crate) fn bump_peers_version(&self) {
        self.peers_version.fetch_add(1, Ordering::Release);
    }

    /// Removes a peer that nothing leads to any more.
    pub(crate) fn forget(&self, peer: &Arc<Peer>) {
        let mut peers = self.peers.write();
        let is_same = peers.get(&peer.id).is_some_and(|known| Arc::ptr_eq(known, peer));
        if !is_same || !peer.is_forgotten() {
            return;
        }
        peers.remove(&peer.id);
        drop(peers);
        self.bump_peers_version();
        peer.stop();
    }

    /// Opens an inbox for a group; an older one gets nothing more.
    pub(crate) fn open_inbox(&self, group: GroupId) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::new(Arc::clone(&self.wake), &self.limits));
        self.groups.write().insert(group, Arc::clone(&inbox));
        inbox
    }

    /// Closes an inbox, unless a newer one has taken its place.
    pub(crate) fn close_inbox(&self, group: GroupId, inbox: &Arc<Inbox>) {
        let mut groups = self.groups.write();
        if groups.get(&group).is_some_and(|known| Arc::ptr_eq(known, inbox)) {
            groups.remove(&group);
        }
    }

    /// Sorts messages into their groups' inboxes; a run for the same group goes in at once.
    pub(crate) fn deliver(&self, batch: &mut Vec<(GroupId, Received)>) {
        let mut arrived = batch.drain(..).peekable();
        while let Some(group) = arrived.peek().map(|(group, _)| *group) {
            let run = iter::from_fn(|| arrived.next_if(|(next, _)| *next == group).map(|(_, one)| one));
            let inbox = self.groups.read().get(&group).map(Arc::clone);
            match inbox {
                Some(inbox) => self.counters.inbox_overflow_messages.add(inbox.push(run)),
                None => self.counters.unknown_group_messages.add(run.count()),
            }
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("identity", &self.identity).finish_non_exhaustive()
    }
}
