//! Snapshots beside the log: written aside, read back in pieces, and chosen from at opening.
//!
//! A snapshot is never part of the log's own durability. If it cannot be written, the log goes on
//! (F12); if it cannot be read, an older one and the log may make up for it (F6).

mod draft;
pub(crate) mod file;
pub(crate) mod found;
pub(crate) mod scribe;
pub(crate) mod shelf;
