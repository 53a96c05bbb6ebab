//! The floor: each entry behind its length, checksum, index and term in a file whose blocks are
//! written already; one write and one sync per batch.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::contest::{Entrant, Log, Outcome};

pub(crate) const ENTRANT: Entrant = Entrant { name: "raw", open };

struct Raw {
    file: File,
    /// Where each entry begins, and where the next one will.
    offsets: Vec<u64>,
    buffer: Vec<u8>,
}

fn open(dir: &Path, bytes: u64) -> Outcome<Box<dyn Log>> {
    let path = dir.join("log");
    let is_new = !path.exists();
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    if is_new {
        let zeros = vec![0; 1 << 20];
        for chunk in 0..bytes.div_ceil(1 << 20) {
            file.write_all_at(&zeros, chunk << 20)?;
        }
        file.sync_all()?;
    }
    let mut raw = Raw { file, offsets: vec![0], buffer: Vec::new() };
    raw.recover()?;
    Ok(Box::new(raw))
}

impl Raw {
    fn end(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    fn recover(&mut self) -> Outcome<()> {
        let mut window = vec![0; 1 << 20];
        loop {
            let filled = self.file.read_at(&mut window, self.end())?;
            let (mut at, start) = (0, self.end());
            while let Some(length) = check(&window[at..filled]) {
                at += length;
                self.offsets.push(start + at as u64);
            }
            if at == 0 {
                return Ok(());
            }
        }
    }
}

/// The length of the whole entry at the front of some bytes.
fn check(bytes: &[u8]) -> Option<usize> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let payload = bytes.get(HEAD_BYTES..HEAD_BYTES + word(0)? as usize)?;
    (!payload.is_empty() && crc32c::crc32c(payload) == word(4)?).then_some(HEAD_BYTES + payload.len())
}

impl Log for Raw {
    fn append(&mut self, first: u64, payloads: &[&[u8]]) -> Outcome<()> {
        let start = self.end();
        self.buffer.clear();
        for (payload, index) in payloads.iter().zip(first..) {
            self.buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            self.buffer.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
            self.buffer.extend_from_slice(&index.to_le_bytes());
            self.buffer.extend_from_slice(&1u64.to_le_bytes());
            self.buffer.extend_from_slice(payload);
            self.offsets.push(start + self.buffer.len() as u64);
        }
        self.file.write_all_at(&self.buffer, start)?;
        Ok(self.file.sync_data()?)
    }

    fn last(&mut self) -> Outcome<u64> {
        Ok(self.offsets.len() as u64 - 1)
    }

    fn read(&mut self, first: u64, count: u64) -> Outcome<usize> {
        let (start, end) = (self.offsets[first as usize - 1], self.offsets[(first + count) as usize - 1]);
        let mut bytes = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut bytes, start)?;
        let (mut at, mut total) = (0, 0);
        while let Some(length) = check(&bytes[at..]) {
            (at, total) = (at + length, total + length - HEAD_BYTES);
        }
        Ok(total)
    }
}

const HEAD_BYTES: usize = 24;
