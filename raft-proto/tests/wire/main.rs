//! What raft-proto promises about bytes: two implementations agree, the format does not drift, and
//! framing takes anything that a peer may send.

#![allow(clippy::unwrap_used)]

mod arbitrary;
mod cross;
mod framing;
mod golden;
mod samples;
mod twin;
#[rustfmt::skip]
#[allow(unreachable_pub, clippy::all, clippy::pedantic)]
#[path = "generated/raft.rs"]
mod twin_types;
