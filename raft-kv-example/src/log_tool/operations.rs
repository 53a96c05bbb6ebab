//! The commands of the key-value store as text that a person can read.

use std::fmt::Write;

use raft_core::sessions::SessionCommand;

use crate::kv::{MalformedBatch, Operation, Operations, SetCondition};

/// The operations of one entry. Without `with_values`, values are only measured.
pub(super) fn describe(payload: &[u8], with_values: bool) -> String {
    match try_describe(payload, with_values) {
        Ok(text) => text,
        Err(MalformedBatch) if with_values => format!("not a batch of this version: {}", quote(payload)),
        Err(MalformedBatch) => "not a batch of this version".to_owned(),
    }
}

fn try_describe(payload: &[u8], with_values: bool) -> Result<String, MalformedBatch> {
    let mut text = String::new();
    let command = match SessionCommand::decode(payload).map_err(|_| MalformedBatch)? {
        SessionCommand::Plain(command) => command,
        SessionCommand::Call { session, sequence, first_unanswered, command } => {
            // Writing to a string cannot fail.
            let _ = write!(text, "RAFT.ONCE {session} {sequence} FIRST {first_unanswered} ");
            command
        }
        SessionCommand::Register => return Ok("RAFT.SESSION".to_owned()),
        SessionCommand::Close(session) => return Ok(format!("RAFT.SESSION.CLOSE {session}")),
        SessionCommand::Limits(limits) => return Ok(format!("limits of sessions: {limits:?}")),
    };
    for (at, operation) in Operations::decode(command).enumerate() {
        if at > 0 {
            text.push_str("; ");
        }
        describe_one(&mut text, operation?, with_values);
    }
    Ok(text)
}

fn describe_one(text: &mut String, operation: Operation<'_>, with_values: bool) {
    let value = |bytes: &[u8]| match with_values {
        true => quote(bytes),
        false => format!("({} bytes)", bytes.len()),
    };
    let (name, words): (&str, Vec<String>) = match operation {
        Operation::Set { key, value: new, condition, .. } => {
            let condition = match condition {
                SetCondition::Always => None,
                SetCondition::Absent => Some("NX".to_owned()),
                SetCondition::Present => Some("XX".to_owned()),
            };
            ("SET", [quote(key), value(new)].into_iter().chain(condition).collect())
        }
        Operation::SetMany(pairs) => {
            ("MSET", pairs.iter().flat_map(|(key, new)| [quote(key), value(new)]).collect())
        }
        Operation::SetManyIfAbsent(pairs) => {
            ("MSETNX", pairs.iter().flat_map(|(key, new)| [quote(key), value(new)]).collect())
        }
        Operation::Take(key) => ("GETDEL", vec![quote(key)]),
        Operation::Delete(keys) => ("DEL", keys.iter().map(quote).collect()),
        Operation::Add { key, delta } => ("INCRBY", vec![quote(key), delta.to_string()]),
        Operation::Append { key, tail } => ("APPEND", vec![quote(key), value(tail)]),
        Operation::CompareAndSet { key, expected, new } => {
            ("CAS", vec![quote(key), value(expected), value(new)])
        }
        Operation::Clear => ("FLUSHALL", vec![]),
        Operation::Get(key) => ("GET", vec![quote(key)]),
        Operation::GetMany(keys) => ("MGET", keys.iter().map(quote).collect()),
        Operation::Exists(keys) => ("EXISTS", keys.iter().map(quote).collect()),
        Operation::Length(key) => ("STRLEN", vec![quote(key)]),
        Operation::Type(key) => ("TYPE", vec![quote(key)]),
        Operation::Count => ("DBSIZE", vec![]),
        Operation::Scan { cursor, .. } => ("SCAN", vec![cursor.to_string()]),
        Operation::Match(pattern) => ("KEYS", vec![quote(pattern)]),
    };
    text.push_str(name);
    for word in words {
        // Writing to a string cannot fail.
        let _ = write!(text, " {word}");
    }
}

/// Bytes as text on one line, whatever they are.
pub(super) fn quote(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

#[cfg(test)]
mod tests {
    use raft_core::sessions::{Sequence, SessionId};

    use super::*;
    use crate::kv::{Batch, SetReply};

    #[test]
    fn operations_are_told_with_their_keys_and_values_only_if_wanted() {
        let mut batch = Batch::new();
        batch.set(b"k\n", b"secret", SetCondition::Absent, SetReply::Done);
        batch.delete([&b"a"[..], b"b"].into_iter());
        assert_eq!(describe(batch.as_payload(), false), "SET \"k\\n\" (6 bytes) NX; DEL \"a\" \"b\"");
        assert_eq!(describe(batch.as_payload(), true), "SET \"k\\n\" \"secret\" NX; DEL \"a\" \"b\"");
    }

    #[test]
    fn commands_of_sessions_are_told_with_their_numbers() {
        let mut batch = Batch::new();
        batch.add(b"n", 1);
        let (session, command) = (SessionId::new(7), batch.as_bytes());
        let [sequence, first_unanswered] = [3, 2].map(Sequence::new);
        let call = SessionCommand::Call { session, sequence, first_unanswered, command };
        for (command, text) in [
            (call, "RAFT.ONCE 7 3 FIRST 2 INCRBY \"n\" 1"),
            (SessionCommand::Register, "RAFT.SESSION"),
            (SessionCommand::Close(session), "RAFT.SESSION.CLOSE 7"),
        ] {
            assert_eq!(describe(&command.to_payload(), false), text);
        }
    }

    #[test]
    fn what_is_no_batch_is_said_to_be_none() {
        assert_eq!(describe(b"\x09x", false), "not a batch of this version");
        assert_eq!(describe(b"\x09x", true), "not a batch of this version: \"\\tx\"");
    }
}
