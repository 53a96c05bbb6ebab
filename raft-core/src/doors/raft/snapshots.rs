//! Snapshots of the bare state machine: asked for, taken, stored, sent.

use raft_proto::bytes::Bytes;

use super::Raft;
use crate::words::error::SnapshotError;
use crate::words::ids::{LoadId, Position};
use crate::words::message::SnapshotMeta;

impl Raft {
    /// Takes a snapshot of the state as soon as may be, whatever the policy says (Raft §7);
    /// [`Action::TakeSnapshot`](crate::Action) follows.
    ///
    /// The policy is in [`snapshot_log_bytes`](crate::Config::snapshot_log_bytes) and
    /// [`snapshot_log_entries`](crate::Config::snapshot_log_entries).
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     match action {
    /// #         Action::Persist(request) => raft.persisted(request.id),
    /// #         Action::Apply(batches) => raft.applied(batches.last().expect("never empty")),
    /// #         _ => {}
    /// #     }
    /// # }
    /// raft.take_snapshot()?;
    /// let Some(Action::TakeSnapshot(mark)) = raft.poll_action() else { panic!("everything is applied") };
    /// assert_eq!(mark.last, raft.last());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If one is under way already, or there is nothing new to take one of.
    pub fn take_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.input().take_snapshot()
    }

    /// Asks the leader for a snapshot because the state of this node is lost, though its log is not.
    /// Until [`Action::RestoreSnapshot`](crate::Action) brings it, nothing is applied here, and this node does
    /// not campaign. If the group can elect nobody else, start this node anew instead: it then begins
    /// with its own last snapshot.
    ///
    /// ```
    /// use raft_core::{CampaignError, Config, Membership, NodeId, Raft};
    ///
    /// let ids = [1, 2, 3].map(NodeId::new);
    /// let mut raft = Raft::found(Config::new(ids[0]), Membership::of_voters(ids)?)?;
    /// raft.request_snapshot()?;
    /// assert!(raft.status().awaits_snapshot);
    /// assert_eq!(raft.campaign(), Err(CampaignError::AwaitsSnapshot));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If this node leads, or a snapshot is being restored already.
    pub fn request_snapshot(&mut self) -> Result<(), SnapshotError> {
        self.input().request_snapshot()
    }

    /// A snapshot that was taken, or came from the leader, is durable.
    ///
    /// One that was taken lets the log begin later. One from the leader, if it is ahead of the log, is put
    /// in force: [`Action::RestoreSnapshot`](crate::Action) follows.
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     match action {
    /// #         Action::Persist(request) => raft.persisted(request.id),
    /// #         Action::Apply(batches) => raft.applied(batches.last().expect("never empty")),
    /// #         _ => {}
    /// #     }
    /// # }
    /// use raft_core::{SnapshotMeta, crc32c};
    ///
    /// raft.take_snapshot()?;
    /// let Some(Action::TakeSnapshot(mark)) = raft.poll_action() else { panic!("everything is applied") };
    /// let state = b"the state"; // write and sync it
    /// let (size, crc32c) = (state.len() as u64, crc32c(state));
    /// let (last, membership) = (mark.last, mark.membership);
    /// raft.snapshot_stored(&SnapshotMeta { last, membership, size, crc32c, is_hollow: false });
    /// assert_eq!(raft.status().snapshot, Some(last));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot_stored(&mut self, meta: &SnapshotMeta) {
        self.input().snapshot_stored(meta);
    }

    /// The snapshot of everything up to `last` could not be taken or stored, or what came from the
    /// leader is not what its meta says. The log goes on without it (F12).
    ///
    /// ```
    /// # use raft_core::{Action, Config, Membership, NodeId, Raft};
    /// # let id = NodeId::new(1);
    /// # let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     match action {
    /// #         Action::Persist(request) => raft.persisted(request.id),
    /// #         Action::Apply(batches) => raft.applied(batches.last().expect("never empty")),
    /// #         _ => {}
    /// #     }
    /// # }
    /// use raft_core::Notice;
    ///
    /// raft.take_snapshot()?;
    /// let Some(Action::TakeSnapshot(mark)) = raft.poll_action() else { panic!("everything is applied") };
    /// raft.snapshot_failed(mark.last); // the disk is full
    /// let notice = Notice::SnapshotFailed { last: mark.last };
    /// assert_eq!(raft.poll_action(), Some(Action::Notice(notice)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot_failed(&mut self, last: Position) {
        self.input().snapshot_failed(last);
    }

    /// The store has taken so many bytes of the snapshot from the leader, counted from its beginning,
    /// and has room for more.
    ///
    /// The leader sends the next chunks only then, so a slow disk bounds what waits in memory.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let ids = [1, 2].map(NodeId::new);
    /// # let membership = Membership::of_voters(ids)?;
    /// # let mut raft = Raft::found(Config::new(ids[0]), membership.clone())?;
    /// # let last = Position::new(1.into(), 9.into());
    /// # let meta = SnapshotMeta { last, membership, size: 5, crc32c: crc32c(b"state"), is_hollow: false };
    /// # let (chunk, chunk_crc32c) = (bytes::Bytes::from_static(b"state"), crc32c(b"state"));
    /// # let install = InstallSnapshot { meta, round: 1, offset: 0, chunk, chunk_crc32c };
    /// # let body = Body::InstallSnapshot(Box::new(install));
    /// # raft.receive(Message { from: ids[1], to: ids[0], term: 1.into(), body });
    /// let chunk = loop {
    ///     match raft.poll_action() {
    ///         Some(Action::StoreChunk(chunk)) => break chunk, // from the leader
    ///         Some(_) => {}
    ///         None => panic!("a chunk came in"),
    ///     }
    /// };
    /// let written = chunk.offset + chunk.chunk.len() as u64;
    /// raft.snapshot_written(chunk.meta.last, written);
    /// assert_eq!(written, chunk.meta.size); // it was the last one: check the whole, and sync it
    /// raft.snapshot_stored(&chunk.meta);
    /// assert_eq!(raft.commit(), chunk.meta.last.index);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot_written(&mut self, last: Position, bytes: u64) {
        self.input().snapshot_written(last, bytes);
    }

    /// The bytes that [`Action::LoadChunk`](crate::Action) asked for: at most as many, and at least one. They
    /// are sent to the member that needs them, with a checksum of their own.
    ///
    /// ```
    /// # use raft_core::*;
    /// # let ids = [1, 2].map(NodeId::new);
    /// # let learner = Member { role: MemberRole::Learner, ..Member::voter(ids[1]) };
    /// # let membership = Membership::new(vec![Member::voter(ids[0]), learner])?;
    /// # let mut raft = Raft::found(Config::new(ids[0]), membership)?;
    /// # raft.campaign()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     match action {
    /// #         Action::Persist(request) => raft.persisted(request.id),
    /// #         Action::Apply(batches) => raft.applied(batches.last().expect("never empty")),
    /// #         _ => {}
    /// #     }
    /// # }
    /// # raft.take_snapshot()?;
    /// # while let Some(action) = raft.poll_action() {
    /// #     if let Action::TakeSnapshot(SnapshotMark { last, membership }) = action {
    /// #         let meta = SnapshotMeta { last, membership, size: 5, crc32c: crc32c(b"state"), is_hollow: false };
    /// #         raft.snapshot_stored(&meta);
    /// #     }
    /// # }
    /// # let body = Body::SnapshotRequest { at_least: 1.into() };
    /// # raft.receive(Message { from: ids[1], to: ids[0], term: 1.into(), body });
    /// let is_chunk = |action: &Action| matches!(action, Action::LoadChunk(_));
    /// let load = std::iter::from_fn(|| raft.poll_action()).find(is_chunk); // a learner asked
    /// let Some(Action::LoadChunk(load)) = load else { panic!("the leader has a snapshot") };
    /// raft.chunk_loaded(load.id, bytes::Bytes::from_static(b"state"));
    /// let is_sent = |action: Action| {
    ///     matches!(action, Action::Send(it) if matches!(it.body, Body::InstallSnapshot(_)))
    /// };
    /// assert!(std::iter::from_fn(|| raft.poll_action()).any(is_sent));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn chunk_loaded(&mut self, id: LoadId, chunk: Bytes) {
        self.input().chunk_loaded(id, Some(chunk));
    }

    /// The bytes that [`Action::LoadChunk`](crate::Action) asked for cannot be read (any more). The leader
    /// takes another snapshot, and sends that.
    ///
    /// ```
    /// use raft_core::LoadId;
    /// # let mut raft = raft_core::Raft::join(raft_core::Config::new(1.into()))?;
    ///
    /// raft.chunk_unavailable(LoadId::new(7)); // nobody asked: an answer to nothing is ignored
    /// assert_eq!(raft.status().snapshot, None);
    /// # Ok::<(), raft_core::ConfigError>(())
    /// ```
    pub fn chunk_unavailable(&mut self, id: LoadId) {
        self.input().chunk_loaded(id, None);
    }
}
