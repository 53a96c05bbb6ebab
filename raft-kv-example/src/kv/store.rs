//! Keys and values in memory, found by hash and scanned in the order of their hashes.
//!
//! The keys are spread over a fixed number of shards by twelve bits of their hash. That serves three
//! ends. A shard is small, so when one grows, nobody waits long. And a key's *place*, 48 bits of its
//! hash, never changes, whatever is added or removed: a scan visits places in ascending order, its
//! cursor is the next place to visit, and so it meets every key that is present all the time
//! exactly once, even if it goes on at another node. And a picture of the whole store shares the
//! shards; what is written while it is looked at copies the shards that are written to, no more.

use std::hint;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::hash_table::Entry as Place;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shard::{Shard, Slot, Table};

/// A map from byte strings to byte strings.
#[derive(Clone, Debug)]
pub struct Store {
    shards: Box<[Shard]>,
    seed: u64,
    len: usize,
}

impl Store {
    /// An empty store. The seed spreads the keys; all nodes of a cluster share it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::new()).collect(), seed, len: 0 }
    }

    /// Stores a value in place of any other.
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        let slot = self.slot(key, value.len());
        let needed = slot.key_bytes + value.len();
        slot.record.truncate(slot.key_bytes);
        if slot.record.capacity() / WASTE_MAX > needed {
            slot.record.shrink_to(needed);
        }
        slot.record.extend_from_slice(value);
    }

    /// Adds to the end of a value, which is empty if the key was absent.
    pub fn append(&mut self, key: &[u8], tail: &[u8]) {
        self.slot(key, tail.len()).record.extend_from_slice(tail);
    }

    /// Removes a key and gives back its value.
    pub fn remove(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let hash = self.hash(key);
        let shard = self.shards[shard_of(hash)].table_mut();
        let (mut slot, _) = shard.find_entry(hash, |slot| slot.holds(hash, key)).ok()?.remove();
        if shard.len() * SHRINK_BELOW < shard.capacity() {
            shard.shrink_to(0, |slot| slot.hash);
        }
        self.len -= 1;
        slot.record.drain(..slot.key_bytes);
        Some(slot.record)
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.seed);
    }

    /// The value.
    #[must_use]
    pub fn value(&self, key: &[u8]) -> Option<&[u8]> {
        let hash = self.hash(key);
        self.shards[shard_of(hash)].table().find(hash, |slot| slot.holds(hash, key)).map(Slot::value)
    }

    /// Whether the key exists.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.value(key).is_some()
    }

    /// Reads what finding these keys will read, and the beginning of their values, so that it is in the
    /// processor's cache then. Each step is done for all keys before the next one, so that no read waits
    /// for that of another key. Only the first [`FETCHED_MAX`] keys count; a single one gains nothing.
    pub(super) fn fetch<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) {
        let mut hashes = [0; FETCHED_MAX];
        let mut count = 0;
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = self.hash(key);
            count += 1;
        }
        if count < 2 {
            return;
        }
        let table_of = |hash: u64| self.shards[shard_of(hash)].table();
        let hashes = &hashes[..count];
        hint::black_box(hashes.iter().map(|hash| table_of(*hash).capacity()).fold(0, usize::wrapping_add));
        let mut records = [&[][..]; FETCHED_MAX];
        for (record, &hash) in records.iter_mut().zip(hashes) {
            // Keys with the same hash are so rare that it need not be the right one.
            *record = table_of(hash).find(hash, |slot| slot.hash == hash).map_or(&[], |slot| &slot.record);
        }
        let lines = records.iter().flat_map(|record| record.chunks(CACHE_LINE).take(LINES_FETCHED));
        hint::black_box(lines.map(|line| line[0]).fold(0, u8::wrapping_add));
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All keys, in no useful order.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.shards.iter().flat_map(Shard::table).map(Slot::key)
    }

    /// Visits about `count` keys from the cursor on; answers the next cursor, zero at the end.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut visit: impl FnMut(&'a [u8])) -> u64 {
        let count = count.max(1);
        let mut left = count;
        let mut from = cursor;
        let mut found: Vec<(u64, &[u8])> = Vec::new();
        while let Some(shard) = shard_at(from).and_then(|at| self.shards.get(at)) {
            found.clear();
            let ahead = shard.table().iter().map(|slot| (place_of(slot.hash), slot.key()));
            found.extend(ahead.filter(|(place, _)| *place >= from));
            found.sort_unstable();
            for (at, (place, key)) in found.iter().enumerate() {
                visit(key);
                left = left.saturating_sub(1);
                // Keys that share a place are answered together: a cursor cannot point between them.
                let ends_place = found.get(at + 1).is_none_or(|(next, _)| next != place);
                if left == 0 && ends_place {
                    return next_cursor(*place + 1);
                }
            }
            from = (from >> PLACE_BITS_IN_SHARD).saturating_add(1) << PLACE_BITS_IN_SHARD;
        }
        0
    }

    /// What spreads the keys.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Everything as it is now and stays, whatever is written later: the shards that hold something,
    /// in the order of scans.
    pub(super) fn picture(&mut self) -> Vec<Arc<Table>> {
        let shards = self.shards.iter_mut().filter(|shard| !shard.table().is_empty());
        shards.map(Shard::share).collect()
    }

    /// Where the order of scans puts a key.
    pub(super) fn place(&self, key: &[u8]) -> u64 {
        place_of(self.hash(key))
    }

    /// Empties some shards.
    pub(super) fn clear_shards(&mut self, shards: Range<usize>) {
        for shard in &mut self.shards[shards] {
            self.len -= shard.table().len();
            *shard = Shard::new();
        }
    }

    /// The key's slot; a new one has an empty value and room for one of this length.
    fn slot(&mut self, key: &[u8], value_bytes: usize) -> &mut Slot {
        let hash = self.hash(key);
        let shard = self.shards[shard_of(hash)].table_mut();
        match shard.entry(hash, |slot| slot.holds(hash, key), |slot| slot.hash) {
            Place::Occupied(slot) => slot.into_mut(),
            Place::Vacant(vacant) => {
                self.len += 1;
                let mut record = Vec::with_capacity(key.len() + value_bytes);
                record.extend_from_slice(key);
                vacant.insert(Slot { hash, key_bytes: key.len(), record }).into_mut()
            }
        }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }
}

/// The place where the order of scans puts a hash. Its highest twelve bits are the shard's number.
/// The top seven bits of the hash are left out, because the table itself tells slots apart by them.
pub(super) fn place_of(hash: u64) -> u64 {
    (hash >> 8) & (PLACES - 1)
}

fn shard_of(hash: u64) -> usize {
    usize::try_from(place_of(hash) >> PLACE_BITS_IN_SHARD).expect("twelve bits")
}

/// The shard that a place is in.
pub(super) fn shard_at(place: u64) -> Option<usize> {
    usize::try_from(place >> PLACE_BITS_IN_SHARD).ok()
}

fn next_cursor(place: u64) -> u64 {
    if place < PLACES { place } else { 0 }
}

/// How many shards there are.
pub(super) const SHARDS: usize = 1 << 12;
/// Every cursor is below this, so that clients may keep it in a double.
const PLACES: u64 = 1 << 48;
const PLACE_BITS_IN_SHARD: u32 = 36;
/// A value that is replaced keeps its memory, unless that is this many times what it needs.
const WASTE_MAX: usize = 4;
/// So many keys are fetched together: enough to hide the waiting, few enough that nothing has left the
/// cache before its turn comes.
pub(super) const FETCHED_MAX: usize = 64;
/// Bytes that processors fetch at once.
const CACHE_LINE: usize = 64;
/// How much of a record is fetched ahead; for the rest of long ones the processor looks ahead itself.
const LINES_FETCHED: usize = 8;
/// A shard that is filled to less than one part in this many gives memory back.
const SHRINK_BELOW: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn key(number: u32) -> Vec<u8> {
        format!("key:{number}").into_bytes()
    }

    /// Scans to the end, changing the store between the steps.
    fn scan_all(store: &mut Store, count: usize, mut between: impl FnMut(&mut Store)) -> Vec<Vec<u8>> {
        let mut met = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = store.scan(cursor, count, |key| met.push(key.to_vec()));
            if cursor == 0 {
                return met;
            }
            between(store);
        }
    }

    #[test]
    fn behaves_as_an_ordered_map() {
        let mut store = Store::new(1);
        let mut twin = BTreeMap::new();
        let mut random = 1u64;
        for step in 0..20_000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = key((random >> 33) as u32 % 2_000);
            if random >> 62 == 0 {
                assert_eq!(store.remove(&key), twin.remove(&key));
            } else {
                let value = step.to_le_bytes().to_vec();
                store.set(&key, &value);
                twin.insert(key, value);
            }
            assert_eq!(store.len(), twin.len());
        }
        for number in 0..2_000 {
            assert_eq!(store.value(&key(number)), twin.get(&key(number)).map(Vec::as_slice));
        }
        store.clear();
        assert!(store.is_empty() && store.keys().next().is_none());
    }

    #[test]
    fn scan_meets_each_key_exactly_once() {
        for (keys, count) in [(0, 10), (1, 10), (100, 1), (10_000, 10), (10_000, 100_000)] {
            let mut store = Store::new(7);
            (0..keys).for_each(|number| store.set(&key(number), b""));
            let met = scan_all(&mut store, count, |_| {});
            assert_eq!(met.len(), keys as usize);
            assert_eq!(met.into_iter().collect::<BTreeSet<_>>().len(), keys as usize);
        }
    }

    #[test]
    fn scan_meets_what_stays_while_the_store_grows_and_shrinks() {
        let mut store = Store::new(7);
        (0..5_000).for_each(|number| store.set(&key(number), b""));
        let mut next = 5_000;
        let met = scan_all(&mut store, 50, |store| {
            for _ in 0..500 {
                store.set(&key(next), b"");
                store.remove(&key(next - 3_000 + 1_000));
                next += 1;
            }
        });
        let met: BTreeSet<_> = met.into_iter().collect();
        let stayed: Vec<_> = (0..3_000).map(key).collect();
        assert!(stayed.iter().all(|key| met.contains(key)));
    }

    #[test]
    fn write_copies_its_shard_only_while_a_picture_needs_it() {
        let mut store = Store::new(7);
        let keys: Vec<_> = (0..20_000).map(key).collect();
        keys.iter().for_each(|key| store.set(key, b"old"));
        let places = |store: &Store| -> Vec<_> {
            keys.iter().map(|key| store.value(key).map(<[u8]>::as_ptr)).collect()
        };
        let before = places(&store);
        let picture = store.picture();
        store.set(&keys[0], b"new");
        let (shard, after) = (shard_at(store.place(&keys[0])), places(&store));
        for (at, key) in keys.iter().enumerate() {
            let is_copied = before[at] != after[at];
            assert_eq!(is_copied, shard_at(store.place(key)) == shard, "{at}");
        }
        let seen: usize =
            picture.iter().map(|table| table.iter().filter(|slot| slot.value() == b"old").count()).sum();
        assert_eq!(seen, keys.len());
        drop(picture);
        keys.iter().for_each(|key| store.set(key, b"new"));
        assert!(places(&store) == after, "values are overwritten where they are");
    }

    #[test]
    fn any_cursor_is_safe() {
        let mut store = Store::new(7);
        (0..100).for_each(|number| store.set(&key(number), b""));
        for cursor in [PLACES - 1, PLACES, u64::MAX, 1 << 36, (1 << 36) - 1] {
            assert!(store.scan(cursor, usize::MAX, |_| {}) < PLACES);
        }
    }
}
