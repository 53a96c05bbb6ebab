//! Writes at a steady rate, through whichever node answers, and remembers what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redis_protocol::resp2::types::OwnedFrame;

use super::cluster::NODES;
use crate::link::{self, Link};

/// Threads that write.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<u64>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
}

/// What became of the writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LoadReport {
    pub(super) acknowledged: u64,
    /// Definitely not carried out.
    pub(super) refused: u64,
    /// Nobody knows: the connection broke, or the node said so.
    pub(super) unknown: u64,
    /// Acknowledged, but not there in the end. Known only after [`Load::finish`].
    pub(super) missing: u64,
}

impl Load {
    pub(super) fn start(ports: [u16; NODES], rate: u32) -> Self {
        let shared = Arc::new(Shared::default());
        let write = |at| {
            let shared = Arc::clone(&shared);
            let pace = Duration::from_secs(1) * BATCH * u32::try_from(NODES).unwrap_or(1) / rate.max(1);
            std::thread::spawn(move || Writer { shared, ports, at, next: 0, last: Vec::new() }.run(pace))
        };
        let threads = (0..NODES).map(write).collect();
        Self { shared, threads }
    }

    pub(super) fn report(&self) -> LoadReport {
        LoadReport {
            acknowledged: self.shared.acknowledged.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            unknown: self.shared.unknown.load(Ordering::Relaxed),
            missing: 0,
        }
    }

    /// Stops writing and looks whether everything that was acknowledged is there.
    pub(super) fn finish(mut self) -> LoadReport {
        self.shared.is_over.store(true, Ordering::Release);
        // A writer that panicked did not look: count it as a loss.
        let missing = self.threads.drain(..).map(|thread| thread.join().unwrap_or(1)).sum();
        LoadReport { missing, ..self.report() }
    }
}

/// One thread's work: writes rising numbers under keys of its own, in turn.
struct Writer {
    shared: Arc<Shared>,
    ports: [u16; NODES],
    /// The node it prefers now.
    at: usize,
    next: u64,
    /// The last acknowledged number of each key.
    last: Vec<u64>,
}

impl Writer {
    fn run(mut self, pace: Duration) -> u64 {
        self.last = vec![0; KEYS];
        let name = self.at;
        let key = |slot: usize| format!("demo:{name}:{slot}");
        let mut link: Option<Link> = None;
        let mut due = Instant::now();
        while !self.shared.is_over.load(Ordering::Acquire) {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due = (due + pace).max(Instant::now());
            if link.is_none() {
                link = self.connect();
            }
            let Some(open) = &mut link else { continue };
            let numbers = self.next + 1..=self.next + u64::from(BATCH);
            self.next += u64::from(BATCH);
            let slots: Vec<(usize, u64)> = numbers.map(|number| (slot_of(number), number)).collect();
            let command =
                |&(slot, number): &(usize, u64)| vec!["SET".to_owned(), key(slot), number.to_string()];
            let commands: Vec<_> = slots.iter().map(command).collect();
            match open.ask(&commands) {
                Ok(answers) => slots.iter().zip(&answers).for_each(|(slot, answer)| self.note(*slot, answer)),
                Err(_) => {
                    self.shared.unknown.fetch_add(BATCH.into(), Ordering::Relaxed);
                    link = None;
                }
            }
        }
        self.count_missing(key)
    }

    fn note(&mut self, (slot, number): (usize, u64), answer: &OwnedFrame) {
        let counter = match answer {
            OwnedFrame::SimpleString(_) => {
                self.last[slot] = number;
                &self.shared.acknowledged
            }
            OwnedFrame::Error(text) if text.starts_with("UNKNOWN") => &self.shared.unknown,
            _ => &self.shared.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Connects to the preferred node, or else prefers the next one.
    fn connect(&mut self) -> Option<Link> {
        let link = Link::open(&link::local(self.ports[self.at]), PATIENCE).ok();
        if link.is_none() {
            self.at = (self.at + 1) % NODES;
            std::thread::sleep(Duration::from_millis(20));
        }
        link
    }

    /// How many keys hold less than was acknowledged. More may be there: writes of unknown outcome.
    fn count_missing(&mut self, key: impl Fn(usize) -> String) -> u64 {
        let written: Vec<usize> = (0..KEYS).filter(|slot| self.last[*slot] > 0).collect();
        let mut command = vec!["MGET".to_owned()];
        command.extend(written.iter().map(|slot| key(*slot)));
        if written.is_empty() {
            return 0;
        }
        let until = Instant::now() + CHECK_WITHIN;
        while Instant::now() < until {
            let answer = self.connect().and_then(|mut link| link.ask(std::slice::from_ref(&command)).ok());
            let Some([OwnedFrame::Array(values)]) = answer.as_deref() else { continue };
            let is_there = |(slot, value): (&usize, &OwnedFrame)| {
                let number = link::text(value).and_then(|text| text.parse().ok());
                number.is_some_and(|number: u64| number >= self.last[*slot])
            };
            let found = written.iter().zip(values).filter(|pair| is_there(*pair)).count();
            return u64::try_from(written.len() - found).unwrap_or(u64::MAX);
        }
        u64::try_from(written.len()).unwrap_or(u64::MAX)
    }
}

fn slot_of(number: u64) -> usize {
    usize::try_from(number % u64::try_from(KEYS).unwrap_or(1)).unwrap_or(0)
}

/// Writes that are sent together.
const BATCH: u32 = 10;
/// Keys of each thread.
const KEYS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(5);
const CHECK_WITHIN: Duration = Duration::from_secs(10);
