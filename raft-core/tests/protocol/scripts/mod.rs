//! Protocol stories: text scripts with the trace of what happened below each block of commands.
//!
//! The scripts are in `raft-core/tests/scripts`, whose README explains the language. After a change
//! that is meant to change a trace, run with `UPDATE_SCRIPTS=1` and review the difference like code.

mod clients;
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
    assert!(count >= 32, "{count} scripts found");
    assert!(differences.is_empty(), "{}\nUPDATE_SCRIPTS=1 rewrites the traces", differences.join("\n"));
}

/// Each section of the paper and the dissertation that tells how the protocol behaves has a story that
/// names it where it opens.
#[test]
fn every_section_has_a_story() {
    let openings: Vec<String> = script_paths()
        .iter()
        .map(|path| fs::read_to_string(path).expect("a readable script"))
        .map(|script| script.lines().take_while(|line| line.starts_with('#')).collect())
        .collect();
    let is_told = |section: &&&str| {
        let is_named = |opening: &String| {
            let mut ends = opening.match_indices(**section).map(|(at, _)| &opening[at + section.len()..]);
            ends.any(|rest| !rest.trim_start_matches('.').starts_with(|part: char| part.is_ascii_digit()))
        };
        openings.iter().any(is_named)
    };
    let untold: Vec<&&str> = SECTIONS.iter().filter(|section| !is_told(section)).collect();
    assert!(untold.is_empty(), "no story of {untold:?}");
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

/// What [`every_section_has_a_story`] asks for.
const SECTIONS: [&str; 23] = [
    "Raft §5.1",
    "Raft §5.2",
    "Raft §5.3",
    "Raft §5.4.1",
    "Raft §5.4.2",
    "Raft §5.4.3",
    "Raft §5.5",
    "Raft §5.6",
    "Raft §6",
    "Raft §8",
    "diss. §3.10",
    "diss. §4.2.1",
    "diss. §4.2.2",
    "diss. §4.2.3",
    "diss. §4.2.4",
    "diss. §4.3",
    "diss. §6.2",
    "diss. §6.3",
    "diss. §6.4",
    "diss. §9.6",
    "diss. §10.2.1",
    "Raft figure 7",
    "Raft figure 8",
];
