//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::demo::{self, DemoArgs};
use crate::logging::{self, LogFormat, LogLevel};
use crate::node::explain;
use crate::run;
use crate::settings::ServeArgs;

/// A replicated key-value node that speaks the Redis protocol.
#[derive(Debug, Parser)]
#[command(name = "raft-kv", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node until SIGTERM or SIGINT
    Serve {
        #[command(flatten)]
        args: Box<ServeArgs>,
        /// How much is logged
        #[arg(long, value_enum, default_value_t)]
        log_level: LogLevel,
        /// How a log line looks
        #[arg(long, value_enum, default_value_t)]
        log_format: LogFormat,
    },
    /// Run three nodes on this machine and watch them
    Demo(DemoArgs),
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { args, log_level, log_format } => serve(*args, log_level, log_format),
        Command::Demo(args) => match demo::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        },
    }
}

fn serve(args: ServeArgs, level: LogLevel, format: LogFormat) -> ExitCode {
    let settings = match args.check() {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    let (log, guard) = logging::open(format, level);
    let result = run::run(settings, &log);
    // Log lines come before the last word.
    drop((log, guard));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

#[allow(clippy::print_stderr, reason = "the last word of a process goes to whoever started it")]
fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("raft-kv: {}", explain(error));
    ExitCode::FAILURE
}
