//! Power cuts: all nodes die at once, and their file system forgets what was not synced (F1, F10, F18).

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::cluster::{PATIENCE, SIZE};
use crate::disk::Disk;
use crate::stage::{Place, Stage, Tally};

const ROUNDS: u32 = 4;
const DISK_MIB: u64 = 64;

/// Cuts the power of a whole cluster again and again.
pub(crate) fn run(place: Place<'_>, tally: &mut Tally) -> Result<()> {
    let disk = Disk::new(place.root, DISK_MIB)?;
    let mut stage = Stage::set(place, disk.path(), &[], tally)?;
    for _ in 0..ROUNDS {
        let millis = stage.dice.between(0, 1500);
        thread::sleep(Duration::from_millis(millis.into()));
        disk.cut_power()?;
        for at in 0..SIZE {
            stage.cluster.kill(at)?;
        }
        disk.restore_power()?;
        stage.count("power cut", 1);
        for at in 0..SIZE {
            stage.cluster.start_well(at)?;
        }
        stage.load.await_writes(100, PATIENCE)?;
        stage.load.ledger().check()?;
    }
    stage.judge()
}
