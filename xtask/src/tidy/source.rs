//! Our Rust files, parsed, with the place they have in their crate.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use proc_macro2::TokenStream;

use super::table;
use crate::workspace;

/// One hand-written Rust file.
pub(super) struct SourceFile {
    /// Relative to the workspace, with forward slashes.
    pub(super) path: String,
    /// The directory of its crate.
    pub(super) krate: String,
    /// Its module path inside the crate, empty for the crate's root; `None` for tests, benches,
    /// examples and further binaries, which are crates of their own.
    pub(super) module: Option<Vec<String>>,
    /// Its content.
    pub(super) text: String,
    /// The same, parsed.
    pub(super) syntax: syn::File,
    /// The same as tokens, which also show what stands inside macro calls.
    pub(super) tokens: TokenStream,
}

/// Reads the Rust files among `paths`, except generated ones.
pub(super) fn load(paths: &[PathBuf]) -> Result<Vec<SourceFile>> {
    let mut sources = Vec::new();
    for path in paths {
        let generated = path.iter().any(|part| part == table::GENERATED_DIR);
        if !generated && path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(workspace::root().join(path))
                .with_context(|| format!("cannot read {}", path.display()))?;
            sources.push(SourceFile::parse(&path.to_string_lossy().replace('\\', "/"), &text)?);
        }
    }
    Ok(sources)
}

impl SourceFile {
    /// Parses one file.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self> {
        let syntax = syn::parse_file(text).with_context(|| format!("cannot parse {path}"))?;
        let tokens: TokenStream =
            text.parse().map_err(|error| anyhow::anyhow!("cannot split {path} into tokens: {error}"))?;
        let (krate, inside) = path.split_once('/').unwrap_or(("", path));
        Ok(Self {
            path: path.to_owned(),
            krate: krate.to_owned(),
            module: module_path(inside),
            text: text.to_owned(),
            syntax,
            tokens,
        })
    }
}

fn module_path(inside: &str) -> Option<Vec<String>> {
    let path = inside.strip_prefix("src/")?.strip_suffix(".rs")?;
    if path.starts_with("bin/") {
        return None;
    }
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let is_root = path == "lib" || path == "main";
    Some(if is_root { Vec::new() } else { path.split('/').map(str::to_owned).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_know_their_module() {
        let module = |path: &str| SourceFile::parse(path, "").unwrap().module.map(|path| path.join("::"));
        assert_eq!(module("raft-core/src/lib.rs").as_deref(), Some(""));
        assert_eq!(module("raft-core/src/log.rs").as_deref(), Some("log"));
        assert_eq!(module("raft-core/src/log/mod.rs").as_deref(), Some("log"));
        assert_eq!(module("raft-core/src/log/tail.rs").as_deref(), Some("log::tail"));
        assert_eq!(module("raft-core/tests/log.rs"), None);
        assert_eq!(module("raft-core/src/bin/tool.rs"), None);
    }
}
