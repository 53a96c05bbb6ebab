//! Writes a picture of the store.

use std::sync::Arc;
use std::vec;

use bytes::{BufMut, Bytes, BytesMut};
use raft_core::SnapshotSource;

use super::super::shard::{Slot, Table};
use super::super::store::{Store, place_of};
use super::{HEADER_BYTES, LENGTHS_BYTES, MAGIC, VERSION};

/// The store as it was, on its way into bytes. Each shard is let go as soon as it is written.
#[derive(Debug)]
pub(in crate::kv) struct Picture {
    /// Those that are not begun yet.
    shards: vec::IntoIter<Arc<Table>>,
    /// The one that is being written, and which buckets are still to be.
    current: Option<(Arc<Table>, vec::IntoIter<usize>)>,
    /// Bytes that are written and not given away.
    buffer: BytesMut,
}

impl Picture {
    /// Takes a picture. However large the store is, it shares its shards and copies nothing.
    pub(in crate::kv) fn of(store: &mut Store, applied_operations: u64) -> Self {
        let mut buffer = BytesMut::with_capacity(HEADER_BYTES);
        buffer.put_slice(&MAGIC);
        buffer.put_u32_le(VERSION);
        buffer.put_u64_le(store.seed());
        buffer.put_u64_le(applied_operations);
        buffer.put_u64_le(store.len() as u64);
        Self { shards: store.picture().into_iter(), current: None, buffer }
    }

    /// Writes one more record; whether there was one.
    fn write_record(&mut self) -> bool {
        loop {
            if let Some((table, order)) = &mut self.current
                && let Some(slot) = order.next().and_then(|bucket| table.get_bucket(bucket))
            {
                write(slot, &mut self.buffer);
                return true;
            }
            self.current = None;
            let Some(table) = self.shards.next() else { return false };
            let order = order(&table).into_iter();
            self.current = Some((table, order));
        }
    }
}

impl SnapshotSource for Picture {
    fn next_piece(&mut self, bytes_hint: usize) -> Option<Bytes> {
        let bytes_max = bytes_hint.max(1);
        // The last record of a piece goes over its end, and should not move all of it.
        self.buffer.reserve(bytes_max.saturating_add(OVERHANG_BYTES).saturating_sub(self.buffer.len()));
        while self.buffer.len() < bytes_max && self.write_record() {}
        let len = self.buffer.len().min(bytes_max);
        (len > 0).then(|| self.buffer.split_to(len).freeze())
    }
}

/// The buckets of a shard in the order of scans.
fn order(table: &Table) -> Vec<usize> {
    let slot = |bucket| table.get_bucket(bucket).expect("only buckets that hold something are listed");
    let mut order: Vec<_> =
        table.iter_buckets().map(|bucket| (place_of(slot(bucket).hash), bucket)).collect();
    order.sort_unstable_by(|(place, bucket), (other_place, other)| {
        place.cmp(other_place).then_with(|| slot(*bucket).key().cmp(slot(*other).key()))
    });
    order.into_iter().map(|(_, bucket)| bucket).collect()
}

fn write(slot: &Slot, buffer: &mut BytesMut) {
    let length = |string: &[u8]| u32::try_from(string.len()).expect("clients' strings are bounded far below");
    buffer.reserve(LENGTHS_BYTES + slot.record.len());
    buffer.put_u32_le(length(slot.key()));
    buffer.put_u32_le(length(slot.value()));
    buffer.put_slice(&slot.record);
}

/// Room for what most records have beyond the end of a piece.
const OVERHANG_BYTES: usize = 8 << 10;
