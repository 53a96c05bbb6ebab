//! Tests of the node as real processes on real disks: `raft-kv serve` and `raft-kv demo`.

mod cluster;
mod common;
mod demo;
mod single;
