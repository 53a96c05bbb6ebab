//! The planted bugs: one patch file each, whose header tells its story.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// A bug that can be planted.
pub(super) struct Bug {
    /// The patch's file name without its ending.
    pub(super) name: String,
    /// Where the patch is.
    pub(super) patch: PathBuf,
    /// What the bug is, in one line.
    pub(super) story: String,
    /// The test that finds it, as arguments of `cargo test`, if simulated clusters do not.
    pub(super) test: Option<Vec<String>>,
    /// The exploration that finds it, as arguments of `cargo xtask model`, if one does.
    pub(super) exploration: Option<Vec<String>>,
}

/// Where the patches are, relative to the workspace's root.
const DIRECTORY: &str = "xtask/planted";

/// The line of a header that names the test.
const FOUND_BY_TEST: &str = "Found by test: ";

/// The line of a header that says what the model checker explores to find the bug.
const FOUND_BY_MODEL: &str = "Found by model: ";

impl Bug {
    fn read(name: &str) -> Result<Self> {
        let patch = workspace::root().join(DIRECTORY).join(format!("{name}.patch"));
        let text = fs::read_to_string(&patch).with_context(|| format!("cannot read {}", patch.display()))?;
        let header: Vec<&str> = text.lines().take_while(|line| !line.starts_with("--- ")).collect();
        let story = header.first().copied().unwrap_or_default().to_owned();
        ensure!(!story.is_empty(), "{} begins without a story", patch.display());
        let (test, exploration) = (named_in(&header, FOUND_BY_TEST), named_in(&header, FOUND_BY_MODEL));
        Ok(Self { name: name.to_owned(), patch, story, test, exploration })
    }
}

/// All planted bugs in the order of their names.
pub(super) fn all() -> Result<Vec<Bug>> {
    let files = workspace::entries(Path::new(DIRECTORY))?;
    let mut names: Vec<&str> = files.iter().filter_map(|file| file.strip_suffix(".patch")).collect();
    names.sort_unstable();
    names.into_iter().map(Bug::read).collect()
}

/// Checks that every patch still fits the sources.
pub(super) fn check() -> Result<()> {
    let bugs = all()?;
    let mut misfits = Vec::new();
    for bug in &bugs {
        if apply(&bug.patch, workspace::root(), &["--check"]).is_err() {
            misfits.push(bug.name.as_str());
        }
    }
    ensure!(misfits.is_empty(), "these patches of {DIRECTORY} do not apply: {}", misfits.join(", "));
    println!("   {} planted bugs", bugs.len());
    Ok(())
}

/// Applies a patch to the sources at `root`, whether or not they belong to a repository.
pub(super) fn apply(patch: &Path, root: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new("git");
    command.arg("apply").args(options).arg(patch).current_dir(root);
    // Within a repository, git would take paths for relative to its root.
    command.env("GIT_CEILING_DIRECTORIES", root.parent().unwrap_or(root));
    let output = command.output().context("cannot start git")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} does not apply: {}", patch.display(), complaint.trim());
    Ok(())
}

/// The arguments behind this word in a header.
fn named_in(header: &[&str], word: &str) -> Option<Vec<String>> {
    let arguments = header.iter().find_map(|line| line.strip_prefix(word))?;
    Some(arguments.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_name_what_finds_the_bug() {
        let header = ["A bug (S2).", "", "More of it.", "Found by test: --lib some_test"];
        let test = vec!["--lib".to_owned(), "some_test".to_owned()];
        assert_eq!(named_in(&header, FOUND_BY_TEST), Some(test));
        assert_eq!(named_in(&header, FOUND_BY_MODEL), None);
    }
}
