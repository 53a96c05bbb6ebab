//! One node of the model: the real core, and the disk and the state machine it drives.
//!
//! What the core asks for is done at once, but for writes: they wait in a queue until the checker
//! completes them, in their order, or the node crashes. Nothing of the core survives a crash.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use raft_core::bytes::Bytes;
use raft_core::mem::MemLog;
use raft_core::{
    Action, Body, Config, EntryKind, LogIndex, LogStore, Membership, Message, NodeId, Persist, Position,
    Raft, RoleName, SnapshotMark, SnapshotMeta, SnapshotStore, Term, VoteReply,
};

use crate::history::Broken;

/// An entry as the checks compare it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) position: Position,
    pub(crate) kind: EntryKind,
    pub(crate) payload: Vec<u8>,
}

/// What came out of a node in one step, beside its new state.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) sent: Vec<Message>,
    pub(crate) applied: Vec<Record>,
    /// The state was replaced by that of a snapshot up to here.
    pub(crate) restored: Option<LogIndex>,
}

impl Output {
    pub(crate) fn append(&mut self, later: Self) {
        self.sent.extend(later.sent);
        self.applied.extend(later.applied);
        self.restored = later.restored.or(self.restored);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) raft: Raft,
    /// What a crash leaves for certain.
    pub(crate) disk: MemLog,
    /// Writes under way: a crash leaves a prefix of them.
    pub(crate) queue: VecDeque<Persist>,
    /// The payloads of all applied commands, one behind the other.
    pub(crate) state: Vec<u8>,
    /// The retained log as the core sees it, durable or not.
    pub(crate) log: Vec<Record>,
    pub(crate) digest: u64,
}

impl Node {
    /// A node that never ran; what it does first is durable.
    pub(crate) fn new(raft: Raft) -> Self {
        let (disk, queue) = (MemLog::new(), VecDeque::new());
        let mut node = Self { raft, disk, queue, state: Vec::new(), log: Vec::new(), digest: 0 };
        node.settle();
        while !node.queue.is_empty() {
            node.complete_write();
        }
        node
    }

    pub(crate) fn id(&self) -> NodeId {
        self.raft.id()
    }

    /// The oldest write is durable.
    pub(crate) fn complete_write(&mut self) -> Output {
        let Some(write) = self.queue.pop_front() else { return Output::default() };
        let id = write.id;
        persist(&mut self.disk, write);
        self.raft.persisted(id);
        self.settle()
    }

    /// The process dies, after so many of the writes under way reached the disk, and starts again.
    pub(crate) fn crash(&mut self, kept: usize) -> Output {
        for write in self.queue.drain(..).take(kept) {
            persist(&mut self.disk, write);
        }
        let recovered = self.disk.recover().expect("a disk in memory can be read");
        let snapshot = self.disk.recover_snapshot().expect("a disk in memory can be read");
        let mut memberships = Vec::new();
        for record in read_log(&mut self.disk) {
            if record.kind == EntryKind::Membership {
                let membership = Membership::decode(&record.payload).expect("the core wrote it");
                memberships.push((record.position.index, membership));
            }
        }
        self.state = match &snapshot {
            Some(meta) => read_snapshot(&mut self.disk, meta.last).to_vec(),
            None => Vec::new(),
        };
        let config = self.raft.config().clone();
        self.raft = Raft::restore(config, recovered, snapshot, memberships)
            .expect("what the core made durable is a node's past");
        self.settle()
    }

    /// Carries out what the core asks for, until it asks for nothing more.
    pub(crate) fn settle(&mut self) -> Output {
        let mut output = Output::default();
        while let Some(action) = self.raft.poll_action() {
            self.carry_out(action, &mut output);
        }
        self.log = read_log(&mut self.written());
        let mut hasher = DefaultHasher::new();
        (&self.raft, &self.disk, &self.state).hash(&mut hasher);
        for Persist { id: _, mark, truncate_from, entries, hard_state } in &self.queue {
            (mark, truncate_from, entries, hard_state).hash(&mut hasher);
        }
        self.digest = hasher.finish();
        output
    }

    fn carry_out(&mut self, action: Action, output: &mut Output) {
        match action {
            Action::Send(message) => output.sent.push(message),
            Action::Persist(write) => self.queue.push_back(write),
            Action::Apply(batches) => {
                for entry in batches.entries() {
                    let position = Position::new(entry.term, entry.index);
                    let payload = entry.payload.to_vec();
                    if entry.kind == EntryKind::Command {
                        self.state.extend_from_slice(&payload);
                    }
                    output.applied.push(Record { position, kind: entry.kind, payload });
                }
                self.raft.applied(batches.last().expect("never empty"));
            }
            Action::Load(load) => {
                let entries = self.written().load(load.first, load.end, load.bytes_max);
                let entries = entries.expect("the core wrote what it asks for");
                self.raft.loaded(load.id, &entries).expect("the log is what the core wrote");
            }
            Action::TakeSnapshot(mark) => self.take_snapshot(mark),
            Action::LoadChunk(load) => {
                let chunk = self.disk.read_snapshot(load.last, load.offset, load.bytes_max);
                match chunk.expect("a disk in memory can be read") {
                    Some(chunk) => self.raft.chunk_loaded(load.id, chunk),
                    None => self.raft.chunk_unavailable(load.id),
                }
            }
            Action::StoreChunk(install) => {
                if install.offset == 0 {
                    self.disk.begin_snapshot(install.meta.last);
                }
                let written = install.offset + install.chunk.len() as u64;
                self.disk.write_snapshot(install.chunk);
                self.raft.snapshot_written(install.meta.last, written);
                if written == install.meta.size {
                    self.store_snapshot(&install.meta);
                }
            }
            Action::RestoreSnapshot(meta) => {
                self.state = read_snapshot(&mut self.disk, meta.last).to_vec();
                output.restored = Some(meta.last.index);
                self.raft.applied(meta.last.index);
            }
            // The model neither reads nor forwards.
            Action::ReadReady { .. }
            | Action::ReadRefused { .. }
            | Action::Forwarded { .. }
            | Action::Notice(_) => {}
        }
    }

    /// The state is always that of the moment, since applying takes no time.
    fn take_snapshot(&mut self, mark: SnapshotMark) {
        self.disk.begin_snapshot(mark.last);
        self.disk.write_snapshot(Bytes::from(self.state.clone()));
        let size = self.state.len() as u64;
        // Nobody looks at the checksum of the whole here: bytes in memory do not rot.
        let (last, membership) = (mark.last, mark.membership);
        self.store_snapshot(&SnapshotMeta { last, membership, size, crc32c: 0, is_hollow: false });
    }

    fn store_snapshot(&mut self, meta: &SnapshotMeta) {
        self.disk.finish_snapshot(meta.clone());
        while self.disk.poll_snapshot().is_some() {}
        self.raft.snapshot_stored(meta);
    }

    /// Checks what a step broke that needs no look at the others.
    ///
    /// A vote is durable when it leaves, and neither the durable term nor the vote in it changes but for
    /// a later term: so nobody votes twice in a term, in one life or two (Raft §5.2).
    pub(crate) fn judge(&self, before: &Self, sent: &[Message]) -> Result<(), Broken> {
        let (old, new) = (before.disk.hard_state(), self.disk.hard_state());
        let is_vote_kept = new.term > old.term || old.vote.is_none() || new.vote == old.vote;
        let is_vote_durable = |message: &Message| match message.body {
            Body::VoteReply(VoteReply { granted: true, .. }) => {
                (new.term, new.vote) == (message.term, Some(message.to))
            }
            // Whoever asks for votes has given its own to itself.
            Body::Vote(_) => (new.term, new.vote) == (message.term, Some(message.from)),
            _ => true,
        };
        if !is_vote_kept || !sent.iter().all(is_vote_durable) {
            return Err(Broken::TwoVotes);
        }
        let is_same_term = self.raft.term() == before.raft.term();
        let is_role_new = match (before.raft.role(), self.raft.role()) {
            (RoleName::Follower, role) => role != RoleName::Follower,
            (RoleName::Leader, role) => role == RoleName::Candidate,
            (RoleName::PreCandidate | RoleName::Candidate, _) => false,
        };
        if new.term < old.term || self.raft.term() < new.term || (is_same_term && is_role_new) {
            return Err(Broken::WentBack);
        }
        Ok(())
    }

    /// The disk as it is once everything under way is durable.
    fn written(&self) -> MemLog {
        let mut written = self.disk.clone();
        for write in &self.queue {
            persist(&mut written, write.clone());
        }
        written
    }

    /// Whether the entry that stands here in the leader's log is durable on this node.
    pub(crate) fn has_durable(&self, position: Position) -> bool {
        let is_in_snapshot = self.disk.snapshot().is_some_and(|meta| meta.last.index >= position.index);
        is_in_snapshot || self.disk.term_at(position.index) == Some(position.term)
    }

    /// The term and the vote that a crash leaves for certain.
    pub(crate) fn durable_term(&self) -> Term {
        self.disk.hard_state().term
    }
}

fn persist(disk: &mut MemLog, write: Persist) {
    disk.persist(write).expect("the core's writes follow each other");
    // Which write it was says nothing about what is on the disk.
    while let Ok(Some(_)) = disk.poll_persisted() {}
}

fn read_snapshot(disk: &mut MemLog, last: Position) -> Bytes {
    let state = disk.read_snapshot(last, 0, usize::MAX).expect("a disk in memory can be read");
    state.expect("the snapshot is the newest one")
}

fn read_log(disk: &mut MemLog) -> Vec<Record> {
    let recovered = disk.recover().expect("a disk in memory can be read");
    let (Some(first), Some(last)) = (recovered.runs.first(), recovered.runs.last()) else {
        return Vec::new();
    };
    let batches = disk.load(first.first, last.last.next(), usize::MAX).expect("the log has no gap");
    let entries = batches.iter().flat_map(raft_core::Entries::iter);
    let record = |entry: raft_core::Entry<'_>| Record {
        position: Position::new(entry.term, entry.index),
        kind: entry.kind,
        payload: entry.payload.to_vec(),
    };
    entries.map(record).collect()
}

/// Settings without time: who campaigns and when is up to the checker.
///
/// Without `check_quorum` and pre-votes a node votes, and campaigns, even if it hears a leader.
/// With them there are fewer behaviours, none of them new: a vote request that is ignored is as good
/// as lost.
pub(crate) fn config(id: u64) -> Config {
    let mut config = Config::new(NodeId::new(id));
    config.check_quorum = false;
    config.pre_vote = false;
    config.election_timeout_ticks_min = 1 << 30;
    config.election_timeout_ticks_max = 1 << 30;
    config.retained_entries = 0;
    config
}
