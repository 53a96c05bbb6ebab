//! SIGKILL in the middle of a call: F10, F18 to F21 and F24 from outside, for processes.

use std::os::unix::process::ExitStatusExt;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::cluster::{Ending, Start};
use crate::stage::{Calls, EXPOSURE, Stage};
use crate::trace::{Fault, Injection};

/// Calls to die in. The first ones of each are recovery's, later ones belong to the log, to new
/// segments and to snapshots, taken or received.
const CALLS: [Calls; 8] = [
    Calls::new("pwritev2", 0, 100),
    Calls::new("fdatasync", 0, 100),
    Calls::new("pwrite64", 0, 100),
    Calls::new("fsync", 0, 10),
    Calls::new("rename", 0, 6),
    Calls::new("openat", 6, 24),
    Calls::new("unlink", 0, 3),
    Calls::new("pread64", 2, 9),
];

const ROUNDS: u32 = 6;
/// How often a node may die in a row before it is let live.
const DEATHS_MAX: u32 = 3;

/// Kills node after node, some of them again while they recover.
pub(crate) fn play(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..ROUNDS {
        let at = stage.draw_node();
        stage.end(at)?;
        for _ in 0..stage.dice.between(1, DEATHS_MAX) {
            die(stage, at)?;
        }
        stage.bring_back(at)?;
    }
    Ok(())
}

/// Lets a node live up to a call that it dies in, or for a while.
fn die(stage: &mut Stage<'_>, at: usize) -> Result<()> {
    let (call, when) = stage.draw_call(&CALLS);
    let injection = Injection { call, fault: Fault::Kill, when, is_lasting: false };
    stage.cluster.start(at, Some(&injection))?;
    let (ending, reaction) = match stage.cluster.await_start(at)? {
        Start::Ended(ending) => (Some(ending), "killed at start"),
        Start::Ready => (stage.cluster.ending_within(at, EXPOSURE)?, "killed"),
    };
    let Some(Ending { status, last_words, .. }) = ending else {
        stage.cluster.kill(at)?;
        stage.count("missed", 0);
        return Ok(());
    };
    let is_killed = status.signal() == Some(Signal::KILL.as_raw());
    ensure!(is_killed, "node {}, {injection}: it ended: {last_words}", at + 1);
    stage.count(reaction, 1);
    Ok(())
}
