//! The files of a data directory: opened, made, written and read, each failure with its place.

pub(crate) mod dir;
pub(crate) mod maker;
pub(crate) mod mark_file;
pub(crate) mod salts;
pub(crate) mod segment;
