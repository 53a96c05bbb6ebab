//! Measures how long a log of a million 256-byte entries takes to open, and how fast it is read.
//!
//! `cargo run --release -p raft-storage --example bench_open -- [--dir DIR]`

#![allow(clippy::cast_possible_truncation, reason = "sizes chosen here")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use raft_core::{
    EntriesBuilder, EntryKind, GroupId, HardState, LogIndex, LogStore, NodeId, Persist, PersistId, Position,
    Term,
};
use raft_storage::{Flushing, Identity, Start, Wal, WalOptions};

const ENTRIES: u64 = 1_000_000;
const ENTRY_BYTES: usize = 256;
const IDENTITY: Identity = Identity { cluster: 1, node: NodeId::new(1) };

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let named = arguments.next().is_some_and(|name| name == "--dir");
    let dir =
        arguments.next().filter(|_| named).map_or_else(|| PathBuf::from("target/bench-open"), PathBuf::from);
    for batch in [1, 100] {
        let _ = std::fs::remove_dir_all(&dir);
        write(&dir, batch)?;
        let mut open_ms = Vec::new();
        for _ in 0..7 {
            let start = Instant::now();
            let wal = Wal::open(&options(&dir), || ())?;
            let mut log = wal.group(GroupId::new(1))?;
            let last = log.recover()?.last().index.get();
            open_ms.push(start.elapsed().as_secs_f64() * 1e3);
            assert!(last == ENTRIES, "{last} entries recovered");
        }
        open_ms.sort_by(f64::total_cmp);
        let per_second = read(&dir)?;
        println!(
            "{{\"bench\":\"open\",\"entries\":{ENTRIES},\"value\":{ENTRY_BYTES},\"batch\":{batch},\
             \"open_ms\":{:.1},\"random_reads_64_s\":{per_second:.0}}}",
            open_ms[open_ms.len() / 2]
        );
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

fn options(dir: &std::path::Path) -> WalOptions {
    WalOptions::new(dir, IDENTITY).start(Start::InitialiseIfMissing).flushing(Flushing::Manual)
}

fn write(dir: &std::path::Path, batch: u64) -> Result<(), Box<dyn Error>> {
    let wal = Wal::open(&options(dir), || ())?;
    let mut log = wal.group(GroupId::new(1))?;
    log.recover()?;
    let mut builder = EntriesBuilder::default();
    let payload = [7; ENTRY_BYTES];
    for number in 0..ENTRIES / batch {
        for _ in 0..batch {
            builder.push(&payload).ok_or("a payload too long")?;
        }
        let position = Position::new(Term::new(1), LogIndex::new(number * batch + 1));
        let entries = builder.take(position, EntryKind::Command).ok_or("no entries")?.into();
        let hard_state =
            (number == 0).then(|| HardState { term: Term::new(1), vote: None, commit: LogIndex::ZERO });
        let id = PersistId::new(number + 1);
        log.persist(Persist { id, mark: None, truncate_from: None, entries, hard_state })?;
        if number % 64 == 63 {
            log.flush_now()?;
        }
    }
    wal.close()?;
    Ok(())
}

/// Entries per second, 64 consecutive ones from a random place per call.
fn read(dir: &std::path::Path) -> Result<f64, Box<dyn Error>> {
    let wal = Wal::open(&options(dir), || ())?;
    let mut log = wal.group(GroupId::new(1))?;
    log.recover()?;
    let (start, mut random, mut count) = (Instant::now(), 88_172_645_463_325_252_u64, 0u64);
    while start.elapsed().as_secs_f64() < 1.0 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let first = 1 + random % (ENTRIES - 64);
        for batch in log.load(LogIndex::new(first), LogIndex::new(first + 64), usize::MAX)? {
            count += batch.iter().filter(|entry| entry.payload.len() == ENTRY_BYTES).count() as u64;
        }
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
