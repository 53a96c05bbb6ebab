//! What lies where: a top level that can be taken in at a glance, and no text that points outside
//! of the repository.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Finding;
use super::table::{FOREIGN_PLACES, TOP_LEVEL};
use crate::workspace;

/// Checks the top level and the text of all files.
pub(super) fn check_workspace() -> Result<Vec<Finding>> {
    let mut findings = top_level(&workspace::entries(Path::new(""))?);
    for path in workspace::files()? {
        // What is not text cannot mislead a reader.
        if let Ok(text) = fs::read_to_string(workspace::root().join(&path)) {
            findings.extend(foreign_places(&path.to_string_lossy(), &text));
        }
    }
    Ok(findings)
}

fn top_level(names: &[String]) -> Vec<Finding> {
    let is_foreign =
        |name: &&String| !name.starts_with('.') && *name != "target" && !TOP_LEVEL.contains(&name.as_str());
    let message = "does not belong at the top level; xtask/src/tidy/table.rs lists what does";
    names.iter().filter(is_foreign).map(|name| Finding::new(name, 0, message)).collect()
}

fn foreign_places(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for place in FOREIGN_PLACES.iter().filter(|place| line.contains(**place)) {
            let message = format!("mentions `{place}`, which readers of the repository do not have");
            findings.push(Finding::new(path, number + 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_at_the_top_level_is_found() {
        let names = ["raft-core", ".ci", "target", "notes.txt"].map(str::to_owned);
        let found = top_level(&names);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "notes.txt");
    }

    #[test]
    fn a_mention_of_a_foreign_place_is_found() {
        for place in FOREIGN_PLACES {
            let found = foreign_places("docs/A.md", &format!("one\ntwo {place} three\n"));
            assert_eq!((found.len(), found[0].line), (1, 2));
        }
        assert!(foreign_places("docs/A.md", "a shared place at work").is_empty());
    }
}
