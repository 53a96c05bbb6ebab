//! What the bytes on the medium mean: pure encoding and decoding, no files. All numbers are
//! little-endian; `docs/FORMAT.md` has the byte maps.

pub(crate) mod batch;
pub(crate) mod bytes;
pub(crate) mod extent;
pub(crate) mod identity;
pub(crate) mod mark;
pub(crate) mod record;
pub(crate) mod segment;
pub(crate) mod snapshot;
