//! `cargo xtask codegen`: from the `.proto` file to two independent Rust implementations.
//!
//! prost's goes into the library, rust-protobuf's only into the wire tests, which make sure that
//! each reads what the other wrote. A pure-Rust parser reads the `.proto`, so no protoc is needed.

mod comments;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use protobuf::Message as _;

use crate::workspace;

const PROTO_DIR: &str = "raft-proto/proto";
const PROTO_FILE: &str = "raft-proto/proto/raft.proto";
const PROST_FILE: &str = "raft-proto/src/generated/raft.v1.rs";
const PROTOBUF_FILE: &str = "raft-proto/tests/wire/generated/raft.rs";

/// How `cargo xtask codegen` was called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only tell whether the checked-in code is fresh; writes nothing
    #[arg(long)]
    check: bool,
}

/// A file as it should be.
struct Generated {
    path: &'static str,
    content: String,
}

/// Writes the generated code, or with `--check` only tells whether it is fresh.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        return check();
    }
    for output in generate()? {
        let path = workspace::root().join(output.path);
        let parent = path.parent().expect("generated files live in a directory");
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&path, &output.content).with_context(|| format!("cannot write {}", output.path))?;
        println!("wrote {}", output.path);
    }
    Ok(())
}

/// Compares the checked-in code with what the `.proto` file gives; changes nothing.
pub(crate) fn check() -> Result<()> {
    let is_stale = |output: &Generated| {
        fs::read_to_string(workspace::root().join(output.path)).ok().as_ref() != Some(&output.content)
    };
    let stale: Vec<_> = generate()?.into_iter().filter(is_stale).map(|output| output.path).collect();
    if !stale.is_empty() {
        bail!(
            "generated code does not match {PROTO_FILE}: {}\nrun `cargo xtask codegen` and commit the result",
            stale.join(", ")
        );
    }
    println!("generated code is fresh");
    Ok(())
}

fn generate() -> Result<[Generated; 2]> {
    let scratch = workspace::target_dir().join("xtask-codegen");
    Ok([prost_code(&scratch.join("prost"))?, protobuf_code(&scratch.join("protobuf"))?])
}

fn prost_code(scratch: &Path) -> Result<Generated> {
    let out_dir = empty_dir(scratch)?;
    prost_build::Config::new()
        // A payload is a slice of the receive buffer, not a copy of it.
        .bytes(["."])
        // Ordered maps keep encoding deterministic, should a map ever be added.
        .btree_map(["."])
        .out_dir(&out_dir)
        .compile_fds(descriptors()?)
        .context("prost-build failed")?;
    let path = out_dir.join("raft.v1.rs");
    let content = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Generated { path: PROST_FILE, content })
}

fn protobuf_code(scratch: &Path) -> Result<Generated> {
    let out_dir = empty_dir(scratch)?;
    protobuf_codegen::Codegen::new()
        .pure()
        .include(workspace::root().join(PROTO_DIR))
        .input(workspace::root().join(PROTO_FILE))
        // Reading and writing is all that the tests need; reflection would triple the code.
        .customize(protobuf_codegen::Customize::default().lite_runtime(true).generate_accessors(false))
        .out_dir(&out_dir)
        .run()
        .context("protobuf-codegen failed")?;
    let path = out_dir.join("raft.rs");
    let content = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Generated { path: PROTOBUF_FILE, content })
}

/// The parsed `.proto`, with its comments, as prost-build wants it.
fn descriptors() -> Result<FileDescriptorSet> {
    let parsed = protobuf_parse::Parser::new()
        .pure()
        .include(workspace::root().join(PROTO_DIR))
        .input(workspace::root().join(PROTO_FILE))
        .file_descriptor_set()
        .with_context(|| format!("cannot parse {PROTO_FILE}"))?;
    let mut descriptors = FileDescriptorSet::decode(parsed.write_to_bytes()?.as_slice())?;
    let source = fs::read_to_string(workspace::root().join(PROTO_FILE))?;
    match descriptors.file.as_mut_slice() {
        [file] => file.source_code_info = Some(comments::source_info(&source)?),
        files => bail!("expected one parsed file, got {}", files.len()),
    }
    Ok(descriptors)
}

fn empty_dir(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot clear {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path.to_path_buf())
}
