//! Structured logs to standard error, written by a thread of their own.

use std::io;

use clap::ValueEnum;
use slog::{Drain, Level, Logger, o};

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The least severe lines that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// The node cannot go on, or needs a person.
    Error,
    /// Something is wrong and the node goes on.
    Warning,
    /// What happens in the life of a node.
    #[default]
    Info,
    /// What happens to single connections.
    Debug,
    /// Everything.
    Trace,
}

/// Opens the log. Lines that come faster than they can be written are dropped and counted. The
/// guard writes what is left when it is dropped.
pub fn open(format: LogFormat, level: LogLevel) -> (Logger, slog_async::AsyncGuard) {
    let level = match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warning => Level::Warning,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
        LogLevel::Trace => Level::Trace,
    };
    let (drain, guard) = match format {
        LogFormat::Text => {
            let lines = slog_term::TermDecorator::new().stderr().build();
            let drain = slog_term::FullFormat::new(lines).use_utc_timestamp().build();
            background(drain.filter_level(level).ignore_res())
        }
        LogFormat::Json => {
            let drain = slog_json::Json::default(io::stderr());
            background(std::sync::Mutex::new(drain).filter_level(level).ignore_res())
        }
    };
    (Logger::root(drain.ignore_res(), o!()), guard)
}

fn background<D>(drain: D) -> (slog_async::Async, slog_async::AsyncGuard)
where
    D: Drain<Ok = (), Err = slog::Never> + Send + 'static,
{
    slog_async::Async::new(drain).chan_size(LINES_WAITING_MAX).build_with_guard()
}

const LINES_WAITING_MAX: usize = 1024;
