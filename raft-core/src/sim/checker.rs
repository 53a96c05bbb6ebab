//! What must hold at every step: Raft figure 3, and that no promise outruns the disk.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::bounds::Bounds;
use super::by_node::ByNode;
use super::ledger::Ledger;
use super::marks::Marks;
use super::reigns::Reigns;
use super::violation::Violation;
use crate::doors::raft::Raft;
use crate::mem::MemLog;
use crate::words::entries::{Entry, EntryKind};
use crate::words::ids::{LogIndex, NodeId, Position, Term};
use crate::words::membership::Membership;
use crate::words::message::{Body, Message};
use crate::words::persist::Persist;
use crate::words::status::RoleName;

/// Everything that was ever seen.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// The membership that the group began with.
    founders: Membership,
    /// Every entry ever written, and the term of the entry before it.
    entries: BTreeMap<Position, (Content, Term)>,
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// Term and content of every committed entry, in order from index 1.
    committed: Vec<(Term, Content)>,
    /// The digest of all committed commands up to each of them.
    commands: Vec<u64>,
    /// The term of whoever first said so, for each of them.
    committed_in: Vec<Term>,
    /// What the node that is being pumped has applied since the pump began.
    applied: Vec<Applied>,
    /// What was last seen of each running node.
    seen: ByNode<Seen>,
    /// A digest of the state after some of the entries, as whoever came first had it.
    states: BTreeMap<LogIndex, (NodeId, u64)>,
    /// Highest index a client knows to be applied.
    pub(super) acknowledged: LogIndex,
    /// Changes of membership that were appended since the last pump.
    changes: Vec<Position>,
    pub(super) bounds: Bounds,
    /// What marks and snapshots say of the membership.
    pub(super) marks: Marks,
    /// How long leaders have led.
    pub(super) reigns: Reigns,
    /// How many commits took a witness to make a quorum.
    pub(super) witnessed: u64,
    violation: Option<Violation>,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    digest: u64,
    kind: EntryKind,
}

/// What happened to a state machine.
#[derive(Clone, Copy, Debug)]
enum Applied {
    Command(LogIndex, Term, u64),
    /// It was restored to the state after this command, with this digest of all of them.
    Snapshot(LogIndex, u64),
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    term: Term,
    commit: LogIndex,
    applied: LogIndex,
    last: LogIndex,
    is_leader: bool,
    cuts: u64,
}

impl Checker {
    /// Nothing was seen yet of a group that begins like this.
    pub(super) fn new(founders: Membership) -> Self {
        let marks = Marks::new(membership_digest(&founders));
        Self { founders, marks, ..Self::default() }
    }

    /// The first violation, if any.
    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// How many entries are committed.
    pub(super) fn committed_count(&self) -> usize {
        self.committed.len()
    }

    /// How often commands are committed, by the digests of their contents.
    pub(super) fn count_commands(&self) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for (_, content) in self.committed.iter().filter(|(_, content)| content.kind == EntryKind::Command) {
            *counts.entry(content.digest).or_default() += 1;
        }
        counts
    }

    pub(super) fn violate(&mut self, property: &'static str, details: String) {
        self.report(Violation::new(property, details));
    }

    /// Keeps the first violation.
    pub(super) fn report(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// Log matching (figure 3): the same position means the same entry, and the same one before it.
    /// A witness has no payloads, and nobody else lacks them; it has nothing that others have not.
    pub(super) fn on_persist(&mut self, node: NodeId, is_witness: bool, request: &Persist, written: &MemLog) {
        let Some(first) = request.entries.first() else { return };
        let mut before = written.term_at(first.prev()).unwrap_or_default();
        for entry in request.entries.entries() {
            let position = Position::new(entry.term, entry.index);
            let mut content = (Content::new(entry.kind, entry.payload), before);
            if entry.kind == EntryKind::Hollow {
                content.0 = self.entries.get(&position).map_or(content.0, |known| known.0);
            }
            let is_misfit = match entry.kind {
                EntryKind::Command => is_witness,
                EntryKind::Hollow => !is_witness || !entry.payload.is_empty(),
                EntryKind::Empty | EntryKind::Membership => false,
            };
            if is_misfit {
                let details = format!("node {node} wrote {:?} at {position}", entry.kind);
                self.violate("payloads are with full members alone", details);
            }
            if entry.kind == EntryKind::Membership && !self.entries.contains_key(&position) {
                self.changes.push(position);
            }
            let known = *self.entries.entry(position).or_insert(content);
            if known != content {
                let details = format!("node {node} wrote {content:?} at {position}, where {known:?} is");
                self.violate("log matching", details);
            }
            before = entry.term;
        }
    }

    /// A promise may leave only when what it rests on is durable.
    pub(super) fn on_send(&mut self, message: &Message, ledgers: &ByNode<Ledger>) {
        let Message { from, to, term, body } = message;
        let disk = &ledgers[from];
        let hard = disk.hard_state();
        let in_term = hard.term >= *term;
        let kept = match body {
            Body::VoteReply(reply) if reply.granted => {
                let first = *self.votes.entry((*from, *term)).or_insert(*to);
                if first != *to {
                    self.violate("one vote per term", format!("node {from} in term {term}: {first}, {to}"));
                }
                hard.term > *term || (in_term && hard.vote == Some(*to))
            }
            Body::Vote(request) => {
                in_term && (hard.term > *term || hard.vote == Some(*from)) && disk.has(request.last)
            }
            // What is durable may since have been cut off by a later leader, but then in a later term.
            Body::AppendReply(reply) => in_term && (hard.term > *term || disk.last() >= reply.durable),
            Body::HeartbeatReply(reply) => in_term && (hard.term > *term || disk.last() >= reply.durable),
            Body::Append(_) | Body::Heartbeat(_) | Body::InstallSnapshot(_) => in_term,
            Body::PreVote(_)
            | Body::PreVoteReply(_)
            | Body::VoteReply(_)
            | Body::InstallSnapshotReply(_)
            | Body::SnapshotRequest { .. }
            | Body::TimeoutNow
            | Body::Read { .. }
            | Body::ReadReply { .. }
            | Body::Propose { .. }
            | Body::ProposeReply { .. } => true,
        };
        if !kept {
            let details =
                format!("node {from} has {hard:?} up to {} durable, sends {message:?}", disk.last());
            self.violate("durable before promised", details);
        }
    }

    /// Notes what a node applies; it is compared once the pump is over and its commits are known.
    pub(super) fn on_apply(&mut self, entry: &Entry<'_>) {
        let content = digest(entry.kind, entry.payload);
        self.applied.push(Applied::Command(entry.index, entry.term, content));
    }

    /// Notes what state a node was restored to.
    pub(super) fn on_restore(&mut self, index: LogIndex, digest: u64) {
        self.applied.push(Applied::Snapshot(index, digest));
    }

    /// A machine's state after the command at `index`: everybody's is the same, whether it was applied
    /// or restored.
    pub(super) fn on_state(&mut self, node: NodeId, index: LogIndex, digest: u64) {
        let (first, known) = *self.states.entry(index).or_insert((node, digest));
        if known != digest {
            let details =
                format!("after {index} node {first} had digest {known:016x}, node {node} has {digest:016x}");
            self.violate("equal state at equal index", details);
        }
    }

    /// A node starts, with nothing applied but what its snapshot holds.
    pub(super) fn on_start(&mut self, node: NodeId, raft: &Raft) {
        self.bounds.on_start(raft);
        let (term, last) = (raft.term(), raft.last().index);
        let applied = self.check_applied(node, LogIndex::ZERO);
        self.seen.insert(node, Seen { term, last, applied, ..Seen::default() });
    }

    /// After every pump: what figure 3 says of leaders, commits and terms. Before it, `before` was the
    /// membership in force.
    pub(super) fn on_pump(
        &mut self,
        node: NodeId,
        before: &Membership,
        raft: &Raft,
        ledgers: &ByNode<Ledger>,
    ) {
        let seen = self.seen.get(&node).copied().unwrap_or_default();
        let (term, commit, last) = (raft.term(), raft.commit(), raft.last().index);
        if term < seen.term || commit < seen.commit || commit > last {
            let details =
                format!("node {node} went from {seen:?} to term {term}, commit {commit}, last {last}");
            self.violate("monotony", details);
        }
        let is_leader = raft.role() == RoleName::Leader;
        let cuts = ledgers[&node].cuts;
        if is_leader {
            let first = *self.leaders.entry(term).or_insert(node);
            if first != node {
                self.violate("election safety", format!("nodes {first} and {node} lead term {term}"));
            }
            let led = seen.is_leader && seen.term == term;
            if led && (last < seen.last || cuts != seen.cuts) {
                self.violate("leader append-only", format!("node {node} in term {term} lost entries"));
            }
            if !led {
                self.check_completeness(node, raft);
            } else if commit > seen.commit {
                self.check_commit_rule(node, raft);
            }
        }
        if commit > seen.commit {
            self.check_commit((node, before), raft, seen.commit, ledgers);
        }
        if let Err(details) = self.marks.check(membership_digest) {
            self.violate(
                "marks and snapshots name the membership in force",
                format!("node {node}: {details}"),
            );
        }
        self.check_changes(node, raft, ledgers);
        if let Err(violation) = self.bounds.check(raft) {
            self.report(violation);
        }
        if term != seen.term || commit != seen.commit || last != seen.last {
            self.check_order(node, raft);
        }
        let applied = self.check_applied(node, seen.applied);
        self.seen.insert(node, Seen { term, commit, applied, last, is_leader, cuts });
    }

    /// A leader appends a change of membership only when the one before is committed, and an entry of
    /// its own term is (Raft §6, and Ongaro's correction of diss. §4.1).
    fn check_changes(&mut self, node: NodeId, raft: &Raft, ledgers: &ByNode<Ledger>) {
        for change in core::mem::take(&mut self.changes) {
            let is_before = |(at, (term, _)): (usize, &(Term, Content))| {
                *term == change.term && (at as u64) < change.index.prev().get()
            };
            if !self.committed.iter().enumerate().rev().any(is_before) {
                let details = format!("node {node} appends {change}, and nothing of that term is committed");
                self.violate("no change of membership before an own commit", details);
            }
        }
        let uncommitted = ledgers[&node].changes_behind(raft.commit());
        if raft.is_leader() && uncommitted > 1 {
            let details = format!("node {node} has {uncommitted} that are not committed");
            self.violate("one change of membership at a time", details);
        }
    }

    /// Log, snapshot, state and commit reach as far as they may. A leader's snapshot can be stored
    /// before this node hears that its own log is committed as far, but somebody knows.
    fn check_order(&mut self, node: NodeId, raft: &Raft) {
        let status = raft.status();
        let snapshot = status.snapshot.unwrap_or(Position::ZERO).index;
        let (mark, applied, commit) = (status.mark.index, status.applied, status.commit);
        if applied > snapshot.max(status.durable) {
            self.violate("nothing is applied before it is durable here", format!("node {node}: {status:?}"));
        }
        let is_known = snapshot.get() <= self.committed.len() as u64;
        let is_ordered = mark <= snapshot.min(commit) && applied <= commit && commit <= status.last.index;
        if !is_known || !is_ordered {
            let details = format!("node {node}: {status:?}");
            self.violate("the log begins within snapshot and commit, applied <= commit <= last", details);
        }
    }

    /// State machine safety (figure 3): every node applies the committed entries, in order, once.
    fn check_applied(&mut self, node: NodeId, mut applied: LogIndex) -> LogIndex {
        for step in core::mem::take(&mut self.applied) {
            let (index, is_right) = match step {
                Applied::Command(index, term, digest) => {
                    let content = Content { digest, kind: EntryKind::Command };
                    (index, index > applied && self.committed_at(index) == Some((term, content)))
                }
                Applied::Snapshot(index, digest) => {
                    (index, index >= applied && self.commands_up_to(index) == Some(digest))
                }
            };
            if !is_right {
                let details = format!("node {node} after {applied}: {step:?}");
                self.violate("state machine safety", details);
            }
            applied = index;
        }
        applied
    }

    fn committed_at(&self, index: LogIndex) -> Option<(Term, Content)> {
        let at = usize::try_from(index.get().checked_sub(1)?).ok()?;
        self.committed.get(at).copied()
    }

    /// The digest of all committed commands up to `index`.
    fn commands_up_to(&self, index: LogIndex) -> Option<u64> {
        match usize::try_from(index.get()).ok()?.checked_sub(1) {
            Some(at) => self.commands.get(at).copied(),
            None => Some(0),
        }
    }

    /// Raft §5.4.2: a leader commits by counting only entries of its own term. The harm that anything
    /// else does (figure 8) takes a rare chain of crashes to show, so the rule itself is checked.
    fn check_commit_rule(&mut self, node: NodeId, raft: &Raft) {
        let (commit, term) = (raft.commit(), raft.term());
        if raft.term_at(commit) != Some(term) {
            let details = format!("node {node} leads term {term} and commits {commit}, which is older");
            self.violate("leaders commit entries of their own term", details);
        }
        for peer in raft.peers() {
            if peer.id != node && peer.next <= peer.matched {
                let details = format!("node {node} thinks of {peer:?}");
                self.violate("what is known to match is not sent again", details);
            }
        }
    }

    /// Leader completeness (figure 3): a new leader has every entry that was committed in an earlier
    /// term. One of a later term may be committed already, by a leader that this one does not know.
    fn check_completeness(&mut self, node: NodeId, raft: &Raft) {
        let mark = raft.status().mark.index;
        for (at, (term, _)) in self.committed.iter().enumerate() {
            let index = LogIndex::new(at as u64 + 1);
            if index < mark {
                continue;
            }
            if self.committed_in[at] < raft.term() && raft.term_at(index) != Some(*term) {
                let details = format!("node {node} leads term {} without {index}@{term}", raft.term());
                return self.violate("leader completeness", details);
            }
        }
    }

    /// What is committed stays, and is durable on a quorum when it is first said to be committed.
    fn check_commit(
        &mut self,
        (node, before): (NodeId, &Membership),
        raft: &Raft,
        from: LogIndex,
        ledgers: &ByNode<Ledger>,
    ) {
        let mut index = from;
        while index < raft.commit() {
            index = index.next();
            let Some(term) = raft.term_at(index) else { continue };
            let at = usize::try_from(index.get() - 1).expect("small");
            let position = Position::new(term, index);
            match self.committed.get(at) {
                Some((committed, _)) if *committed == term => {}
                Some((committed, _)) => {
                    let details = format!("node {node} commits {position}, not {index}@{committed}");
                    return self.violate("committed entries stay", details);
                }
                None => {
                    let Some((content, _)) = self.entries.get(&position).copied() else {
                        return self
                            .violate("committed entries exist", format!("{position} was never written"));
                    };
                    let earlier = self.commands.last().copied().unwrap_or_default();
                    let after = if content.kind == EntryKind::Command {
                        command_digest(earlier, term, content.digest)
                    } else {
                        earlier
                    };
                    self.commands.push(after);
                    self.committed.push((term, content));
                    self.committed_in.push(raft.term());
                    if content.kind == EntryKind::Membership {
                        self.marks.on_commit(index, content.digest);
                    }
                    self.check_quorum(before, raft, position, ledgers);
                }
            }
        }
    }

    /// Whatever is lost of what is not durable, somebody can win: a full member whose log is not
    /// behind those of a majority, witnesses included. Only for groups that stay as they are.
    pub(super) fn check_electable(&mut self, ledgers: &ByNode<Ledger>) {
        let founders = &self.founders;
        let ends: Vec<(NodeId, Position)> =
            founders.voters().map(|id| (id, ledgers[&id].last_position())).collect();
        let wins = |end: Position| ends.iter().filter(|(_, other)| *other <= end).count() * 2 > ends.len();
        if !ends.iter().any(|(id, end)| founders.can_lead(*id) && wins(*end)) {
            self.violate("somebody can be elected", format!("logs end at {ends:?}"));
        }
    }

    fn check_quorum(
        &mut self,
        before: &Membership,
        raft: &Raft,
        position: Position,
        ledgers: &ByNode<Ledger>,
    ) {
        // Who stepped down since it committed may have another membership by now.
        if !raft.is_leader() {
            return;
        }
        let is_held = |id: &NodeId| ledgers.get(id).is_some_and(|ledger| ledger.has(position));
        let membership = raft.membership();
        let outgoing: Vec<NodeId> = membership.outgoing_voters().collect();
        // A joint configuration that a commit called for was not in force before it.
        let is_new = membership.is_joint() && membership != before;
        let incoming = if is_new { Vec::new() } else { membership.voters().collect() };
        for voters in [incoming, outgoing] {
            let holders = voters.iter().filter(|id| is_held(id)).count();
            let full = voters.iter().filter(|id| is_held(id) && !membership.is_witness(**id)).count();
            if full * 2 <= voters.len() && holders * 2 > voters.len() {
                self.witnessed += 1;
            }
            if holders * 2 <= voters.len() && !voters.is_empty() {
                let details = format!("{position} is committed and durable on {holders} of {voters:?}");
                self.violate("durable on a quorum", details);
            }
        }
    }
}

impl Content {
    fn new(kind: EntryKind, payload: &[u8]) -> Self {
        Self { digest: digest(kind, payload), kind }
    }
}

/// The digest of all commands up to one, from that of those before it.
pub(super) fn command_digest(before: u64, term: Term, content: u64) -> u64 {
    (before.rotate_left(5) ^ content ^ term.get()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn membership_digest(membership: &Membership) -> u64 {
    digest(EntryKind::Membership, &membership.encode())
}

/// FNV-1a of an entry's content.
pub(super) fn digest(kind: EntryKind, payload: &[u8]) -> u64 {
    let kind = match kind {
        EntryKind::Command => 0,
        EntryKind::Empty => 1,
        EntryKind::Membership => 2,
        EntryKind::Hollow => 3,
    };
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    payload.iter().copied().fold(fold(0xcbf2_9ce4_8422_2325, kind), fold)
}
