//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::demo::{self, DemoArgs};
use crate::log_tool::{self, LogCommand};
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
    /// Look at a node's data directory; changes nothing, and the node may be running
    #[command(subcommand)]
    Log(LogCommand),
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return explain_usage(&error),
    };
    match command {
        Command::Serve { args, log_level, log_format } => serve(*args, log_level, log_format),
        Command::Demo(args) => match demo::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        },
        Command::Log(command) => log_tool::run(&command),
    }
}

/// Help and version are no failure; for `log`, whose exit codes say how a directory is, a wrong
/// command line has the one of what cannot be read.
fn explain_usage(error: &clap::Error) -> ExitCode {
    // If not even this can be written, there is nobody to tell.
    let _ = error.print();
    let is_log = std::env::args().nth(1).is_some_and(|name| name == "log");
    match error.use_stderr() {
        true if is_log => ExitCode::from(log_tool::EXIT_UNREADABLE),
        true => ExitCode::from(2),
        false => ExitCode::SUCCESS,
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
