//! A replicated key-value node that speaks the Redis protocol: its parts as a library.
#![forbid(unsafe_code)]

pub mod command;
pub mod kv;
pub mod resp;
pub mod server;
