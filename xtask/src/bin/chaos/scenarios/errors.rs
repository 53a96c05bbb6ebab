//! Calls that fail, by strace: F9, F11, F12, F13, F18 and F26 from outside.

use anyhow::{Result, bail, ensure};

use crate::cluster::Ending;
use crate::stage::{Calls, Plan, Stage};
use crate::trace::{Fault, Injection};

const CALLS: [Calls; 10] = [
    Calls::new("pwritev2", 0, 150),
    Calls::new("fdatasync", 0, 150),
    Calls::new("pwrite64", 0, 150),
    Calls::new("fsync", 0, 12),
    Calls::new("rename", 0, 6),
    Calls::new("openat", 6, 24),
    Calls::new("ftruncate", 0, 2),
    Calls::new("pread64", 2, 9),
    Calls::new("unlink", 0, 3),
    Calls::new("getdents64", 0, 6),
];

/// Calls that POSIX lets a signal interrupt.
const INTERRUPTIBLE: [Calls; 5] = [
    Calls::new("pwritev2", 0, 60),
    Calls::new("fdatasync", 0, 60),
    Calls::new("pwrite64", 0, 60),
    Calls::new("fsync", 0, 6),
    Calls::new("pread64", 2, 9),
];

const ERRORS: [&str; 6] = ["EIO", "EIO", "EIO", "ENOSPC", "EDQUOT", "EROFS"];

const ROUNDS: u32 = 6;

/// Lets call after call fail, at one node after the other.
pub(crate) fn play(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..ROUNDS {
        let (call, when) = stage.draw_call(&CALLS);
        let injection = Injection {
            call,
            fault: Fault::Error(stage.dice.pick::<&str>(&ERRORS)),
            when,
            is_lasting: stage.dice.between(0, 3) == 0,
        };
        let plan = Plan { at: stage.draw_node(), injection };
        let ending = stage.expose(plan)?;
        let reaction = judge(stage, plan, &ending)?;
        let hits = ending.trace.hits().count();
        stage.count(reaction, u64::from(hits > 0));
        stage.bring_back(plan.at)?;
    }
    Ok(())
}

/// Whether a node may react to a failing call like this.
fn judge(stage: &Stage<'_>, plan: Plan, ending: &Ending) -> Result<&'static str> {
    let Plan { at, injection } = plan;
    let Ending { status, last_words, trace } = ending;
    let node = format!("node {}, {injection}", at + 1);
    ensure!(!trace.has_written_after_a_failure(), "{node}: the log was written after a failed write (F9)");
    let dir = stage.cluster.data_dir(at).to_string_lossy().into_owned();
    let on_files: Vec<_> = trace.hits().filter(|call| call.path.starts_with(&dir)).collect();
    let has_hit_log = on_files.iter().any(|call| call.is_write_of_log());
    match status.code() {
        // We ended it ourselves: it went on.
        None => {
            ensure!(!has_hit_log, "{node}: it went on after its log could not be written (F9)");
            Ok(if trace.hits().next().is_some() { "went on" } else { "missed" })
        }
        Some(0) => bail!("{node}: it ended as if all were well: {last_words}"),
        Some(_) if trace.hits().next().is_none() => bail!("{node}: it ended without a fault: {last_words}"),
        // Its libraries could not be loaded.
        Some(_) if on_files.is_empty() => Ok("not loaded"),
        Some(_) => {
            let named = on_files.iter().any(|call| last_words.contains(call.path.as_str()));
            ensure!(last_words.starts_with("raft-kv: "), "{node}: it died without a word: {last_words}");
            ensure!(named, "{node}: it does not name the file: {last_words}");
            Ok("stopped")
        }
    }
}

/// Lets calls be interrupted, which a node must not even notice.
pub(crate) fn play_interrupts(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..ROUNDS {
        let (call, when) = stage.draw_call(&INTERRUPTIBLE);
        let injection = Injection { call, fault: Fault::Error("EINTR"), when, is_lasting: false };
        let at = stage.draw_node();
        let Ending { status, last_words, trace } = stage.expose(Plan { at, injection })?;
        let dir = stage.cluster.data_dir(at).to_string_lossy().into_owned();
        let is_ours = trace.hits().any(|call| call.path.starts_with(&dir));
        ensure!(!is_ours || status.code().is_none(), "node {}, {injection}: {last_words}", at + 1);
        let hits = trace.hits().count();
        stage.count(if hits > 0 { "went on" } else { "missed" }, u64::from(hits > 0));
        stage.bring_back(at)?;
    }
    Ok(())
}
