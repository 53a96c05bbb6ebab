//! Runs all tests, with nothing but cargo, and counts them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// How many tests ran and how they ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Over all test binaries and doctests.
    pub(super) passed: u64,
    /// Likewise.
    pub(super) failed: u64,
}

/// Runs unit, integration and documentation tests of all crates; examples are built on the way.
pub(super) fn run(count: &mut Count) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    run_with(command, count)
}

/// Runs tests by this command.
pub(super) fn run_with(mut command: Command, count: &mut Count) -> Result<()> {
    let passed_before = count.passed;
    command.stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo test")?;
    let stdout = child.stdout.take().expect("its stdout is piped");
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read what cargo test prints")?;
        println!("{line}");
        count.add(&line);
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    ensure!(status.success(), "cargo test ended with {status}");
    ensure!(count.passed > passed_before, "no test ran");
    Ok(())
}

impl Count {
    /// Adds up what a line says if it closes the run of one test binary.
    fn add(&mut self, line: &str) {
        if !line.starts_with("test result: ") {
            return;
        }
        let number = |label: &str| {
            let (before, _) = line.split_once(label)?;
            before.split_whitespace().last()?.parse::<u64>().ok()
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_add_up_over_binaries() {
        let mut count = Count::default();
        count.add("test result: ok. 23 passed; 0 failed; 0 ignored; 0 measured; finished in 1.64s");
        count.add("test result: FAILED. 1 passed; 2 failed; 0 ignored");
        count.add("test a::b ... ok");
        assert_eq!(count, Count { passed: 24, failed: 2 });
    }
}
