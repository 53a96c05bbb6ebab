//! fjall: a log-structured store; an entry is a key in the order of the log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::contest::{Caller, Entrant, Log, Outcome};

pub(crate) const ENTRANT: Entrant = Entrant { name: "fjall 3", open };

#[derive(Clone)]
struct Peer {
    database: Database,
    log: Keyspace,
}

fn open(dir: &Path, _bytes: u64) -> Outcome<Box<dyn Log>> {
    let database = Database::builder(dir).open()?;
    let log = database.keyspace("log", KeyspaceCreateOptions::default)?;
    Ok(Box::new(Peer { database, log }))
}

impl Log for Peer {
    fn append(&mut self, first: u64, payloads: &[&[u8]]) -> Outcome<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (index, payload) in (first..).zip(payloads) {
            batch.insert(&self.log, index.to_be_bytes(), *payload);
        }
        Ok(batch.commit()?)
    }

    fn last(&mut self) -> Outcome<u64> {
        let Some(last) = self.log.last_key_value() else { return Ok(0) };
        Ok(u64::from_be_bytes(last.key()?[..].try_into()?))
    }

    fn read(&mut self, first: u64, count: u64) -> Outcome<usize> {
        let mut total = 0;
        for found in self.log.range(first.to_be_bytes()..(first + count).to_be_bytes()) {
            total += found.value()?.len();
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
