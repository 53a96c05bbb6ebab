//! One target under libFuzzer, which changes bytes and keeps those that reach new code.
//!
//! All targets are in one program, so they are built once; the environment says which one runs. The
//! arguments are libFuzzer's own. `cargo xtask fuzz` gives both.
#![no_main]

use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use raft_fuzz::{TARGET_VARIABLE, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var(TARGET_VARIABLE).unwrap_or_default();
        let Some(target) = Target::named(&name) else {
            eprintln!("{TARGET_VARIABLE} is {name:?}, which is no target");
            exit(2);
        };
        TARGET.get_or_init(|| target);
    },
    |bytes: &[u8]| {
        let target = TARGET.get().expect("libFuzzer initialises first");
        (target.run)(bytes);
    }
);
