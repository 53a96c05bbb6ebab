//! One group's log as its owner uses it.

pub(crate) mod log;
