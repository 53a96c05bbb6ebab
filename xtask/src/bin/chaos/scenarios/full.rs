//! A disk that is really full, and has room again later (F12).

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::{PATIENCE, SIZE, Start};
use crate::disk::Disk;
use crate::stage::{Stage, Tally};

const ROUNDS: u32 = 3;
/// The directories take a few hundred KiB each.
const DISK_KIB: u32 = 4096;

/// Fills a disk that all nodes share, so that they all meet its end.
pub(crate) fn run(binary: &Path, root: &Path, seed: u64) -> Result<Tally> {
    let disk = Disk::in_memory(&root.join("disk"), DISK_KIB)?;
    let mut stage = Stage::set(binary, root, disk.path(), seed, &[])?;
    let filler = disk.path().join("filler");
    for _ in 0..ROUNDS {
        fill(&filler)?;
        let mut stopped = 0;
        let millis = stage.dice.between(500, 3000);
        thread::sleep(Duration::from_millis(millis.into()));
        for at in 0..SIZE {
            if let Some(ending) = stage.cluster.ending_within(at, Duration::ZERO)? {
                ensure!(!ending.status.success(), "node {} ended as if all were well", at + 1);
                check_words(&ending.last_words)?;
                stage.count("stopped", 1);
                stopped += 1;
                // Without room it says so again, or starts and does with what it has.
                stage.cluster.start(at, None)?;
                match stage.cluster.await_start(at)? {
                    Start::Ended(ending) => {
                        check_words(&ending.last_words)?;
                        stage.count("refused", 0);
                    }
                    Start::Ready => stage.count("started without room", 0),
                }
            }
        }
        fs::remove_file(&filler)?;
        if stopped == 0 {
            stage.count("went on", 1);
        }
        for at in 0..SIZE {
            if !stage.cluster.is_running(at) || stage.cluster.ending_within(at, Duration::ZERO)?.is_some() {
                stage.cluster.start_well(at)?;
            }
        }
        stage.load.await_writes(100, PATIENCE)?;
        stage.load.ledger().check()?;
    }
    stage.judge()
}

fn check_words(words: &str) -> Result<()> {
    ensure!(words.starts_with("raft-kv: "), "a node died without a word: {words}");
    ensure!(words.contains("No space left on device"), "a node does not say that the disk is full: {words}");
    Ok(())
}

/// Takes all room that is left.
fn fill(filler: &Path) -> Result<()> {
    let mut file = File::create(filler).context("cannot fill the disk")?;
    let page = [0x55; 4096];
    while file.write_all(&page).is_ok() {}
    Ok(())
}
