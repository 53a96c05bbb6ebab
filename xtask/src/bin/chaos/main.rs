//! `cargo xtask chaos`: faults from outside against the node that ships, while clients watch.
//!
//! Nothing in the node knows of this. Disks fail by strace, fill up and lose their power for real,
//! processes are killed and paused, files are damaged; no acknowledged write may be lost, no read may
//! be wrong or go back, and a node that cannot go on has to say why.

mod cluster;
mod disk;
mod load;
mod scenarios;
mod stage;
mod trace;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use rustix::process::geteuid;

use scenarios::{ALL, Scenario};
use stage::{Place, Tally};

/// Inject faults from outside into three processes of raft-kv while clients write and read.
#[derive(Parser)]
#[command(name = "cargo xtask chaos", bin_name = "cargo xtask chaos")]
struct Options {
    /// Only this scenario; may be given more than once
    #[arg(long, value_name = "SCENARIO", value_parser = PossibleValuesParser::new(ALL.iter().map(|scenario| scenario.name)))]
    only: Vec<String>,
    /// How many clusters each scenario plays with
    #[arg(long, default_value_t = 5)]
    runs: u64,
    /// The first seed; without it, one that was not run before. It decides which faults are injected,
    /// not what the processes are doing then
    #[arg(long)]
    seed: Option<u64>,
    /// Print what nodes said when they refused to start
    #[arg(long)]
    words: bool,
    /// The program
    #[arg(long, hide = true)]
    binary: PathBuf,
    /// Where clusters live
    #[arg(long, hide = true)]
    scratch: PathBuf,
}

/// What became of a scenario.
struct Outcome {
    scenario: &'static Scenario,
    runs: u64,
    tally: Tally,
    violations: u64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(violations) => {
            eprintln!("error: {violations} run(s) failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<u64> {
    let strace = Command::new("strace").arg("--version").output();
    ensure!(strace.is_ok(), "strace is missing; install it: apt-get install strace");
    fs::create_dir_all(&options.scratch)?;
    // Traces name files as the kernel does.
    let scratch = options.scratch.canonicalize()?;
    let chosen = choose(options);
    let seed = options.seed.unwrap_or_else(fresh_seed);
    println!("seeds {seed} to {} for each of {} scenario(s)", seed + options.runs.max(1) - 1, chosen.len());
    let (started, all) = (Instant::now(), options.runs * chosen.len() as u64);
    let mut outcomes = Vec::new();
    let mut done = 0;
    for scenario in chosen {
        let mut outcome = Outcome { scenario, runs: 0, tally: Tally::default(), violations: 0 };
        println!("{}: {}", scenario.name, scenario.claim);
        for seed in seed..seed + options.runs {
            outcome.run(options, &scratch, seed)?;
            done += 1;
            let left = started.elapsed().as_secs_f64() / done as f64 * (all - done) as f64;
            eprintln!("  {done}/{all} runs, seed {seed}: {} faults, {left:.0} s left", outcome.tally.faults);
        }
        outcomes.push(outcome);
    }
    print_table(&outcomes);
    for outcome in &outcomes {
        let name = outcome.scenario.name;
        ensure!(outcome.tally.faults > 0 || options.runs == 0, "{name} proves nothing: no fault has hit");
    }
    Ok(outcomes.iter().map(|outcome| outcome.violations).sum())
}

/// The scenarios to play. Those that are not asked for by name are left out where they cannot be played.
fn choose(options: &Options) -> Vec<&'static Scenario> {
    let is_root = geteuid().is_root();
    let is_possible = |scenario: &&Scenario| {
        let is_possible = is_root || !scenario.needs_root;
        if !is_possible {
            println!("{} is left out: only root may mount file systems", scenario.name);
        }
        is_possible
    };
    if options.only.is_empty() {
        return ALL.iter().filter(is_possible).collect();
    }
    ALL.iter().filter(|scenario| options.only.iter().any(|only| only == scenario.name)).collect()
}

impl Outcome {
    /// Lets one cluster live. What it leaves behind is kept if something was wrong.
    fn run(&mut self, options: &Options, scratch: &Path, seed: u64) -> Result<()> {
        let root = scratch.join(format!("{}-{seed}", self.scenario.name));
        if root.exists() {
            let busy = || format!("cannot remove {}; is it still mounted in part?", root.display());
            fs::remove_dir_all(&root).with_context(busy)?;
        }
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        self.runs += 1;
        let mut tally = Tally::default();
        let result = (self.scenario.run)(Place { binary: &options.binary, root: &root, seed }, &mut tally);
        self.tally.merge(&tally);
        if options.words {
            tally.words.iter().for_each(|words| println!("  {words}"));
        }
        match result {
            Ok(()) => fs::remove_dir_all(&root)?,
            Err(error) => {
                self.violations += 1;
                println!("VIOLATION {error:#}");
                println!("  files and logs: {}", root.display());
                println!("  again: cargo xtask chaos --only {} --runs 1 --seed {seed}", self.scenario.name);
            }
        }
        Ok(())
    }
}

fn print_table(outcomes: &[Outcome]) {
    println!(
        "\n{:<10} {:>5} {:>7} {:>13} {:>8} {:>8} {:>9} {:>5} {:>11}  reactions",
        "scenario", "runs", "faults", "acknowledged", "unknown", "refused", "reads", "lost", "violations"
    );
    let mut total = Tally::default();
    for Outcome { scenario, runs, tally, violations } in outcomes {
        print_row(scenario.name, *runs, tally, *violations);
        total.merge(tally);
    }
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum();
    print_row("all", sum(|outcome| outcome.runs), &total, sum(|outcome| outcome.violations));
    let happenings: Vec<_> = total.happenings.iter().map(|(what, count)| format!("{count} {what}")).collect();
    println!("on the way: {}", happenings.join(", "));
}

fn print_row(name: &str, runs: u64, tally: &Tally, violations: u64) {
    let Tally { faults, counts, lost, reactions, .. } = tally;
    let reactions: Vec<_> = reactions.iter().map(|(reaction, count)| format!("{reaction} {count}")).collect();
    println!(
        "{name:<10} {runs:>5} {faults:>7} {:>13} {:>8} {:>8} {:>9} {lost:>5} {violations:>11}  {}",
        counts.acknowledged,
        counts.unknown,
        counts.refused,
        counts.reads,
        reactions.join(", ")
    );
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs()
}
