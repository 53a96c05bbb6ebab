//! `raft-kv demo` as a script would run it.

use std::process::{Command, Stdio};

#[test]
fn demo_with_load_ends_by_itself_with_a_summary() {
    let output = Command::new(env!("CARGO_BIN_EXE_raft-kv"))
        .args(["demo", "--load", "500", "--for", "4s"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("redis-cli -p ") && text.contains(" leader "), "{text}");
    assert!(text.contains("every acknowledged write is there"), "{text}");
}
