//! A state machine of one's own in the simulator, with a bug that only a restart shows:
//! `cargo run -p raft-core --features sim --example simulate -- page.html`.
//!
//! The machine counts votes for names and tells who leads the poll. Its snapshots hold the counts, but
//! not the leader of the poll, which `restore` works out anew; when two names have the same count, it
//! may come to another result than the nodes that were there. The simulator finds a seed in which that
//! happens, makes the run small, tells what led to it, and draws it on the page. Then the same runs with
//! the bug mended. With a seed and options behind the page, it runs that seed alone.

use std::collections::BTreeMap;
use std::error::Error;
use std::{env, fs, io};

use raft_core::bytes::Bytes;
use raft_core::sim::{
    Answer, Dice, ModelMedium, Operation, Options, RequestId, Situations, Subject, Violation,
    is_linearizable, record, run, shrink,
};
use raft_core::{Entry, InvalidSnapshot, NodeId, SnapshotPiece, SnapshotSource, StateMachine};

/// How often each name was called, and which one was the first to reach the highest count.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Poll<const MENDED: bool> {
    counts: BTreeMap<u8, u64>,
    leader: Option<u8>,
    restoring: Vec<u8>,
}

impl<const MENDED: bool> Poll<MENDED> {
    /// Counts a vote, and tells who leads the poll now.
    fn vote(&mut self, name: u8) -> u8 {
        let count = self.counts.entry(name).or_default();
        *count += 1;
        let count = *count;
        if self.leader.is_none_or(|leader| self.counts[&leader] < count) {
            self.leader = Some(name);
        }
        self.leader.unwrap_or(name)
    }
}

impl<const MENDED: bool> StateMachine for Poll<MENDED> {
    type Output = u8;

    fn apply(&mut self, entry: &Entry<'_>) -> u8 {
        self.vote(entry.payload[0])
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        let mut bytes = Vec::new();
        if MENDED {
            bytes.push(self.leader.unwrap_or(0));
        }
        for (name, count) in &self.counts {
            bytes.push(*name);
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        Some(Box::new(Bytes::from(bytes)))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            *self = Self::default();
        }
        self.restoring.extend_from_slice(piece.bytes);
        if !piece.is_last {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.restoring);
        let records = if MENDED { bytes.get(1..).ok_or(InvalidSnapshot)? } else { &bytes };
        for record in records.chunks(9) {
            let (name, count) = record.split_first().ok_or(InvalidSnapshot)?;
            self.counts.insert(*name, u64::from_le_bytes(count.try_into().map_err(|_| InvalidSnapshot)?));
        }
        self.leader = if MENDED {
            (!self.counts.is_empty()).then_some(bytes[0])
        } else {
            // The bug: of several names with the highest count this takes the last one.
            self.counts.iter().max_by_key(|(_, count)| **count).map(|(name, _)| *name)
        };
        Ok(())
    }
}

/// Clients that vote, each vote at most once, and that ask who leads the poll.
#[derive(Debug, Default)]
struct Voters<const MENDED: bool> {
    history: BTreeMap<RequestId, Operation<Option<u8>, Option<u8>>>,
}

impl<const MENDED: bool> Subject for Voters<MENDED> {
    type Machine = Poll<MENDED>;
    type Medium = ModelMedium;

    fn machine(&mut self) -> Poll<MENDED> {
        Poll::default()
    }

    fn medium(&mut self, _node: NodeId, dice: Dice, situations: &Situations) -> ModelMedium {
        ModelMedium::new(dice, situations)
    }

    fn propose(&mut self, request: RequestId, now: u64, dice: &mut Dice) -> Option<Vec<u8>> {
        let name = *dice.pick(b"abc");
        self.history.insert(request, Operation { call: Some(name), asked: now, answer: None });
        Some(vec![name])
    }

    fn read(&mut self, request: RequestId, now: u64, _dice: &mut Dice) -> bool {
        self.history.insert(request, Operation { call: None, asked: now, answer: None });
        true
    }

    fn on_answer(
        &mut self,
        request: RequestId,
        now: u64,
        answer: Answer<'_, Poll<MENDED>>,
    ) -> Result<(), Violation> {
        let leader = match answer {
            Answer::Applied(leader) => Some(leader),
            Answer::Read(poll) => poll.leader,
            // It never happened, so it is no part of what happened.
            Answer::Never | Answer::Unread => {
                self.history.remove(&request);
                return Ok(());
            }
            Answer::Unknown => return Ok(()),
        };
        if let Some(operation) = self.history.get_mut(&request) {
            operation.answer = Some((now, leader));
        }
        Ok(())
    }

    fn finish(&mut self, _committed_count: &dyn Fn(&[u8]) -> usize) -> Result<(), Violation> {
        let history: Vec<_> = self.history.values().cloned().collect();
        let apply = |poll: &mut Poll<true>, call: &Option<u8>| match call {
            Some(name) => Some(poll.vote(*name)),
            None => poll.leader,
        };
        // Many votes of unknown outcome would make the search long; the states are compared anyway.
        let open_count = history.iter().filter(|operation| operation.answer.is_none()).count();
        if open_count <= 8 && !is_linearizable(&history, Poll::default(), apply) {
            return Err(Violation::new("voters see one poll", format!("{history:?}")));
        }
        Ok(())
    }

    /// Of all of the state, also of what the snapshot leaves out.
    fn digest(poll: &mut Poll<MENDED>) -> Option<u64> {
        let numbers = poll.counts.iter().flat_map(|(name, count)| [u64::from(*name), *count]);
        let fold = |digest: u64, number: u64| digest.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
        Some(numbers.fold(poll.leader.map_or(0, u64::from), fold))
    }
}

const SEEDS: u64 = 50;

const COMMAND: &str = "cargo run -p raft-core --features sim --example simulate --";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args[..] {
        [page, seed, options @ ..] => show(page, seed.parse()?, &options.join(" ").parse()?)?,
        [page] => hunt(page)?,
        [] => return Err(format!("{COMMAND} PAGE [SEED [OPTIONS]]").into()),
    }
    Ok(())
}

/// Finds the bug, and shows it with as little else as possible.
fn hunt(page: &str) -> io::Result<()> {
    let options = Options::default();
    let found = (0..SEEDS).find_map(|seed| run(seed, &options, Voters::<false>::default()).err());
    let failure = found.expect("the bug is found");
    println!("{failure}\n");
    let shrunk = shrink(failure, &options, |seed, options| run(seed, options, Voters::<false>::default()));
    println!("The same with less:");
    show(page, shrunk.failure.seed, &shrunk.options)?;
    for seed in 0..SEEDS {
        run(seed, &options, Voters::<true>::default()).expect("the mended machine keeps every property");
    }
    println!("\nMended, the same {SEEDS} seeds keep every property.");
    Ok(())
}

/// Runs one seed, tells what led to its failure, and draws it.
fn show(page: &str, seed: u64, options: &Options) -> io::Result<()> {
    let recording = record(seed, options, Voters::<false>::default());
    match recording.failure() {
        Some(failure) => println!("{failure}\n\nWhat led to it:"),
        None => println!("seed {seed} keeps every property"),
    }
    for line in recording.story(12) {
        println!("{line}");
    }
    let command = format!("{COMMAND} {page} {seed} {options}");
    println!("\nOnce more: {command}");
    fs::write(page, recording.page(&command))
}
