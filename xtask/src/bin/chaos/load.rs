//! Clients that write and read all the while, and know what they may be answered.
//!
//! The number in a key only rises: a write replaces one number by a higher one, compared and set. So
//! a write of unknown outcome does no harm whenever it comes through, and what a read may find is
//! exactly known: no less than anybody has seen or was told before it began.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use raft_core::sim::Dice;
use raft_kv::link::{self, Frame, Link};

/// What all clients together know.
pub(crate) struct Ledger {
    keys: Vec<Key>,
    is_over: AtomicBool,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    refused: AtomicU64,
    reads: AtomicU64,
    violations: Mutex<Vec<String>>,
}

/// One register.
#[derive(Default)]
struct Key {
    /// The highest number that a write was sent with.
    attempted: AtomicU64,
    /// The highest number whose write was acknowledged.
    acknowledged: AtomicU64,
    /// The highest number that is known to have been there.
    known: AtomicU64,
    /// Numbers whose writes were refused.
    refused: Mutex<BTreeSet<u64>>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: u64,
    pub(crate) unknown: u64,
    pub(crate) refused: u64,
    pub(crate) reads: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.reads += other.reads;
    }
}

/// The clients at work.
pub(crate) struct Load {
    ledger: Arc<Ledger>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts clients of the nodes at these addresses.
    pub(crate) fn start(addresses: &[String], dice: &mut Dice) -> Self {
        let ledger = Arc::new(Ledger::new());
        let client = |number: usize, dice: Dice| Client {
            ledger: Arc::clone(&ledger),
            addresses: addresses.to_vec(),
            at: number % addresses.len(),
            link: None,
            dice,
        };
        let mut threads = Vec::new();
        for writer in 0..WRITERS {
            let client = client(writer, dice.split());
            threads.push(thread::spawn(move || client.write_steadily(writer)));
        }
        for reader in 0..READERS {
            let client = client(reader, dice.split());
            threads.push(thread::spawn(move || client.read_steadily()));
        }
        Self { ledger, threads }
    }

    /// What is known so far.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Waits until so many more writes are acknowledged.
    pub(crate) fn await_writes(&self, more: u64, patience: Duration) -> Result<()> {
        let goal = self.ledger.counts().acknowledged + more;
        let pause = Duration::from_millis(10);
        let mut left = patience;
        while self.ledger.counts().acknowledged < goal {
            left = left.checked_sub(pause).context("the cluster does not take writes")?;
            thread::sleep(pause);
        }
        Ok(())
    }

    /// Ends all clients.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.ledger.is_over.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            ensure!(thread.join().is_ok(), "a client panicked");
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Whoever drops it early has another error to report.
        let _ = self.finish();
    }
}

impl Ledger {
    fn new() -> Self {
        Self {
            keys: (0..WRITERS * KEYS_OF_WRITER).map(|_| Key::default()).collect(),
            is_over: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            violations: Mutex::default(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            acknowledged: self.acknowledged.load(Ordering::SeqCst),
            unknown: self.unknown.load(Ordering::SeqCst),
            refused: self.refused.load(Ordering::SeqCst),
            reads: self.reads.load(Ordering::SeqCst),
        }
    }

    /// Fails if a client was told what it must not be told.
    pub(crate) fn check(&self) -> Result<()> {
        let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        match violations.first() {
            None => Ok(()),
            Some(first) => bail!("{} wrong answers, the first: {first}", violations.len()),
        }
    }

    /// Reads every key at a node; how many have less than was acknowledged.
    pub(crate) fn count_lost(&self, address: &str) -> Result<u64> {
        let mut link = Link::open(address, PATIENCE)?;
        let mut lost = 0;
        for at in 0..self.keys.len() {
            let answer = link.ask(&[vec!["GET".to_owned(), name(at)]])?.pop().context("no answer")?;
            let found = number_in(at, &answer).with_context(|| format!("{} at {address}", name(at)))?;
            lost += u64::from(found < self.keys[at].acknowledged.load(Ordering::SeqCst));
            self.judge(at, found, 0)?;
        }
        Ok(lost)
    }

    /// Reads all keys with one request; whatever is answered must not be older than this moment.
    pub(crate) fn read_all(&self, link: &mut Link) -> Result<()> {
        let known: Vec<_> = self.keys.iter().map(|key| key.known.load(Ordering::SeqCst)).collect();
        let reads: Vec<_> = (0..self.keys.len()).map(|at| vec!["GET".to_owned(), name(at)]).collect();
        // Without an answer nothing was said that could be wrong.
        let answers = link.ask(&reads).unwrap_or_default();
        for (at, answer) in answers.iter().enumerate() {
            if !matches!(answer, Frame::Error(_)) {
                self.judge(at, number_in(at, answer)?, known[at])?;
                self.reads.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    /// Whether a key may hold this number, which was read after `known` was.
    fn judge(&self, at: usize, found: u64, known: u64) -> Result<()> {
        let key = &self.keys[at];
        let attempted = key.attempted.load(Ordering::SeqCst);
        ensure!(found >= known, "{} went back from {known} to {found}", name(at));
        ensure!(found <= attempted, "{} is {found}, no more than {attempted} was ever sent", name(at));
        let refused = key.refused.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(!refused.contains(&found), "{} is {found}, which was refused", name(at));
        key.known.fetch_max(found, Ordering::SeqCst);
        Ok(())
    }

    fn note(&self, result: Result<()>) {
        if let Err(error) = result {
            let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
            violations.push(format!("{error:#}"));
        }
    }
}

/// One thread that talks to one node as long as that answers.
struct Client {
    ledger: Arc<Ledger>,
    addresses: Vec<String>,
    at: usize,
    link: Option<Link>,
    dice: Dice,
}

/// What a client knows of a key that only it writes.
#[derive(Clone, Copy, Default)]
struct Belief {
    number: u64,
    /// Whether a write of unknown outcome may have changed it, or may yet do so.
    is_uncertain: bool,
}

impl Client {
    fn write_steadily(mut self, writer: usize) {
        let mut beliefs = [Belief::default(); KEYS_OF_WRITER];
        while !self.ledger.is_over.load(Ordering::Acquire) {
            let slot = self.dice.between(0, LAST_SLOT) as usize;
            let result = self.write(writer * KEYS_OF_WRITER + slot, &mut beliefs[slot]);
            self.ledger.note(result);
        }
    }

    /// Raises the number of a key by one write.
    fn write(&mut self, at: usize, belief: &mut Belief) -> Result<()> {
        let ledger = Arc::clone(&self.ledger);
        let key = &ledger.keys[at];
        let number = key.attempted.fetch_add(1, Ordering::SeqCst) + 1;
        let words = match belief.number {
            0 => vec!["SET".to_owned(), name(at), text_of(at, number), "NX".to_owned()],
            old => vec!["CAS".to_owned(), name(at), text_of(at, old), text_of(at, number)],
        };
        match self.ask(words) {
            Some(Frame::SimpleString(_) | Frame::Integer(1)) => {
                key.acknowledged.fetch_max(number, Ordering::SeqCst);
                key.known.fetch_max(number, Ordering::SeqCst);
                ledger.acknowledged.fetch_add(1, Ordering::SeqCst);
                belief.number = number;
            }
            Some(Frame::Null | Frame::Integer(_)) => {
                ensure!(belief.is_uncertain, "{} is not {}, which nobody changed", name(at), belief.number);
                self.look(at, belief)?;
            }
            Some(Frame::Error(text)) if !text.starts_with("UNKNOWN") => {
                ledger.refused.fetch_add(1, Ordering::SeqCst);
                key.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
                let known = key.known.load(Ordering::SeqCst);
                ensure!(known < number, "{} was {known} when {number} was refused: {text}", name(at));
            }
            Some(Frame::Error(_)) | None => {
                ledger.unknown.fetch_add(1, Ordering::SeqCst);
                belief.is_uncertain = true;
            }
            Some(other) => bail!("a write was answered {other:?}"),
        }
        Ok(())
    }

    /// Finds out what a key is.
    fn look(&mut self, at: usize, belief: &mut Belief) -> Result<()> {
        if let Some(found) = self.read(at)? {
            belief.number = found;
        }
        Ok(())
    }

    fn read_steadily(mut self) {
        while !self.ledger.is_over.load(Ordering::Acquire) {
            let at = self.dice.between(0, LAST_KEY) as usize;
            let result = self.read(at);
            self.ledger.note(result.map(|_| ()));
            if self.dice.between(0, 99) == 0 {
                self.move_on();
            }
        }
    }

    /// What a key is, if there is an answer.
    fn read(&mut self, at: usize) -> Result<Option<u64>> {
        let ledger = Arc::clone(&self.ledger);
        let known = ledger.keys[at].known.load(Ordering::SeqCst);
        let node = self.at;
        match self.ask(vec!["GET".to_owned(), name(at)]) {
            None | Some(Frame::Error(_)) => Ok(None),
            Some(answer) => {
                let judged = number_in(at, &answer).and_then(|found| {
                    ledger.judge(at, found, known)?;
                    Ok(found)
                });
                ledger.reads.fetch_add(1, Ordering::SeqCst);
                judged.map(Some).with_context(|| format!("read at node {}", node + 1))
            }
        }
    }

    /// Asks the preferred node; without an answer, another one is preferred.
    fn ask(&mut self, words: Vec<String>) -> Option<Frame> {
        if self.link.is_none() {
            self.link = Link::open(&self.addresses[self.at], PATIENCE).ok();
        }
        let answer = self.link.as_mut().and_then(|link| link.ask(&[words]).ok()?.pop());
        if answer.is_none() {
            self.move_on();
        }
        answer
    }

    fn move_on(&mut self) {
        self.link = None;
        self.at = (self.at + 1) % self.addresses.len();
        thread::sleep(Duration::from_millis(5));
    }
}

fn name(at: usize) -> String {
    format!("register-{at}")
}

/// The value that stands for a number: longer for some than for others, and like no other.
fn text_of(at: usize, number: u64) -> String {
    let mut dice = Dice::new(number ^ (at as u64) << 48);
    let words = (0..dice.between(1, 24)).map(|_| format!("{:016x}", dice.next()));
    let words: Vec<_> = words.collect();
    format!("{number} of {}: {}", name(at), words.join(" "))
}

/// The number that an answer stands for; 0 if there is none.
fn number_in(at: usize, answer: &Frame) -> Result<u64> {
    let Some(text) = link::text(answer) else {
        ensure!(*answer == Frame::Null, "{} is {answer:?}", name(at));
        return Ok(0);
    };
    let number = text.split(' ').next().and_then(|number| number.parse().ok());
    let number = number.with_context(|| format!("{} is no value of ours: {text}", name(at)))?;
    ensure!(text == text_of(at, number), "{} has a corrupt value: {text}", name(at));
    Ok(number)
}

const WRITERS: usize = 4;
const READERS: usize = 2;
const KEYS_OF_WRITER: usize = 32;
const LAST_SLOT: u32 = 31;
const LAST_KEY: u32 = 127;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Frame {
        Frame::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_value_that_is_not_exactly_one_of_ours_is_found() {
        let text = text_of(3, 7);
        assert_eq!(number_in(3, &value(&text)).unwrap(), 7);
        assert_eq!(number_in(3, &Frame::Null).unwrap(), 0);
        let (cut, of_other_key) = (&text[..text.len() - 1], text_of(4, 7));
        for wrong in [cut, "", "8", &of_other_key, &text.replacen('7', "8", 1)] {
            assert!(number_in(3, &value(wrong)).is_err(), "{wrong}");
        }
        assert!(number_in(3, &Frame::Integer(7)).is_err());
    }

    #[test]
    fn a_number_that_cannot_be_there_is_found() {
        let ledger = Ledger::new();
        ledger.keys[0].attempted.store(9, Ordering::SeqCst);
        ledger.keys[0].refused.lock().unwrap().insert(8);
        assert!(ledger.judge(0, 5, 5).is_ok());
        assert_eq!(ledger.keys[0].known.load(Ordering::SeqCst), 5, "later reads find no less");
        for (found, known) in [(4, 5), (8, 0), (10, 0)] {
            assert!(ledger.judge(0, found, known).is_err(), "{found} after {known}");
        }
    }

    #[test]
    fn a_wrong_answer_is_kept() {
        let ledger = Ledger::new();
        ledger.note(Ok(()));
        assert!(ledger.check().is_ok());
        ledger.note(ledger.judge(0, 1, 0));
        assert!(ledger.check().is_err());
    }
}
