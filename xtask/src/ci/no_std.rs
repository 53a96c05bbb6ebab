//! Proves that raft-proto and raft-core need no std, also on a machine whose only target has one.
//!
//! A scratch library that brings its own panic handler is linked with both. If anything below it
//! pulled in std, there would be two panic handlers, which the compiler refuses.

use std::fs;

use anyhow::{Context, Result};

use super::execute;
use crate::workspace;

const SOURCE: &str = r#"#![no_std]

use core::alloc::{GlobalAlloc, Layout};

extern crate raft_core;
extern crate raft_proto;

struct NoMemory;

unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
"#;

/// Builds the scratch library.
pub(super) fn run() -> Result<()> {
    let directory = workspace::target_dir().join("xtask-no-std");
    let write = |name: &str, content: &str| {
        let path = directory.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(directory.join("src"))
        .with_context(|| format!("cannot create {}", directory.display()))?;
    write("Cargo.toml", &manifest())?;
    write("src/lib.rs", SOURCE)?;
    // The same versions as everywhere else, and no look-up.
    fs::copy(workspace::root().join("Cargo.lock"), directory.join("Cargo.lock"))
        .context("cannot copy Cargo.lock")?;
    let mut command = workspace::cargo();
    command.arg("build").current_dir(&directory).env("CARGO_TARGET_DIR", directory.join("target"));
    execute(command)
}

fn manifest() -> String {
    let root = workspace::root().display();
    format!(
        r#"[package]
name = "xtask-no-std"
version = "0.0.0"
edition = "2024"
publish = false

[lib]
crate-type = ["staticlib"]

[dependencies]
raft-core = {{ path = "{root}/raft-core", default-features = false }}
raft-proto = {{ path = "{root}/raft-proto", default-features = false }}

[profile.dev]
panic = "abort"

[workspace]
"#
    )
}
