//! `cargo xtask chaos`: builds the node as it ships, then lets `bin/chaos` torment it.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::{Forwarded, drive, workspace};

/// Builds and runs both programs.
pub(crate) fn run(options: Forwarded) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--package", "raft-kv-example"]);
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo ended with {status}");
    let target = workspace::target_dir();
    let path = |name: &str| target.join(name).to_string_lossy().into_owned();
    let mut arguments =
        vec!["--binary".to_owned(), path("release/raft-kv"), "--scratch".to_owned(), path("chaos")];
    arguments.extend(options.arguments);
    drive("chaos", "drive", &Forwarded { arguments })
}
