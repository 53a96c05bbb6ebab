//! Writes operations into the bytes of one log entry.

use raft_core::sessions::SessionCommand;

use super::bytes::{put_string, put_varint};
use super::operation::{SetCondition, SetReply, opcode};

/// Operations that are applied together, encoded as [`Operations`](super::Operations) reads them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The payload of a log entry: what tells it from commands of sessions, then the operations.
    bytes: Vec<u8>,
    head_bytes: usize,
    operations: usize,
}

impl Batch {
    /// No operations.
    #[must_use]
    pub fn new() -> Self {
        let bytes = SessionCommand::Plain(b"").to_payload();
        Self { head_bytes: bytes.len(), bytes, operations: 0 }
    }

    /// Forgets the operations and keeps the memory, unless it is more than `bytes_max`.
    pub fn clear(&mut self, bytes_max: usize) {
        self.bytes.truncate(self.head_bytes);
        if self.bytes.capacity() > bytes_max {
            self.bytes.shrink_to(bytes_max);
        }
        self.operations = 0;
    }

    /// How many operations there are.
    #[must_use]
    pub fn operation_count(&self) -> usize {
        self.operations
    }

    /// The encoded operations.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.head_bytes..]
    }

    /// The log entry that carries them outside of any session.
    #[must_use]
    pub fn as_payload(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds [`Operation::Set`](super::Operation::Set).
    pub fn set(&mut self, key: &[u8], value: &[u8], condition: SetCondition, reply: SetReply) {
        let condition = match condition {
            SetCondition::Always => 0,
            SetCondition::Absent => 1,
            SetCondition::Present => 2,
        };
        let reply = match reply {
            SetReply::Done => 0,
            SetReply::Before => 1,
            SetReply::Number => 2,
        };
        self.open(opcode::SET);
        self.bytes.push(condition | reply << 4);
        put_string(&mut self.bytes, key);
        put_string(&mut self.bytes, value);
    }

    /// Adds [`Operation::SetMany`](super::Operation::SetMany): keys and values in turn.
    pub fn set_many<'a>(&mut self, strings: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.list(opcode::SET_MANY, strings);
    }

    /// Adds [`Operation::SetManyIfAbsent`](super::Operation::SetManyIfAbsent): keys and values in
    /// turn.
    pub fn set_many_if_absent<'a>(&mut self, strings: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.list(opcode::SET_MANY_IF_ABSENT, strings);
    }

    /// Adds [`Operation::Take`](super::Operation::Take).
    pub fn take(&mut self, key: &[u8]) {
        self.open(opcode::TAKE);
        put_string(&mut self.bytes, key);
    }

    /// Adds [`Operation::Delete`](super::Operation::Delete).
    pub fn delete<'a>(&mut self, keys: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.list(opcode::DELETE, keys);
    }

    /// Adds [`Operation::Add`](super::Operation::Add).
    pub fn add(&mut self, key: &[u8], delta: i64) {
        self.open(opcode::ADD);
        put_string(&mut self.bytes, key);
        self.bytes.extend_from_slice(&delta.to_le_bytes());
    }

    /// Adds [`Operation::Append`](super::Operation::Append).
    pub fn append(&mut self, key: &[u8], tail: &[u8]) {
        self.open(opcode::APPEND);
        put_string(&mut self.bytes, key);
        put_string(&mut self.bytes, tail);
    }

    /// Adds [`Operation::CompareAndSet`](super::Operation::CompareAndSet).
    pub fn compare_and_set(&mut self, key: &[u8], expected: &[u8], new: &[u8]) {
        self.open(opcode::COMPARE_AND_SET);
        put_string(&mut self.bytes, key);
        put_string(&mut self.bytes, expected);
        put_string(&mut self.bytes, new);
    }

    /// Adds [`Operation::Clear`](super::Operation::Clear).
    pub fn clear_all(&mut self) {
        self.open(opcode::CLEAR);
    }

    /// Adds [`Operation::Get`](super::Operation::Get).
    pub fn fetch(&mut self, key: &[u8]) {
        self.open(opcode::GET);
        put_string(&mut self.bytes, key);
    }

    /// Adds [`Operation::GetMany`](super::Operation::GetMany).
    pub fn fetch_many<'a>(&mut self, keys: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.list(opcode::GET_MANY, keys);
    }

    /// Adds [`Operation::Exists`](super::Operation::Exists).
    pub fn exists<'a>(&mut self, keys: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.list(opcode::EXISTS, keys);
    }

    /// Adds [`Operation::Length`](super::Operation::Length).
    pub fn length(&mut self, key: &[u8]) {
        self.open(opcode::LENGTH);
        put_string(&mut self.bytes, key);
    }

    /// Adds [`Operation::Type`](super::Operation::Type).
    pub fn type_of(&mut self, key: &[u8]) {
        self.open(opcode::TYPE);
        put_string(&mut self.bytes, key);
    }

    /// Adds [`Operation::Count`](super::Operation::Count).
    pub fn count(&mut self) {
        self.open(opcode::COUNT);
    }

    /// Adds [`Operation::Scan`](super::Operation::Scan).
    pub fn scan(&mut self, cursor: u64, count: u64, pattern: Option<&[u8]>) {
        self.open(opcode::SCAN);
        self.bytes.extend_from_slice(&cursor.to_le_bytes());
        self.bytes.extend_from_slice(&count.to_le_bytes());
        self.bytes.push(u8::from(pattern.is_some()));
        if let Some(pattern) = pattern {
            put_string(&mut self.bytes, pattern);
        }
    }

    /// Adds [`Operation::Match`](super::Operation::Match).
    pub fn matching(&mut self, pattern: &[u8]) {
        self.open(opcode::MATCH);
        put_string(&mut self.bytes, pattern);
    }

    /// Adds all operations of another batch.
    pub fn extend(&mut self, other: &Self) {
        self.bytes.extend_from_slice(other.as_bytes());
        self.operations += other.operations;
    }

    fn open(&mut self, opcode: u8) {
        self.operations += 1;
        self.bytes.push(opcode);
    }

    fn list<'a>(&mut self, opcode: u8, strings: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.open(opcode);
        put_varint(&mut self.bytes, strings.len());
        for string in strings {
            put_string(&mut self.bytes, string);
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{MalformedBatch, Operation, Operations};

    fn every_operation() -> Batch {
        let keys: [&[u8]; 2] = [b"a", b""];
        let mut batch = Batch::new();
        batch.set(b"k", &[7; 300], SetCondition::Present, SetReply::Before);
        batch.set_many(keys.into_iter());
        batch.set_many_if_absent(keys.into_iter());
        batch.take(b"k");
        batch.delete(keys.into_iter());
        batch.add(b"n", i64::MIN);
        batch.append(b"k", b"tail");
        batch.compare_and_set(b"k", b"old", b"new");
        batch.clear_all();
        batch.fetch(b"k");
        batch.fetch_many(keys.into_iter());
        batch.exists(keys.into_iter());
        batch.length(b"k");
        batch.type_of(b"k");
        batch.count();
        batch.scan(u64::MAX, 10, Some(b"k*"));
        batch.scan(0, 10, None);
        batch.matching(b"*");
        batch
    }

    #[test]
    fn every_operation_reads_back_as_written() {
        let batch = every_operation();
        let operations: Vec<_> = Operations::decode(batch.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(operations.len(), batch.operation_count());
        let set = Operation::Set {
            key: b"k",
            value: &[7; 300],
            condition: SetCondition::Present,
            reply: SetReply::Before,
        };
        assert_eq!(operations[0], set);
        assert_eq!(operations[5], Operation::Add { key: b"n", delta: i64::MIN });
        assert_eq!(operations[15], Operation::Scan { cursor: u64::MAX, count: 10, pattern: Some(b"k*") });
        let Operation::GetMany(keys) = operations[10] else { panic!("{:?}", operations[10]) };
        assert_eq!(keys.iter().collect::<Vec<_>>(), [&b"a"[..], b""]);
    }

    #[test]
    fn batch_cut_or_changed_anywhere_never_panics() {
        let batch = every_operation();
        let bytes = batch.as_bytes();
        for end in 0..bytes.len() {
            let _ = Operations::decode(&bytes[..end]).count();
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = bytes.to_vec();
                changed[end] ^= flip;
                let _ = Operations::decode(&changed).count();
            }
        }
    }

    #[test]
    fn unknown_opcode_is_refused_and_nothing_behind_it_is_read() {
        let operations: Vec<_> = Operations::decode(&[200, 1]).collect();
        assert_eq!(operations, [Err(MalformedBatch)]);
    }

    #[test]
    fn list_of_pairs_with_an_odd_count_is_refused() {
        let mut batch = Batch::new();
        batch.set_many([&b"a"[..]].into_iter());
        assert_eq!(Operations::decode(batch.as_bytes()).next(), Some(Err(MalformedBatch)));
    }
}
