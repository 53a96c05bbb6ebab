//! A contest of durable logs: all of them take turns in one run, so they meet the same disk and the
//! same neighbours, and what counts is the ratio to the first one.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Appends one entry of its own and returns when it is durable.
pub(crate) type Caller = Box<dyn FnMut(&[u8]) -> Outcome<()> + Send>;

/// A log that is open.
pub(crate) trait Log {
    /// Appends entries; they are durable when it returns.
    fn append(&mut self, first: u64, payloads: &[&[u8]]) -> Outcome<()>;

    /// The index of the last entry.
    fn last(&mut self) -> Outcome<u64>;

    /// Reads entries that are there; tells how many bytes they have.
    fn read(&mut self, first: u64, count: u64) -> Outcome<usize>;

    /// Handles for so many threads that append at once; none if the log has one writer.
    fn callers(&mut self, _count: usize) -> Outcome<Vec<Caller>> {
        Ok(Vec::new())
    }
}

/// A contender: its name, and how it opens a directory in which so many bytes will be written.
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) open: fn(&Path, u64) -> Outcome<Box<dyn Log>>,
}

/// What one contender did.
#[derive(Default)]
struct Row {
    /// For each size of batch, the rounds' batches per second.
    rates: [Vec<f64>; BATCHES.len()],
    cpu_us: [Vec<f64>; BATCHES.len()],
    disk_bytes: [Vec<f64>; BATCHES.len()],
    open_ms: Vec<f64>,
    reads: Vec<f64>,
    callers: Vec<f64>,
}

struct Settings {
    dir: PathBuf,
    rounds: u32,
    slice: Duration,
    entries: u64,
}

/// Runs the contest and prints its table; the first entrant is the measure of the others.
pub(crate) fn run(entrants: &[Entrant]) -> Outcome<()> {
    let settings = Settings::from_arguments()?;
    let payloads = Payloads::new();
    let mut rows: Vec<Row> = entrants.iter().map(|_| Row::default()).collect();
    for at in 0..BATCHES.len() {
        append(&settings, entrants, &payloads, at, &mut rows)?;
    }
    call(&settings, entrants, &payloads, &mut rows)?;
    reopen(&settings, entrants, &payloads, &mut rows)?;
    fs::remove_dir_all(&settings.dir)?;
    print(entrants, &rows);
    Ok(())
}

impl Settings {
    fn from_arguments() -> Outcome<Self> {
        let mut settings = Self {
            dir: PathBuf::from("target/bench-log"),
            rounds: 31,
            slice: Duration::from_millis(100),
            entries: 1_000_000,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} wants a value"));
            match name.as_str() {
                "--dir" => settings.dir = value()?.into(),
                "--rounds" => settings.rounds = value()?.parse()?,
                "--millis" => settings.slice = Duration::from_millis(value()?.parse()?),
                "--entries" => settings.entries = value()?.parse()?,
                _ => return Err(format!("{name} is none of --dir, --rounds, --millis and --entries").into()),
            }
        }
        Ok(settings)
    }

    /// How many bytes are written at most in all rounds, if a disk does 12 000 syncs per second.
    fn room(&self, batch: usize) -> u64 {
        let batches = self.slice.as_secs_f64() * 12_000.0 * f64::from(self.rounds + 1);
        let bytes = batches as u64 * (batch as u64 * (ENTRY_BYTES as u64 + 24) + 96);
        bytes.clamp(4 << 20, 3 << 30)
    }

    /// An empty directory for each entrant, and its log in it.
    fn open_all(&self, entrants: &[Entrant], room: u64) -> Outcome<Vec<Box<dyn Log>>> {
        let _ = fs::remove_dir_all(&self.dir);
        entrants.iter().map(|entrant| (entrant.open)(&self.place(entrant)?, room)).collect()
    }

    fn place(&self, entrant: &Entrant) -> Outcome<PathBuf> {
        let dir = self.dir.join(entrant.name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

/// One caller, one sync per batch.
fn append(
    settings: &Settings,
    entrants: &[Entrant],
    payloads: &Payloads,
    at: usize,
    rows: &mut [Row],
) -> Outcome<()> {
    let batch = BATCHES[at];
    let mut logs = settings.open_all(entrants, settings.room(batch))?;
    let mut next = vec![1; logs.len()];
    for round in 0..=settings.rounds {
        for ((log, next), row) in logs.iter_mut().zip(&mut next).zip(&mut *rows) {
            let (cpu, written, start) = (cpu_seconds()?, written_bytes()?, Instant::now());
            let mut count = 0.0;
            while start.elapsed() < settings.slice {
                log.append(*next, &payloads.batch(*next, batch))?;
                *next += batch as u64;
                count += 1.0;
            }
            // The first round warms up.
            if round > 0 {
                row.rates[at].push(count / start.elapsed().as_secs_f64());
                let entries = count * batch as f64;
                row.cpu_us[at].push((cpu_seconds()? - cpu) * 1e6 / entries);
                row.disk_bytes[at].push((written_bytes()? - written) / entries);
            }
        }
    }
    Ok(())
}

/// Many callers, each with one entry at a time: what they share are the syncs.
fn call(settings: &Settings, entrants: &[Entrant], payloads: &Payloads, rows: &mut [Row]) -> Outcome<()> {
    let mut logs = settings.open_all(entrants, settings.room(CALLERS))?;
    let mut callers = Vec::new();
    for log in &mut logs {
        callers.push(log.callers(CALLERS)?);
    }
    for round in 0..=settings.rounds {
        for (callers, row) in callers.iter_mut().zip(&mut *rows).filter(|(callers, _)| !callers.is_empty()) {
            let start = Instant::now();
            let total: Outcome<u64> = std::thread::scope(|scope| {
                let threads: Vec<_> = callers
                    .iter_mut()
                    .map(|caller| scope.spawn(move || call_for(caller, settings.slice, payloads)))
                    .collect();
                threads.into_iter().map(|thread| thread.join().map_err(|_| "a caller panicked")?).sum()
            });
            if round > 0 {
                row.callers.push(total? as f64 / start.elapsed().as_secs_f64());
            }
        }
    }
    Ok(())
}

fn call_for(caller: &mut Caller, slice: Duration, payloads: &Payloads) -> Outcome<u64> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < slice {
        caller(payloads.at(count))?;
        count += 1;
    }
    Ok(count)
}

/// Opens a full log, in turns, and reads 64 consecutive entries from random places.
fn reopen(settings: &Settings, entrants: &[Entrant], payloads: &Payloads, rows: &mut [Row]) -> Outcome<()> {
    let room = settings.entries * (ENTRY_BYTES as u64 + 64);
    for mut log in settings.open_all(entrants, room)? {
        for first in (1..=settings.entries).step_by(LOADED) {
            log.append(first, &payloads.batch(first, LOADED))?;
        }
    }
    let mut random = 88_172_645_463_325_252_u64;
    for _ in 0..settings.rounds.div_ceil(3) {
        for (entrant, row) in entrants.iter().zip(&mut *rows) {
            let place = settings.place(entrant)?;
            let start = Instant::now();
            let mut log = (entrant.open)(&place, room)?;
            let last = log.last()?;
            row.open_ms.push(start.elapsed().as_secs_f64() * 1e3);
            if last < settings.entries {
                return Err(format!("{}: {last} entries of {}", entrant.name, settings.entries).into());
            }
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < settings.slice {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let bytes = log.read(1 + random % (settings.entries - READ), READ)?;
                if bytes != ENTRY_BYTES * READ as usize {
                    return Err(format!("{}: {bytes} bytes read", entrant.name).into());
                }
                count += READ;
            }
            row.reads.push(count as f64 / start.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

fn print(entrants: &[Entrant], rows: &[Row]) {
    println!(
        "| log | 1 | 16 | 256 | µs per entry at 256 | bytes on disk at 256 | \
         {CALLERS} callers, entries/s | open, ms | reads/s |\n|---|---|---|---|---|---|---|---|---|"
    );
    for (entrant, row) in entrants.iter().zip(rows) {
        let mut line = format!("| {} |", entrant.name);
        for (rates, floor) in row.rates.iter().zip(&rows[0].rates) {
            line += &format!(" {:.0} ({:.2}) |", median(rates), ratio(rates, floor));
        }
        let last = BATCHES.len() - 1;
        line += &format!(" {:.2} | {:.0} |", median(&row.cpu_us[last]), median(&row.disk_bytes[last]));
        line += &match row.callers.is_empty() {
            true => " – |".to_owned(),
            false => format!(" {:.0} |", median(&row.callers)),
        };
        let (reads, ratio) = (median(&row.reads) / 1e6, ratio(&row.reads, &rows[0].reads));
        println!("{line} {:.0} | {reads:.1} M ({ratio:.2}) |", median(&row.open_ms));
    }
}

/// Payloads that no compression makes smaller.
struct Payloads(Vec<Vec<u8>>);

impl Payloads {
    fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        Self((0..4096).map(|_| (0..ENTRY_BYTES).map(|_| byte()).collect()).collect())
    }

    fn at(&self, index: u64) -> &[u8] {
        &self.0[index as usize % self.0.len()]
    }

    fn batch(&self, first: u64, count: usize) -> Vec<&[u8]> {
        (first..).take(count).map(|index| self.at(index)).collect()
    }
}

/// What this process has used of the processors, all threads.
fn cpu_seconds() -> Outcome<f64> {
    let mut nanos = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text.split(' ').next().unwrap_or("0").parse::<f64>()?;
    }
    Ok(nanos / 1e9)
}

/// What all disks have written; only meaningful while nobody else writes. What the system says of
/// one process counts the whole of a large page for a write to a part of it.
fn written_bytes() -> Outcome<f64> {
    let mut sectors = 0.0;
    for line in fs::read_to_string("/proc/diskstats")?.lines() {
        let mut fields = line.split_whitespace().skip(2);
        let (Some(name), Some(written)) = (fields.next(), fields.nth(6)) else { continue };
        if Path::new("/sys/block").join(name).join("device").exists() {
            sectors += written.parse::<f64>()?;
        }
    }
    Ok(sectors * 512.0)
}

/// Median of the rounds' ratios: neighbours in time meet the same disk.
fn ratio(values: &[f64], floor: &[f64]) -> f64 {
    median(&values.iter().zip(floor).map(|(value, floor)| value / floor).collect::<Vec<_>>())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

const ENTRY_BYTES: usize = 256;
/// Entries per sync.
const BATCHES: [usize; 3] = [1, 16, 256];
/// Threads that append at once.
const CALLERS: usize = 64;
/// Entries per append of the log that is opened again.
const LOADED: usize = 100;
/// Entries per read.
const READ: u64 = 64;
