//! `cargo xtask ci`: the whole gate, the same at home and in CI. Nothing here changes a file that
//! is checked in.
//!
//! A new check is one more line in `STEPS`.

mod builds;
mod fuzz_corpus;
mod no_std;
mod test_run;

use std::io::{IsTerminal, stderr};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;

use crate::{codegen, planted, plots, scenarios, tidy, workspace};

/// How `cargo xtask ci` was called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only this step; may be given more than once
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.map(|step| step.name)))]
    only: Vec<String>,
}

/// One check of the gate.
struct Step {
    name: &'static str,
    claim: &'static str,
    run: fn(&mut test_run::Count) -> Result<()>,
}

/// All steps: quick ones first, and those that build less before those that build more.
const STEPS: [Step; 14] = [
    Step { name: "fmt", claim: "the code is formatted", run: |_| cargo(&["fmt", "--all", "--check"]) },
    Step { name: "codegen", claim: "generated code is fresh", run: |_| codegen::check() },
    Step { name: "plots", claim: "pictures are of the tables", run: |_| plots::check() },
    Step { name: "tidy", claim: "the rules of the house hold", run: |_| tidy::run() },
    Step {
        name: "scenarios",
        claim: "every scenario of the protocol has a test",
        run: |_| scenarios::gate(),
    },
    Step { name: "planted", claim: "every planted bug still fits the code", run: |_| planted::check() },
    Step { name: "clippy", claim: "no target has a warning", run: |_| clippy() },
    Step { name: "no-std", claim: "raft-proto and raft-core build without std", run: |_| no_std::run() },
    Step { name: "doc", claim: "the docs build, all links lead somewhere", run: |_| doc() },
    Step {
        name: "sim",
        claim: "simulated clusters keep every property",
        run: |_| cargo(&["xtask", "sim", "--gate"]),
    },
    Step {
        name: "builds",
        claim: "seeds lead to the same in debug and release builds",
        run: |_| builds::run(),
    },
    Step { name: "fuzz", claim: "every target lives through its corpus", run: fuzz_corpus::run },
    Step {
        name: "model",
        claim: "all states of a small cluster keep every property",
        run: |_| cargo(&["xtask", "model", "--gate"]),
    },
    Step { name: "test", claim: "all tests pass, examples build and doctests run", run: test_run::run },
];

/// Runs the steps one after the other, all of them even if one fails, and sums up.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let is_chosen =
        |step: &&Step| options.only.is_empty() || options.only.iter().any(|only| only == step.name);
    let steps: Vec<_> = STEPS.iter().filter(is_chosen).collect();
    let mut count = test_run::Count::default();
    let mut results = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        println!("== {}/{} {}: {}", number + 1, steps.len(), step.name, step.claim);
        let started = Instant::now();
        let result = (step.run)(&mut count);
        let elapsed = started.elapsed();
        match &result {
            Ok(()) => println!("   ok in {:.1} s\n", elapsed.as_secs_f64()),
            Err(error) => println!(
                "   FAILED after {:.1} s: {error:#}\n   to repeat only this step: cargo xtask ci --only {}\n",
                elapsed.as_secs_f64(),
                step.name
            ),
        }
        results.push((step.name, result.is_ok(), elapsed));
    }
    Ok(sum_up(&results, &count))
}

fn sum_up(results: &[(&str, bool, Duration)], count: &test_run::Count) -> ExitCode {
    println!("== summary");
    for (name, is_ok, elapsed) in results {
        let outcome = if *is_ok { "ok" } else { "FAILED" };
        println!("{name:>10} {:>8.1} s  {outcome}", elapsed.as_secs_f64());
    }
    let total: Duration = results.iter().map(|(_, _, elapsed)| elapsed).sum();
    println!("{:>10} {:>8.1} s", "total", total.as_secs_f64());
    if results.iter().any(|(name, _, _)| *name == "test") {
        println!("{} passed, {} failed", count.passed, count.failed);
    }
    if results.iter().all(|(_, is_ok, _)| *is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn clippy() -> Result<()> {
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"])
}

fn doc() -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["doc", "--workspace", "--all-features", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    execute(command)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(arguments);
    execute(command)
}

/// Runs a command; cargo's progress is for people who watch, not for a log.
fn execute(mut command: Command) -> Result<()> {
    if !stderr().is_terminal() {
        command.env("CARGO_TERM_QUIET", "true");
    }
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "cargo ended with {status}");
    Ok(())
}
