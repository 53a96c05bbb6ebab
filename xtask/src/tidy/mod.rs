//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy knows.
//!
//! Each rule is a file here, what it is measured against stands in `table`. Generated code is left
//! out; hand-written code has no list of exceptions.

mod core_only;
mod crates;
mod imports;
mod layout;
mod sizes;
mod source;
mod table;
mod tokens;

use std::fmt;

use anyhow::{Result, bail};

use self::source::SourceFile;
use crate::workspace;

/// One place that breaks one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// A path relative to the workspace, with forward slashes.
    path: String,
    /// Counted from one; zero if the whole file or directory is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Applies all rules to the workspace and prints what breaks them.
pub(crate) fn run() -> Result<()> {
    let sources = source::load(&workspace::files()?)?;
    let mut findings = layout::check_workspace()?;
    findings.extend(crates::check_workspace()?);
    for file in &sources {
        findings.extend(sizes::check(file));
        findings.extend(core_only::check(file));
    }
    findings.extend(imports::check(&sources));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} finding(s); the rules stand in xtask/src/tidy", findings.len());
    }
    println!("{} source files are tidy", sources.len());
    Ok(())
}
