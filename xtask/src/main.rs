//! What a maintainer types: code generation and the checks that make up the gate. One file or
//! directory per command; this one only reads the command line.

mod ci;
mod codegen;
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
    /// Run all checks of the gate, one step after the other
    Ci(ci::Options),
    /// Turn raft-proto/proto/*.proto into the checked-in Rust code
    Codegen(codegen::Options),
    /// List the scenarios of docs/SCENARIOS.md with the tests and docs that cite them
    Scenarios(scenarios::Options),
    /// Check what neither the compiler nor clippy can: sizes, import order, layers, layout
    Tidy,
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
        Command::Ci(options) => return ci::run(&options),
        Command::Codegen(options) => codegen::run(&options)?,
        Command::Scenarios(options) => scenarios::run(&options)?,
        Command::Tidy => tidy::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
