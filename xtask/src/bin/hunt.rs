//! What `cargo xtask sim --planted` runs: seeds in their order, on all cores, up to the first that fails.
//!
//! Prints that seed and what it violated, separated by a tab; nothing if all seeds are well. The core
//! that is simulated here has a bug, so it may never come to an end; that counts as a violation, too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use clap::Parser;
use raft_core::sim;

/// Run seeds up to the first that fails.
#[derive(Parser)]
struct Options {
    /// The first seed
    from: u64,
    /// How many seeds to run at most
    seeds: u64,
}

/// Which of the seeds, and what it violated.
type Outcome = (u64, Option<String>);

/// A run takes milliseconds, so one that takes this long does not end.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let Options { from, seeds } = Options::parse();
    let (tell, outcomes) = channel();
    let next = Arc::new(AtomicU64::new(0));
    for _ in 0..thread::available_parallelism().map_or(1, std::num::NonZero::get) {
        let (tell, next) = (tell.clone(), Arc::clone(&next));
        thread::spawn(move || work(from, seeds, &next, &tell));
    }
    // Threads that still run end with the process.
    if let Some((at, property)) = first_violation(seeds, &outcomes) {
        println!("{}\t{property}", from.wrapping_add(at));
    }
}

fn work(from: u64, seeds: u64, next: &AtomicU64, tell: &Sender<Outcome>) {
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= seeds || tell.send((at, violated(from.wrapping_add(at)))).is_err() {
            return;
        }
    }
}

/// What a seed violates, if anything.
fn violated(seed: u64) -> Option<String> {
    let failure = sim::run(seed, &sim::Options::default(), sim::Digests::default()).err()?;
    Some(failure.violation.property.to_owned())
}

/// Workers overtake each other, so outcomes are put in order first.
fn first_violation(seeds: u64, outcomes: &Receiver<Outcome>) -> Option<(u64, String)> {
    let mut early = BTreeMap::new();
    for at in 0..seeds {
        let violated = loop {
            if let Some(violated) = early.remove(&at) {
                break violated;
            }
            match outcomes.recv_timeout(PATIENCE) {
                Ok((at, violated)) => early.insert(at, violated),
                Err(_) => break Some("every run ends".to_owned()),
            };
        };
        if let Some(property) = violated {
            return Some((at, property));
        }
    }
    None
}
