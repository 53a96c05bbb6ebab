//! Gives the fuzz targets what fuzzing found before. Their package is outside of the workspace, so
//! the checks of the other steps are made here as well; no C++ compiler is needed.

use anyhow::Result;

use super::execute;
use super::test_run::{self, Count};
use crate::{fuzz::package, workspace};

/// Format, warnings, and the corpus.
pub(super) fn run(count: &mut Count) -> Result<()> {
    let mut fmt = workspace::cargo();
    fmt.args(["fmt", "--check", "--manifest-path", "xtask/fuzz/Cargo.toml"]);
    execute(fmt)?;
    let mut clippy = package("clippy");
    clippy.args(["--locked", "--all-targets", "--", "--deny", "warnings"]);
    execute(clippy)?;
    let mut tests = package("test");
    tests.arg("--locked");
    test_run::run_with(tests, count)
}
