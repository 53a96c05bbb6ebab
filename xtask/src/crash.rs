//! `cargo xtask crash`: the tests of raft-storage that explore what power cuts and decay leave, with
//! more images than the gate has time for.

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// How `cargo xtask crash` was called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many images of random workloads to show to recovery
    #[arg(long, default_value_t = 1_000_000)]
    images: u64,
    /// The first seed; without it, one that was not run before
    #[arg(long, value_name = "SEED")]
    from: Option<u64>,
    /// Flip every bit of a log and a snapshot of 64 KiB as well
    #[arg(long)]
    bits: bool,
}

/// Runs the explorers.
pub(crate) fn run(options: &Options) -> Result<()> {
    test("crash_random", |command| {
        command.env("RAFT_CRASH_IMAGES", options.images.to_string());
        if let Some(seed) = options.from {
            command.env("RAFT_CRASH_SEED", seed.to_string());
        }
    })?;
    if options.bits {
        test("decay_bits", |command| {
            command.env("RAFT_DECAY_BITS", "8");
        })?;
    }
    Ok(())
}

fn test(name: &str, configure: impl FnOnce(&mut std::process::Command)) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--quiet", "--release", "--package", "raft-storage", "--test", name]);
    command.args(["--", "--nocapture"]);
    configure(&mut command);
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "the tests in {name}.rs ended with {status}");
    Ok(())
}
