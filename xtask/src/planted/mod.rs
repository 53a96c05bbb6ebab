//! `cargo xtask sim --planted`: bugs that are known are planted one after the other, and simulated
//! clusters have to find them. See `xtask/planted/README.md`.

mod catalogue;
mod scratch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;

use catalogue::Bug;
use scratch::{Catch, Scratch};

/// Plant known bugs in a copy of the sources and find them by simulation.
#[derive(Parser)]
#[command(name = "cargo xtask sim --planted", bin_name = "cargo xtask sim --planted")]
pub(crate) struct Options {
    /// Only these bugs
    names: Vec<String>,
    /// How many seeds to run at most, from each starting point
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// From how many starting points to count the seeds that it takes
    #[arg(long, default_value_t = 5)]
    starts: u64,
}

/// Starting points are this far apart.
const START_DISTANCE: u64 = 1_000_000_000;

/// What became of one bug.
struct Finding {
    bug: Bug,
    /// The seed that finds it from the first starting point from which one does.
    catch: Option<Catch>,
    /// How many seeds it took from each starting point; none if there were too few.
    counts: Vec<Option<u64>>,
    /// Whether its test fails; none if it is for simulated clusters to find.
    test_fails: Option<bool>,
}

/// The arguments behind `--planted`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options =
        Options::parse_from(std::iter::once("sim --planted").chain(arguments.iter().map(String::as_str)));
    let mut bugs = catalogue::all()?;
    for name in &options.names {
        ensure!(bugs.iter().any(|bug| bug.name == *name), "there is no planted bug {name}");
    }
    bugs.retain(|bug| options.names.is_empty() || options.names.contains(&bug.name));
    let scratch = Scratch::new();
    let (count, started) = (bugs.len(), Instant::now());
    let mut findings = Vec::new();
    for (number, bug) in bugs.into_iter().enumerate() {
        let elapsed = started.elapsed().as_secs_f64();
        let left = if number > 0 { elapsed / number as f64 * (count - number) as f64 } else { 0.0 };
        eprint!("{}/{count} {} ", number + 1, bug.name);
        let begun = Instant::now();
        let finding = find(&scratch, bug, &options)?;
        eprintln!("{}", progress(&finding, begun.elapsed(), left));
        findings.push(finding);
    }
    scratch.reset()?;
    print_table(&findings, options.seeds);
    let missed = findings.iter().filter(|finding| !finding.is_found()).count();
    println!(
        "{} of {count} planted bugs are found in {:.0} s",
        count - missed,
        started.elapsed().as_secs_f64()
    );
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks that every patch still fits the sources, which is a step of the gate.
pub(crate) fn check() -> Result<()> {
    catalogue::check()
}

fn find(scratch: &Scratch, bug: Bug, options: &Options) -> Result<Finding> {
    scratch.plant(&bug)?;
    if let Some(test) = &bug.test {
        let test_fails = Some(scratch.fails(test)?);
        return Ok(Finding { bug, catch: None, counts: Vec::new(), test_fails });
    }
    scratch.build()?;
    let (mut first, mut counts) = (None, Vec::new());
    for start in 0..options.starts {
        let from = start * START_DISTANCE;
        let catch = scratch.hunt(from, options.seeds)?;
        counts.push(catch.as_ref().map(|catch| catch.seed - from + 1));
        first = first.or(catch);
    }
    Ok(Finding { bug, catch: first, counts, test_fails: None })
}

impl Finding {
    fn is_found(&self) -> bool {
        self.test_fails.unwrap_or(self.catch.is_some())
    }

    /// The median over the starting points, where too few seeds count as more than any number.
    fn median(&self) -> Option<u64> {
        let mut counts = self.counts.clone();
        counts.sort_by_key(|count| count.unwrap_or(u64::MAX));
        counts.get(counts.len() / 2).copied().flatten()
    }
}

fn progress(finding: &Finding, took: Duration, left: f64) -> String {
    let outcome = match (finding.is_found(), &finding.catch) {
        (true, Some(catch)) => format!("found: {}", catch.property),
        (true, None) => "found by its test".to_owned(),
        (false, _) => "NOT FOUND".to_owned(),
    };
    format!("{outcome}, in {:.0} s; about {left:.0} s were left for all", took.as_secs_f64())
}

fn print_table(findings: &[Finding], seeds: u64) {
    let (tested, simulated): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.test_fails.is_some());
    if !simulated.is_empty() {
        println!("{:<34} {:<5} {:>12} {:>7}  violated | story", "bug", "found", "first seed", "median");
    }
    for finding in simulated {
        let found = if finding.is_found() { "yes" } else { "NO" };
        let (seed, property) = match &finding.catch {
            Some(catch) => (catch.seed.to_string(), catch.property.as_str()),
            None => ("-".to_owned(), "-"),
        };
        let median = finding.median().map_or_else(|| format!(">{seeds}"), |median| median.to_string());
        println!(
            "{:<34} {found:<5} {seed:>12} {median:>7}  {property} | {}",
            finding.bug.name, finding.bug.story
        );
    }
    if !tested.is_empty() {
        println!("\n{:<34} {:<5} story", "bug that a test finds", "found");
    }
    for finding in tested {
        let found = if finding.is_found() { "yes" } else { "NO" };
        println!("{:<34} {found:<5} {}", finding.bug.name, finding.bug.story);
    }
}
