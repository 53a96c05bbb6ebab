//! `cargo xtask model`: all states of a small cluster of real cores, within bounds.

mod cluster;
mod history;
mod node;
mod properties;
mod trace;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};
use raft_core::{MembershipChange, NodeId};
use stateright::{Checker, Expectation, HasDiscoveries, Model};

use cluster::{Bounds, Setup};

/// Explore all states of a small cluster of real cores, within bounds.
///
/// Messages may get lost, arrive late, twice and in any order; writes reach the disk or not; nodes
/// crash and restart. Each bound says how often something may happen, in all nodes together.
#[derive(Parser)]
#[command(name = "cargo xtask model", bin_name = "cargo xtask model")]
struct Options {
    /// What is explored; without it, all three
    #[arg(long)]
    case: Option<Case>,
    /// Follow no path for longer than so many steps
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    depth: usize,
    /// Stop after so many states, repetitions included
    #[arg(long, default_value_t = 5_000_000)]
    states: usize,
    /// Let writes take time, so that crashes, messages and other writes may come before their end
    #[arg(long)]
    slow_disks: bool,
    /// Run the bounded part that belongs to `cargo xtask ci`
    #[arg(long)]
    gate: bool,
    /// How many threads explore
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Campaigns, each of which begins a term
    #[arg(long)]
    campaigns: Option<u8>,
    /// Commands proposed
    #[arg(long)]
    proposals: Option<u8>,
    /// Heartbeats
    #[arg(long)]
    heartbeats: Option<u8>,
    /// Crashes
    #[arg(long)]
    crashes: Option<u8>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Case {
    /// Elections and replication
    Elections,
    /// The same with a voter that takes the place of another
    Membership,
    /// The same with a snapshot that lets the log begin later
    Snapshot,
}

/// Where an exploration ends, beside the bounds.
#[derive(Clone, Copy)]
struct Limits {
    depth: usize,
    states: usize,
    threads: usize,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if options.gate {
        return gate();
    }
    let limits = Limits { depth: options.depth, states: options.states, threads: options.threads };
    let cases = match options.case {
        Some(case) => vec![case],
        None => vec![Case::Elections, Case::Membership, Case::Snapshot],
    };
    for case in cases {
        let mut setup = case.setup();
        let bounds = &mut setup.bounds;
        bounds.campaigns = options.campaigns.unwrap_or(bounds.campaigns);
        bounds.proposals = options.proposals.unwrap_or(bounds.proposals);
        bounds.heartbeats = options.heartbeats.unwrap_or(bounds.heartbeats);
        bounds.crashes = options.crashes.unwrap_or(bounds.crashes);
        setup.has_slow_disks |= options.slow_disks;
        explore(setup, limits)?;
    }
    Ok(())
}

/// The bounded part that belongs to the gate: everything that one election leads to, in each case, and two
/// of them; and what these, a crash and slow disks lead to in a few steps.
fn gate() -> Result<()> {
    for case in [Case::Elections, Case::Membership, Case::Snapshot] {
        let mut setup = case.setup();
        setup.bounds.campaigns = 1;
        explore(setup, Limits { depth: usize::MAX, states: usize::MAX, threads: 1 })?;
    }
    let mut setup = Case::Elections.setup();
    setup.bounds.proposals = 0;
    explore(setup, Limits { depth: usize::MAX, states: usize::MAX, threads: 1 })?;
    let mut setup = Case::Elections.setup();
    setup.bounds.crashes = 1;
    setup.has_slow_disks = true;
    explore(setup, Limits { depth: 10, states: usize::MAX, threads: 1 })
}

impl Case {
    fn setup(self) -> Setup {
        let bounds = Bounds { campaigns: 2, proposals: 1, ..Bounds::default() };
        let mut setup = Setup {
            voters: vec![1, 2, 3],
            spares: Vec::new(),
            bounds,
            has_slow_disks: false,
            change: MembershipChange::new(),
        };
        match self {
            Self::Elections => {}
            Self::Membership => {
                setup.voters = vec![1, 2];
                setup.spares = vec![3];
                setup.change = setup.change.voter(NodeId::new(3)).remove(NodeId::new(2));
                setup.bounds = Bounds { proposals: 0, changes: 1, ..bounds };
            }
            Self::Snapshot => {
                setup.bounds = Bounds { campaigns: 1, snapshots: 1, ..bounds };
            }
        }
        setup
    }
}

/// Explores all states, the nearest ones first, so that what is found is found in the fewest steps.
fn explore(setup: Setup, limits: Limits) -> Result<()> {
    let disks = if setup.has_slow_disks { "slow" } else { "instant" };
    println!("{} voters, {disks} disks, at most {:?}", setup.voters.len(), setup.bounds);
    let started = Instant::now();
    let mut builder = setup.checker().threads(limits.threads).finish_when(HasDiscoveries::AnyFailures);
    if limits.depth < usize::MAX {
        builder = builder.target_max_depth(limits.depth);
    }
    if limits.states < usize::MAX {
        builder = builder.target_state_count(limits.states);
    }
    let checker = builder.spawn_bfs();
    if stderr().is_terminal() {
        watch(&checker, started);
    }
    let checker = checker.join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let is_bounded_by_limit = depth >= limits.depth || checker.state_count() >= limits.states;
    let mut found = checker.discoveries();
    let is_broken =
        checker.model().properties().iter().any(|property| {
            property.expectation != Expectation::Sometimes && found.contains_key(property.name)
        });
    let extent = match (is_broken, is_bounded_by_limit) {
        (true, _) => "stopped at a violation",
        (false, true) => "stopped at the limit",
        (false, false) => "all explored",
    };
    println!(
        "{states} states ({} with repetitions), depth {depth}, {:.1} s, {extent}",
        checker.state_count(),
        started.elapsed().as_secs_f64()
    );
    let mut missed = Vec::new();
    for property in checker.model().properties() {
        match (property.expectation, found.remove(property.name)) {
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                trace::print(path);
                bail!("broken after {states} states: {}", property.name);
            }
            (Expectation::Always | Expectation::Eventually, None) => {}
            (Expectation::Sometimes, Some(_)) => println!("  reached: {}", property.name),
            (Expectation::Sometimes, None) => missed.push(property.name),
        }
    }
    ensure!(missed.is_empty() || is_bounded_by_limit, "never reached: {}", missed.join(", "));
    Ok(())
}

/// Shows how far the exploration is, if somebody watches.
fn watch(checker: &impl Checker<Setup>, started: Instant) {
    while !checker.is_done() {
        let (states, seconds) = (checker.unique_state_count(), started.elapsed().as_secs_f64());
        eprint!(
            "\r{states} states, {:.0} per second, depth {}   ",
            states as f64 / seconds,
            checker.max_depth()
        );
        thread::sleep(Duration::from_millis(200));
    }
    eprintln!();
}
