//! Processes that stand still and go on, and ones that are killed in turn: N18 and S49 to S53.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use raft_kv::link::Link;
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
                pause(&stage, leader, Duration::from_millis(millis))?;
                stage.count("paused", 1);
                stage.load.await_writes(100, PATIENCE)?;
            }
        }
        stage.load.ledger().check()?;
    }
    stage.judge()
}

/// Lets a node stand still. What it finds waiting when it goes on are reads that were sent just before:
/// if it has been replaced meanwhile, it must not answer them with what it has.
fn pause(stage: &Stage<'_>, at: usize, time: Duration) -> Result<()> {
    let mut link = Link::open(&stage.cluster.address(at), PATIENCE)?;
    link.status()?;
    stage.cluster.signal(at, Signal::STOP)?;
    thread::sleep(time);
    thread::scope(|scope| {
        let late = scope.spawn(|| stage.load.ledger().read_all(&mut link));
        thread::sleep(TIME_TO_SEND);
        stage.cluster.signal(at, Signal::CONT)?;
        late.join().map_err(|_| anyhow!("a client panicked"))?
    })
    .with_context(|| format!("node {} was paused for {} ms", at + 1, time.as_millis()))
}

/// How long a request takes to reach the system below a node.
const TIME_TO_SEND: Duration = Duration::from_millis(20);
