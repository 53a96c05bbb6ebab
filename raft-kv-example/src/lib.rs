//! A replicated key-value node that speaks the Redis protocol: its parts as a library.
//!
//! From the outside in: [`cli`] and [`settings`], [`run`] which puts a node together, [`server`] with
//! its clients, [`node`] which joins it with Raft, [`admin`] which changes the group, [`log_tool`] which looks at a node's files; and, knowing nothing of those, [`command`] and
//! [`resp`] for the protocol and [`kv`] for the replicated state.
#![forbid(unsafe_code)]

pub mod address;
pub mod admin;
pub mod cli;
pub mod command;
pub mod demo;
pub mod free_ports;
pub mod join;
pub mod kv;
pub mod link;
pub mod log_tool;
pub mod logging;
pub mod node;
mod notices;
pub mod resp;
pub mod run;
pub mod server;
pub mod session_limits;
pub mod settings;
mod standing;

/// The programs of the guide, which need all crates, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/GUIDE.md")]
struct Guide;
