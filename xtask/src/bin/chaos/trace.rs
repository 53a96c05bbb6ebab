//! Faults that strace puts into the calls of a process, and what its trace says about them.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A fault that waits for a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injection {
    /// The system call, or several with commas between, each of which is counted by itself.
    pub(crate) call: &'static str,
    pub(crate) fault: Fault,
    /// Which call of a thread fails, from 1 on.
    pub(crate) when: u32,
    /// Whether all later ones fail as well.
    pub(crate) is_lasting: bool,
}

/// What becomes of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not carried out and fails like this.
    Error(&'static str),
    /// It takes so long.
    Delay(Duration),
    /// The process is killed when it makes it.
    Kill,
}

/// What a process did, as far as it was traced.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    calls: Vec<Call>,
}

/// A call that has returned.
#[derive(Debug)]
pub(crate) struct Call {
    name: String,
    /// The file that it is about; empty if that cannot be told.
    pub(crate) path: String,
    is_injected: bool,
    has_failed: bool,
}

impl Injection {
    /// The command line up to the traced program's own arguments.
    ///
    /// The tracer runs beside the node, not above it, so that the node is still our own child.
    pub(crate) fn strace(&self, trace: &Path, program: &Path) -> Command {
        let mut command = Command::new("strace");
        let calls = format!("trace={},{}", self.call, WRITES_OF_LOG.join(","));
        command.args(["-D", "-f", "-y", "-s", "0", "-e", &calls]);
        if self.fault != Fault::Kill {
            // Other calls cost nothing then; but strace cannot send signals from such stops.
            command.arg("--seccomp-bpf");
        }
        command.args(["-e", &format!("inject={self}"), "-o"]).arg(trace).arg(program);
        command
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, fault, when, is_lasting } = self;
        let more = if *is_lasting { "+" } else { "" };
        match fault {
            Fault::Error(error) => write!(f, "{call}:error={error}:when={when}{more}"),
            Fault::Delay(time) => {
                write!(f, "{call}:delay_enter={}:when={when}{more}", time.as_micros())
            }
            Fault::Kill => write!(f, "{call}:signal=SIGKILL:when={when}{more}"),
        }
    }
}

impl Trace {
    /// Reads a trace, once the end of the process is in it.
    pub(crate) fn read(path: &Path, process: u32) -> Result<Self> {
        let deadline = Instant::now() + TRACER_PATIENCE;
        let is_end = |line: &str| line.starts_with(&process.to_string()) && line.contains(" +++ ");
        loop {
            // Before its first line there is no file.
            let text = fs::read_to_string(path).unwrap_or_default();
            if text.lines().any(is_end) || Instant::now() > deadline {
                return Self::parse(&text).with_context(|| format!("cannot read {}", path.display()));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let mut calls = Vec::new();
        let mut unfinished: HashMap<&str, &str> = HashMap::new();
        for line in text.lines() {
            let (thread, rest) = line.split_once(' ').context("a line has no thread")?;
            let rest = rest.trim_start();
            if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread, begin);
            } else if rest.starts_with("<... ") {
                let begin = unfinished.remove(thread).unwrap_or_default();
                calls.extend(Call::parse(begin, rest));
            } else if !rest.starts_with("+++") && !rest.starts_with("---") {
                calls.extend(Call::parse(rest, rest));
            }
        }
        Ok(Self { calls })
    }

    /// The calls that a fault hit.
    pub(crate) fn hits(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.is_injected)
    }

    /// Whether the log was written or synced after that had failed once: a sync that is tried again may
    /// succeed although the data are gone (F9).
    pub(crate) fn has_written_after_a_failure(&self) -> bool {
        let mut of_log = self.calls.iter().filter(|call| call.is_write_of_log());
        of_log.any(|call| call.is_injected) && of_log.any(|call| !call.has_failed)
    }
}

impl Call {
    /// From the line where the call begins and the one where it ends, which may be the same.
    fn parse(begin: &str, end: &str) -> Option<Self> {
        let (name, arguments) = begin.split_once('(')?;
        let (_, result) = end.rsplit_once(" = ")?;
        let of_descriptor = || arguments.split_once('<')?.1.split_once('>');
        let named = || arguments.split_once('"')?.1.split_once('"');
        let path = if arguments.starts_with(|first: char| first.is_ascii_digit()) {
            of_descriptor()
        } else {
            named()
        };
        Some(Self {
            name: name.to_owned(),
            path: path.map_or("", |(path, _)| path).to_owned(),
            is_injected: result.contains("(INJECTED)") || result.contains("(DELAYED)"),
            has_failed: result.starts_with('-'),
        })
    }

    /// Whether it makes records of the log, or says that they are durable.
    pub(crate) fn is_write_of_log(&self) -> bool {
        WRITES_OF_LOG.contains(&self.name.as_str()) && self.path.ends_with(".wal")
    }
}

/// The calls that write the log and make it durable, past the page cache or in two steps.
const WRITES_OF_LOG: [&str; 3] = ["pwritev2", "pwrite64", "fdatasync"];
/// How long the tracer may take to write its last lines.
const TRACER_PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
7     openat(AT_FDCWD</>, \"/d/identity\", O_RDONLY) = 3</d/identity>
8     fdatasync(9</d/00000002.wal> <unfinished ...>
7     pwrite64(4</d/sync-mark>, \"\"..., 40, 0) = 40
8     <... fdatasync resumed>)          = -1 EIO (Input/output error) (INJECTED)
7     +++ exited with 1 +++
";

    #[test]
    fn the_call_that_was_hit_is_found_across_lines() {
        let trace = Trace::parse(TRACE).unwrap();
        let hits: Vec<_> = trace.hits().map(|call| (call.path.as_str(), call.is_write_of_log())).collect();
        assert_eq!(hits, [("/d/00000002.wal", true)]);
        assert!(!trace.has_written_after_a_failure());
    }

    #[test]
    fn a_sync_that_is_tried_again_is_found_in_either_way() {
        let sync = "fdatasync(9</d/00000002.wal>) = 0";
        let direct =
            r#"pwritev2(11</d/00000002.wal>, [{iov_base=""..., iov_len=4096}], 1, 8192, RWF_DSYNC) = 4096"#;
        for again in [sync, direct] {
            let trace = Trace::parse(&format!("{TRACE}8     {again}\n")).unwrap();
            assert!(trace.has_written_after_a_failure(), "{again}");
        }
    }
}
