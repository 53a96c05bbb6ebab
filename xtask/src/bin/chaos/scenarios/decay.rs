//! Broken, shortened, missing and foreign files of stopped nodes: F4 to F8, F14 to F16, F22 to F24, F27.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::cluster::{Ending, PATIENCE, SIZE, Start, copy_dir};
use crate::stage::Stage;

const ROUNDS: u32 = 8;

/// What is done to a directory.
#[derive(Clone, Copy, Debug)]
enum Damage {
    File(FileDamage),
    SwapDirectories,
    Lose,
    StartTwice,
    StartAsAnother,
}

/// What is done to a file of it.
#[derive(Clone, Copy, Debug)]
enum FileDamage {
    Flip,
    Cut,
    Delete,
    Swap,
}

/// Some of them several times, so that they are drawn more often.
const DAMAGES: [Damage; 14] = [
    Damage::File(FileDamage::Flip),
    Damage::File(FileDamage::Flip),
    Damage::File(FileDamage::Flip),
    Damage::File(FileDamage::Flip),
    Damage::File(FileDamage::Flip),
    Damage::File(FileDamage::Cut),
    Damage::File(FileDamage::Cut),
    Damage::File(FileDamage::Delete),
    Damage::File(FileDamage::Delete),
    Damage::File(FileDamage::Swap),
    Damage::SwapDirectories,
    Damage::Lose,
    Damage::StartTwice,
    Damage::StartAsAnother,
];

/// Damages directory after directory.
pub(crate) fn play(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..ROUNDS {
        match *stage.dice.pick(&DAMAGES) {
            Damage::File(damage) => damage_file(stage, damage)?,
            Damage::SwapDirectories => swap_directories(stage)?,
            Damage::Lose => lose_directory(stage)?,
            Damage::StartTwice => start_twice(stage)?,
            Damage::StartAsAnother => start_as_another(stage)?,
        }
        stage.load.ledger().check()?;
    }
    Ok(())
}

fn damage_file(stage: &mut Stage<'_>, damage: FileDamage) -> Result<()> {
    let at = stage.draw_node();
    let (dir, own) = (stage.cluster.data_dir(at).to_owned(), stage.cluster.root().join("own"));
    // An orderly end vouches for everything: from here on nothing may pass for an interrupted write.
    stage.cluster.stop(at)?;
    copy_dir(&dir, &own)?;
    let what = break_something(stage, damage, &dir)?;
    let losses = count_noticed_losses(stage)?;
    stage.cluster.start(at, None)?;
    match stage.cluster.await_start(at)? {
        Start::Ready => {
            stage.cluster.await_catch_up(at)?;
            stage.load.await_writes(50, PATIENCE)?;
            ensure!(count_noticed_losses(stage)? == losses, "node {} forgot entries: {what}", at + 1);
            stage.count("harmless", 1);
        }
        Start::Ended(ending) => {
            check_refusal(&ending, &dir, &what)?;
            stage.note_words(format!("{what}: {}", ending.last_words));
            stage.count("refused", 1);
            copy_dir(&own, &dir)?;
            stage.bring_back(at)?;
        }
    }
    Ok(fs::remove_dir_all(&own)?)
}

/// Breaks files, and tells how.
fn break_something(stage: &mut Stage<'_>, damage: FileDamage, dir: &Path) -> Result<String> {
    let path = draw_file(stage, dir)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = fs::metadata(&path)?.len();
    let offset = stage.dice.next() % bytes.max(1);
    match damage {
        FileDamage::Flip => {
            let bit = stage.dice.between(0, 7);
            let file = File::options().read(true).write(true).open(&path)?;
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset)?;
            file.write_all_at(&[byte[0] ^ 1 << bit], offset)?;
            Ok(format!("bit {bit} of byte {offset} of {name} flipped"))
        }
        FileDamage::Cut => {
            File::options().write(true).open(&path)?.set_len(offset)?;
            Ok(format!("{name} cut from {bytes} to {offset} bytes"))
        }
        FileDamage::Delete => {
            fs::remove_file(&path)?;
            Ok(format!("{name} deleted"))
        }
        FileDamage::Swap => {
            let other = draw_file(stage, dir)?;
            let aside = dir.join("aside");
            fs::rename(&path, &aside)?;
            // If it is the same file twice, it is now gone from its place.
            if other != path {
                fs::rename(&other, &path)?;
            }
            fs::rename(&aside, &other)?;
            Ok(format!("{name} and {} swapped", other.display()))
        }
    }
}

fn draw_file(stage: &mut Stage<'_>, dir: &Path) -> Result<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        // Whoever holds the lock writes into its file, nobody reads it to know anything.
        if path.file_name().is_some_and(|name| name != "lock") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(stage.dice.pick(&paths).clone())
}

fn swap_directories(stage: &mut Stage<'_>) -> Result<()> {
    let one = stage.draw_node();
    let two = (one + 1) % SIZE;
    let dirs = [one, two].map(|at| stage.cluster.data_dir(at).to_owned());
    let aside = stage.cluster.root().join("aside");
    stage.cluster.stop(one)?;
    stage.cluster.stop(two)?;
    let swap = || {
        fs::rename(&dirs[0], &aside)?;
        fs::rename(&dirs[1], &dirs[0])?;
        fs::rename(&aside, &dirs[1])
    };
    swap()?;
    for at in [one, two] {
        expect_refusal(stage, at, "directories swapped")?;
    }
    swap()?;
    stage.cluster.start_well(one)?;
    stage.bring_back(two)
}

fn lose_directory(stage: &mut Stage<'_>) -> Result<()> {
    let at = stage.draw_node();
    let (dir, aside) = (stage.cluster.data_dir(at).to_owned(), stage.cluster.root().join("aside"));
    stage.cluster.stop(at)?;
    fs::rename(&dir, &aside)?;
    expect_refusal(stage, at, "directory lost")?;
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::rename(&aside, &dir)?;
    stage.bring_back(at)
}

fn expect_refusal(stage: &mut Stage<'_>, at: usize, what: &str) -> Result<()> {
    stage.cluster.start(at, None)?;
    match stage.cluster.await_start(at)? {
        Start::Ready => bail!("node {} started: {what}", at + 1),
        Start::Ended(ending) => {
            check_refusal(&ending, stage.cluster.data_dir(at), what)?;
            stage.note_words(format!("{what}: {}", ending.last_words));
            stage.count("refused", 1);
            Ok(())
        }
    }
}

fn start_twice(stage: &mut Stage<'_>) -> Result<()> {
    let at = stage.draw_node();
    let words = stage.cluster.refusal(at + 1, stage.cluster.data_dir(at))?;
    ensure!(words.contains("another process"), "a second process says: {words}");
    stage.note_words(format!("started twice: {words}"));
    stage.count("refused", 1);
    Ok(())
}

fn start_as_another(stage: &mut Stage<'_>) -> Result<()> {
    let at = stage.draw_node();
    let copy = stage.cluster.root().join("copy");
    stage.cluster.stop(at)?;
    copy_dir(stage.cluster.data_dir(at), &copy)?;
    let words = stage.cluster.refusal((at + 1) % SIZE + 1, &copy)?;
    ensure!(words.contains("belongs to node"), "a node with another's directory says: {words}");
    stage.note_words(format!("started with a copy of another's directory: {words}"));
    stage.count("refused", 1);
    fs::remove_dir_all(&copy)?;
    stage.bring_back(at)
}

/// A refusal fails, names what is broken and says what to do.
fn check_refusal(ending: &Ending, dir: &Path, what: &str) -> Result<()> {
    let Ending { status, last_words, .. } = ending;
    ensure!(status.code().is_some_and(|code| code != 0), "{what}: it ended with {status}: {last_words}");
    let names_place = last_words.contains(dir.to_string_lossy().as_ref());
    ensure!(last_words.starts_with("raft-kv: ") && names_place, "{what}: an unclear refusal: {last_words}");
    Ok(())
}

/// How often nodes have said of others that they forgot something.
fn count_noticed_losses(stage: &Stage<'_>) -> Result<usize> {
    let logs = (0..SIZE).map(|at| stage.cluster.log(at)).collect::<Result<Vec<_>>>()?;
    Ok(logs.iter().map(|log| log.matches(super::rollback::NOTICE).count()).sum())
}
