//! What must hold in every state, and what must be reached in some, lest the rest prove nothing.

use raft_core::EntryKind;
use stateright::Property;

use crate::cluster::{Cluster, Setup};
use crate::history::Broken;
use crate::node::{Node, Record};

/// All properties of a setup.
pub(crate) fn all(setup: &Setup) -> Vec<Property<Setup>> {
    let broken = [
        Property::always("at most one leader in a term", |_, state| is_kept(state, Broken::TwoLeaders)),
        Property::always("at most one vote of a node in a term", |_, state| is_kept(state, Broken::TwoVotes)),
        Property::always("what is committed is durable on every quorum", |_, state| {
            is_kept(state, Broken::CommitNotDurable)
        }),
        Property::always("a leader commits through an entry of its own term", |_, state| {
            is_kept(state, Broken::CommitOfEarlierTerm)
        }),
        Property::always("nodes agree on what is committed", |_, state| {
            is_kept(state, Broken::CommitsDiffer)
        }),
        Property::always("nodes apply what is committed", |_, state| is_kept(state, Broken::AppliedDiffers)),
        Property::always("terms and roles go forward", |_, state| is_kept(state, Broken::WentBack)),
        Property::always("messages of a term that is over change nothing", |_, state| {
            is_kept(state, Broken::LateMatters)
        }),
        Property::always("the core's assertions hold", |_, state| is_kept(state, Broken::Panicked)),
        Property::always("logs match up to where they agree", |_, state: &Cluster| do_logs_match(state)),
        Property::always("leaders have what was committed before", |_, state: &Cluster| {
            leaders(state).all(|leader| state.history.is_complete_at(leader))
        }),
    ];
    broken.into_iter().chain(situations(setup)).collect()
}

/// What must be reached within the bounds.
fn situations(setup: &Setup) -> Vec<Property<Setup>> {
    let mut situations = vec![Property::sometimes("a leader is elected", |_, state: &Cluster| {
        leaders(state).next().is_some()
    })];
    let bounds = setup.bounds;
    if bounds.proposals > 0 {
        situations.push(Property::sometimes("a command is committed", |_, state: &Cluster| {
            state.history.committed.iter().any(|(record, _)| record.kind == EntryKind::Command)
        }));
    }
    if bounds.campaigns > 1 {
        situations.push(Property::sometimes("an earlier term's entry is committed", |_, state: &Cluster| {
            state.history.committed.iter().any(|(record, term)| record.position.term < *term)
        }));
        situations.push(Property::sometimes("two nodes believe they lead", |_, state: &Cluster| {
            leaders(state).count() > 1
        }));
    }
    if bounds.crashes > 0 {
        situations.push(Property::sometimes("a leader restarts", |_, state: &Cluster| {
            state.history.leaders.iter().any(|(term, leader)| {
                let node = state.node(*leader);
                node.is_some_and(|node| node.raft.term() == *term && !node.raft.is_leader())
            })
        }));
    }
    if bounds.changes > 0 {
        situations.push(Property::sometimes(
            "a joint configuration is committed",
            |setup: &Setup, state: &Cluster| {
                memberships(state).count() > usize::from(setup.bounds.changes) - 1
            },
        ));
        situations
            .push(Property::sometimes("a joint configuration is left", |setup: &Setup, state: &Cluster| {
                memberships(state).count() > usize::from(setup.bounds.changes)
            }));
    }
    if bounds.snapshots > 0 {
        situations.push(Property::sometimes("a log is compacted", |_, state: &Cluster| {
            state.nodes().any(|node| node.raft.status().mark.index.get() > 0)
        }));
        situations.push(Property::sometimes(
            "a leader's snapshot is installed",
            |setup: &Setup, state: &Cluster| {
                let taken = usize::from(setup.bounds.snapshots - state.left.snapshots);
                state.nodes().filter(|node| node.disk.snapshot().is_some()).count() > taken
            },
        ));
    }
    situations
}

fn is_kept(state: &Cluster, property: Broken) -> bool {
    state.broken != Some(property)
}

fn leaders(state: &Cluster) -> impl Iterator<Item = &Node> {
    state.nodes().filter(|node| node.raft.is_leader())
}

fn memberships(state: &Cluster) -> impl Iterator<Item = &Record> {
    let committed = state.history.committed.iter().map(|(record, _)| record);
    committed.filter(|record| record.kind == EntryKind::Membership)
}

/// If two logs hold the same position they are the same up to there (Raft §5.3).
fn do_logs_match(state: &Cluster) -> bool {
    let logs: Vec<&[Record]> = state.nodes().map(|node| &node.log[..]).collect();
    let match_up = |a: &[Record], b: &[Record]| {
        let common = a.iter().rposition(|record| b.iter().any(|other| other.position == record.position));
        let Some(last) = common else { return true };
        a[..=last].iter().all(|record| {
            let other = b.iter().find(|other| other.position.index == record.position.index);
            other.is_none_or(|other| other == record)
        })
    };
    (1..logs.len()).all(|at| logs[..at].iter().all(|other| match_up(logs[at], other)))
}
