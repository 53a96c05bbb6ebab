//! `cargo xtask scenarios`: which row of docs/SCENARIOS.md is tested where.
//!
//! A test cites a row in a comment or in its name (`…_f9_s66`); what else cites it, code or prose,
//! shows nothing. A range such as "S76 to S82" cites its two ends only: a test that covers a row
//! should name it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::workspace;

const CATALOGUE: &str = "docs/SCENARIOS.md";

/// The catalogue's table of rows that are not for raft-core to meet.
const ELSEWHERE: &str = "\n## Held by other crates\n";

/// Whose tests cover a row that the table does not name.
const CORE: &str = "raft-core";

/// How `cargo xtask scenarios` was called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// List only the scenarios that no test cites
    #[arg(long)]
    gaps: bool,
    /// Fail if a scenario of groups A to H or L lacks a test in the crate that holds it
    #[arg(long)]
    check: bool,
}

/// A row's number: its letter, then the digits as a number, so that S9 comes before S10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scenario {
    group: char,
    number: u32,
}

impl Scenario {
    fn label(self) -> String {
        format!("{}{}", self.group, self.number)
    }

    /// Whether it is of the groups that are about Raft itself: A to H, and L.
    fn is_protocol(self) -> bool {
        self.group == 'S' && matches!(self.number, 1..=63 | 83..)
    }
}

/// Prints each scenario with the tests that cite it, or fails for those that lack one.
pub(crate) fn run(options: &Options) -> Result<()> {
    let catalogue = fs::read_to_string(workspace::root().join(CATALOGUE))
        .with_context(|| format!("cannot read {CATALOGUE}"))?;
    let mut tests: BTreeMap<Scenario, Vec<String>> =
        rows(&catalogue).into_iter().map(|scenario| (scenario, Vec::new())).collect();
    ensure!(!tests.is_empty(), "{CATALOGUE} has no rows");
    for path in workspace::files()? {
        let Ok(text) = fs::read_to_string(workspace::root().join(&path)) else { continue };
        let is_rust = path.extension().is_some_and(|end| end == "rs");
        let Some(first_line) = first_test_line(&path, &text) else { continue };
        for (scenario, place) in citations(&text, is_rust, first_line) {
            if let Some(places) = tests.get_mut(&scenario) {
                places.push(format!("{}{place}", path.display()));
            }
        }
    }
    if options.check {
        return check(&tests, &elsewhere(&catalogue)?);
    }
    print(&tests, options.gaps);
    Ok(())
}

/// The check that belongs to the gate.
pub(crate) fn gate() -> Result<()> {
    run(&Options { gaps: false, check: true })
}

/// Each row about Raft itself has a test in the crate that holds it.
fn check(tests: &BTreeMap<Scenario, Vec<String>>, elsewhere: &BTreeMap<Scenario, String>) -> Result<()> {
    let owner = |scenario: &Scenario| elsewhere.get(scenario).map_or(CORE, String::as_str);
    let is_missing = |(scenario, places): &(&Scenario, &Vec<String>)| {
        scenario.is_protocol() && !places.iter().any(|place| Path::new(place).starts_with(owner(scenario)))
    };
    let missing: Vec<String> = tests
        .iter()
        .filter(is_missing)
        .map(|(scenario, _)| format!("{} by {}", scenario.label(), owner(scenario)))
        .collect();
    ensure!(missing.is_empty(), "no test cites these scenarios: {}", missing.join(", "));
    println!("every scenario of groups A to H and L has a test");
    Ok(())
}

fn print(tests: &BTreeMap<Scenario, Vec<String>>, only_gaps: bool) {
    for (scenario, places) in tests {
        let label = scenario.label();
        match places.as_slice() {
            [] => println!("{label:<5} -"),
            _ if only_gaps => {}
            [first, rest @ ..] => {
                println!("{label:<5} {first}");
                rest.iter().for_each(|place| println!("      {place}"));
            }
        }
    }
    let tested = tests.values().filter(|places| !places.is_empty()).count();
    println!("{tested} of {} scenarios are cited by tests", tests.len());
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

/// The rows that another crate than raft-core holds, and which.
fn elsewhere(catalogue: &str) -> Result<BTreeMap<Scenario, String>> {
    let (_, table) = catalogue.split_once(ELSEWHERE).context("the table of other crates' rows is missing")?;
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((scenario(cells.next()?)?, cells.next()?.to_owned()))
    };
    Ok(table.lines().filter_map(row).collect())
}

/// Where the tests of a file begin: at its top below a directory or in a file named `tests`, at its
/// `mod tests` in other Rust sources. Prose has none, wherever it lies.
fn first_test_line(path: &Path, text: &str) -> Option<usize> {
    let is_test = path.with_extension("").iter().any(|part| part == "tests");
    match path.extension()?.to_str()? {
        "rs" if is_test => Some(0),
        "rs" => text.lines().position(|line| line == "mod tests {"),
        "txt" if is_test => Some(0),
        _ => None,
    }
}

fn scenario(word: &str) -> Option<Scenario> {
    let group = word.chars().next().filter(|group| "FNSW".contains(*group))?;
    let digits = &word[1..];
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    Some(Scenario { group, number: if is_plain { digits.parse().ok()? } else { return None } })
}

/// What a text cites from a line on, and where: `::function` if the comment stands on a function, else
/// `:line`.
fn citations(text: &str, is_rust: bool, first_line: usize) -> Vec<(Scenario, String)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate().skip(first_line) {
        let name = if is_rust { function_at(line) } else { None };
        let said = match line.split_once("//") {
            _ if name.is_some() => name.clone().unwrap_or_default().to_uppercase().replace('_', " "),
            Some((_, comment)) if is_rust => comment.to_owned(),
            None if is_rust => continue,
            Some(_) | None => (*line).to_owned(),
        };
        let function = if is_rust { name.or_else(|| function_below(&lines[number..])) } else { None };
        for scenario in said.split(|part: char| !part.is_ascii_alphanumeric()).filter_map(scenario) {
            let place =
                function.as_ref().map_or_else(|| format!(":{}", number + 1), |name| format!("::{name}"));
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
    function_at(lines.iter().find(|line| !is_between(line))?)
}

/// The name of the function that begins in this line.
fn function_at(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let is_start = before.split_whitespace().all(|word| word.starts_with("pub") || word == "const");
    let name = after.chars().take_while(|part| part.is_alphanumeric() || *part == '_').collect();
    is_start.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cited(text: &str, is_rust: bool) -> Vec<String> {
        let citations = citations(text, is_rust, 0);
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
        assert_eq!(cited("fn gone_f9_s66() {\n", true), ["F9::gone_f9_s66", "S66::gone_f9_s66"]);
    }

    #[test]
    fn only_tests_count() {
        let first =
            |path: &str| first_test_line(Path::new(path), "// S1\n#[cfg(test)]\nmod tests {\n// S2\n}");
        assert_eq!(first("raft-core/tests/protocol/reads.rs"), Some(0));
        assert_eq!(first("raft-kv-example/src/server/tests.rs"), Some(0));
        assert_eq!(first("raft-core/tests/scripts/election.txt"), Some(0));
        assert_eq!(first("raft-core/src/wire.rs"), Some(2));
        assert_eq!(first("raft-core/tests/scripts/README.md"), None);
        assert_eq!(first("docs/FAULTS.md"), None);
    }

    #[test]
    fn a_row_must_be_tested_where_it_is_held() {
        let table =
            format!("| S1 |{ELSEWHERE}\n| # | crate | why |\n|---|---|---|\n| S60 | raft-storage | x |\n");
        let held = elsewhere(&table).expect("a table");
        let by =
            |place: &str| BTreeMap::from([(Scenario { group: 'S', number: 60 }, vec![place.to_owned()])]);
        assert!(check(&by("raft-storage/tests/crash.rs:4"), &held).is_ok());
        assert!(check(&by("raft-core/tests/conformance.rs:1"), &held).is_err());
        assert!(check(&by("raft-core/tests/conformance.rs:1"), &BTreeMap::new()).is_ok());
    }

    #[test]
    fn words_that_only_look_alike_do_not_count() {
        assert!(cited("// S, FS1, S1x, s7, NS7, S01, S_1", true).is_empty());
        assert_eq!(cited("(see S48).", false), ["S48:1"]);
    }
}
