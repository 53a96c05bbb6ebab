//! What a seed leads to must not depend on how the simulator was compiled: a debug build, with assertions
//! and checked arithmetic, is compared with the release build that people run.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// How many seeds are compared in each mode.
const SEEDS: &str = "20";

/// Compares the digests of all that happens, in both modes.
pub(super) fn run() -> Result<()> {
    for mode in [None, Some("--full")] {
        // The debug build is there already. The other one is spared what only this program needs.
        let debug = digest(&["--features", "drive"], mode)?;
        let release = digest(&["--release", "--no-default-features", "--features", "drive"], mode)?;
        ensure!(
            debug == release,
            "seeds lead to other things in a release build; find the first one with --from SEED \
             --prove-determinism 1\ndebug:   {debug}release: {release}"
        );
        print!("debug and release: {debug}");
    }
    Ok(())
}

/// What the simulator says of the first seeds.
fn digest(build: &[&str], mode: Option<&str>) -> Result<String> {
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--bin", "sim"]).args(build);
    command.args(["--", "--from", "0", "--prove-determinism", SEEDS]).args(mode);
    let output = command.stderr(Stdio::inherit()).output().context("cannot start the simulator")?;
    ensure!(output.status.success(), "the simulator ended with {}", output.status);
    String::from_utf8(output.stdout).context("the simulator prints no text")
}
