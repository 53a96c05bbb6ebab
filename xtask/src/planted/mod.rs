//! `cargo xtask sim --planted`: bugs that are known are planted one after the other, and simulated
//! clusters have to find them. See `xtask/planted/README.md`.

mod catalogue;
pub(crate) mod model;
mod scratch;

use std::process::ExitCode;
use std::time::Instant;
use std::{fmt, iter};

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
    outcome: Outcome,
}

enum Outcome {
    /// Simulated clusters looked for it.
    Simulated {
        /// The seed that finds it, from the first starting point from which one does.
        catch: Option<Catch>,
        /// How many seeds it took from each starting point; none if there were too few.
        counts: Vec<Option<u64>>,
    },
    /// Its test was run.
    Tested { fails: bool },
    /// It could not be planted, built or run.
    Broken(anyhow::Error),
}

/// The arguments behind `--planted`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse_from(iter::once("sim").chain(arguments.iter().map(String::as_str)));
    let bugs = choose(catalogue::all()?, &options.names)?;
    let scratch = Scratch::new();
    let (count, started) = (bugs.len(), Instant::now());
    let mut findings = Vec::new();
    for (number, bug) in bugs.into_iter().enumerate() {
        eprint!("{}/{count} {}: ", number + 1, bug.name);
        let outcome = find(&scratch, &bug, &options).unwrap_or_else(Outcome::Broken);
        let left = started.elapsed().as_secs_f64() / (number + 1) as f64 * (count - number - 1) as f64;
        eprintln!("{outcome}; {left:.0} s left");
        findings.push(Finding { bug, outcome });
    }
    scratch.reset()?;
    print_table(&findings, options.seeds);
    let found = findings.iter().filter(|finding| finding.outcome.is_found()).count();
    println!("\n{found} of {count} planted bugs are found, in {:.0} s", started.elapsed().as_secs_f64());
    Ok(if found == count { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks that every patch still fits the sources, which is a step of the gate.
pub(crate) fn check() -> Result<()> {
    catalogue::check()
}

/// The bugs of these names; all of them if no name is given.
fn choose(mut bugs: Vec<Bug>, names: &[String]) -> Result<Vec<Bug>> {
    for name in names {
        ensure!(bugs.iter().any(|bug| bug.name == *name), "there is no planted bug {name}");
    }
    bugs.retain(|bug| names.is_empty() || names.contains(&bug.name));
    Ok(bugs)
}

fn find(scratch: &Scratch, bug: &Bug, options: &Options) -> Result<Outcome> {
    scratch.plant(bug)?;
    if let Some(test) = &bug.test {
        return Ok(Outcome::Tested { fails: scratch.fails(test)? });
    }
    scratch.build("hunt", "drive")?;
    let (mut first, mut counts) = (None, Vec::new());
    for start in 0..options.starts {
        let from = start * START_DISTANCE;
        let catch = scratch.hunt(from, options.seeds)?;
        counts.push(catch.as_ref().map(|catch| catch.seed - from + 1));
        first = first.or(catch);
    }
    Ok(Outcome::Simulated { catch: first, counts })
}

impl Outcome {
    fn is_found(&self) -> bool {
        match self {
            Self::Simulated { catch, .. } => catch.is_some(),
            Self::Tested { fails } => *fails,
            Self::Broken(_) => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulated { catch: Some(catch), .. } => write!(f, "found by seed {}", catch.seed),
            Self::Simulated { catch: None, .. } => f.write_str("NOT FOUND by any seed"),
            Self::Tested { fails: true } => f.write_str("found by its test"),
            Self::Tested { fails: false } => f.write_str("NOT FOUND by its test"),
            Self::Broken(error) => write!(f, "{error:#}"),
        }
    }
}

fn print_table(findings: &[Finding], seeds: u64) {
    println!("{:<34} {:<6} {:>12} {:>7}  violated | story", "bug", "found", "first seed", "median");
    let mut tested = Vec::new();
    for Finding { bug, outcome } in findings {
        match outcome {
            Outcome::Simulated { catch, counts } => {
                let (seed, property) = match catch {
                    Some(catch) => (catch.seed.to_string(), catch.property.as_str()),
                    None => ("-".to_owned(), "-"),
                };
                let (found, median) = (answer(catch.is_some()), median(counts, seeds));
                println!("{:<34} {found:<6} {seed:>12} {median:>7}  {property} | {}", bug.name, bug.story);
            }
            Outcome::Tested { fails } => tested.push((bug, *fails)),
            Outcome::Broken(_) => println!("{:<34} {:<6} | {}", bug.name, "broken", bug.story),
        }
    }
    if !tested.is_empty() {
        println!("\n{:<34} {:<6} story", "bug that a test finds", "found");
    }
    for (bug, fails) in tested {
        println!("{:<34} {:<6} {}", bug.name, answer(fails), bug.story);
    }
}

fn answer(found: bool) -> &'static str {
    if found { "yes" } else { "NO" }
}

/// The median over the starting points; too few seeds count as more than any number.
fn median(counts: &[Option<u64>], seeds: u64) -> String {
    let mut counts = counts.to_vec();
    counts.sort_by_key(|count| count.unwrap_or(u64::MAX));
    match counts.get(counts.len() / 2) {
        Some(Some(count)) => count.to_string(),
        Some(None) | None => format!(">{seeds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_were_too_few_count_as_many() {
        assert_eq!(median(&[Some(9), None, Some(2)], 50), "9");
        assert_eq!(median(&[None, Some(9), None], 50), ">50");
        assert_eq!(median(&[], 50), ">50");
    }
}
