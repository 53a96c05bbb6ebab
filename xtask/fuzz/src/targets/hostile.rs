//! A small group whose messages, disks and callers do what the bytes say.

// They find each other as neighbours, as they do among the tests of the core.
#[allow(dead_code, reason = "the tests count what they reach")]
#[path = "../../../../raft-core/tests/protocol/hostile/driver.rs"]
mod driver;
#[path = "../../../../raft-core/tests/protocol/hostile/forge.rs"]
mod forge;

use driver::{Reached, drive};

pub(super) fn run(bytes: &[u8]) {
    drive(bytes, &mut Reached::default());
}
