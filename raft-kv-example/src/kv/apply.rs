//! What each operation does to the store and what it answers.

use super::glob;
use super::operation::{Operation, SetCondition, SetReply};
use super::reply::{KvError, Reply, ReplySink};
use super::store::Store;

/// Carries out one operation. The same store and operation give the same store and answer.
pub(super) fn apply(store: &mut Store, operation: Operation<'_>, answers: &mut impl ReplySink) {
    match operation {
        Operation::Set { key, value, condition, reply } => {
            set(store, key, value, (condition, reply), answers);
        }
        Operation::SetMany(pairs) => {
            pairs.iter().for_each(|(key, value)| store.set(key, value));
            answers.push(Reply::Ok);
        }
        Operation::SetManyIfAbsent(pairs) => {
            let is_free = pairs.iter().all(|(key, _)| !store.contains(key));
            if is_free {
                pairs.iter().for_each(|(key, value)| store.set(key, value));
            }
            answers.push(Reply::Integer(is_free.into()));
        }
        Operation::Take(key) => push_value(store.remove(key).as_deref(), answers),
        Operation::Delete(keys) => {
            let removed = keys.iter().filter(|key| store.remove(key).is_some()).count();
            answers.push(number(removed));
        }
        Operation::Add { key, delta } => {
            let reply = add(store, key, delta).map_or_else(Reply::Error, Reply::Integer);
            answers.push(reply);
        }
        Operation::Append { key, tail } => {
            let reply = append(store, key, tail).map_or_else(Reply::Error, number);
            answers.push(reply);
        }
        Operation::CompareAndSet { key, expected, new } => {
            let is_expected = store.value(key) == Some(expected);
            if is_expected {
                store.set(key, new);
            }
            answers.push(Reply::Integer(is_expected.into()));
        }
        Operation::Clear => {
            store.clear();
            answers.push(Reply::Ok);
        }
        Operation::Get(_)
        | Operation::GetMany(_)
        | Operation::Exists(_)
        | Operation::Length(_)
        | Operation::Type(_)
        | Operation::Count
        | Operation::Scan { .. }
        | Operation::Match(_) => read(store, operation, answers),
    }
}

/// Answers one operation that reads; those that write answer nothing here.
pub(super) fn read(store: &Store, operation: Operation<'_>, answers: &mut impl ReplySink) {
    match operation {
        Operation::Get(key) => push_value(store.value(key), answers),
        Operation::GetMany(keys) => {
            answers.push(Reply::Array(keys.count()));
            keys.iter().for_each(|key| push_value(store.value(key), answers));
        }
        Operation::Exists(keys) => {
            answers.push(number(keys.iter().filter(|key| store.contains(key)).count()));
        }
        Operation::Length(key) => answers.push(number(store.value(key).map_or(0, <[u8]>::len))),
        Operation::Type(key) => {
            answers.push(Reply::Word(if store.contains(key) { "string" } else { "none" }));
        }
        Operation::Count => answers.push(number(store.len())),
        Operation::Scan { cursor, count, pattern } => scan(store, cursor, count, pattern, answers),
        Operation::Match(pattern) => {
            let found: Vec<_> = store.keys().filter(|key| glob::matches(pattern, key)).collect();
            answers.push(Reply::Array(found.len()));
            found.into_iter().for_each(|key| answers.push(Reply::Bulk(key)));
        }
        Operation::Set { .. }
        | Operation::SetMany(_)
        | Operation::SetManyIfAbsent(_)
        | Operation::Take(_)
        | Operation::Delete(_)
        | Operation::Add { .. }
        | Operation::Append { .. }
        | Operation::CompareAndSet { .. }
        | Operation::Clear => {}
    }
}

fn set(
    store: &mut Store,
    key: &[u8],
    value: &[u8],
    (condition, reply): (SetCondition, SetReply),
    answers: &mut impl ReplySink,
) {
    if condition == SetCondition::Always && reply == SetReply::Done {
        store.set(key, value);
        return answers.push(Reply::Ok);
    }
    let before = store.value(key);
    let holds = match condition {
        SetCondition::Always => true,
        SetCondition::Absent => before.is_none(),
        SetCondition::Present => before.is_some(),
    };
    match reply {
        SetReply::Done => answers.push(if holds { Reply::Ok } else { Reply::Nil }),
        SetReply::Before => push_value(before, answers),
        SetReply::Number => answers.push(Reply::Integer(holds.into())),
    }
    if holds {
        store.set(key, value);
    }
}

fn add(store: &mut Store, key: &[u8], delta: i64) -> Result<i64, KvError> {
    let before = match store.value(key) {
        Some(text) => parse_integer(text).ok_or(KvError::NotAnInteger)?,
        None => 0,
    };
    let sum = before.checked_add(delta).ok_or(KvError::Overflow)?;
    store.set(key, sum.to_string().as_bytes());
    Ok(sum)
}

fn append(store: &mut Store, key: &[u8], tail: &[u8]) -> Result<usize, KvError> {
    let length = store.value(key).map_or(0, <[u8]>::len) + tail.len();
    if length > APPENDED_BYTES_MAX {
        return Err(KvError::ValueTooLong);
    }
    store.append(key, tail);
    Ok(length)
}

fn scan(store: &Store, cursor: u64, count: u64, pattern: Option<&[u8]>, answers: &mut impl ReplySink) {
    let mut found = Vec::new();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let next = store.scan(cursor, count, |key| {
        if pattern.is_none_or(|pattern| glob::matches(pattern, key)) {
            found.push(key);
        }
    });
    answers.push(Reply::Array(2));
    answers.push(Reply::Bulk(next.to_string().as_bytes()));
    answers.push(Reply::Array(found.len()));
    found.into_iter().for_each(|key| answers.push(Reply::Bulk(key)));
}

/// The number if the text is exactly how a number is written: no plus, no leading zeros or spaces.
fn parse_integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits == "0" && text.len() == 1 || digits.starts_with(|c: char| ('1'..='9').contains(&c));
    if is_plain { text.parse().ok() } else { None }
}

fn push_value(value: Option<&[u8]>, answers: &mut impl ReplySink) {
    answers.push(value.map_or(Reply::Nil, Reply::Bulk));
}

fn number(count: usize) -> Reply<'static> {
    Reply::Integer(i64::try_from(count).expect("memory holds fewer than 2^63 of anything"))
}

/// How long APPEND may make a value: as long as `--value-bytes-max` can allow a SET to make one. Part
/// of the state machine's rule, the same on every node, so it is no setting.
const APPENDED_BYTES_MAX: usize = 1 << 20;
