//! `cargo xtask sim`: simulated clusters, one per seed, on all cores.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use clap::Parser;
use raft_core::sim::{self, Digests, Failure, Report, STEPS_PER_TICK};

/// Run simulated clusters, one per seed, and check every step.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Options {
    /// How many seeds to run
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed; without it, one that was not run before
    #[arg(long, value_name = "SEED")]
    from: Option<u64>,
    /// Print how often each situation was reached
    #[arg(long)]
    situations: bool,
    /// Run the bounded part that belongs to `cargo xtask ci`
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    gate: bool,
}

/// With fewer seeds than this, a situation may be missed by chance.
const SEEDS_FOR_ALL_SITUATIONS: u64 = 200;

/// The seeds of `cargo xtask ci`: always the same first ones, so that a gate that was green stays
/// so, and as many fresh ones.
const GATE_SEEDS: u64 = 500;

/// A simulated tick stands for this long.
const TICK: Duration = Duration::from_millis(10);

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
    let from = options.from.unwrap_or_else(fresh_seed);
    let report = run_seeds(from, options.seeds)?;
    if options.situations {
        for (situation, count) in report.counts() {
            println!("{count:>12} {situation}");
        }
    }
    Ok(())
}

/// The bounded part that belongs to the gate.
fn gate() -> Result<()> {
    run_seeds(0, GATE_SEEDS)?;
    run_seeds(fresh_seed(), GATE_SEEDS)?;
    Ok(())
}

fn run_seeds(from: u64, seeds: u64) -> Result<Report> {
    println!("seeds {from} to {}", from.saturating_add(seeds).saturating_sub(1));
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let report = Mutex::new(Report::default());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..workers {
            scope.spawn(|| work(from, seeds, &next, &report, &failures));
        }
        show_progress(seeds, &next, started);
    });
    let report = report.into_inner().expect("a worker panicked");
    let mut failures: Vec<Failure> = failures.into_inner().expect("a worker panicked");
    failures.sort_by_key(|failure| failure.seed);
    summarize(&report, seeds, started.elapsed());
    if let Some(first) = failures.first() {
        for failure in failures.iter().take(10) {
            println!("VIOLATION {failure}");
        }
        bail!("{} seed(s) failed; replay: cargo xtask sim --seeds 1 --from {}", failures.len(), first.seed);
    }
    let missed = report.never_reached(&[]);
    if seeds >= SEEDS_FOR_ALL_SITUATIONS && !missed.is_empty() {
        bail!("these runs prove less than they should, they never reached: {}", missed.join(", "));
    }
    Ok(report)
}

fn work(from: u64, seeds: u64, next: &AtomicU64, report: &Mutex<Report>, failures: &Mutex<Vec<Failure>>) {
    let options = sim::Options::default();
    let mut own = Report::default();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= seeds {
            break;
        }
        match sim::run(from.wrapping_add(at), &options, Digests::default()) {
            Ok(run) => own.merge(&run),
            Err(failure) => failures.lock().expect("a worker panicked").push(failure),
        }
    }
    report.lock().expect("a worker panicked").merge(&own);
}

/// Shows how far the workers are, if somebody watches.
fn show_progress(seeds: u64, next: &AtomicU64, started: Instant) {
    if !stderr().is_terminal() {
        return;
    }
    loop {
        let done = next.load(Ordering::Relaxed).min(seeds);
        let rate = done as f64 / started.elapsed().as_secs_f64();
        let left = (seeds - done) as f64 / rate;
        eprint!("\r{done}/{seeds} seeds, {rate:.0} per second, {left:.0} s left   ");
        // Progress is a courtesy; a closed terminal is no failure of the run.
        let _ = stderr().flush();
        if done == seeds {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    eprintln!();
}

fn summarize(report: &Report, seeds: u64, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    let simulated = TICK.as_secs_f64() * (report.steps / u64::from(STEPS_PER_TICK)) as f64 / 3600.0;
    println!(
        "{seeds} seeds in {seconds:.1} s ({:.0} per second), {} steps, {simulated:.1} hours, {} entries committed",
        seeds as f64 / seconds,
        report.steps,
        report.count("committed"),
    );
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() << 20
}
