//! `raft-kv log`: looks at a node's data directory, says what is wrong, where, and what to do.
//!
//! What is found out is the business of [`raft_storage::inspect`]; here it is put into words, JSON
//! and exit codes.

mod dump;
mod json;
mod operations;
mod progress;
mod stat;
mod verify;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use raft_storage::OpenError;
use raft_storage::inspect::{Inspection, Inspector, Outcome};

/// What `raft-kv log` does.
#[derive(Clone, Debug, Subcommand)]
pub enum LogCommand {
    /// Say whether a node would start here, and if not, where the damage is and what to do.
    ///
    /// Exit codes: 0 all is whole; 1 a node starts, but with warnings (for instance, an interrupted
    /// write would be cut off, of which nothing was acknowledged); 2 a node refuses to start; 3 the
    /// directory is none of a node's or cannot be read, or the command line is wrong.
    #[command(verbatim_doc_comment)]
    Verify(LookArgs),
    /// Print what the log holds, one entry per line
    Dump(DumpArgs),
    /// Say what takes how much room
    Stat(LookArgs),
}

/// What `raft-kv log verify` and `stat` take.
#[derive(Args, Clone, Debug)]
pub struct LookArgs {
    /// The node's data directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What `raft-kv log dump` takes.
#[derive(Args, Clone, Debug)]
pub struct DumpArgs {
    /// The node's data directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON object per line instead of text
    #[arg(long)]
    json: bool,
    /// Print everything as it was written, one record per line, also what was replaced later
    #[arg(long)]
    records: bool,
    /// Only this group
    #[arg(long, value_name = "ID")]
    group: Option<u64>,
    /// Only entries from this index on
    #[arg(long, value_name = "INDEX", default_value_t = 0, hide_default_value = true)]
    from: u64,
    /// Only entries up to this index
    #[arg(long, value_name = "INDEX", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// At most so many lines
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Print values too, not only their lengths
    #[arg(long)]
    payloads: bool,
}

/// Why a command came to no end of its own.
#[derive(Debug)]
enum ToolError {
    Open(OpenError),
    Output(io::Error),
}

/// Does what the command says; the exit code is documented at [`LogCommand::Verify`].
#[must_use]
pub fn run(command: &LogCommand) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let done = match command {
        LogCommand::Verify(args) => look(args, &mut out, verify::print),
        LogCommand::Stat(args) => look(args, &mut out, stat::print),
        LogCommand::Dump(args) => dump::run(args, &mut out),
    };
    match done.and_then(|code| out.flush().map(|()| code).map_err(ToolError::Output)) {
        Ok(code) => ExitCode::from(code),
        // Whoever reads has seen enough, as `head` does.
        Err(ToolError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(ToolError::Output(error)) => complain(&format!("cannot write: {error}")),
        Err(ToolError::Open(error)) => complain(&error.to_string()),
    }
}

fn look(
    args: &LookArgs,
    out: &mut impl Write,
    print: impl FnOnce(&Inspection, &mut dyn Write) -> io::Result<()>,
) -> Result<u8, ToolError> {
    let inspection = progress::with_bar(Inspector::new(&args.dir), Inspector::inspect)?;
    let code = exit_code(inspection.outcome());
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &json::inspection(&inspection, code))
            .map_err(|error| ToolError::Output(error.into()))?;
        writeln!(out)?;
    } else {
        print(&inspection, out)?;
    }
    Ok(code)
}

fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Whole => 0,
        Outcome::Warnings => 1,
        Outcome::Damaged => EXIT_DAMAGED,
        Outcome::Unreadable => EXIT_UNREADABLE,
    }
}

#[allow(clippy::print_stderr, reason = "the last word of a process goes to whoever started it")]
fn complain(text: &str) -> ExitCode {
    eprintln!("raft-kv: {text}");
    ExitCode::from(EXIT_UNREADABLE)
}

impl From<OpenError> for ToolError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<io::Error> for ToolError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A node refuses to start.
const EXIT_DAMAGED: u8 = 2;
/// The directory is none of a node's or cannot be read, or the command line is wrong.
pub const EXIT_UNREADABLE: u8 = 3;
