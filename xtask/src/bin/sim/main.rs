//! `cargo xtask sim`: simulated clusters, one per seed, on all cores.

mod full;
mod mode;
mod runner;
mod viewing;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Result, ensure};
use clap::{Parser, value_parser};
use raft_core::sim::{self, Report};

use mode::Mode;
use runner::run_seeds;
use viewing::{view_seed, write_trace};

/// Run simulated clusters, one per seed, and check every step.
///
/// The first seed that fails is made small and written to target/sim as a page to look at.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Options {
    /// Whole nodes: the log that ships on a failing disk, and the key-value machine with sessions.
    /// Without it, the protocol on a model of a disk, which is faster
    #[arg(long)]
    full: bool,
    /// How many seeds to run
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed; without it, one that was not run before
    #[arg(long, value_name = "SEED")]
    from: Option<u64>,
    /// Run this seed alone
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Write all that happens with `--seed` to this page, and look at it in a browser
    #[arg(long, value_name = "FILE", requires = "seed")]
    html: Option<PathBuf>,
    /// Write what the nodes did with `--seed` to this file, in the words of a TLA+ specification
    /// (docs/TRACE.md)
    #[arg(long, value_name = "FILE", requires = "seed", conflicts_with = "html")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanOptions,
    /// Print how often each situation was reached
    #[arg(long)]
    situations: bool,
    /// Run so many seeds twice and compare what happened; prints a digest of all of it, which is the
    /// same in every build and on every machine
    #[arg(
        long, value_name = "SEEDS", conflicts_with_all = ["seed", "seeds", "gate"],
        value_parser = value_parser!(u64).range(1..)
    )]
    prove_determinism: Option<u64>,
    /// Run the bounded part that belongs to `cargo xtask ci`
    #[arg(long, conflicts_with_all = ["seed", "seeds", "from", "full", "PlanOptions"])]
    gate: bool,
}

/// What runs leave out of what their seeds plan, in the words of [`sim::Options`].
#[derive(clap::Args)]
struct PlanOptions {
    /// How many steps faults strike for
    #[arg(long)]
    steps: Option<String>,
    /// How many steps without faults the cluster has to recover in
    #[arg(long, value_name = "STEPS")]
    calm_steps: Option<String>,
    /// At most so many founding members
    #[arg(long, value_name = "NODES")]
    nodes_max: Option<String>,
    /// At most so many nodes that are taken in later
    #[arg(long, value_name = "NODES")]
    spares_max: Option<String>,
    /// Faults that never strike, for instance `loss,crash`
    #[arg(long, value_name = "FAULTS")]
    without: Option<String>,
    /// No others strike than these, or than `none`
    #[arg(long, value_name = "FAULTS", conflicts_with = "without")]
    only: Option<String>,
}

impl PlanOptions {
    fn sim_options(&self) -> Result<sim::Options> {
        let flags = [
            ("--steps", &self.steps),
            ("--calm-steps", &self.calm_steps),
            ("--nodes-max", &self.nodes_max),
            ("--spares-max", &self.spares_max),
            ("--without", &self.without),
            ("--only", &self.only),
        ];
        let words = flags.iter().filter_map(|(flag, value)| Some(format!("{flag} {}", value.as_ref()?)));
        Ok(words.collect::<Vec<_>>().join(" ").parse()?)
    }
}

/// Seeds that found a bug once, if only one of the simulator itself.
const REGRESSIONS: [(Mode, u64); 18] = [
    (Mode::Model, 7_001_168),
    (Mode::Model, 1_500_011_196),
    (Mode::Full, 1013),
    (Mode::Full, 1037),
    (Mode::Full, 1222),
    (Mode::Full, 1314),
    (Mode::Full, 1826),
    (Mode::Full, 3485),
    (Mode::Full, 5_002_970),
    (Mode::Full, 20_008_670),
    (Mode::Full, 88_000_083),
    (Mode::Full, 700_092_870),
    (Mode::Full, 900_011_934),
    (Mode::Full, 900_034_974),
    (Mode::Full, 900_067_870),
    (Mode::Full, 900_078_511),
    (Mode::Full, 1_000_075_556),
    (Mode::Full, 2_000_088_547),
];

/// How many seeds the gate runs of each mode: always the same first ones, so that a gate that was
/// green stays so, and as many fresh ones.
const GATE: [(Mode, u64); 2] = [(Mode::Model, 500), (Mode::Full, 150)];

/// How many seeds the gate runs twice, in each mode.
const GATE_DETERMINISM: u64 = 20;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = Options::parse();
    if options.gate {
        return gate();
    }
    let mode = if options.full { Mode::Full } else { Mode::Model };
    let plan = options.plan.sim_options()?;
    if let Some(seeds) = options.prove_determinism {
        return prove_determinism(mode, &plan, options.from.unwrap_or(0), seeds);
    }
    let (from, seeds) = match options.seed {
        Some(seed) => (seed, 1),
        None => (options.from.unwrap_or_else(fresh_seed), options.seeds),
    };
    if let Some(path) = &options.trace {
        return write_trace(mode, from, &plan, path);
    }
    if let Some(path) = &options.html {
        return view_seed(mode, from, &plan, path);
    }
    let report = run_seeds(mode, &plan, from, seeds)?;
    if options.situations {
        for (situation, count) in report.counts() {
            println!("{count:>12} {situation}");
        }
    }
    Ok(())
}

/// The bounded part that belongs to the gate.
fn gate() -> Result<()> {
    let usual = sim::Options::default();
    for (mode, seed) in REGRESSIONS {
        mode.run(seed, &usual)?;
    }
    for (mode, seeds) in GATE {
        run_seeds(mode, &usual, 0, seeds)?;
        run_seeds(mode, &usual, fresh_seed(), seeds)?;
        prove_determinism(mode, &usual, 0, GATE_DETERMINISM)?;
    }
    Ok(())
}

/// Runs seeds twice and compares the digests of all that happened.
fn prove_determinism(mode: Mode, options: &sim::Options, from: u64, seeds: u64) -> Result<()> {
    let mut total = Report::default();
    for seed in from..from.saturating_add(seeds) {
        let (first, second) = (mode.run(seed, options)?, mode.run(seed, options)?);
        ensure!(first == second, "{mode} seed {seed} happened in two ways");
        total.merge(&first);
    }
    println!("{mode}: {seeds} seeds from {from} on, twice the same: trace {:016x}", total.trace);
    Ok(())
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() << 20
}
