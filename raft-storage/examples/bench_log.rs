//! Measures synced appends of 256-byte entries against the least that any log can do: one write to a
//! zeroed file and one fdatasync. Both take turns in one run, so they meet the same disk.
//!
//! `cargo run --release -p raft-storage --example bench_log -- [--dir DIR] [--rounds N] [--millis N]`
//! prints one JSON line per case and a table at the end.

#![allow(clippy::cast_possible_truncation, reason = "sizes chosen here")]

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use raft_core::{
    EntriesBuilder, EntryKind, GroupId, HardState, LogIndex, LogStore, NodeId, Persist, PersistId, Position,
    Term,
};
use raft_storage::{Flushing, GroupLog, Identity, Start, Wal, WalOptions};

const ENTRY_BYTES: usize = 256;
const BATCHES: [u64; 3] = [1, 16, 256];

fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_arguments()?;
    let mut table =
        String::from("entries per batch     raw/s   inline/s  ratio  thread/s  ratio  cpu us/entry (raw)\n");
    for batch in BATCHES {
        let cases = measure(&settings, batch)?;
        for case in &cases {
            println!("{}", case.json(batch));
        }
        let [raw, inline, thread] = &cases;
        table += &format!(
            "{batch:17} {:9.0}  {:9.0}  {:5.3} {:9.0}  {:5.3}  {:5.3} ({:5.3})\n",
            raw.per_second(),
            inline.per_second(),
            inline.ratio_to(raw),
            thread.per_second(),
            thread.ratio_to(raw),
            inline.cpu_us() / batch as f64,
            raw.cpu_us() / batch as f64,
        );
    }
    println!("{table}");
    Ok(())
}

struct Settings {
    dir: PathBuf,
    rounds: u32,
    slice: Duration,
}

impl Settings {
    fn from_arguments() -> Result<Self, Box<dyn Error>> {
        let mut settings =
            Self { dir: PathBuf::from("target/bench-log"), rounds: 31, slice: Duration::from_millis(100) };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--dir" => settings.dir = value.into(),
                "--rounds" => settings.rounds = value.parse()?,
                "--millis" => settings.slice = Duration::from_millis(value.parse()?),
                _ => return Err(format!("unknown argument {name}").into()),
            }
        }
        Ok(settings)
    }
}

/// What one contender did in each round.
struct Case {
    name: &'static str,
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
    disk_bytes: Vec<f64>,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self { name, rates: Vec::new(), cpu_us: Vec::new(), disk_bytes: Vec::new() }
    }

    /// Batches per second, median of the rounds.
    fn per_second(&self) -> f64 {
        median(&self.rates)
    }

    /// Median of the rounds' ratios: neighbours in time meet the same disk.
    fn ratio_to(&self, floor: &Self) -> f64 {
        median(&self.rates.iter().zip(&floor.rates).map(|(ours, floor)| ours / floor).collect::<Vec<_>>())
    }

    fn cpu_us(&self) -> f64 {
        median(&self.cpu_us)
    }

    fn json(&self, batch: u64) -> String {
        format!(
            "{{\"bench\":\"append\",\"log\":\"{}\",\"batch\":{batch},\"value\":{ENTRY_BYTES},\"batches_s\":{:.0},\
             \"cpu_us_entry\":{:.3},\"disk_bytes_entry\":{:.1}}}",
            self.name,
            self.per_second(),
            self.cpu_us() / batch as f64,
            median(&self.disk_bytes) / batch as f64,
        )
    }
}

/// Lets all contenders take turns.
fn measure(settings: &Settings, batch: u64) -> Result<[Case; 3], Box<dyn Error>> {
    let _ = fs::remove_dir_all(&settings.dir);
    fs::create_dir_all(&settings.dir)?;
    let reserved = ((settings.slice.as_secs_f64() * 12_000.0 * f64::from(settings.rounds + 1))
        * (batch as f64 * 264.0 + 80.0)) as u64;
    let reserved = reserved.min(3 << 30);
    let mut raw = Raw::create(&settings.dir.join("raw"), reserved)?;
    let mut inline = Ours::create(&settings.dir.join("inline"), reserved, Flushing::Manual)?;
    let mut thread = Ours::create(&settings.dir.join("thread"), reserved, Flushing::Thread)?;
    let payload: Vec<u8> = (0..ENTRY_BYTES).map(|at| (at * 37 % 251) as u8).collect();
    let mut cases = [Case::new("raw"), Case::new("inline"), Case::new("thread")];
    for round in 0..=settings.rounds {
        let counts = round > 0;
        run(&mut cases[0], settings.slice, counts, || raw.append(&payload, batch))?;
        run(&mut cases[1], settings.slice, counts, || inline.append(&payload, batch))?;
        run(&mut cases[2], settings.slice, counts, || thread.append(&payload, batch))?;
    }
    drop((inline, thread));
    fs::remove_dir_all(&settings.dir)?;
    Ok(cases)
}

fn run(
    case: &mut Case,
    slice: Duration,
    counts: bool,
    mut append: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let (cpu, written, start) = (cpu_seconds()?, written_bytes()?, Instant::now());
    let mut batches = 0.0;
    while start.elapsed() < slice {
        append()?;
        batches += 1.0;
    }
    let seconds = start.elapsed().as_secs_f64();
    if counts {
        case.rates.push(batches / seconds);
        case.cpu_us.push((cpu_seconds()? - cpu) * 1e6 / batches);
        case.disk_bytes.push((written_bytes()? - written) / batches);
    }
    Ok(())
}

/// The floor: each entry copied behind its length and checksum, one write, one sync.
struct Raw {
    file: File,
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl Raw {
    fn create(path: &Path, bytes: u64) -> Result<Self, Box<dyn Error>> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        let chunks = bytes.div_ceil(1 << 20);
        for chunk in 0..chunks {
            file.write_all_at(&zeros, chunk << 20)?;
        }
        file.sync_all()?;
        Ok(Self { file, offset: 0, end: chunks << 20, buffer: Vec::new() })
    }

    fn append(&mut self, payload: &[u8], count: u64) -> Result<(), Box<dyn Error>> {
        self.buffer.clear();
        for _ in 0..count {
            self.buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            self.buffer.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
            self.buffer.extend_from_slice(&self.offset.to_le_bytes());
            self.buffer.extend_from_slice(&1u64.to_le_bytes());
            self.buffer.extend_from_slice(payload);
        }
        if self.offset + self.buffer.len() as u64 > self.end {
            self.offset = 0;
        }
        self.file.write_all_at(&self.buffer, self.offset)?;
        self.file.sync_data()?;
        self.offset += self.buffer.len() as u64;
        Ok(())
    }
}

/// The log as a node uses it: batch built, persisted, waited for.
struct Ours {
    log: GroupLog,
    _wal: Wal,
    flushing: Flushing,
    builder: EntriesBuilder,
    next: u64,
    id: u64,
    woken: Arc<(Mutex<bool>, Condvar)>,
}

impl Ours {
    fn create(dir: &Path, reserved: u64, flushing: Flushing) -> Result<Self, Box<dyn Error>> {
        let identity = Identity { cluster: 1, node: NodeId::new(1) };
        let options = WalOptions::new(dir, identity)
            .start(Start::Initialise)
            .flushing(flushing)
            .reserved_bytes(reserved);
        let woken: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let wakes = Arc::clone(&woken);
        let wal = Wal::open(&options, move || {
            *wakes.0.lock() = true;
            wakes.1.notify_one();
        })?;
        let mut log = wal.group(GroupId::new(1))?;
        log.recover()?;
        let mut ours =
            Self { log, _wal: wal, flushing, builder: EntriesBuilder::default(), next: 1, id: 0, woken };
        ours.persist(None, Some(HardState { term: Term::new(1), ..HardState::default() }))?;
        Ok(ours)
    }

    fn append(&mut self, payload: &[u8], count: u64) -> Result<(), Box<dyn Error>> {
        for _ in 0..count {
            self.builder.push(payload).ok_or("a payload too long")?;
        }
        let entries =
            self.builder.take(Position::new(Term::new(1), LogIndex::new(self.next)), EntryKind::Command);
        self.next += count;
        self.persist(entries, None)
    }

    fn persist(
        &mut self,
        entries: Option<raft_core::Entries>,
        hard_state: Option<HardState>,
    ) -> Result<(), Box<dyn Error>> {
        self.id += 1;
        let id = PersistId::new(self.id);
        let entries = entries.map_or_else(raft_core::Batches::new, Into::into);
        self.log.persist(Persist { id, mark: None, truncate_from: None, entries, hard_state })?;
        if self.flushing == Flushing::Manual {
            self.log.flush_now()?;
        }
        while self.log.poll_persisted()? != Some(id) {
            let mut woken = self.woken.0.lock();
            while !std::mem::take(&mut *woken) {
                self.woken.1.wait(&mut woken);
            }
        }
        Ok(())
    }
}

/// What this process has used of the processors, all threads.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let mut nanos: f64 = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text.split(' ').next().unwrap_or("0").parse::<f64>()?;
    }
    Ok(nanos / 1e9)
}

/// What all disks have written; only meaningful while nobody else writes.
fn written_bytes() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/diskstats")?;
    let mut sectors = 0.0;
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(name), Some(written)) = (fields.get(2), fields.get(9)) else { continue };
        let is_whole_disk = Path::new("/sys/block").join(name).join("device").exists();
        if is_whole_disk {
            sectors += written.parse::<f64>()?;
        }
    }
    Ok(sectors * 512.0)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
