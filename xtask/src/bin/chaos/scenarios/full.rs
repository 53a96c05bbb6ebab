//! A disk that is really full, and has room again later (F12).

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::{Ending, PATIENCE, SIZE, Start};
use crate::disk::Disk;
use crate::stage::{Place, Stage, Tally};

const ROUNDS: u32 = 3;
/// The directories take a few hundred KiB each.
const DISK_MIB: u64 = 16;

/// Fills a disk that all nodes share, so that they all meet its end.
pub(crate) fn run(place: Place<'_>, tally: &mut Tally) -> Result<()> {
    let disk = Disk::new(place.root, DISK_MIB)?;
    let mut stage = Stage::set(place, disk.path(), &[], tally)?;
    let filler = disk.path().join("filler");
    for _ in 0..ROUNDS {
        fill(&filler)?;
        let millis = stage.dice.between(500, 3000);
        thread::sleep(Duration::from_millis(millis.into()));
        for at in bury_stopped(&mut stage)? {
            // Without room it says so again, or starts and does with what it has.
            stage.cluster.start(at, None)?;
            match stage.cluster.await_start(at)? {
                Start::Ended(ending) => {
                    check_words(&ending)?;
                    stage.count("refused", 0);
                }
                Start::Ready => stage.count("started without room", 0),
            }
        }
        fs::remove_file(&filler)?;
        // One that stops just now has met the end of the disk as well.
        thread::sleep(LAST_GASP);
        bury_stopped(&mut stage)?;
        for at in 0..SIZE {
            if !stage.cluster.is_running(at) {
                stage.cluster.start_well(at)?;
            }
        }
        stage.load.await_writes(100, PATIENCE)?;
        stage.load.ledger().check()?;
    }
    stage.judge()
}

/// Looks which nodes have stopped, and what they said.
fn bury_stopped(stage: &mut Stage<'_>) -> Result<Vec<usize>> {
    let mut stopped = Vec::new();
    for at in 0..SIZE {
        if !stage.cluster.is_running(at) {
            continue;
        }
        if let Some(ending) = stage.cluster.ending_within(at, Duration::ZERO)? {
            check_words(&ending)?;
            stage.count("stopped", 1);
            stopped.push(at);
        }
    }
    Ok(stopped)
}

/// Who stops because of a full disk fails, and says so.
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

/// How long a node may take to end after its disk has failed it.
const LAST_GASP: Duration = Duration::from_millis(500);
