//! What a maintainer types: code generation and the checks that make up the gate. One file or
//! directory per command; this one only reads the command line.

mod bench;
mod chaos;
mod ci;
mod codegen;
mod crash;
mod fuzz;
mod planted;
mod plots;
mod scenarios;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Maintenance commands of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure what a crate costs
    Bench {
        #[command(subcommand)]
        target: bench::Target,
    },
    /// Inject faults from outside into processes of raft-kv while clients write and read
    #[command(disable_help_flag = true)]
    Chaos(Forwarded),
    /// Run all checks of the gate, one step after the other
    Ci(ci::Options),
    /// Turn raft-proto/proto/*.proto into the checked-in Rust code
    Codegen(codegen::Options),
    /// Cut random workloads of the log off from power, and flip every bit of it
    Crash(crash::Options),
    /// Give arbitrary bytes to what decodes them, and keep what reaches new code
    Fuzz(fuzz::Options),
    /// Draw the tables of docs/BENCHMARKS.md
    Plots(plots::Options),
    /// List the scenarios of docs/SCENARIOS.md with the tests that cite them
    Scenarios(scenarios::Options),
    /// Explore all states of a small cluster of real cores, within bounds; `--planted` plants known bugs
    /// first
    #[command(disable_help_flag = true)]
    Model(Forwarded),
    /// Run simulated clusters, one per seed, and check every step; `--planted` plants known bugs first
    #[command(disable_help_flag = true)]
    Sim(Forwarded),
    /// Check what neither the compiler nor clippy can: sizes, import order, layers, layout
    Tidy,
}

/// Arguments for a command that is a program of its own.
#[derive(clap::Args)]
struct Forwarded {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Bench { target } => bench::run(&target)?,
        Command::Chaos(options) => return chaos::run(options),
        Command::Ci(options) => return ci::run(&options),
        Command::Codegen(options) => codegen::run(&options)?,
        Command::Crash(options) => crash::run(&options)?,
        Command::Fuzz(options) => return fuzz::run(&options),
        Command::Plots(options) => plots::run(&options)?,
        Command::Scenarios(options) => scenarios::run(&options)?,
        Command::Model(options) => {
            return match options.arguments.split_first() {
                Some((first, rest)) if first == "--planted" => planted::model::run(rest),
                Some(_) | None => drive("model", "model", &options),
            };
        }
        Command::Sim(options) => {
            return match options.arguments.split_first() {
                Some((first, rest)) if first == "--planted" => planted::run(rest),
                Some(_) | None => drive("sim", "drive", &options),
            };
        }
        Command::Tidy => tidy::run()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a program of this package that drives the other crates. It is built apart from this one, so
/// that `codegen` works even while the code it generates does not fit the rest.
fn drive(program: &str, feature: &str, options: &Forwarded) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--features", feature, "--bin", program, "--"]);
    let status = command.args(&options.arguments).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
