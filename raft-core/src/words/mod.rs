//! Words: plain data that everything else speaks in.

pub(crate) mod batches;
pub(crate) mod entries;
pub(crate) mod ids;
pub(crate) mod membership;
pub(crate) mod message;
pub(crate) mod persist;
