//! Traces for a TLA+ specification: what is written, and that it is a behaviour of Raft.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod line;
mod validator;

use raft_core::TraceEvent;
use raft_core::sim::{Digests, Options, trace};
use validator::Validator;

#[test]
fn what_simulated_clusters_do_is_a_behaviour_of_raft() {
    for seed in 0..50 {
        let (events, result) = trace(seed, &Options::default(), Digests::default());
        result.unwrap();
        let lines: Vec<String> = events.iter().map(TraceEvent::to_string).collect();
        if let Err((at, broken)) = Validator::replay(lines.iter().map(String::as_str)) {
            let of_node = |line: &&String| line.contains(&format!(r#""nid":"{}""#, events[at].node));
            let before: Vec<_> = lines[..at].iter().rev().filter(of_node).take(8).collect();
            panic!("seed {seed}, line {at}: {broken:?}\n{}\nbefore, newest first: {before:#?}", lines[at]);
        }
    }
}
