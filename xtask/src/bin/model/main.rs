//! `cargo xtask model`: all states of a small cluster of real cores, within bounds.

mod cluster;
mod history;
mod network;
mod node;
mod properties;
mod steps;
mod trace;

use std::io::{IsTerminal, stderr};
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};
use raft_core::{MembershipChange, NodeId};
use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use cluster::{Bounds, Setup};
use steps::{Conditions, Steps};

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
    /// Go through the states that are nearest, so many steps far at most; what is found is then found in
    /// the fewest steps
    #[arg(long)]
    depth: Option<usize>,
    /// Let writes take time, so that crashes, messages and other writes may come before their end
    #[arg(long)]
    slow_disks: bool,
    /// Run the bounded part that belongs to `cargo xtask ci`
    #[arg(long)]
    gate: bool,
    /// How many threads explore; as many as there are processors, if it is not said
    #[arg(long)]
    threads: Option<usize>,
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
        setup.conditions.has_slow_disks |= options.slow_disks;
        explore(setup, options.depth, options.threads)?;
    }
    Ok(())
}

/// The bounded part that belongs to the gate: less of each case, but all that it leads to.
fn gate() -> Result<()> {
    let mut elections = Case::Elections.setup();
    elections.bounds.crashes = 0;
    let mut crashes = Case::Elections.setup();
    crashes.bounds.proposals = 0;
    let mut slow_disks = Case::Elections.setup();
    slow_disks.bounds.campaigns = 1;
    slow_disks.conditions.has_slow_disks = true;
    let mut membership = Case::Membership.setup();
    membership.bounds.campaigns = 1;
    let snapshot = Case::Snapshot.setup();
    for setup in [elections, crashes, slow_disks, membership, snapshot] {
        explore(setup, None, None)?;
    }
    Ok(())
}

impl Case {
    fn setup(self) -> Setup {
        let bounds = Bounds { campaigns: 2, proposals: 1, ..Bounds::default() };
        let mut setup = Setup {
            voters: vec![1, 2, 3],
            spares: Vec::new(),
            removed: Vec::new(),
            bounds,
            conditions: Conditions { has_slow_disks: false, change: MembershipChange::new() },
            is_reduced: true,
            steps: Steps::default(),
        };
        match self {
            Self::Elections => setup.bounds.crashes = 1,
            Self::Membership => {
                setup.spares = vec![4];
                setup.removed = vec![3];
                setup.conditions.change =
                    MembershipChange::new().voter(NodeId::new(4)).remove(NodeId::new(3));
                setup.bounds = Bounds { proposals: 0, changes: 1, ..bounds };
            }
            Self::Snapshot => setup.bounds.snapshots = 1,
        }
        setup
    }
}

/// Explores all states. Without a limit to the depth it goes deep first, since then only one path and what
/// branches off it must be in memory.
fn explore(setup: Setup, depth_max: Option<usize>, threads: Option<usize>) -> Result<()> {
    let disks = if setup.conditions.has_slow_disks { "slow" } else { "instant" };
    println!("{} voters, {disks} disks, at most {:?}", setup.voters.len(), setup.bounds);
    let processors = || thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.unwrap_or_else(processors);
    let builder = setup.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    match depth_max {
        Some(depth) => report(watch(builder.target_max_depth(depth).spawn_bfs()), depth),
        None => report(watch(builder.spawn_dfs()), usize::MAX),
    }
}

/// Prints what was found; a path to it, if something is broken.
fn report((checker, seconds): (impl Checker<Setup>, f64), depth_max: usize) -> Result<()> {
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let model = checker.model();
    let mut found = checker.discoveries();
    let is_broken = |property: &Property<Setup>| {
        property.expectation != Expectation::Sometimes && found.contains_key(property.name)
    };
    let extent = match (model.properties().iter().any(is_broken), depth >= depth_max) {
        (true, _) => "stopped at a violation",
        (false, true) => "explored up to this depth",
        (false, false) => "explored to the end",
    };
    let (nodes, steps) = model.steps.count();
    println!(
        "{states} states ({} with repetitions), depth {depth}, {seconds:.1} s, {extent}\n  \
         made up of {nodes} states of nodes, in {steps} steps",
        checker.state_count()
    );
    let mut missed = Vec::new();
    for property in model.properties() {
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
    ensure!(missed.is_empty() || depth >= depth_max, "never reached: {}", missed.join(", "));
    Ok(())
}

/// Waits until the exploration is over, shows how far it is, if somebody watches, and tells how many seconds
/// it took.
fn watch<C: Checker<Setup>>(checker: C) -> (C, f64) {
    let started = Instant::now();
    if stderr().is_terminal() {
        while !checker.is_done() {
            let (states, seconds) = (checker.unique_state_count(), started.elapsed().as_secs_f64());
            let (rate, depth) = (states as f64 / seconds, checker.max_depth());
            eprint!("\r{states} states, {rate:.0} per second, depth {depth}   ");
            thread::sleep(Duration::from_millis(200));
        }
        eprintln!();
    }
    let checker = checker.join();
    (checker, started.elapsed().as_secs_f64())
}
