//! Turns commands on the store into operations of a batch.

use super::error::CommandError;
use super::spec::{Spec, Verb};
use crate::kv::{Batch, SetCondition, SetReply};
use crate::resp::Request;

/// How long keys and values may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Bytes of a key.
    pub key_bytes_max: usize,
    /// Bytes of a value.
    pub value_bytes_max: usize,
}

/// Adds the request's operations to the batch, or leaves the batch as it is.
///
/// # Errors
///
/// If the words break the command's rules.
pub fn compile(
    spec: &Spec,
    request: Request<'_>,
    limits: KeyLimits,
    batch: &mut Batch,
) -> Result<(), CommandError> {
    check_lengths(request, limits)?;
    let (key, second) = (request.word(1), request.word(2));
    match spec.verb {
        Verb::Get => batch.fetch(key),
        Verb::Set => set(request, batch)?,
        Verb::SetNx => batch.set(key, second, SetCondition::Absent, SetReply::Number),
        Verb::GetSet => batch.set(key, second, SetCondition::Always, SetReply::Before),
        Verb::GetDel => batch.take(key),
        Verb::MGet => batch.fetch_many(request.words_from(1)),
        Verb::MSet | Verb::MSetNx if request.len().is_multiple_of(2) => {
            return Err(CommandError::WordCount { name: spec.name });
        }
        Verb::MSet => batch.set_many(request.words_from(1)),
        Verb::MSetNx => batch.set_many_if_absent(request.words_from(1)),
        Verb::Del => batch.delete(request.words_from(1)),
        Verb::Exists => batch.exists(request.words_from(1)),
        Verb::Incr => batch.add(key, 1),
        Verb::Decr => batch.add(key, -1),
        Verb::IncrBy => batch.add(key, integer(second)?),
        Verb::DecrBy => {
            let delta = integer(second)?.checked_neg().ok_or(CommandError::Overflow)?;
            batch.add(key, delta);
        }
        Verb::Append => batch.append(key, second),
        Verb::StrLen => batch.length(key),
        Verb::Type => batch.type_of(key),
        Verb::Cas => batch.compare_and_set(key, second, request.word(3)),
        Verb::DbSize => batch.count(),
        Verb::FlushAll => clear_all(request, batch)?,
        Verb::Scan => scan(request, batch)?,
        Verb::Keys => batch.matching(key),
        Verb::Multi
        | Verb::Exec
        | Verb::Discard
        | Verb::Watch
        | Verb::Unwatch
        | Verb::Hello
        | Verb::Auth
        | Verb::Ping
        | Verb::Echo
        | Verb::Select
        | Verb::Quit
        | Verb::Reset
        | Verb::Command
        | Verb::Config
        | Verb::Client
        | Verb::Info
        | Verb::RaftStatus
        | Verb::RaftAdd
        | Verb::RaftPromote
        | Verb::RaftDemote
        | Verb::RaftDomain
        | Verb::RaftRemove
        | Verb::RaftTransfer
        | Verb::RaftSnapshot
        | Verb::RaftSession
        | Verb::RaftOnce
        | Verb::RaftSessionClose => unreachable!("'{}' is no command on the store", spec.name),
    }
    Ok(())
}

/// No word may be longer than a value; the first of the words is a key wherever there is one.
fn check_lengths(request: Request<'_>, limits: KeyLimits) -> Result<(), CommandError> {
    let KeyLimits { key_bytes_max, value_bytes_max } = limits;
    if request.word(1).len() > key_bytes_max {
        return Err(CommandError::KeyTooLong { bytes_max: key_bytes_max });
    }
    if request.words_from(2).any(|word| word.len() > value_bytes_max) {
        return Err(CommandError::ValueTooLong { bytes_max: value_bytes_max });
    }
    Ok(())
}

fn set(request: Request<'_>, batch: &mut Batch) -> Result<(), CommandError> {
    let (mut condition, mut reply) = (SetCondition::Always, SetReply::Done);
    for option in request.words_from(3) {
        if is_word(option, "NX") && condition == SetCondition::Always {
            condition = SetCondition::Absent;
        } else if is_word(option, "XX") && condition == SetCondition::Always {
            condition = SetCondition::Present;
        } else if is_word(option, "GET") {
            reply = SetReply::Before;
        } else if ["EX", "PX", "EXAT", "PXAT"].iter().any(|word| is_word(option, word)) {
            return Err(CommandError::NoExpiry);
        } else if !is_word(option, "KEEPTTL") {
            return Err(CommandError::Syntax);
        }
    }
    batch.set(request.word(1), request.word(2), condition, reply);
    Ok(())
}

fn clear_all(request: Request<'_>, batch: &mut Batch) -> Result<(), CommandError> {
    match request.words_from(1).next() {
        Some(mode) if !is_word(mode, "ASYNC") && !is_word(mode, "SYNC") => Err(CommandError::Syntax),
        Some(_) | None => {
            batch.clear_all();
            Ok(())
        }
    }
}

fn scan(request: Request<'_>, batch: &mut Batch) -> Result<(), CommandError> {
    let cursor = std::str::from_utf8(request.word(1)).ok().and_then(|text| text.parse().ok());
    let cursor = cursor.ok_or(CommandError::InvalidCursor)?;
    let (mut count, mut pattern) = (SCAN_COUNT_DEFAULT, None);
    let mut options = request.words_from(2);
    while let Some(option) = options.next() {
        let value = options.next().ok_or(CommandError::Syntax)?;
        if is_word(option, "COUNT") {
            count = integer(value)?;
            if count < 1 {
                return Err(CommandError::Syntax);
            }
        } else if is_word(option, "MATCH") {
            pattern = Some(value);
        } else if is_word(option, "TYPE") {
            // All values are strings; a scan for another type finds no key.
            if !is_word(value, "string") {
                pattern = Some(MATCHES_NO_KEY);
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    batch.scan(cursor, count.unsigned_abs(), pattern);
    Ok(())
}

fn integer(word: &[u8]) -> Result<i64, CommandError> {
    let text = std::str::from_utf8(word).map_err(|_| CommandError::NotAnInteger)?;
    text.parse().map_err(|_| CommandError::NotAnInteger)
}

pub(super) fn is_word(word: &[u8], expected: &str) -> bool {
    word.eq_ignore_ascii_case(expected.as_bytes())
}

const SCAN_COUNT_DEFAULT: i64 = 10;
/// A class without members.
const MATCHES_NO_KEY: &[u8] = b"[]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;
    use crate::kv::{Machine, Reply};
    use crate::resp::{Progress, RequestLimits, RequestReader};

    const LIMITS: KeyLimits = KeyLimits { key_bytes_max: 8, value_bytes_max: 20 };

    /// Compiles a command as a person would type it.
    fn compiled(line: &str) -> Result<Batch, CommandError> {
        let limits = RequestLimits { words_max: 10, word_bytes_max: 100, request_bytes_max: 1000 };
        let mut reader = RequestReader::new(limits);
        let line = format!("{line}\r\n");
        let (request, _) = reader.read(line.as_bytes(), &mut Progress::default()).unwrap().unwrap();
        let mut batch = Batch::new();
        compile(find(request.word(0)).unwrap(), request, LIMITS, &mut batch)?;
        Ok(batch)
    }

    #[test]
    fn options_of_set_combine_as_in_redis() {
        for good in ["set k v", "SET k v nx", "set k v XX get", "set k v NX GET", "set k v KEEPTTL"] {
            assert!(compiled(good).is_ok(), "{good}");
        }
        for (bad, error) in [
            ("set k v nx xx", CommandError::Syntax),
            ("set k v what", CommandError::Syntax),
            ("set k v ex 10", CommandError::NoExpiry),
            ("set k v PXAT 1", CommandError::NoExpiry),
        ] {
            assert_eq!(compiled(bad).err(), Some(error), "{bad}");
        }
    }

    #[test]
    fn numbers_and_cursors_are_checked() {
        for (line, error) in [
            ("incrby k x", CommandError::NotAnInteger),
            ("incrby k 9223372036854775808", CommandError::NotAnInteger),
            ("decrby k -9223372036854775808", CommandError::Overflow),
            ("scan -1", CommandError::InvalidCursor),
            ("scan 0 count 0", CommandError::Syntax),
            ("scan 0 count", CommandError::Syntax),
            ("flushall now", CommandError::Syntax),
            ("mset a 1 b", CommandError::WordCount { name: "mset" }),
        ] {
            assert_eq!(compiled(line).err(), Some(error), "{line}");
        }
    }

    #[test]
    fn keys_and_values_are_held_to_their_limits() {
        assert!(compiled("set 12345678 12345678901234567890").is_ok());
        assert_eq!(compiled("get 123456789").err(), Some(CommandError::KeyTooLong { bytes_max: 8 }));
        assert_eq!(
            compiled("set k 123456789012345678901").err(),
            Some(CommandError::ValueTooLong { bytes_max: 20 })
        );
    }

    #[test]
    fn scan_for_another_type_finds_nothing() {
        let mut machine = Machine::new(0);
        let _ = machine.apply_batch(compiled("set k v").unwrap().as_bytes());
        let count = |machine: &mut Machine, line: &str| {
            let replies = machine.apply_batch(compiled(line).unwrap().as_bytes());
            replies.iter().nth(2).unwrap() == Reply::Array(1)
        };
        assert!(count(&mut machine, "scan 0 type string"));
        assert!(!count(&mut machine, "scan 0 type hash"));
    }
}
