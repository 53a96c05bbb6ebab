//! The simulator itself: the same seed always does the same, whoever watches, and a failure becomes
//! small without becoming another one.

#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::marker::PhantomData;

use raft_core::bytes::Bytes;
use raft_core::sim::{
    Answer, Dice, Digests, Failure, Fault, ModelMedium, Options, Report, RequestId, Situations, Subject,
    Violation, record, run, shrink,
};
use raft_core::{Entry, InvalidSnapshot, NodeId, SnapshotPiece, SnapshotSource, StateMachine};

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut total = Report::default();
    for seed in 0..20 {
        let options = Options::default();
        let first = run(seed, &options, Digests::default()).unwrap();
        let second = run(seed, &options, Digests::default()).unwrap();
        assert_eq!(first, second, "seed {seed}");
        total.merge(&first);
    }
    assert!(total.count("committed") > 1000, "{total:?}");
}

#[test]
fn whoever_watches_changes_nothing() {
    for seed in 0..20 {
        let report = run(seed, &Options::default(), Digests::default()).unwrap();
        let first = record(seed, &Options::default(), Digests::default());
        let second = record(seed, &Options::default(), Digests::default());
        assert_eq!((first.failure(), first.steps()), (None, report.steps), "seed {seed}");
        assert!(first.page("") == second.page(""), "seed {seed} has two pages");
    }
}

#[test]
fn a_run_without_a_fault_does_not_meet_it() {
    let met = |fault: Option<Fault>| {
        let mut options = Options::default();
        options.fault_steps = 800;
        options.without.extend(fault);
        let mut total = Report::default();
        (0..40).for_each(|seed| total.merge(&run(seed, &options, Digests::default()).unwrap()));
        total
    };
    let usual = met(None);
    for (fault, situation) in [
        (Fault::Ambush, "ambush"),
        (Fault::Change, "joint configuration"),
        (Fault::Delay, "message delayed"),
        (Fault::Disk, "disk stall"),
        (Fault::Duplicate, "message duplicated"),
        (Fault::Lease, "read served by lease"),
        (Fault::LoseState, "snapshot requested"),
        (Fault::Loss, "message lost"),
        (Fault::Partition, "partition"),
        (Fault::Pause, "pause"),
        (Fault::Replay, "message replayed"),
        (Fault::Settings, "settings changed"),
        (Fault::Transfer, "transfer"),
        (Fault::Witness, "full voter lost for ever"),
    ] {
        assert!(usual.count(situation) > 0, "{situation}");
        assert_eq!(met(Some(fault)).count(situation), 0, "{situation} without {fault}");
    }
}

#[test]
fn a_failure_shrinks_to_a_smaller_one_of_the_same_property() {
    let run = |seed, options: &Options| run(seed, options, Proposers::<Sum>::new());
    let options = Options::default();
    let failure = (0..100).find_map(|seed| run(seed, &options).err()).unwrap();
    let shrunk = shrink(failure.clone(), &options, run);
    assert_eq!(shrunk.failure.violation.property, failure.violation.property);
    // Fewer nodes may take more steps.
    let is_smaller = shrunk.options.nodes_max < options.nodes_max || shrunk.failure.step < failure.step;
    assert!(is_smaller, "{shrunk:?}");
    // Nothing but a snapshot and whoever needs it is needed.
    assert!(shrunk.options.without.len() > Fault::ALL.len() / 2, "{shrunk:?}");
    assert_eq!(run(shrunk.failure.seed, &shrunk.options).unwrap_err(), shrunk.failure);
    assert_eq!(shrink(failure, &options, run), shrunk);
    let recording = record(shrunk.failure.seed, &shrunk.options, Proposers::<Sum>::new());
    assert_eq!(recording.failure(), Some(&shrunk.failure));
    let details = &shrunk.failure.violation.details;
    assert_eq!(details.matches("node ").count(), 2, "who came first, and who differs: {details}");
}

#[test]
fn a_panic_is_a_failure_with_its_seed_and_its_place() {
    let run = |seed, options: &Options| run(seed, options, Proposers::<Count>::new());
    let options = Options::default();
    let failure = (0..100).find_map(|seed| run(seed, &options).err()).unwrap();
    assert_eq!(failure.violation.property, "nothing panics");
    assert!(failure.step > 0, "{failure}");
    let details = &failure.violation.details;
    assert!(details.contains("20 commands are enough") && details.contains("simulation.rs:"), "{details}");
    let shrunk = shrink(failure, &options, run);
    assert_eq!(shrunk.failure.violation.property, "nothing panics");
    let recording = record(shrunk.failure.seed, &shrunk.options, Proposers::<Count>::new());
    assert_eq!(recording.failure(), Some(&shrunk.failure));
    assert!(recording.page("").contains("20 commands are enough"));
}

/// At ten bytes per tick, such a snapshot takes longer than twenty election timeouts, and each transfer may
/// have to begin anew; that was once taken for a cluster that does not serve.
#[test]
fn machines_with_large_snapshots_serve() {
    for seed in [95, 135, 156, 408, 838] {
        let report = run(seed, &Options::default(), Proposers::<Large>::new());
        assert!(report.is_ok(), "{}", report.unwrap_err());
    }
}

#[test]
fn a_machine_that_refuses_its_snapshot_is_named() {
    let run = |seed| run(seed, &Options::default(), Proposers::<Refuses>::new());
    let violation = (0..100).find_map(|seed| run(seed).err()).unwrap().violation;
    assert_eq!(violation.property, "a machine restores the snapshots it took");
    assert!(violation.details.contains("StateMachine::restore"), "{violation}");
}

#[test]
fn a_failure_is_kept_if_nothing_smaller_fails() {
    let violation = Violation::new("a property", "details");
    let failure = Failure { seed: 1, step: 3, violation };
    let mut options = Options::default();
    options.fault_steps = 3;
    let shrunk = shrink(failure.clone(), &options, |_, _| Ok(Report::default()));
    assert_eq!((shrunk.failure, &shrunk.options), (failure, &options));
    assert!(shrunk.runs > 0);
}

/// Adds up what is proposed. The bug: its snapshots hold the last byte of the sum alone.
#[derive(Debug, Default)]
struct Sum(u64);

impl StateMachine for Sum {
    type Output = ();

    fn apply(&mut self, entry: &Entry<'_>) {
        self.0 += u64::from(entry.payload[0]);
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        Some(Box::new(Bytes::copy_from_slice(&self.0.to_le_bytes()[..1])))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if let Some(byte) = piece.bytes.first() {
            self.0 = u64::from(*byte);
        }
        Ok(())
    }
}

/// Adds up what is proposed, and has a lot more to keep.
#[derive(Debug, Default)]
struct Large {
    sum: u64,
    restoring: Vec<u8>,
}

const LARGE_BYTES: usize = 9000;

impl StateMachine for Large {
    type Output = ();

    fn apply(&mut self, entry: &Entry<'_>) {
        self.sum += u64::from(entry.payload[0]);
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        let mut bytes = self.sum.to_le_bytes().to_vec();
        bytes.resize(LARGE_BYTES, 0);
        Some(Box::new(Bytes::from(bytes)))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            self.restoring.clear();
        }
        self.restoring.extend_from_slice(piece.bytes);
        if piece.is_last {
            let bytes = self.restoring.first_chunk().ok_or(InvalidSnapshot)?;
            self.sum = u64::from_le_bytes(*bytes);
        }
        Ok(())
    }
}

/// Cannot read what it wrote.
#[derive(Debug, Default)]
struct Refuses;

impl StateMachine for Refuses {
    type Output = ();

    fn apply(&mut self, _entry: &Entry<'_>) {}

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        Some(Box::new(Bytes::from_static(b"state")))
    }

    fn restore(&mut self, _piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        Err(InvalidSnapshot)
    }
}

/// Counts what is proposed. The bug: it does not count far.
#[derive(Debug, Default)]
struct Count(u64);

impl StateMachine for Count {
    type Output = ();

    fn apply(&mut self, _entry: &Entry<'_>) {
        self.0 += 1;
        assert!(self.0 < 20, "20 commands are enough");
    }
}

/// What a machine has come to.
trait Total: StateMachine<Output = ()> + Default {
    fn total(&self) -> u64;
}

impl Total for Sum {
    fn total(&self) -> u64 {
        self.0
    }
}

impl Total for Count {
    fn total(&self) -> u64 {
        self.0
    }
}

impl Total for Large {
    fn total(&self) -> u64 {
        self.sum
    }
}

impl Total for Refuses {
    fn total(&self) -> u64 {
        0
    }
}

/// Clients that do nothing but propose bytes to such a machine.
struct Proposers<M>(PhantomData<M>);

impl<M: Total> Proposers<M> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<M: Total> Subject for Proposers<M> {
    type Machine = M;
    type Medium = ModelMedium;

    fn machine(&mut self) -> M {
        M::default()
    }

    fn medium(&mut self, _node: NodeId, dice: Dice, situations: &Situations) -> ModelMedium {
        ModelMedium::new(dice, situations)
    }

    fn propose(&mut self, _request: RequestId, _now: u64, dice: &mut Dice) -> Option<Vec<u8>> {
        Some(dice.next().to_le_bytes()[..1].to_vec())
    }

    fn read(&mut self, _request: RequestId, _now: u64, _dice: &mut Dice) -> bool {
        false
    }

    fn on_answer(&mut self, _request: RequestId, _now: u64, _answer: Answer<'_, M>) -> Result<(), Violation> {
        Ok(())
    }

    fn digest(machine: &mut M) -> Option<u64> {
        Some(machine.total())
    }
}
