//! Traces for a TLA+ specification: what is written, and that it is a behaviour of Raft.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod broken;
mod line;
mod script;
mod validator;

use std::collections::BTreeSet;
use std::path::Path;

use raft_core::sim::{Digests, Options, trace};
use raft_core::{Config, NodeId, Raft, TraceEvent};
use validator::{Broken, Validator};

/// The events that traces of simulated clusters consist of.
const NAMES: [&str; 26] = [
    "ApplyConfChange",
    "BecomeCandidate",
    "BecomeFollower",
    "BecomeLeader",
    "ChangeConf",
    "Commit",
    "InitState",
    "InstallSnapshot",
    "Ready",
    "ReceiveAppendEntriesRequest",
    "ReceiveAppendEntriesResponse",
    "ReceiveMessage",
    "ReceivePreVoteRequest",
    "ReceivePreVoteResponse",
    "ReceiveRequestVoteRequest",
    "ReceiveRequestVoteResponse",
    "ReceiveSnapshot",
    "Replicate",
    "SendAppendEntriesRequest",
    "SendAppendEntriesResponse",
    "SendMessage",
    "SendPreVoteRequest",
    "SendPreVoteResponse",
    "SendRequestVoteRequest",
    "SendRequestVoteResponse",
    "SendSnapshot",
];

#[test]
fn what_simulated_clusters_do_is_a_behaviour_of_raft() {
    let mut names = BTreeSet::new();
    for seed in 0..50 {
        let (events, result) = trace(seed, &Options::default(), Digests::default());
        result.unwrap();
        let lines: Vec<String> = events.iter().map(TraceEvent::to_string).collect();
        let mut validator = validate(&lines).unwrap_or_else(|(at, broken)| {
            let of_node = |line: &&String| line.contains(&format!(r#""nid":"{}""#, events[at].node));
            let before: Vec<_> = lines[..at].iter().rev().filter(of_node).take(8).collect();
            panic!("seed {seed}, line {at}: {broken:?}\n{}\nbefore, newest first: {before:#?}", lines[at])
        });
        names.append(&mut validator.names);
    }
    assert!(names.iter().eq(NAMES), "these runs tell of other events: {names:?}");
}

#[test]
fn a_scripted_election_is_told_line_by_line() {
    let lines = script::story();
    assert!(validate(&lines).is_ok());
    let told = lines.join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trace/election.ndjson");
    if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        std::fs::write(&path, &told).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), told, "UPDATE_SCRIPTS=1 writes it anew");
}

#[test]
fn recording_changes_nothing() {
    for seed in 0..5 {
        let (_, traced) = trace(seed, &Options::default(), Digests::default());
        let plain = raft_core::sim::run(seed, &Options::default(), Digests::default());
        assert_eq!(traced.unwrap(), plain.unwrap(), "seed {seed}");
    }
}

#[test]
fn who_is_not_asked_to_records_nothing() {
    let mut raft = Raft::join(Config::new(NodeId::new(1))).unwrap();
    raft.tick_many(100);
    assert_eq!(raft.take_trace(), []);
}

/// Replays a trace; where it breaks which rule, if it does.
fn validate(lines: &[String]) -> Result<Validator, (usize, Broken)> {
    Validator::replay(lines.iter().map(String::as_str))
}
