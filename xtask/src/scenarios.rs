//! `cargo xtask scenarios`: which row of docs/SCENARIOS.md is cited where.
//!
//! Citations are looked for in the comments of Rust files and anywhere in other text. A range such
//! as "S76 to S82" cites its two ends only: a test that covers a row should name it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::workspace;

const CATALOGUE: &str = "docs/SCENARIOS.md";

/// How `cargo xtask scenarios` was called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// List only the scenarios that nothing cites
    #[arg(long)]
    gaps: bool,
}

/// A row's number: its letter, then the digits as a number, so that S9 comes before S10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scenario {
    group: char,
    number: u32,
}

/// Prints each scenario with the places that cite it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let catalogue = fs::read_to_string(workspace::root().join(CATALOGUE))
        .with_context(|| format!("cannot read {CATALOGUE}"))?;
    let mut places: BTreeMap<Scenario, Vec<String>> =
        rows(&catalogue).into_iter().map(|scenario| (scenario, Vec::new())).collect();
    ensure!(!places.is_empty(), "{CATALOGUE} has no rows");
    for path in workspace::files()? {
        let name = path.to_string_lossy();
        let Ok(text) = fs::read_to_string(workspace::root().join(&path)) else { continue };
        if [CATALOGUE, "Cargo.lock", "xtask/src/scenarios.rs"].contains(&&*name) {
            continue;
        }
        for (scenario, place) in citations(&text, name.ends_with(".rs")) {
            if let Some(places) = places.get_mut(&scenario) {
                places.push(format!("{name}{place}"));
            }
        }
    }
    print(&places, options.gaps);
    Ok(())
}

fn print(places: &BTreeMap<Scenario, Vec<String>>, only_gaps: bool) {
    for (Scenario { group, number }, places) in places {
        let label = format!("{group}{number}");
        match places.as_slice() {
            [] => println!("{label:<5} -"),
            _ if only_gaps => {}
            [first, rest @ ..] => {
                println!("{label:<5} {first}");
                rest.iter().for_each(|place| println!("      {place}"));
            }
        }
    }
    let cited = places.values().filter(|places| !places.is_empty()).count();
    println!("{cited} of {} scenarios are cited", places.len());
}

/// The numbers in the first column of the catalogue's tables.
fn rows(catalogue: &str) -> Vec<Scenario> {
    let first_cell = |line: &str| line.strip_prefix("| ")?.split(" |").next().map(str::to_owned);
    catalogue
        .lines()
        .filter_map(first_cell)
        .filter_map(|cell| scenario(cell.trim_end_matches(" *")))
        .collect()
}

fn scenario(word: &str) -> Option<Scenario> {
    let group = word.chars().next().filter(|group| "FNSW".contains(*group))?;
    let digits = &word[1..];
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    Some(Scenario { group, number: if is_plain { digits.parse().ok()? } else { return None } })
}

/// What a text cites and where: `::function` if the comment stands on a function, else `:line`.
fn citations(text: &str, is_rust: bool) -> Vec<(Scenario, String)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let said = match line.split_once("//") {
            Some((_, comment)) if is_rust => comment,
            None if is_rust => continue,
            Some(_) | None => line,
        };
        for scenario in said.split(|part: char| !part.is_ascii_alphanumeric()).filter_map(scenario) {
            let function = is_rust.then(|| function_below(&lines[number..])).flatten();
            let place = function.map_or_else(|| format!(":{}", number + 1), |name| format!("::{name}"));
            if !found.contains(&(scenario, place.clone())) {
                found.push((scenario, place));
            }
        }
    }
    found
}

/// The function that a comment stands on, with nothing but comments and attributes between.
fn function_below(lines: &[&str]) -> Option<String> {
    let is_between =
        |line: &&&str| line.trim_start().starts_with("//") || line.trim_start().starts_with("#[");
    let line = lines.iter().find(|line| !is_between(line))?;
    let (before, after) = line.split_once("fn ")?;
    let is_start = before.split_whitespace().all(|word| word.starts_with("pub") || word == "const");
    let name: String = after.chars().take_while(|part| part.is_alphanumeric() || *part == '_').collect();
    is_start.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cited(text: &str, is_rust: bool) -> Vec<String> {
        let citations = citations(text, is_rust);
        citations.iter().map(|(s, place)| format!("{}{}{place}", s.group, s.number)).collect()
    }

    #[test]
    fn rows_are_the_first_cells_of_tables() {
        let rows = rows("| # | fault |\n|---|---|\n| F1 | as F5 |\n| S10 * | x |\nS11\n");
        assert_eq!(rows, [Scenario { group: 'F', number: 1 }, Scenario { group: 'S', number: 10 }]);
    }

    #[test]
    fn a_citation_names_the_function_it_stands_on() {
        let text = "/// Scenarios N2, S7: big.\n#[test]\nfn big() {\n    let s8 = S8; // F9\n}\n";
        assert_eq!(cited(text, true), ["N2::big", "S7::big", "F9:4"]);
    }

    #[test]
    fn words_that_only_look_alike_do_not_count() {
        assert!(cited("// S, FS1, S1x, s7, NS7, S01, S_1", true).is_empty());
        assert_eq!(cited("(see S48).", false), ["S48:1"]);
    }
}
