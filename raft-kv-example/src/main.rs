//! A replicated key-value node that speaks the Redis protocol.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    raft_kv::cli::main()
}
