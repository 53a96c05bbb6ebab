//! One group's log: as its owner uses it, and as others read it.

pub(crate) mod log;
pub(crate) mod reader;
