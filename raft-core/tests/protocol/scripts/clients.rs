//! What clients with sessions say in a story, and what the machine behind the sessions answers them.

use raft_core::sessions::{SessionCommand, SessionId, SessionLimits, SessionOutput, Sessions};
use raft_core::{Entry, StateMachine};

use super::world::number;
use crate::support::Applied;

/// The payload of `session open`, `session close 2` or `call 2#1 5 from 1`.
pub(super) fn payload(words: &[&str]) -> Result<Vec<u8>, String> {
    let command = match words {
        ["session", "open"] => SessionCommand::Register,
        ["session", "close", session] => SessionCommand::Close(SessionId::new(number(session)?)),
        ["call", which, summand, "from", first] => {
            let (session, sequence) = which.split_once('#').ok_or("call ID SESSION#SEQUENCE N from FIRST")?;
            SessionCommand::Call {
                session: SessionId::new(number(session)?),
                sequence: number(sequence)?.into(),
                first_unanswered: number(first)?.into(),
                command: summand.as_bytes(),
            }
        }
        _ => {
            return Err(
                "session ID open, session ID close SESSION, call ID SESSION#SEQUENCE N from FIRST".into()
            );
        }
    };
    Ok(command.to_payload())
}

/// How a payload reads in a trace; other stories' payloads are plain text.
pub(super) fn told(payload: &[u8]) -> String {
    match SessionCommand::decode(payload) {
        Ok(SessionCommand::Register) => "opens a session".to_owned(),
        Ok(SessionCommand::Close(session)) => format!("closes session {session}"),
        Ok(SessionCommand::Call { session, sequence, command, .. }) => {
            format!("call {session}#{sequence} {}", String::from_utf8_lossy(command))
        }
        Ok(SessionCommand::Plain(_) | SessionCommand::Limits(_)) | Err(_) => {
            String::from_utf8_lossy(payload).into_owned()
        }
    }
}

/// What the machine of a node that has applied all this answered to the last of it; `None` if that is no
/// command of a session.
pub(super) fn answer(applied: &[Applied]) -> Option<String> {
    SessionCommand::decode(&applied.last()?.payload).ok()?;
    let limits = SessionLimits { sessions_max: 1, ..SessionLimits::default() };
    let mut machine = Sessions::new(Sum(0), limits);
    let apply = |applied: &Applied| {
        let Applied { position, kind, payload } = applied;
        machine.apply(&Entry { index: position.index, term: position.term, kind: *kind, payload })
    };
    Some(match applied.iter().map(apply).last()? {
        Ok(SessionOutput::Registered(session)) => format!("session {session}"),
        Ok(SessionOutput::Applied(sum)) => sum.to_string(),
        Ok(SessionOutput::Closed) => "closed".to_owned(),
        Ok(SessionOutput::LimitsSet) => "limits set".to_owned(),
        Err(why) => why.to_string(),
    })
}

/// The machine behind the sessions: it adds, so what is applied twice shows.
struct Sum(u64);

impl StateMachine for Sum {
    type Output = u64;

    fn apply(&mut self, entry: &Entry<'_>) -> u64 {
        let text = String::from_utf8_lossy(entry.payload);
        self.0 += text.parse::<u64>().expect("a story adds numbers");
        self.0
    }
}
