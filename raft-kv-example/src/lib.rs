//! A replicated key-value node that speaks the Redis protocol: its parts as a library.
#![forbid(unsafe_code)]

pub mod kv;
