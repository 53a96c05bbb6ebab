//! `cargo xtask sim`: simulated clusters, one per seed, on all cores.

mod full;
mod runner;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Result, ensure};
use clap::Parser;
use raft_core::sim::Report;

use runner::{Mode, run_one, run_seeds, write_trace};

/// Run simulated clusters, one per seed, and check every step.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Options {
    /// Whole nodes: the log that ships on a failing disk, and the key-value machine with sessions.
    /// Without it, the protocol on a model of a disk, which is faster
    #[arg(long)]
    full: bool,
    /// How many seeds to run
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed; without it, one that was not run before
    #[arg(long, value_name = "SEED")]
    from: Option<u64>,
    /// Print how often each situation was reached
    #[arg(long)]
    situations: bool,
    /// Run one seed, that of `--from` or 0, and write what the nodes did to this file, in the words of a
    /// TLA+ specification (docs/TRACE.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "gate", "prove_determinism"])]
    trace: Option<PathBuf>,
    /// Run so many seeds twice and compare what happened; prints a digest of all of it, which is the
    /// same in every build and on every machine
    #[arg(long, value_name = "SEEDS", conflicts_with_all = ["seeds", "gate"])]
    prove_determinism: Option<u64>,
    /// Run the bounded part that belongs to `cargo xtask ci`
    #[arg(long, conflicts_with_all = ["seeds", "from", "full"])]
    gate: bool,
}

/// Seeds that found a bug once, if only one of the simulator itself.
const REGRESSIONS: [(Mode, u64); 8] = [
    (Mode::Model, 7_001_168),
    (Mode::Full, 1013),
    (Mode::Full, 1037),
    (Mode::Full, 1222),
    (Mode::Full, 1314),
    (Mode::Full, 1826),
    (Mode::Full, 3485),
    (Mode::Full, 20_008_670),
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
    if let Some(seeds) = options.prove_determinism {
        return prove_determinism(mode, options.from.unwrap_or(0), seeds);
    }
    if let Some(file) = options.trace {
        return write_trace(mode, options.from.unwrap_or(0), &file);
    }
    let report = run_seeds(mode, options.from.unwrap_or_else(fresh_seed), options.seeds)?;
    if options.situations {
        for (situation, count) in report.counts() {
            println!("{count:>12} {situation}");
        }
    }
    Ok(())
}

/// The bounded part that belongs to the gate.
fn gate() -> Result<()> {
    for (mode, seed) in REGRESSIONS {
        run_one(mode, seed)?;
    }
    for (mode, seeds) in GATE {
        run_seeds(mode, 0, seeds)?;
        run_seeds(mode, fresh_seed(), seeds)?;
        prove_determinism(mode, 0, GATE_DETERMINISM)?;
    }
    Ok(())
}

/// Runs seeds twice and compares the digests of all that happened.
fn prove_determinism(mode: Mode, from: u64, seeds: u64) -> Result<()> {
    let mut total = Report::default();
    for seed in from..from.saturating_add(seeds) {
        let (first, second) = (run_one(mode, seed)?, run_one(mode, seed)?);
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
