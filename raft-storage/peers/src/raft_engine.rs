//! TiKV's raft-engine: a log of many groups with an index in memory.

use std::path::Path;
use std::sync::Arc;

use raft_engine::{Config, Engine, LogBatch, MessageExt};
use raft_proto_tikv::eraftpb::Entry;

use super::contest::{Caller, Entrant, Log, Outcome};

pub(crate) const ENTRANT: Entrant = Entrant { name: "raft-engine 0.4", open };

struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

struct Peer {
    engine: Arc<Engine>,
    found: Vec<Entry>,
}

fn open(dir: &Path, _bytes: u64) -> Outcome<Box<dyn Log>> {
    let dir = dir.to_str().ok_or("a path that is no text")?.to_owned();
    let engine = Engine::open(Config { dir, ..Config::default() })?;
    Ok(Box::new(Peer { engine: Arc::new(engine), found: Vec::new() }))
}

fn append(engine: &Engine, group: u64, first: u64, payloads: &[&[u8]]) -> Outcome<()> {
    let entry = |(index, payload): (u64, &&[u8])| {
        let mut entry = Entry::default();
        (entry.index, entry.term) = (index, 1);
        entry.data = payload.to_vec().into();
        entry
    };
    let entries: Vec<Entry> = (first..).zip(payloads).map(entry).collect();
    let mut batch = LogBatch::default();
    batch.add_entries::<Entries>(group, &entries)?;
    engine.write(&mut batch, true)?;
    Ok(())
}

impl Log for Peer {
    fn append(&mut self, first: u64, payloads: &[&[u8]]) -> Outcome<()> {
        append(&self.engine, 1, first, payloads)
    }

    fn last(&mut self) -> Outcome<u64> {
        Ok(self.engine.last_index(1).unwrap_or(0))
    }

    fn read(&mut self, first: u64, count: u64) -> Outcome<usize> {
        self.found.clear();
        self.engine.fetch_entries_to::<Entries>(1, first, first + count, None, &mut self.found)?;
        Ok(self.found.iter().map(|entry| entry.data.len()).sum())
    }

    fn callers(&mut self, count: usize) -> Outcome<Vec<Caller>> {
        let caller = |group| {
            let (engine, mut next) = (Arc::clone(&self.engine), 0);
            Box::new(move |payload: &[u8]| {
                next += 1;
                append(&engine, group, next, &[payload])
            }) as Caller
        };
        Ok((2..).take(count).map(caller).collect())
    }
}
