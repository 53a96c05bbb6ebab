//! RocksDB: a log-structured store in C++; an entry is a key in the order of the log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{DB, Direction, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions};

use super::contest::{Caller, Entrant, Log, Outcome};

pub(crate) const ENTRANT: Entrant = Entrant { name: "rocksdb 0.25", open };

#[derive(Clone)]
struct Peer {
    database: Arc<DB>,
}

fn open(dir: &Path, _bytes: u64) -> Outcome<Box<dyn Log>> {
    let mut options = Options::default();
    options.create_if_missing(true);
    Ok(Box::new(Peer { database: Arc::new(DB::open(&options, dir)?) }))
}

impl Log for Peer {
    fn append(&mut self, first: u64, payloads: &[&[u8]]) -> Outcome<()> {
        let mut batch = WriteBatch::default();
        for (index, payload) in (first..).zip(payloads) {
            batch.put(index.to_be_bytes(), payload);
        }
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(self.database.write_opt(batch, &synced)?)
    }

    fn last(&mut self) -> Outcome<u64> {
        let Some(last) = self.database.iterator(IteratorMode::End).next() else { return Ok(0) };
        Ok(u64::from_be_bytes(last?.0[..].try_into()?))
    }

    fn read(&mut self, first: u64, count: u64) -> Outcome<usize> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound((first + count).to_be_bytes());
        let start = first.to_be_bytes();
        let mode = IteratorMode::From(&start, Direction::Forward);
        let mut total = 0;
        for found in self.database.iterator_opt(mode, options) {
            total += found?.1.len();
        }
        Ok(total)
    }

    fn callers(&mut self, count: usize) -> Outcome<Vec<Caller>> {
        let next = Arc::new(AtomicU64::new(self.last()? + 1));
        let caller = |_| {
            let (mut peer, next) = (self.clone(), Arc::clone(&next));
            Box::new(move |payload: &[u8]| peer.append(next.fetch_add(1, Ordering::Relaxed), &[payload]))
                as Caller
        };
        Ok((0..count).map(caller).collect())
    }
}
