//! Runs many seeds on all cores, says how far it is, and sums up.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write, stderr};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use raft_core::sim::{self, Digests, Failure, Report, STEPS_PER_TICK};

use crate::full::{self, Full};

/// What runs in the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The protocol, on a model of a disk.
    Model,
    /// The log that ships on a failing disk, and the key-value machine with sessions.
    Full,
}

/// With fewer seeds than this, a situation may be missed by chance.
const SEEDS_FOR_ALL_SITUATIONS: u64 = 200;

/// How much is told of what led to a failure.
const STORY_LINES: usize = 40;

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

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Full => "full",
        })
    }
}

impl Mode {
    fn flag(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Full => " --full",
        }
    }

    fn expected(self) -> &'static [&'static str] {
        match self {
            Self::Model => &["disk stall", "snapshot failed"],
            Self::Full => &full::EXPECTED,
        }
    }
}

/// Runs one seed.
pub(crate) fn run_one(mode: Mode, seed: u64) -> Result<Report, Failure> {
    run_with(mode, seed, &sim::Options::default())
}

fn run_with(mode: Mode, seed: u64, options: &sim::Options) -> Result<Report, Failure> {
    match mode {
        Mode::Model => sim::run(seed, options, Digests::default()),
        Mode::Full => sim::run(seed, options, Full::default()),
    }
}

/// Runs one seed and writes what the nodes did, a line per event.
pub(crate) fn write_trace(mode: Mode, seed: u64, path: &Path) -> Result<()> {
    let options = sim::Options::default();
    let (events, result) = match mode {
        Mode::Model => sim::trace(seed, &options, Digests::default()),
        Mode::Full => sim::trace(seed, &options, Full::default()),
    };
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut file = BufWriter::new(file);
    for event in &events {
        writeln!(file, "{event}")?;
    }
    file.flush()?;
    println!("{mode}: seed {seed}, {} events in {}", events.len(), path.display());
    result.map(drop).map_err(Into::into)
}

/// Runs seeds on all cores.
pub(crate) fn run_seeds(mode: Mode, from: u64, seeds: u64) -> Result<Report> {
    println!("{mode}: seeds {from} to {}", from.saturating_add(seeds).saturating_sub(1));
    let started = Instant::now();
    let progress = Progress::default();
    let report = Mutex::new(Report::default());
    let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(mode, from, seeds, &progress, &report));
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
        tell(mode, first.seed);
        let (count, flag, seed) = (failures.len(), mode.flag(), first.seed);
        bail!("{count} seed(s) failed; replay: cargo xtask sim{flag} --seeds 1 --from {seed}");
    }
    let missed = report.never_reached(mode.expected());
    if seeds >= SEEDS_FOR_ALL_SITUATIONS && !missed.is_empty() {
        bail!("these runs prove less than they should, they never reached: {}", missed.join(", "));
    }
    Ok(report)
}

/// Runs a seed that failed again, and tells what led to it.
fn tell(mode: Mode, seed: u64) {
    let mut options = sim::Options::default();
    options.story_lines = STORY_LINES;
    if let Err(failure) = run_with(mode, seed, &options) {
        println!("what led to seed {seed}:");
        failure.story.iter().for_each(|line| println!("  {line}"));
    }
}

fn work(mode: Mode, from: u64, seeds: u64, progress: &Progress, report: &Mutex<Report>) {
    let mut own = Report::default();
    loop {
        let at = progress.taken.fetch_add(1, Ordering::Relaxed);
        if at >= seeds {
            break;
        }
        match run_one(mode, from.wrapping_add(at)) {
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
