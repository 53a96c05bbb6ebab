//! A directory that is put back as it was earlier: docs/FAULTS.md says that the node itself cannot see
//! that, and that its leader does (F23, S85).

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
        stage.load.await_writes(200, PATIENCE)?;
        stage.cluster.stop(at)?;
        // From here on the other two have all that this one acknowledged, even if it forgets that.
        let other = SIZE - leader - at;
        stage.cluster.await_catch_up(other)?;
        let noticed_before = stage.cluster.log(leader)?.matches(NOTICE).count();
        let (_, term) = stage.cluster.await_leader()?;
        copy_dir(&dir, &own)?;
        copy_dir(&old, &dir)?;
        stage.cluster.start_well(at)?;
        let noticed = || Ok(stage.cluster.log(leader)?.matches(NOTICE).count() > noticed_before);
        let has_noticed = wait_for(noticed)?;
        if stage.cluster.await_leader()? == (leader, term) {
            ensure!(
                has_noticed,
                "node {} was put back, and its leader {} does not say so",
                at + 1,
                leader + 1
            );
            stage.count("noticed", 1);
        } else {
            // A new leader does not know what was acknowledged to the last one; it sends it again.
            stage.count("leader changed", 1);
        }
        stage.cluster.stop(at)?;
        copy_dir(&own, &dir)?;
        stage.cluster.start_well(at)?;
        // The leader that has said so sends nothing any more; the next one may.
        stage.cluster.kill(leader)?;
        stage.cluster.start_well(leader)?;
        stage.cluster.await_catch_up(at)?;
        fs::remove_dir_all(&old)?;
        fs::remove_dir_all(&own)?;
        stage.load.ledger().check()?;
    }
    Ok(())
}

fn wait_for(is_so: impl Fn() -> Result<bool>) -> Result<bool> {
    let deadline = Instant::now() + NOTICE_PATIENCE;
    while Instant::now() < deadline {
        if is_so()? {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

pub(super) const NOTICE: &str = "a peer has lost what it acknowledged";
const NOTICE_PATIENCE: Duration = Duration::from_secs(3);
