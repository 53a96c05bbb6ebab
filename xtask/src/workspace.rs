//! Where the workspace is and which files belong to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};

/// The directory that holds the workspace's `Cargo.toml`.
///
/// Asked for at run time, since one build directory may serve several checkouts.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        xtask.parent().map_or(xtask.clone(), Path::to_path_buf)
    })
}

/// Cargo's build directory, where scratch files may go.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// All files below the root, as paths relative to it, sorted, without build output and hidden ones.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    files_of(root())
}

/// The same below the root of a copy of the workspace.
pub(crate) fn files_of(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for name in names_in(&root.join(&directory))? {
            let path = directory.join(&name);
            if name.starts_with('.') || path == Path::new("target") {
                continue;
            }
            let kind = fs::symlink_metadata(root.join(&path))?.file_type();
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The names in a directory given relative to the root.
pub(crate) fn entries(directory: &Path) -> Result<Vec<String>> {
    names_in(&root().join(directory))
}

fn names_in(path: &Path) -> Result<Vec<String>> {
    let listing = fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    listing.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// The cargo that runs us, at the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
