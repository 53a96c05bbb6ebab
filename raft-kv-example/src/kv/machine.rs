//! The replicated state machine: applies the batches of the log, serves reads.

use std::fmt;

use raft_core::{Entry, InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};

use super::ahead::Ahead;
use super::apply;
use super::operation::Operations;
use super::reply::{Replies, ReplySink};
use super::snapshot::{Picture, Restoring};
use super::store::Store;

/// The key-value store as the replicated log drives it.
///
/// Deterministic: no clock, no randomness, nothing of the node it runs on.
///
/// ```
/// use raft_kv::kv::{Batch, Machine, Replies, Reply, SetCondition, SetReply};
///
/// let mut machine = Machine::new(0);
/// let mut batch = Batch::new();
/// batch.set(b"color", b"blue", SetCondition::Always, SetReply::Done);
/// batch.fetch(b"color");
/// let replies = machine.apply_batch(batch.as_bytes());
/// assert!(replies.iter().eq([Reply::Ok, Reply::Bulk(b"blue")]));
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    store: Store,
    applied_operations: u64,
    fault: Option<Fault>,
    restoring: Restoring,
}

/// Why the machine applies nothing more. The node must stop: going on would make it differ from
/// nodes that understand the entry (N15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The index of the entry that this version does not understand; zero outside of a log.
    pub index: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the log entry at {} holds operations that this version does not know; \
             run the version that the other nodes run",
            self.index
        )
    }
}

impl std::error::Error for Fault {}

impl Machine {
    /// An empty store. The seed spreads the keys; all nodes of a cluster share it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { store: Store::new(seed), applied_operations: 0, fault: None, restoring: Restoring::default() }
    }

    /// Applies one batch, all of it before anything else.
    ///
    /// A batch that is malformed changes nothing and sets the [`fault`](Self::fault).
    #[must_use]
    pub fn apply_batch(&mut self, batch: &[u8]) -> Replies {
        self.apply_at(0, batch)
    }

    /// Answers a batch of reads. Operations that write are skipped without an answer.
    pub fn read_batch(&self, batch: &[u8], answers: &mut impl ReplySink) {
        let mut ahead = Ahead::new(batch);
        while let Some(operation) = ahead.next(&self.store) {
            apply::read(&self.store, operation, answers);
        }
    }

    /// The state itself.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many operations have come through the log.
    #[must_use]
    pub fn applied_operations(&self) -> u64 {
        self.applied_operations
    }

    /// Why the machine stopped, if it did.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn apply_at(&mut self, index: u64, batch: &[u8]) -> Replies {
        let is_sound = || Operations::decode(batch).all(|operation| operation.is_ok());
        if self.fault.is_some() || !is_sound() {
            self.fault.get_or_insert(Fault { index });
            return Replies::default();
        }
        let mut replies = Replies::with_capacity(REPLIES_GUESS);
        let mut ahead = Ahead::new(batch);
        while let Some(operation) = ahead.next(&self.store) {
            apply::apply(&mut self.store, operation, &mut replies);
            self.applied_operations += 1;
        }
        replies
    }
}

impl StateMachine for Machine {
    type Output = Replies;

    fn apply(&mut self, entry: &Entry<'_>) -> Replies {
        self.apply_at(entry.index.get(), entry.payload)
    }

    /// A picture shares memory with the store, so taking it is quick, whatever the store's size. A
    /// machine that has left out an entry has none: it would be missed by whoever restores it.
    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        if self.fault.is_some() {
            return None;
        }
        Some(Box::new(Picture::of(&mut self.store, self.applied_operations)))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            self.restoring = Restoring::default();
        }
        if let Some(applied_operations) = self.restoring.take(piece, &mut self.store)? {
            self.applied_operations = applied_operations;
            self.restoring = Restoring::default();
        }
        Ok(())
    }
}

const REPLIES_GUESS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Batch, KvError, Reply, SetCondition, SetReply};

    fn apply(machine: &mut Machine, build: impl FnOnce(&mut Batch)) -> Replies {
        let mut batch = Batch::new();
        build(&mut batch);
        machine.apply_batch(batch.as_bytes())
    }

    /// Applies one operation and shows its answer.
    fn one(machine: &mut Machine, build: impl FnOnce(&mut Batch)) -> String {
        let replies = apply(machine, build);
        let words: Vec<_> = replies
            .iter()
            .map(|reply| match reply {
                Reply::Bulk(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
                Reply::Error(error) => format!("error: {error}"),
                Reply::Integer(number) => number.to_string(),
                Reply::Ok | Reply::Nil | Reply::Word(_) | Reply::Array(_) => format!("{reply:?}"),
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn set_honours_its_condition_and_answers_as_asked() {
        use SetCondition::{Absent, Always, Present};
        use SetReply::{Before, Done, Number};
        let m = &mut Machine::new(0);
        assert_eq!(one(m, |b| b.set(b"k", b"1", Present, Done)), "Nil");
        assert_eq!(one(m, |b| b.fetch(b"k")), "Nil");
        assert_eq!(one(m, |b| b.set(b"k", b"1", Absent, Done)), "Ok");
        assert_eq!(one(m, |b| b.set(b"k", b"2", Absent, Done)), "Nil");
        assert_eq!(one(m, |b| b.set(b"k", b"2", Absent, Before)), "\"1\"");
        assert_eq!(one(m, |b| b.set(b"k", b"2", Absent, Number)), "0");
        assert_eq!(one(m, |b| b.set(b"k", b"2", Present, Done)), "Ok");
        assert_eq!(one(m, |b| b.set(b"k", b"3", Always, Before)), "\"2\"");
        assert_eq!(one(m, |b| b.set(b"new", b"", Always, Before)), "Nil");
        assert_eq!(one(m, |b| b.set(b"other", b"", Absent, Number)), "1");
        assert_eq!(one(m, |b| b.fetch(b"k")), "\"3\"");
        assert_eq!(one(m, |b| b.fetch(b"new")), "\"\"");
    }

    #[test]
    fn numbers_add_and_refuse_what_is_none() {
        let m = &mut Machine::new(0);
        assert_eq!(one(m, |b| b.add(b"n", 5)), "5");
        assert_eq!(one(m, |b| b.add(b"n", -7)), "-2");
        assert_eq!(one(m, |b| b.add(b"n", i64::MIN)), format!("error: {}", KvError::Overflow));
        assert_eq!(one(m, |b| b.fetch(b"n")), "\"-2\"");
        for text in ["", " 1", "1 ", "+1", "01", "-0", "-", "1.0", "x", "9223372036854775808"] {
            apply(m, |b| b.set(b"t", text.as_bytes(), SetCondition::Always, SetReply::Done));
            assert_eq!(one(m, |b| b.add(b"t", 1)), format!("error: {}", KvError::NotAnInteger), "{text:?}");
        }
        for (text, sum) in [("0", "1"), ("-1", "0"), ("9223372036854775806", "9223372036854775807")] {
            apply(m, |b| b.set(b"t", text.as_bytes(), SetCondition::Always, SetReply::Done));
            assert_eq!(one(m, |b| b.add(b"t", 1)), sum);
        }
    }

    #[test]
    fn compare_and_set_needs_the_exact_value() {
        let m = &mut Machine::new(0);
        assert_eq!(one(m, |b| b.compare_and_set(b"k", b"", b"1")), "0");
        apply(m, |b| b.set(b"k", b"1", SetCondition::Always, SetReply::Done));
        assert_eq!(one(m, |b| b.compare_and_set(b"k", b"2", b"3")), "0");
        assert_eq!(one(m, |b| b.compare_and_set(b"k", b"1", b"2")), "1");
        assert_eq!(one(m, |b| b.fetch(b"k")), "\"2\"");
    }

    #[test]
    fn operations_on_many_keys_answer_once() {
        let m = &mut Machine::new(0);
        let pairs: [&[u8]; 4] = [b"a", b"1", b"b", b"2"];
        let keys: [&[u8]; 4] = [b"a", b"b", b"none", b"a"];
        assert_eq!(one(m, |b| b.set_many(pairs.into_iter())), "Ok");
        assert_eq!(one(m, |b| b.fetch_many(keys.into_iter())), "Array(4) \"1\" \"2\" Nil \"1\"");
        assert_eq!(one(m, |b| b.exists(keys.into_iter())), "3");
        assert_eq!(one(m, |b| b.set_many_if_absent([&b"c"[..], b"3", b"a", b"9"].into_iter())), "0");
        assert_eq!(one(m, |b| b.fetch(b"c")), "Nil");
        assert_eq!(one(m, |b| b.set_many_if_absent([&b"c"[..], b"3"].into_iter())), "1");
        assert_eq!(one(m, |b| b.delete(keys.into_iter())), "2");
        assert_eq!(one(m, Batch::count), "1");
        assert_eq!(one(m, |b| b.take(b"c")), "\"3\"");
        assert_eq!(one(m, |b| b.take(b"c")), "Nil");
    }

    #[test]
    fn append_stops_at_one_mebibyte_and_leaves_the_value() {
        let m = &mut Machine::new(1);
        let part = vec![b'x'; 1 << 19];
        assert_eq!(one(m, |b| b.append(b"k", &part)), (1 << 19).to_string());
        assert_eq!(one(m, |b| b.append(b"k", &part)), (1 << 20).to_string());
        assert_eq!(one(m, |b| b.append(b"k", b"x")), "error: string exceeds maximum allowed size");
        assert_eq!(one(m, |b| b.length(b"k")), (1 << 20).to_string());
    }

    #[test]
    fn append_and_length_follow_the_value() {
        let m = &mut Machine::new(0);
        assert_eq!(one(m, |b| b.length(b"k")), "0");
        assert_eq!(one(m, |b| b.append(b"k", b"ab")), "2");
        assert_eq!(one(m, |b| b.append(b"k", b"c")), "3");
        assert_eq!(one(m, |b| b.length(b"k")), "3");
        assert_eq!(one(m, |b| b.type_of(b"k")), "Word(\"string\")");
        assert_eq!(one(m, |b| b.type_of(b"none")), "Word(\"none\")");
    }

    #[test]
    fn scan_and_match_answer_keys() {
        let m = &mut Machine::new(0);
        apply(m, |b| b.set_many([&b"a1"[..], b"", b"b1", b""].into_iter()));
        assert_eq!(one(m, |b| b.matching(b"a*")), "Array(1) \"a1\"");
        assert_eq!(one(m, |b| b.scan(0, 100, Some(b"b?"))), "Array(2) \"0\" Array(1) \"b1\"");
        assert_eq!(one(m, Batch::clear_all), "Ok");
        assert_eq!(one(m, |b| b.scan(0, 100, None)), "Array(2) \"0\" Array(0)");
    }

    #[test]
    fn reading_a_batch_answers_as_applying_it() {
        let mut m = Machine::new(0);
        apply(&mut m, |b| b.set_many([&b"a"[..], b"1", b"b", b"2"].into_iter()));
        let mut batch = Batch::new();
        batch.fetch(b"a");
        batch.fetch_many([&b"b"[..], b"x"].into_iter());
        batch.count();
        let mut read = Replies::default();
        m.read_batch(batch.as_bytes(), &mut read);
        assert_eq!(read, m.apply_batch(batch.as_bytes()));
    }

    #[test]
    fn unknown_operation_changes_nothing_and_stops_the_machine() {
        let mut m = Machine::new(0);
        let mut batch = Batch::new();
        batch.set(b"k", b"1", SetCondition::Always, SetReply::Done);
        let mut newer = batch.as_bytes().to_vec();
        newer.push(200);
        assert!(m.apply_batch(&newer).iter().next().is_none());
        assert_eq!(m.fault(), Some(Fault { index: 0 }));
        assert!(m.apply_batch(batch.as_bytes()).iter().next().is_none());
        assert!(m.store().is_empty());
    }
}
