//! okaywal: a write-ahead log of chunks. What a Raft log needs beside it, where each entry is, is
//! kept in memory here and rebuilt at opening.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use okaywal::{Configuration, Entry, EntryId, LogManager, LogPosition, ReadChunkResult, SegmentReader};
use okaywal::WriteAheadLog;

use super::contest::{Caller, Entrant, Log, Outcome};

pub(crate) const ENTRANT: Entrant = Entrant { name: "okaywal 0.3", open };

/// Where each entry is, the first one at zero, with its length.
type Places = Arc<Mutex<Vec<(LogPosition, usize)>>>;

struct Manager(Places);

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Manager")
    }
}

impl LogManager for Manager {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let mut found = Vec::new();
        loop {
            match entry.read_chunk()? {
                ReadChunkResult::Chunk(mut chunk) => {
                    let (place, bytes) = (chunk.log_position(), chunk.read_all()?);
                    if !chunk.check_crc()? {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    found.push((place, bytes.len()));
                }
                ReadChunkResult::EndOfEntry => break,
                ReadChunkResult::AbortedEntry => return Ok(()),
            }
        }
        self.0.lock().map_err(|_| io::Error::other("poisoned"))?.append(&mut found);
        Ok(())
    }

    fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> io::Result<()> {
        Ok(())
    }
}

struct Peer {
    wal: WriteAheadLog,
    places: Places,
    buffer: Vec<u8>,
}

fn open(dir: &Path, bytes: u64) -> Outcome<Box<dyn Log>> {
    let places = Places::default();
    // One segment that is never checkpointed, for that drops entries.
    let wal = Configuration::default_for(dir)
        .preallocate_bytes(bytes.clamp(1 << 20, 3 << 30) as u32)
        .checkpoint_after_bytes(1 << 40)
        .open(Manager(Arc::clone(&places)))?;
    Ok(Box::new(Peer { wal, places, buffer: Vec::new() }))
}

fn append(wal: &WriteAheadLog, payloads: &[&[u8]]) -> Outcome<Vec<(LogPosition, usize)>> {
    let mut entry = wal.begin_entry()?;
    let mut places = Vec::with_capacity(payloads.len());
    for payload in payloads {
        places.push((entry.write_chunk(payload)?.position, payload.len()));
    }
    entry.commit()?;
    Ok(places)
}

impl Log for Peer {
    fn append(&mut self, _first: u64, payloads: &[&[u8]]) -> Outcome<()> {
        let places = append(&self.wal, payloads)?;
        self.places.lock().map_err(|_| "poisoned")?.extend(places);
        Ok(())
    }

    fn last(&mut self) -> Outcome<u64> {
        Ok(self.places.lock().map_err(|_| "poisoned")?.len() as u64)
    }

    fn read(&mut self, first: u64, count: u64) -> Outcome<usize> {
        let places = self.places.lock().map_err(|_| "poisoned")?;
        let mut total = 0;
        for (place, length) in &places[first as usize - 1..][..count as usize] {
            self.buffer.resize(*length, 0);
            self.wal.read_at(*place)?.read_exact(&mut self.buffer)?;
            total += length;
        }
        Ok(total)
    }

    fn callers(&mut self, count: usize) -> Outcome<Vec<Caller>> {
        let caller = |_| {
            let wal = self.wal.clone();
            Box::new(move |payload: &[u8]| append(&wal, &[payload]).map(drop)) as Caller
        };
        Ok((0..count).map(caller).collect())
    }
}
