//! Runs many seeds on all cores, says how far it is, and sums up.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use raft_core::sim::{Failure, Options, Report, STEPS_PER_TICK};

use crate::mode::Mode;
use crate::viewing::view_failure;

/// With fewer seeds than this, a situation may be missed by chance.
const SEEDS_FOR_ALL_SITUATIONS: u64 = 200;

/// A simulated tick stands for this long: leaders send heartbeats at each, elections time out after
/// ten to twenty of them.
const TICK: Duration = Duration::from_millis(100);

/// How far the workers are.
#[derive(Default)]
struct Progress {
    taken: AtomicU64,
    done: AtomicU64,
    steps: AtomicU64,
    /// What the workers had of the processors, in nanoseconds, if the system tells.
    busy_ns: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

/// Runs seeds on all cores.
pub(crate) fn run_seeds(mode: Mode, options: &Options, from: u64, seeds: u64) -> Result<Report> {
    println!("{mode}: seeds {from} to {}", from.saturating_add(seeds).saturating_sub(1));
    let started = Instant::now();
    let progress = Progress::default();
    let report = Mutex::new(Report::default());
    let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(mode, options, from, seeds, &progress, &report));
        }
        show(&progress, seeds, started);
    });
    let report = report.into_inner().expect("a worker panicked");
    let mut failures = progress.failures.into_inner().expect("a worker panicked");
    failures.sort_by_key(|failure| failure.seed);
    let busy = match progress.busy_ns.into_inner() {
        0 => started.elapsed() * u32::try_from(workers).unwrap_or(1),
        busy_ns => Duration::from_nanos(busy_ns),
    };
    summarize(&report, seeds, started.elapsed(), busy);
    if let Some(first) = failures.first() {
        for failure in failures.iter().take(10) {
            println!("VIOLATION {failure}");
        }
        view_failure(mode, options, first)?;
        bail!("{} seed(s) failed; replay: {}", failures.len(), mode.command(first.seed, options));
    }
    let missed = report.never_reached(mode.expected());
    let is_whole = seeds >= SEEDS_FOR_ALL_SITUATIONS && *options == Options::default();
    if is_whole && !missed.is_empty() {
        bail!(
            "no rule was broken, but these {seeds} seeds never reached: {}; that may be chance, so run more \
             seeds: if as many again miss it too, the simulator does not get there any more",
            missed.join(", ")
        );
    }
    Ok(report)
}

fn work(mode: Mode, options: &Options, from: u64, seeds: u64, progress: &Progress, report: &Mutex<Report>) {
    let mut own = Report::default();
    loop {
        let at = progress.taken.fetch_add(1, Ordering::Relaxed);
        if at >= seeds {
            break;
        }
        match mode.run(from.wrapping_add(at), options) {
            Ok(run) => {
                progress.steps.fetch_add(run.steps, Ordering::Relaxed);
                own.merge(&run);
            }
            Err(failure) => progress.failures.lock().expect("a worker panicked").push(failure),
        }
        progress.done.fetch_add(1, Ordering::Relaxed);
    }
    report.lock().expect("a worker panicked").merge(&own);
    progress.busy_ns.fetch_add(busy_ns().unwrap_or(0), Ordering::Relaxed);
}

/// How long this thread was running, others on its core not counted. Linux tells.
fn busy_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// Shows how far the workers are, if somebody watches.
fn show(progress: &Progress, seeds: u64, started: Instant) {
    if !stderr().is_terminal() {
        return;
    }
    loop {
        let done = progress.done.load(Ordering::Relaxed);
        let rate = done as f64 / started.elapsed().as_secs_f64();
        let left = (seeds - done) as f64 / rate;
        let hours = hours_of(progress.steps.load(Ordering::Relaxed));
        let violations = progress.failures.lock().expect("a worker panicked").len();
        eprint!(
            "\r{done}/{seeds} seeds, {rate:.0} per second, {hours:.1} simulated hours, \
             {violations} violations, {left:.0} s left   "
        );
        // Progress is a courtesy; a closed terminal is no failure of the run.
        let _ = stderr().flush();
        if done == seeds {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    eprintln!();
}

fn summarize(report: &Report, seeds: u64, elapsed: Duration, busy: Duration) {
    let seconds = elapsed.as_secs_f64();
    let (hours, minutes) = (hours_of(report.steps), busy.as_secs_f64() / 60.0);
    println!(
        "{seeds} seeds in {seconds:.1} s ({:.0} per second), {} steps, {} entries committed; \
         {hours:.1} simulated hours, {:.0} per minute of one core",
        seeds as f64 / seconds,
        report.steps,
        report.count("committed"),
        hours / minutes,
    );
}

/// How long a cluster lived, by its own clocks.
fn hours_of(steps: u64) -> f64 {
    TICK.as_secs_f64() * steps as f64 / f64::from(STEPS_PER_TICK) / 3600.0
}
