//! What was true once and must stay true: leaders and committed entries.
//!
//! A part of each state, since a node forgets in a crash what others may remember.

use raft_core::{EntryKind, LogIndex, Membership, NodeId, Position, RoleName, Term};

use crate::cluster::Cluster;
use crate::node::{Node, Record};
use crate::steps::Step;

/// A property that a step has broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// Two nodes led in the same term (Raft §5.2).
    TwoLeaders,
    /// A node gave two votes in one term, in one life or two (Raft §5.2).
    TwoVotes,
    /// A leader committed what is not durable on a quorum of every active configuration.
    CommitNotDurable,
    /// A leader committed an earlier term's entry without one of its own (Raft §5.4.2).
    CommitOfEarlierTerm,
    /// A node holds as committed what is not what a leader committed (Raft §5.4.3).
    CommitsDiffer,
    /// A node applied, or restored, another entry than was committed there (Raft §5.4.3).
    AppliedDiffers,
    /// A node went back to an earlier term, or to a role that it had given up for good in this one.
    WentBack,
    /// A message did something, or something else, though its term was over.
    LateMatters,
    /// The core's own assertions failed.
    Panicked,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    pub(crate) leaders: Vec<(Term, NodeId)>,
    /// Each committed entry, and the term of the leader that committed it.
    pub(crate) committed: Vec<(Record, Term)>,
}

impl History {
    /// Looks at the node that took the last step, and at how it was before.
    pub(crate) fn note_step(&mut self, cluster: &Cluster, before: &Node, step: &Step) -> Result<(), Broken> {
        let node = &step.node;
        if node.raft.is_leader() {
            self.note_leader(node)?;
        }
        self.note_commit(cluster, before, node)?;
        self.check_applied(step)
    }

    fn note_leader(&mut self, node: &Node) -> Result<(), Broken> {
        let (term, id) = (node.raft.term(), node.id());
        match self.leaders.iter().find(|(led, _)| *led == term) {
            Some((_, leader)) if *leader != id => Err(Broken::TwoLeaders),
            Some(_) => Ok(()),
            None => {
                self.leaders.push((term, id));
                self.leaders.sort_unstable();
                Ok(())
            }
        }
    }

    fn note_commit(&mut self, cluster: &Cluster, before: &Node, node: &Node) -> Result<(), Broken> {
        let (known, commit) = (self.committed.len(), usize_of(node.raft.commit()));
        if commit > known {
            let term = node.raft.term();
            if before.raft.role() != RoleName::Leader || before.raft.term() != term {
                return Err(Broken::CommitsDiffer);
            }
            let last = Position::new(term, node.raft.commit());
            if node.raft.term_at(last.index) != Some(term) {
                return Err(Broken::CommitOfEarlierTerm);
            }
            if !is_durable_on_quorums(cluster, before, node, last) {
                return Err(Broken::CommitNotDurable);
            }
            let news = node.log.iter().filter(|record| {
                let index = usize_of(record.position.index);
                index > known && index <= commit
            });
            self.committed.extend(news.map(|record| (record.clone(), term)));
        }
        let agrees = |record: &&Record| {
            let index = usize_of(record.position.index);
            index > commit || self.committed.get(index - 1).is_some_and(|(committed, _)| committed == *record)
        };
        if node.log.iter().all(|record| agrees(&record)) { Ok(()) } else { Err(Broken::CommitsDiffer) }
    }

    fn check_applied(&self, step: &Step) -> Result<(), Broken> {
        for record in &step.applied {
            let index = usize_of(record.position.index);
            if self.committed.get(index - 1).map(|(committed, _)| committed) != Some(record) {
                return Err(Broken::AppliedDiffers);
            }
        }
        let Some(restored) = step.restored else { return Ok(()) };
        let applied = step.applied.last().map_or(restored, |record| record.position.index);
        let commands = self.committed.iter().take(usize_of(applied.max(restored)));
        let commands = commands.filter(|(record, _)| record.kind == EntryKind::Command);
        let state: Vec<u8> = commands.flat_map(|(record, _)| record.payload.clone()).collect();
        if step.node.state == state { Ok(()) } else { Err(Broken::AppliedDiffers) }
    }

    /// Whether a leader of a later term than the commit was in lacks a committed entry (Raft §5.4).
    pub(crate) fn is_complete_at(&self, node: &Node) -> bool {
        let mut older = self.committed.iter().filter(|(_, term)| *term < node.raft.term());
        let first = node.log.first().map_or(LogIndex::ZERO, |record| record.position.index);
        older.all(|(committed, _)| {
            let index = committed.position.index;
            let is_behind_mark = index <= node.raft.commit() && (node.log.is_empty() || index < first);
            is_behind_mark || node.log.contains(committed)
        })
    }
}

/// Counted in the configuration that was in force before the step. If that one was joint and its
/// commit made the leader leave it, the entries behind may be committed in the one that is left (Raft
/// §6): from then on nobody is elected without a quorum of that.
fn is_durable_on_quorums(cluster: &Cluster, before: &Node, after: &Node, last: Position) -> bool {
    let (old, new) = (before.raft.membership(), after.raft.membership());
    if has_quorums(cluster, old, after, last) {
        return true;
    }
    let joint = before.log.iter().rfind(|record| record.kind == EntryKind::Membership);
    old != new
        && joint.is_some_and(|joint| has_quorums(cluster, old, after, joint.position))
        && has_quorums(cluster, new, after, last)
}

fn has_quorums(cluster: &Cluster, membership: &Membership, stepped: &Node, position: Position) -> bool {
    let has_durable = |id: &NodeId| {
        let node = if *id == stepped.id() { Some(stepped) } else { cluster.node(*id) };
        node.is_some_and(|node| node.has_durable(position))
    };
    let has_majority =
        |voters: Vec<NodeId>| voters.iter().filter(|id| has_durable(id)).count() > voters.len() / 2;
    has_majority(membership.voters().collect())
        && (!membership.is_joint() || has_majority(membership.outgoing_voters().collect()))
}

fn usize_of(index: LogIndex) -> usize {
    usize::try_from(index.get()).expect("the bounds are small")
}
