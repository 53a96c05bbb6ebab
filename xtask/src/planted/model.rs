//! `cargo xtask model --planted`: bugs that are known are planted one after the other, and the exploration
//! that their header names has to find them. What explores all states and finds nothing would else prove
//! nothing: its bounds may be too narrow for anything to happen.

use std::iter;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use super::catalogue::{self, Bug};
use super::choose;
use super::scratch::Scratch;

/// Plant known bugs in a copy of the sources and find them by exploring all states.
#[derive(Parser)]
#[command(name = "cargo xtask model --planted", bin_name = "cargo xtask model --planted")]
struct Options {
    /// Only these bugs
    names: Vec<String>,
}

/// The arguments behind `--planted`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse_from(iter::once("model").chain(arguments.iter().map(String::as_str)));
    let mut bugs = catalogue::all()?;
    bugs.retain(|bug| bug.exploration.is_some());
    let bugs = choose(bugs, &options.names)?;
    let scratch = Scratch::new();
    let mut found = 0;
    for bug in &bugs {
        let verdict = match find(&scratch, bug) {
            Ok(Some(verdict)) => {
                found += 1;
                verdict
            }
            Ok(None) => "NOT FOUND".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        let explored = bug.exploration.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
        println!("{}: {}\n    {explored}\n    {verdict}", bug.name, bug.story);
    }
    scratch.reset()?;
    println!("{found} of {} planted bugs are found", bugs.len());
    Ok(if found == bugs.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the exploration says about the bug.
fn find(scratch: &Scratch, bug: &Bug) -> Result<Option<String>> {
    scratch.plant(bug)?;
    scratch.build("model", "model")?;
    scratch.explore(bug.exploration.as_deref().unwrap_or_default())
}
