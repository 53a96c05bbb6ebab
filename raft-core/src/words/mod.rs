//! Words: plain data that everything else speaks in.

pub(crate) mod action;
pub(crate) mod batches;
pub(crate) mod change;
pub(crate) mod counters;
pub(crate) mod entries;
pub(crate) mod error;
pub(crate) mod ids;
pub(crate) mod membership;
pub(crate) mod message;
pub(crate) mod notice;
pub(crate) mod persist;
pub(crate) mod status;
#[cfg(feature = "trace")]
pub(crate) mod trace;
