//! One group's log as its owner uses it.

mod load;
pub(crate) mod log;
