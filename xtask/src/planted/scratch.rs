//! A copy of the workspace in which bugs are planted. It and its build directory stay between runs,
//! so that only what a patch touches is built anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::catalogue::{self, Bug};
use crate::workspace;

/// The copy.
pub(super) struct Scratch {
    source: PathBuf,
    build: PathBuf,
}

/// A seed that finds a bug.
pub(super) struct Catch {
    pub(super) seed: u64,
    /// What it violates.
    pub(super) property: String,
}

impl Scratch {
    /// Where the copy is; [`reset`](Self::reset) makes it one.
    pub(super) fn new() -> Self {
        let directory = workspace::target_dir().join("planted");
        Self { source: directory.join("source"), build: directory.join("build") }
    }

    /// Makes the copy equal to the workspace. What is equal already is not touched, or cargo would
    /// build it again.
    pub(super) fn reset(&self) -> Result<()> {
        let files = workspace::files()?;
        for file in &files {
            copy(&workspace::root().join(file), &self.source.join(file))?;
        }
        for file in workspace::files_of(&self.source)? {
            if files.binary_search(&file).is_err() {
                fs::remove_file(self.source.join(&file)).context("cannot remove an old file")?;
            }
        }
        Ok(())
    }

    /// Plants one bug in what is otherwise a fresh copy.
    pub(super) fn plant(&self, bug: &Bug) -> Result<()> {
        self.reset()?;
        catalogue::apply(&bug.patch, &self.source, &[])
    }

    /// Builds one of xtask's programs, which needs this feature.
    pub(super) fn build(&self, program: &str, feature: &str) -> Result<()> {
        let mut command = self.cargo();
        command.args(["build", "--quiet", "--package", "xtask", "--features", feature, "--bin", program]);
        // What it prints are warnings of what a patch left unused.
        let output = command.output().context("cannot start cargo")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "it does not build: {}", complaint.trim());
        Ok(())
    }

    /// The first of these seeds that finds the bug.
    pub(super) fn hunt(&self, from: u64, seeds: u64) -> Result<Option<Catch>> {
        let mut command = Command::new(self.build.join("debug").join("hunt"));
        command.args([from, seeds].map(|number| number.to_string())).stderr(Stdio::inherit());
        let output = command.output().context("cannot start the simulator")?;
        let text = String::from_utf8(output.stdout).context("the simulator speaks no UTF-8")?;
        // An abort, or the end of memory, is a catch like any other.
        if !output.status.success() {
            let property = format!("no crash ({})", output.status);
            return Ok(Some(Catch { seed: from, property }));
        }
        let Some((seed, property)) = text.trim_end().split_once('\t') else { return Ok(None) };
        let seed = seed.parse().context("the simulator names no seed")?;
        Ok(Some(Catch { seed, property: property.to_owned() }))
    }

    /// What the model checker finds with these arguments, in its own words.
    pub(super) fn explore(&self, arguments: &[String]) -> Result<Option<String>> {
        let mut command = Command::new(self.build.join("debug").join("model"));
        let output = command.args(arguments).output().context("cannot start the model checker")?;
        if output.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let verdict = text.lines().find_map(|line| line.strip_prefix("error: "));
        let verdict = verdict.with_context(|| format!("no verdict ({}): {text}", output.status))?;
        Ok(Some(verdict.to_owned()))
    }

    /// Whether a test of raft-core fails here.
    pub(super) fn fails(&self, test: &[String]) -> Result<bool> {
        let mut command = self.cargo();
        command.args(["test", "--quiet", "--package", "raft-core", "--features", "sim"]).args(test);
        let output = command.output().context("cannot start cargo")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let ran = text
            .lines()
            .any(|line| line.starts_with("test result: ") && !line.contains(" 0 passed; 0 failed"));
        ensure!(ran, "no test ran: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(!output.status.success())
    }

    fn cargo(&self) -> Command {
        let mut command = workspace::cargo();
        command.current_dir(&self.source).env("CARGO_TARGET_DIR", &self.build);
        command
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    let directory = to.parent().expect("below the copy's root");
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))
}
