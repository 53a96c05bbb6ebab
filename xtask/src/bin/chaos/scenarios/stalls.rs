//! Syncs that take seconds (F25).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use raft_kv::link::Link;

use crate::cluster::{Ending, PATIENCE};
use crate::stage::Stage;
use crate::trace::{Fault, Injection};

const ROUNDS: u32 = 4;

/// Lets the disk of one node after the other stand still, while it leads.
pub(crate) fn play(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..ROUNDS {
        let at = stage.draw_node();
        stage.end(at)?;
        let fault = Fault::Delay(Duration::from_millis(stage.dice.between(400, 3000).into()));
        let when = stage.dice.between(20, 150);
        let injection = Injection { call: "pwritev2,fdatasync", fault, when, is_lasting: false };
        stage.cluster.start(at, Some(&injection))?;
        stage.cluster.await_ready(at)?;
        stage.cluster.await_catch_up(at)?;
        let (leader, _) = stage.cluster.await_leader()?;
        if leader != at {
            let mut link = Link::open(&stage.cluster.address(leader), PATIENCE)?;
            // If it is refused, the stall meets a follower.
            link.ask(&[vec!["RAFT.TRANSFER".to_owned(), (at + 1).to_string()]]).context("no transfer")?;
        }
        stage.load.await_writes(6 * u64::from(when), PATIENCE)?;
        stage.load.ledger().check()?;
        // If the disk still stands, so does an orderly end.
        let Ending { status, last_words, trace } = stage.cluster.stop(at)?;
        ensure!(status.success(), "node {}, {injection}: {last_words}", at + 1);
        let hits = trace.hits().count();
        stage.count(if hits > 0 { "went on" } else { "missed" }, u64::from(hits > 0));
        stage.bring_back(at)?;
    }
    Ok(())
}
