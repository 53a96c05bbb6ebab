//! Commands of clients' sessions as they go into the log, each as an entry of its own.

use raft_core::sessions::{Sequence, SessionCommand, SessionId};

use super::compile::{KeyLimits, compile, is_word};
use super::error::CommandError;
use super::spec::{Class, Verb, spec_of};
use crate::kv::Batch;
use crate::resp::Request;

/// The payload of the log entry that a command of class [`Session`](Class::Session) becomes.
///
/// # Errors
///
/// If the words break the rules, of this command or of the one that is to be carried out once.
pub fn session_payload(verb: Verb, request: Request<'_>, limits: KeyLimits) -> Result<Vec<u8>, CommandError> {
    match verb {
        Verb::RaftSession => Ok(SessionCommand::Register.to_payload()),
        Verb::RaftSessionClose => {
            Ok(SessionCommand::Close(SessionId::new(number(request.word(1))?)).to_payload())
        }
        _ => call(request, limits),
    }
}

/// Without FIRST, the client says that it has the replies to all calls before this one.
fn call(request: Request<'_>, limits: KeyLimits) -> Result<Vec<u8>, CommandError> {
    let (session, sequence) = (number(request.word(1))?, number(request.word(2))?);
    let (first, command) = if is_word(request.word(3), "FIRST") {
        (number(request.word(4))?, request.skip(5))
    } else {
        (sequence, request.skip(3))
    };
    if first > sequence {
        return Err(CommandError::Sequence);
    }
    let spec = spec_of(command)?;
    if spec.class != Class::Write {
        return Err(CommandError::NotOnce { name: spec.name });
    }
    let mut batch = Batch::new();
    compile(spec, command, limits, &mut batch)?;
    let call = SessionCommand::Call {
        session: SessionId::new(session),
        sequence: Sequence::new(sequence),
        first_unanswered: Sequence::new(first),
        command: batch.as_bytes(),
    };
    Ok(call.to_payload())
}

fn number(word: &[u8]) -> Result<u64, CommandError> {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    number.filter(|number| *number > 0).ok_or(CommandError::Sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Operation, Operations};
    use crate::resp::{Progress, RequestLimits, RequestReader};

    fn payload(line: &str) -> Result<Vec<u8>, CommandError> {
        let limits = RequestLimits { words_max: 10, word_bytes_max: 100, request_bytes_max: 1000 };
        let mut reader = RequestReader::new(limits);
        let line = format!("{line}\r\n");
        let (request, _) = reader.read(line.as_bytes(), &mut Progress::default()).unwrap().unwrap();
        let limits = KeyLimits { key_bytes_max: 10, value_bytes_max: 10 };
        session_payload(spec_of(request)?.verb, request, limits)
    }

    #[test]
    fn calls_carry_their_numbers_and_the_command() {
        for (line, first) in [("raft.once 7 3 incr k", 3), ("RAFT.ONCE 7 3 first 2 INCR k", 2)] {
            let payload = payload(line).unwrap();
            let Ok(SessionCommand::Call { session, sequence, first_unanswered, command }) =
                SessionCommand::decode(&payload)
            else {
                panic!("{payload:?}")
            };
            assert_eq!((session.get(), sequence.get(), first_unanswered.get()), (7, 3, first), "{line}");
            let operations: Vec<_> = Operations::decode(command).collect();
            assert_eq!(operations, [Ok(Operation::Add { key: b"k", delta: 1 })]);
        }
        assert_eq!(payload("raft.session"), Ok(SessionCommand::Register.to_payload()));
        let close = SessionCommand::Close(SessionId::new(7));
        assert_eq!(payload("raft.session.close 7"), Ok(close.to_payload()));
    }

    /// S81, N16: nothing of this gets as far as the log.
    #[test]
    fn calls_that_cannot_be_are_refused() {
        for line in ["0 1 incr k", "1 0 incr k", "x 1 incr k", "1 2 first 3 incr k", "1 2 first 0 incr k"] {
            assert_eq!(payload(&format!("raft.once {line}")), Err(CommandError::Sequence), "{line}");
        }
        assert_eq!(payload("raft.session.close -1"), Err(CommandError::Sequence));
        for name in ["get", "ping", "multi", "raft.session", "exec"] {
            let words = if name == "get" { "get k" } else { name };
            assert_eq!(payload(&format!("raft.once 1 1 {words}")), Err(CommandError::NotOnce { name }));
        }
        let once = "raft.once 1 1 raft.once 1 2 incr k";
        assert_eq!(payload(once), Err(CommandError::NotOnce { name: "raft.once" }));
        assert_eq!(payload("raft.once 1 1 incr"), Err(CommandError::WordCount { name: "incr" }));
        assert_eq!(
            payload("raft.once 1 1 first 1"),
            Err(CommandError::Unknown { name: String::new(), words: String::new() })
        );
        let long = payload("raft.once 1 1 set k 01234567890");
        assert_eq!(long, Err(CommandError::ValueTooLong { bytes_max: 10 }));
    }
}
