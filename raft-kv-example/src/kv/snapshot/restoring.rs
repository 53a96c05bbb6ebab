//! Reads a picture back into a store.

use std::mem;

use bytes::Buf;
use raft_core::{InvalidSnapshot, SnapshotPiece};

use super::super::store::{SHARDS, Store, shard_at};
use super::{HEADER_BYTES, LENGTHS_BYTES, MAGIC, STRING_BYTES_MAX, VERSION};

/// A store on its way back from bytes.
///
/// What was in the store before goes shard by shard, so old and new state need no more memory than
/// the larger of them, and no piece takes long. If it ends early the store is neither; it can only be
/// begun again.
#[derive(Clone, Debug, Default)]
pub(in crate::kv) struct Restoring {
    /// How many bytes came.
    offset: u64,
    /// From the header, once that came.
    applied_operations: Option<u64>,
    /// The beginning of a part whose rest is in the next piece.
    cut: Vec<u8>,
    records_left: u64,
    /// What stands in the store is new in the shards below this one.
    next_shard: usize,
    last_place: u64,
    last_key: Vec<u8>,
}

impl Restoring {
    /// Takes the next piece. Gives how many operations the state has applied, once it is complete.
    ///
    /// # Errors
    ///
    /// If the bytes are no picture of a store with this seed.
    pub(in crate::kv) fn take(
        &mut self,
        piece: SnapshotPiece<'_>,
        store: &mut Store,
    ) -> Result<Option<u64>, InvalidSnapshot> {
        if piece.offset != self.offset {
            return Err(InvalidSnapshot);
        }
        self.offset += piece.bytes.len() as u64;
        self.take_parts(piece.bytes, store)?;
        if !piece.is_last {
            return Ok(None);
        }
        if !self.cut.is_empty() || self.records_left > 0 {
            return Err(InvalidSnapshot);
        }
        store.clear_shards(self.next_shard..SHARDS);
        self.applied_operations.map(Some).ok_or(InvalidSnapshot)
    }

    fn take_parts(&mut self, mut bytes: &[u8], store: &mut Store) -> Result<(), InvalidSnapshot> {
        while !bytes.is_empty() {
            if self.cut.is_empty()
                && let Some((part, rest)) = bytes.split_at_checked(self.part_bytes(bytes)?)
            {
                self.take_part(part, store)?;
                bytes = rest;
                continue;
            }
            let missing = self.part_bytes(&self.cut)? - self.cut.len();
            let (more, rest) = bytes.split_at(missing.min(bytes.len()));
            self.cut.extend_from_slice(more);
            bytes = rest;
            if self.cut.len() == self.part_bytes(&self.cut)? {
                let mut part = mem::take(&mut self.cut);
                self.take_part(&part, store)?;
                part.clear();
                self.cut = part;
            }
        }
        Ok(())
    }

    /// How long the part is that begins like this, as far as that can be told: at least one byte
    /// more than what is here, or exactly.
    fn part_bytes(&self, beginning: &[u8]) -> Result<usize, InvalidSnapshot> {
        if self.applied_operations.is_none() {
            return Ok(HEADER_BYTES);
        }
        let Some((key_bytes, value_bytes, _)) = split_lengths(beginning) else { return Ok(LENGTHS_BYTES) };
        if key_bytes > STRING_BYTES_MAX || value_bytes > STRING_BYTES_MAX {
            return Err(InvalidSnapshot);
        }
        Ok(LENGTHS_BYTES + key_bytes + value_bytes)
    }

    /// Takes the header or a record, whole.
    fn take_part(&mut self, part: &[u8], store: &mut Store) -> Result<(), InvalidSnapshot> {
        if self.applied_operations.is_none() {
            return self.take_header(part, store.seed());
        }
        self.records_left = self.records_left.checked_sub(1).ok_or(InvalidSnapshot)?;
        let (key_bytes, _, record) = split_lengths(part).ok_or(InvalidSnapshot)?;
        let (key, value) = record.split_at_checked(key_bytes).ok_or(InvalidSnapshot)?;
        let place = store.place(key);
        // The first record has none before it, and no shard is begun yet.
        if self.next_shard > 0 && (self.last_place, self.last_key.as_slice()) >= (place, key) {
            return Err(InvalidSnapshot);
        }
        self.last_place = place;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        let shard = shard_at(place).ok_or(InvalidSnapshot)?;
        if shard >= self.next_shard {
            store.clear_shards(self.next_shard..shard + 1);
            self.next_shard = shard + 1;
        }
        store.set(key, value);
        Ok(())
    }

    /// The bytes are as many as a header has.
    fn take_header(&mut self, header: &[u8], seed: u64) -> Result<(), InvalidSnapshot> {
        let mut rest = header.strip_prefix(&MAGIC).ok_or(InvalidSnapshot)?;
        if rest.get_u32_le() != VERSION || rest.get_u64_le() != seed {
            return Err(InvalidSnapshot);
        }
        self.applied_operations = Some(rest.get_u64_le());
        self.records_left = rest.get_u64_le();
        Ok(())
    }
}

/// The lengths of a record's key and value, and what follows.
fn split_lengths(bytes: &[u8]) -> Option<(usize, usize, &[u8])> {
    let (key_bytes, rest) = bytes.split_first_chunk()?;
    let (value_bytes, rest) = rest.split_first_chunk()?;
    let length = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
    Some((length(key_bytes)?, length(value_bytes)?, rest))
}
