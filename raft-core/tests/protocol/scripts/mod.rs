//! Protocol stories: text scripts with the trace of what happened below each block of commands.
//!
//! The scripts are in `raft-core/tests/scripts`, whose README explains the language. After a change
//! that is meant to change a trace, run with `UPDATE_SCRIPTS=1` and review the difference like code.

mod trace;
mod world;

use std::fs;
use std::path::{Path, PathBuf};

use world::World;

/// Every script, played again, leaves the trace that was reviewed.
#[test]
fn every_script_plays_as_written() {
    let is_update = std::env::var_os("UPDATE_SCRIPTS").is_some();
    let (mut count, mut differences) = (0, Vec::new());
    for path in script_paths() {
        let written = fs::read_to_string(&path).expect("a readable script");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        assert!(written.starts_with("# "), "{name}: a script opens with its story");
        let played = play(&name, &written);
        if is_update {
            fs::write(&path, &played).expect("a writable script");
        } else if let Some(difference) = first_difference(&written, &played) {
            differences.push(format!("{name}: {difference}"));
        }
        count += 1;
    }
    assert!(count >= 13, "{count} scripts found");
    assert!(differences.is_empty(), "{}\nUPDATE_SCRIPTS=1 rewrites the traces", differences.join("\n"));
}

fn script_paths() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = fs::read_dir(directory).expect("the directory of scripts");
    let paths = entries.map(|entry| entry.expect("a directory entry").path());
    let mut scripts: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    scripts.sort();
    scripts
}

/// Plays a script; its text with the traces that came out.
fn play(name: &str, script: &str) -> String {
    let mut world = World::default();
    let mut blocks = Vec::new();
    for block in script.trim_end().split("\n\n") {
        let source: Vec<&str> = block.lines().take_while(|line| *line != RULE).collect();
        for line in source.iter().filter(|line| !line.starts_with('#')) {
            world.command(line).unwrap_or_else(|error| panic!("{name}: `{line}`: {error}"));
        }
        let trace = world.take_trace();
        let played = if trace.is_empty() { Vec::new() } else { vec![RULE.to_owned()] };
        let lines = source.into_iter().map(str::to_owned).chain(played).chain(trace);
        blocks.push(lines.collect::<Vec<_>>().join("\n"));
    }
    blocks.join("\n\n") + "\n"
}

fn first_difference(written: &str, played: &str) -> Option<String> {
    if written == played {
        return None;
    }
    let pairs = written.lines().zip(played.lines()).zip(1..);
    let mut different = pairs.filter(|((written, played), _)| written != played);
    Some(match different.next() {
        Some(((written, played), line)) => format!("line {line}: wrote `{written}`, played `{played}`"),
        None => "one is longer than the other".to_owned(),
    })
}

/// Between commands and their trace.
const RULE: &str = "----";
