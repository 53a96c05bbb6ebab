//! Writes runs down: as a page for people, failures made small first, or as a trace for a specification.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use raft_core::sim::{Failure, Options, Recording, shrink};

use crate::mode::Mode;

/// Where pages of failures go.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sim");

/// How much is told of what led to a failure, for whoever does not open its page.
const STORY_LINES: usize = 20;

/// Makes a failure small, tells what led to it, and writes its page.
pub(crate) fn view_failure(mode: Mode, options: &Options, failure: &Failure) -> Result<()> {
    let shrunk = shrink(failure.clone(), options, |seed, options| mode.run(seed, options));
    let seed = shrunk.failure.seed;
    let command = mode.command(seed, &shrunk.options);
    println!("shrunk in {} runs: {}\nreplay: {command}\nwhat led to it:", shrunk.runs, shrunk.failure);
    let recording = mode.record(seed, &shrunk.options);
    recording.story(STORY_LINES).iter().for_each(|line| println!("  {line}"));
    fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot make {DIRECTORY}"))?;
    let page = Path::new(DIRECTORY).join(format!("seed-{}.html", failure.seed));
    write_page(&page, &recording, &command)
}

/// Runs a seed and writes its page, whether it fails or not.
pub(crate) fn view_seed(mode: Mode, seed: u64, options: &Options, page: &Path) -> Result<()> {
    let recording = mode.record(seed, options);
    write_page(page, &recording, &mode.command(seed, options))?;
    match recording.failure() {
        None => println!("{mode}: seed {seed} keeps every property for {} steps", recording.steps()),
        Some(failure) => return Err(failure.clone().into()),
    }
    Ok(())
}

/// Runs a seed and writes what the nodes did, a line per event.
pub(crate) fn write_trace(mode: Mode, seed: u64, options: &Options, path: &Path) -> Result<()> {
    let (events, result) = mode.trace(seed, options);
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut file = BufWriter::new(file);
    for event in &events {
        writeln!(file, "{event}")?;
    }
    file.flush()?;
    println!("{mode}: seed {seed}, {} events in {}", events.len(), path.display());
    result.map(drop).map_err(Into::into)
}

fn write_page(path: &Path, recording: &Recording, command: &str) -> Result<()> {
    fs::write(path, recording.page(command)).with_context(|| format!("cannot write {}", path.display()))?;
    let absolute = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    println!("look at file://{}", absolute.display());
    Ok(())
}
