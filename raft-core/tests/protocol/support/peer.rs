//! One node, and the disk under it, which becomes durable when the test says so.

use std::collections::VecDeque;

use raft_core::mem::MemLog;
use raft_core::{
    Action, Batches, Body, ChangeError, Config, EntryKind, HardState, Load, LogIndex, LogStore, Membership,
    MembershipChange, Message, NodeId, Notice, Persist, PersistId, Position, ProposeError, Raft, Recovered,
    RoleName, SnapshotStore, Status, Term, TransferError,
};

use super::make::{self, at, node};
use super::snapshots::Written;

/// An entry that was handed out for applying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) position: Position,
    pub(crate) kind: EntryKind,
    pub(crate) payload: Vec<u8>,
}

impl Applied {
    /// Whether this is what a witness has in the place of the other.
    pub(crate) fn is_hollow_of(&self, other: &Self) -> bool {
        let kinds = (self.kind, other.kind);
        kinds == (EntryKind::Hollow, EntryKind::Command) && self.position == other.position
    }
}

/// A node under test.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) raft: Raft,
    /// What a crash leaves.
    pub(crate) durable: MemLog,
    /// What was asked to be written, durable or not.
    pub(crate) written: MemLog,
    /// What is not durable yet.
    pub(crate) queue: VecDeque<Persist>,
    /// Requests stay in the queue until the test completes them.
    pub(crate) is_disk_slow: bool,
    /// Loads and applied entries stay unanswered.
    pub(crate) is_store_slow: bool,
    pub(crate) is_apply_slow: bool,
    /// Messages that left and that nobody took yet.
    pub(crate) sent: Vec<Message>,
    pub(crate) applied: Vec<Applied>,
    pub(crate) loads: Vec<Load>,
    /// All other actions, in order.
    pub(crate) told: Vec<Action>,
    /// How many requests were made.
    pub(crate) persists: u64,
    /// Bytes of a snapshot that comes in.
    pub(super) incoming: Vec<u8>,
    /// A snapshot that is not durable yet.
    pub(crate) unsynced_snapshot: Option<Written>,
    /// It stays so until the test completes it.
    pub(crate) is_snapshot_slow: bool,
    /// Snapshots cannot be read.
    pub(crate) is_snapshot_unreadable: bool,
    /// How many snapshots were begun of this node's own state.
    pub(crate) pictures: u64,
    seen: (Term, LogIndex),
}

impl Peer {
    /// A founding member whose founding is durable.
    pub(crate) fn found(config: Config, membership: Membership) -> Self {
        let raft = Raft::found(config, membership).expect("a valid configuration");
        let mut peer = Self::around(raft, MemLog::new());
        peer.drain();
        peer
    }

    /// The founding voter `id` of `count` ones.
    pub(crate) fn voter(id: u64, count: u64) -> Self {
        Self::found(make::config(id), make::voters(count))
    }

    /// A restarted node: in this term, voted so, committed so far, a log of one entry of each term.
    pub(crate) fn with_log(
        config: Config,
        membership: Membership,
        (term, vote, commit): (u64, u64, u64),
        terms: &[u64],
    ) -> Self {
        let mut store = MemLog::new();
        let hard_state = HardState {
            term: Term::new(term),
            vote: (vote != 0).then(|| node(vote)),
            commit: LogIndex::new(commit),
        };
        let request = Persist {
            id: PersistId::new(1),
            mark: Some(make::new_log(Position::ZERO, membership)),
            truncate_from: None,
            entries: make::batches(0, terms),
            hard_state: Some(hard_state),
        };
        store.persist(request).expect("a log without gaps");
        Self::reopen(config, store)
    }

    /// A node without a past or a group.
    pub(crate) fn join(config: Config) -> Self {
        let raft = Raft::join(config).expect("a valid configuration");
        let mut peer = Self::around(raft, MemLog::new());
        peer.drain();
        peer
    }

    /// A node on what a crash left.
    pub(crate) fn reopen(config: Config, mut store: MemLog) -> Self {
        let recovered = store.recover().expect("memory does not fail");
        let memberships = memberships(&mut store, &recovered);
        let snapshot = store.recover_snapshot().expect("memory does not fail");
        let raft = Raft::restore(config, recovered, snapshot.clone(), memberships).expect("a node's past");
        let mut peer = Self::around(raft, store);
        if let Some(meta) = snapshot {
            peer.carry_out_snapshot(Action::RestoreSnapshot(meta));
        }
        peer
    }

    fn around(raft: Raft, store: MemLog) -> Self {
        let seen = (raft.term(), raft.commit());
        Self {
            raft,
            durable: store.clone(),
            written: store,
            queue: VecDeque::new(),
            is_disk_slow: false,
            is_store_slow: false,
            is_apply_slow: false,
            sent: Vec::new(),
            applied: Vec::new(),
            loads: Vec::new(),
            told: Vec::new(),
            persists: 0,
            incoming: Vec::new(),
            unsynced_snapshot: None,
            is_snapshot_slow: false,
            is_snapshot_unreadable: false,
            pictures: 0,
            seen,
        }
    }

    /// The node is gone, with all that was not durable; it starts again.
    pub(crate) fn restart(&mut self) {
        *self = Self::reopen(self.raft.config().clone(), self.durable.clone());
    }

    /// Takes a message and works.
    pub(crate) fn receive(&mut self, message: Message) {
        self.raft.receive(message);
        self.drain();
    }

    /// As [`receive`](Self::receive), from these numbers.
    pub(crate) fn hear(&mut self, from: u64, term: u64, body: Body) {
        let to = self.raft.id().get();
        self.receive(make::message(from, to, term, body));
    }

    /// Lets time pass, working after every tick.
    pub(crate) fn tick(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.raft.tick();
            self.drain();
        }
    }

    pub(crate) fn propose(&mut self, payload: &[u8]) -> Position {
        let position = self.raft.propose(payload).expect("leads and has room");
        self.drain();
        position
    }

    pub(crate) fn propose_times(&mut self, count: u64, payload: &[u8]) {
        for _ in 0..count {
            self.propose(payload);
        }
    }

    /// Why the node would take no proposal now.
    pub(crate) fn propose_error(&self) -> Option<ProposeError> {
        self.raft.clone().propose(b"would you").err()
    }

    pub(crate) fn change(&mut self, change: &MembershipChange) -> Result<Position, ChangeError> {
        let result = self.raft.change_membership(change);
        self.drain();
        result
    }

    pub(crate) fn transfer(&mut self, to: u64) -> Result<(), TransferError> {
        let result = self.raft.transfer_leadership(node(to));
        self.drain();
        result
    }

    /// The other members, played by the test, have all of the log.
    pub(crate) fn acknowledge(&mut self, members: &[u64]) {
        let (term, last) = (self.raft.term().get(), self.raft.last().index.get());
        for from in members {
            self.hear(*from, term, make::append_reply(0, last, last));
        }
    }

    /// Who votes: in the outgoing configuration, if there is one, and in the incoming one.
    pub(crate) fn voters(&self) -> (Vec<u64>, Vec<u64>) {
        let membership = self.raft.membership();
        let outgoing = membership.outgoing_voters().map(NodeId::get).collect();
        (outgoing, membership.voters().map(NodeId::get).collect())
    }

    pub(crate) fn campaign(&mut self) {
        self.raft.campaign().expect("may campaign");
        self.drain();
    }

    /// Wins an election in a group whose other voters are played by the test.
    pub(crate) fn win(&mut self, helpers: &[u64]) {
        self.campaign();
        for _ in 0..2 {
            for helper in helpers {
                let requests: Vec<Message> = self.take(|message| message.to == node(*helper));
                for Message { term, body, .. } in requests {
                    let grant = |campaign| raft_core::VoteReply { campaign, granted: true };
                    match body {
                        Body::PreVote(vote) => {
                            self.hear(*helper, term.get(), Body::PreVoteReply(grant(vote.campaign)));
                        }
                        Body::Vote(vote) => {
                            self.hear(*helper, term.get(), Body::VoteReply(grant(vote.campaign)));
                        }
                        _ => {}
                    }
                }
            }
        }
        assert!(self.raft.is_leader(), "{:?}", self.raft.status());
    }

    /// Everything under way becomes durable, and what follows from that.
    pub(crate) fn sync(&mut self) {
        while !self.queue.is_empty() {
            self.sync_one();
            self.drain();
        }
    }

    /// The oldest request becomes durable; the node is not polled.
    pub(crate) fn sync_one(&mut self) -> PersistId {
        let request = self.queue.pop_front().expect("a request is under way");
        let id = request.id;
        self.durable.persist(request).expect("requests follow each other");
        self.raft.persisted(id);
        id
    }

    /// The oldest requests, at most so many, become durable; only the last of them is reported.
    pub(crate) fn sync_up_to(&mut self, count: usize) {
        let count = count.min(self.queue.len());
        let mut last = None;
        for request in self.queue.drain(..count) {
            last = Some(request.id);
            self.durable.persist(request).expect("requests follow each other");
        }
        if let Some(id) = last {
            self.raft.persisted(id);
        }
    }

    /// Carries out every action there is.
    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.raft.poll_action() {
            self.carry_out(action);
        }
        self.check();
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send(message) => {
                self.check_promise(&message);
                self.sent.push(message);
            }
            Action::Persist(request) => {
                self.persists += 1;
                self.written.persist(request.clone()).expect("requests follow each other");
                self.queue.push_back(request);
                if !self.is_disk_slow {
                    self.sync_one();
                }
            }
            Action::Apply(batches) => self.apply(&batches),
            Action::Load(load) => {
                self.loads.push(load);
                if !self.is_store_slow {
                    self.answer_load();
                }
            }
            action => self.carry_out_snapshot(action),
        }
    }

    /// Answers the oldest load.
    pub(crate) fn answer_load(&mut self) {
        let load = self.loads.remove(0);
        let batches =
            self.written.load(load.first, load.end, load.bytes_max).expect("within the written log");
        self.raft.loaded(load.id, &batches).expect("what was written");
    }

    fn apply(&mut self, batches: &Batches) {
        for entry in batches.entries() {
            let position = Position::new(entry.term, entry.index);
            let next = self.applied.last().map_or(at(0, 0), |last| last.position).index.next();
            assert_eq!(entry.index, next, "applied in order, once");
            assert!(entry.index <= self.raft.commit(), "applied before it is committed");
            self.applied.push(Applied { position, kind: entry.kind, payload: entry.payload.to_vec() });
        }
        if !self.is_apply_slow {
            self.raft.applied(batches.last().expect("never empty"));
        }
    }

    /// What must be durable when a message leaves (Raft figure 2: "before responding").
    fn check_promise(&self, message: &Message) {
        let hard = self.durable.hard_state();
        let in_term = hard.term >= message.term;
        let is_later = hard.term > message.term;
        let durable = self.durable.last().max(self.snapshot_last());
        let has = |position: Position| {
            position.index <= self.snapshot_last()
                || self.durable.term_at(position.index) == Some(position.term)
        };
        let is_kept = match &message.body {
            Body::VoteReply(reply) if reply.granted => in_term && (is_later || hard.vote == Some(message.to)),
            Body::Vote(vote) => in_term && (is_later || hard.vote == Some(message.from)) && has(vote.last),
            Body::AppendReply(reply) => in_term && (is_later || durable >= reply.durable),
            Body::HeartbeatReply(reply) => in_term && (is_later || durable >= reply.durable),
            Body::Append(append) => {
                // No append leaves without a verified previous position (S19, S109).
                let next = append.prev.index.next();
                // What was compacted since it was built was verified then.
                let known = self.raft.term_at(append.prev.index);
                let is_compacted = append.prev.index < self.raft.status().mark.index;
                assert!(is_compacted || known == Some(append.prev.term), "{append:?}");
                in_term && append.batches.first().is_none_or(|first| first == next)
            }
            _ => true,
        };
        assert!(is_kept, "{hard:?}, log up to {} is durable, sends {message:?}", self.durable.last());
    }

    /// What holds on every node after every input: nothing goes back (S101), and nothing outruns
    /// the disk.
    fn check(&mut self) {
        let status = self.raft.status();
        let (term, commit) = self.seen;
        assert!(status.term >= term && status.commit >= commit, "{:?}, then {status:?}", self.seen);
        assert!(status.applied <= status.commit && status.commit <= status.last.index, "{status:?}");
        assert!(
            status.durable <= self.durable.last().max(self.snapshot_last()),
            "{status:?}, durable {}",
            self.durable.last()
        );
        for peer in status.peers.iter().filter(|peer| peer.id != status.id) {
            assert!(peer.next > peer.matched, "{peer:?}");
            assert!(peer.matched <= status.last.index, "{peer:?}");
        }
        self.seen = (status.term, status.commit);
    }

    /// Takes the messages that left and that the test wants.
    pub(crate) fn take(&mut self, wanted: impl Fn(&Message) -> bool) -> Vec<Message> {
        let (taken, left) = std::mem::take(&mut self.sent).into_iter().partition(wanted);
        self.sent = left;
        taken
    }

    /// Takes every message that left, as kind and addressee.
    pub(crate) fn take_kinds(&mut self) -> Vec<(&'static str, u64)> {
        self.take(|_| true).iter().map(|message| (make::kind(message), message.to.get())).collect()
    }

    /// Takes the bodies of all messages that left for one node.
    pub(crate) fn take_bodies(&mut self, to: u64) -> Vec<Body> {
        self.take(|message| message.to == node(to)).into_iter().map(|message| message.body).collect()
    }

    /// The terms of the whole log, first to last.
    pub(crate) fn log_terms(&self) -> Vec<u64> {
        let (mark, last) = (self.status().mark.index.get(), self.raft.last().index.get());
        let term_at = |at| self.raft.term_at(LogIndex::new(at)).expect("within the log").get();
        (mark + 1..=last).map(term_at).collect()
    }

    pub(crate) fn status(&self) -> Status {
        self.raft.status()
    }

    pub(crate) fn role(&self) -> RoleName {
        self.raft.role()
    }

    /// How the leader under test sees a member.
    pub(crate) fn progress(&self, of: u64) -> raft_core::PeerStatus {
        let id: NodeId = node(of);
        self.status().peers.into_iter().find(|peer| peer.id == id).expect("leads a member of this id")
    }

    pub(crate) fn has_noticed(&self, wanted: impl Fn(&Notice) -> bool) -> bool {
        self.told.iter().any(|action| matches!(action, Action::Notice(notice) if wanted(notice)))
    }
}

/// The memberships in a recovered log, as the owner of a store reads them.
fn memberships(store: &mut MemLog, recovered: &Recovered) -> Vec<(LogIndex, Membership)> {
    let runs = recovered.runs.iter().filter(|run| run.kind == EntryKind::Membership);
    let batches = runs.flat_map(|run| store.load(run.first, run.last.next(), usize::MAX).expect("is there"));
    let decode = |payload: &[u8]| Membership::decode(payload).expect("was checked when it was appended");
    let entries = batches.flat_map(|batch| {
        let found = batch.iter().map(|entry| (entry.index, decode(entry.payload)));
        found.collect::<Vec<_>>()
    });
    entries.collect()
}
