//! The store as bytes: a picture of it is written piece by piece, and read back the same way.
//!
//! Numbers are little endian. The bytes depend on nothing but the state, so nodes that applied the
//! same entries write the same snapshot, and checksums of snapshots can be compared.
//!
//! | part | bytes | |
//! |---|---|---|
//! | header | 8 | `RAFT-KV` and a line feed |
//! | | 4 | the version of this format, 1 |
//! | | 8 | the seed that spreads the keys |
//! | | 8 | how many operations were applied |
//! | | 8 | how many records follow |
//! | each record | 4 | how long the key is |
//! | | 4 | how long the value is |
//! | | | the key, and the value |
//!
//! Records stand in the order of scans, and those that share a place in the order of their keys. So
//! a reader fills one shard after the other, and needs no more memory than the state itself and the
//! record that is cut off at the end of a piece.

mod picture;
mod restoring;
#[cfg(test)]
mod tests;

pub(super) use picture::Picture;
pub(super) use restoring::Restoring;

const MAGIC: [u8; 8] = *b"RAFT-KV\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 36;
const LENGTHS_BYTES: usize = 8;
/// No key or value can be that long, whatever clients are allowed; a longer one is damage.
const STRING_BYTES_MAX: usize = 64 << 20;
