//! Snapshots: what the store and the application say of them, and where that leads.

use raft_proto::bytes::Bytes;

use crate::books::role::{Follower, Role};
use crate::corridor::{LoadFor, Machine};
use crate::rooms::{compaction, installing, sending};
use crate::words::error::SnapshotError;
use crate::words::ids::{LoadId, Position};
use crate::words::message::SnapshotMeta;
use crate::words::notice::Notice;

impl Machine {
    /// Takes a snapshot as soon as may be.
    pub(crate) fn take_snapshot(&mut self) -> Result<(), SnapshotError> {
        compaction::want(&mut self.books)
    }

    /// Applies nothing more until the leader has sent a snapshot.
    pub(crate) fn request_snapshot(&mut self) -> Result<(), SnapshotError> {
        if let Role::Leader(_) = &self.role {
            return Err(SnapshotError::Leading);
        }
        installing::request(&mut self.books)?;
        // Without its state it must not lead.
        self.give_up_campaign();
        Ok(())
    }

    /// A snapshot is durable: one of this node's own, or one from a leader.
    pub(crate) fn snapshot_stored(&mut self, meta: &SnapshotMeta) {
        let (last, snapshots) = (meta.last, &mut self.books.snapshots);
        let is_own = snapshots.taking.take_if(|taking| *taking == last).is_some();
        snapshots.incoming.take_if(|incoming| incoming.meta.last == last);
        if last < snapshots.last() {
            return;
        }
        snapshots.stored(meta.clone());
        if is_own {
            self.books.counters.snapshots_taken += 1;
            self.books.outbox.notice(Notice::SnapshotTaken { last });
        } else {
            self.install(meta);
        }
        let leader = match &self.role {
            Role::Leader(leader) => Some(&**leader),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        compaction::compact(&mut self.books, leader);
    }

    /// A snapshot could not be taken or stored.
    pub(crate) fn snapshot_failed(&mut self, last: Position) {
        self.books.outbox.notice(Notice::SnapshotFailed { last });
        self.books.snapshots.taking.take_if(|taking| *taking == last);
        installing::on_failed(&mut self.books, follower(&self.role), last);
    }

    /// The store has taken so many bytes of an incoming snapshot.
    pub(crate) fn snapshot_written(&mut self, last: Position, bytes: u64) {
        installing::on_written(&mut self.books, follower(&self.role), last, bytes);
    }

    /// A chunk that was asked for; `None` if it cannot be read.
    pub(crate) fn chunk_loaded(&mut self, id: LoadId, chunk: Option<Bytes>) {
        if let Role::Leader(leader) = &mut self.role {
            match chunk {
                Some(chunk) => sending::on_loaded(&mut self.books, leader, id, chunk),
                None => sending::on_unreadable(&mut self.books, leader, id),
            }
        }
    }

    /// Puts a leader's snapshot in force. A leader has no need of one: whatever is committed is in
    /// its log (Raft §5.4).
    fn install(&mut self, meta: &SnapshotMeta) {
        if let Role::Leader(_) = &self.role {
            return;
        }
        if !installing::install(&mut self.books, meta) {
            return;
        }
        // The votes it has were given to another log.
        self.give_up_campaign();
        self.loads.retain(|(_, asker)| *asker != LoadFor::Apply);
        if let Role::Follower(follower) = &mut self.role {
            follower.verified = follower.verified.max(meta.last.index);
            follower.owes_answer = true;
        }
    }

    fn give_up_campaign(&mut self) {
        match &self.role {
            Role::PreCandidate(_) | Role::Candidate(_) => self.become_follower(self.books.term(), None),
            Role::Follower(_) | Role::Leader(_) => {}
        }
    }
}

fn follower(role: &Role) -> Option<&Follower> {
    match role {
        Role::Follower(follower) => Some(follower),
        Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => None,
    }
}
