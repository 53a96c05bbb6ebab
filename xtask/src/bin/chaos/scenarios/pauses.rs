//! Processes that stand still and go on, and ones that are killed in turn: N18 and S49 to S53.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::cluster::PATIENCE;
use crate::stage::{Place, Stage, Tally};

const ROUNDS: u32 = 10;

/// Half of the runs read with leases, which rest on clocks that a pause makes wrong.
pub(crate) fn run(place: Place<'_>, tally: &mut Tally) -> Result<()> {
    let settings: &[&str] = if place.seed.is_multiple_of(2) { &["--lease-reads"] } else { &[] };
    let mut stage = Stage::set(place, place.root, settings, tally)?;
    for _ in 0..ROUNDS {
        let (leader, _) = stage.cluster.await_leader()?;
        match stage.dice.between(0, 3) {
            0 => {
                let at = stage.draw_node();
                stage.cluster.kill(at)?;
                stage.count("killed", 1);
                let millis = stage.dice.between(0, 800);
                thread::sleep(Duration::from_millis(millis.into()));
                stage.bring_back(at)?;
            }
            _ => {
                // From well within an election timeout to many of them.
                let millis = *stage.dice.pick(&[100, 240, 400, 700, 1500]);
                stage.cluster.signal(leader, Signal::STOP)?;
                thread::sleep(Duration::from_millis(millis));
                stage.cluster.signal(leader, Signal::CONT)?;
                stage.count("paused", 1);
                stage.load.await_writes(100, PATIENCE)?;
            }
        }
        stage.load.ledger().check()?;
    }
    stage.judge()
}
