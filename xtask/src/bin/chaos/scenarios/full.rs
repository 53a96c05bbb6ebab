//! A disk that is really full, and has room again later (F12).

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::{Ending, PATIENCE, SIZE, Start};
use crate::disk::Disk;
use crate::stage::{Place, Stage, Tally};

const ROUNDS: u32 = 3;
/// The directories take a few hundred KiB each.
const DISK_MIB: u64 = 16;

/// Fills a disk that all nodes share, so that they all meet its end. None of them stops; one that is killed
/// meanwhile may find no room to start again.
pub(crate) fn run(place: Place<'_>, tally: &mut Tally) -> Result<()> {
    let disk = Disk::new(place.root, DISK_MIB)?;
    let mut stage = Stage::set(place, disk.path(), &[], tally)?;
    let filler = disk.path().join("filler");
    for _ in 0..ROUNDS {
        fill(&filler)?;
        let waits_before = waits(&stage)?;
        let millis = stage.dice.between(500, 3000);
        thread::sleep(Duration::from_millis(millis.into()));
        check_running(&mut stage)?;
        let at = stage.draw_node();
        stage.cluster.kill(at)?;
        stage.cluster.start(at, None)?;
        match stage.cluster.await_start(at)? {
            Start::Ended(ending) => {
                check_words(&ending)?;
                stage.count("refused", 0);
            }
            Start::Ready => stage.count("started without room", 0),
        }
        for _ in waits_before..waits(&stage)? {
            stage.count("waited", 1);
        }
        fs::remove_file(&filler)?;
        if !stage.cluster.is_running(at) {
            stage.cluster.start_well(at)?;
        }
        stage.load.await_writes(100, PATIENCE)?;
        check_running(&mut stage)?;
        stage.load.ledger().check()?;
    }
    stage.judge()
}

/// How often nodes have said that they wait for room.
fn waits(stage: &Stage<'_>) -> Result<usize> {
    (0..SIZE).map(|at| Ok(stage.cluster.log(at)?.matches("requests wait").count())).sum()
}

/// A full disk stops nobody.
fn check_running(stage: &mut Stage<'_>) -> Result<()> {
    for at in 0..SIZE {
        if let Some(ending) = stage.cluster.ending_within(at, Duration::ZERO)? {
            bail!("node {} ended on a full disk: {}", at + 1, ending.last_words);
        }
    }
    Ok(())
}

/// Who finds no room to start fails, and says so.
fn check_words(ending: &Ending) -> Result<()> {
    let Ending { status, last_words, .. } = ending;
    ensure!(status.code().is_some_and(|code| code != 0), "a node ended with {status}: {last_words}");
    ensure!(last_words.starts_with("raft-kv: "), "a node died without a word: {last_words}");
    let says_why = last_words.contains("No space left on device");
    ensure!(says_why, "a node does not say that the disk is full: {last_words}");
    Ok(())
}

/// Takes all room that is left.
fn fill(filler: &Path) -> Result<()> {
    let mut file = File::create(filler).context("cannot fill the disk")?;
    let page = [0x55; 1024];
    while file.write_all(&page).is_ok() {}
    Ok(())
}
