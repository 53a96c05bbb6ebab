//! A directory that is put back as it was earlier: docs/FAULTS.md says that the node itself cannot see
//! that, and who does (F23, S85).

use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Result, ensure};

use crate::cluster::{PATIENCE, SIZE, copy_dir};
use crate::stage::Stage;

const ROUNDS: u32 = 3;

/// Puts older copies back.
pub(crate) fn play(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..ROUNDS {
        let (leader, _) = stage.cluster.await_leader()?;
        let at = (leader + 1 + stage.dice.between(0, 1) as usize) % SIZE;
        let dir = stage.cluster.data_dir(at).to_owned();
        let (old, own) = (stage.cluster.root().join("old"), stage.cluster.root().join("own"));
        stage.cluster.stop(at)?;
        copy_dir(&dir, &old)?;
        stage.bring_back(at)?;
        let writes = stage.dice.between(20, 400);
        stage.load.await_writes(writes.into(), PATIENCE)?;
        stage.cluster.stop(at)?;
        // From here on the other two have all that this one acknowledged, even if it forgets that.
        stage.cluster.await_catch_up(SIZE - leader - at)?;
        copy_dir(&dir, &own)?;
        copy_dir(&old, &dir)?;
        let reaction = put_back(stage, at)?;
        stage.count(reaction, 1);
        if reaction == NOTICED {
            // With its own files it has all that it promised. The leader that has said so sends nothing
            // any more; the next one does.
            stage.cluster.stop(at)?;
            copy_dir(&own, &dir)?;
            stage.cluster.start_well(at)?;
            let (leader, _) = stage.cluster.await_leader()?;
            stage.cluster.kill(leader)?;
            stage.cluster.start_well(leader)?;
        }
        stage.cluster.await_catch_up(at)?;
        fs::remove_dir_all(&old)?;
        fs::remove_dir_all(&own)?;
        stage.load.ledger().check()?;
    }
    Ok(())
}

/// Starts a node that has forgotten something; what its leader makes of that.
fn put_back(stage: &mut Stage<'_>, at: usize) -> Result<&'static str> {
    let (leader, term) = stage.cluster.await_leader()?;
    let before = Said::of(stage, leader, at)?;
    stage.cluster.start_well(at)?;
    let deadline = Instant::now() + NOTICE_PATIENCE;
    while Instant::now() < deadline {
        let now = Said::of(stage, leader, at)?;
        if now.noticed > before.noticed {
            return Ok(NOTICED);
        }
        if now.sent > before.sent {
            // Its log does not reach back to what was acknowledged, so nobody is asked about it.
            return Ok("made whole by a snapshot");
        }
        thread::sleep(Duration::from_millis(20));
    }
    // A later leader does not know what was acknowledged to this one.
    let is_led_on = stage.cluster.await_leader()? == (leader, term);
    ensure!(!is_led_on, "node {} was put back, and its leader {} does not say so", at + 1, leader + 1);
    Ok("leader changed")
}

/// What a leader has said of a member so far.
struct Said {
    /// How often, that it has lost something.
    noticed: usize,
    /// How often, that it is sent a snapshot.
    sent: usize,
}

impl Said {
    fn of(stage: &Stage<'_>, leader: usize, member: usize) -> Result<Self> {
        let log = stage.cluster.log(leader)?;
        let to = format!("to: {},", member + 1);
        let is_sending = |line: &&str| line.contains("sending a snapshot") && line.contains(&to);
        Ok(Self { noticed: log.matches(NOTICE).count(), sent: log.lines().filter(is_sending).count() })
    }
}

const NOTICED: &str = "noticed";
/// What a leader says of a member that no longer has what it acknowledged.
pub(super) const NOTICE: &str = "a peer has lost what it acknowledged";
const NOTICE_PATIENCE: Duration = Duration::from_secs(3);
