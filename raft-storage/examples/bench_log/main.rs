//! Measures this log against the least that any log can do: one write to a zeroed file and one
//! fdatasync per batch. `raft-storage/peers` runs the same contest with other logs.
//!
//! `cargo xtask bench log -- [--dir DIR] [--rounds N] [--millis N] [--entries N]` prints a table.

#![allow(clippy::cast_possible_truncation, reason = "sizes chosen here")]

mod contest;
mod ours;
mod raw;

fn main() -> contest::Outcome<()> {
    contest::run(&[raw::ENTRANT, ours::INLINE, ours::THREAD])
}
