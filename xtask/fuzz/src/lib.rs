//! Arbitrary bytes for everything that decodes what others wrote: peers, clients, disks.
//!
//! A target is a plain function from bytes to a panic or none. libFuzzer calls it with bytes that it
//! makes up (`src/bin/fuzz.rs`), and the gate with the files that it found worth keeping
//! (`tests/corpus.rs`). Some targets read the bytes as a program that cannot be wrong, so that every
//! byte matters.

#![allow(clippy::unwrap_used, reason = "a target may panic")]

mod bytes;
mod decay;
mod targets;

// What the tests of the crates have already. Their modules find each other from the root.
#[allow(unused_imports, reason = "the targets use a part of it")]
#[path = "../../../raft-storage/tests/common/mod.rs"]
mod common;
#[allow(dead_code, unused_imports, reason = "the targets use a part of it")]
#[path = "../../../raft-core/tests/protocol/support/mod.rs"]
mod support;

pub use targets::{TARGETS, Target};

/// The environment variable that names the target to run under libFuzzer.
pub const TARGET_VARIABLE: &str = "RAFT_FUZZ_TARGET";
