//! The rules of sessions once more, as simple and slow as they can be said.

use raft_core::sessions::{SessionCommand, SessionError, SessionLimits, SessionOutput};

use crate::seen::Seen;
use crate::support::{LedgerOutput, ledger_output};

#[derive(Clone, Debug)]
struct ModelSession {
    id: u64,
    last_used: u64,
    /// The largest number that a call named as first unanswered.
    answered_before: u64,
    /// Everything that was ever applied, also what the client has.
    outputs: Vec<(u64, Vec<u8>)>,
}

impl ModelSession {
    fn kept(&self) -> impl Iterator<Item = &(u64, Vec<u8>)> {
        self.outputs.iter().filter(|(sequence, _)| *sequence >= self.answered_before)
    }

    fn bytes(&self) -> u64 {
        self.kept().map(|(_, output)| output.len() as u64 + SessionLimits::REPLY_OVERHEAD_BYTES).sum()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    limits: SessionLimits,
    sessions: Vec<ModelSession>,
    pub(crate) commands: Vec<Vec<u8>>,
    pub(crate) seen: Seen,
}

impl Model {
    pub(crate) fn new(limits: SessionLimits) -> Self {
        Self { limits, sessions: Vec::new(), commands: Vec::new(), seen: Seen::default() }
    }

    pub(crate) fn apply(&mut self, now: u64, payload: &[u8]) -> LedgerOutput {
        let command = SessionCommand::decode(payload).map_err(SessionError::Malformed)?;
        if let SessionCommand::Plain(command) = command {
            return Ok(SessionOutput::Applied(self.execute(command)));
        }
        if let SessionCommand::Limits(limits) = command {
            self.limits = limits;
        }
        while let Some(at) =
            self.sessions.iter().position(|session| now - session.last_used > self.limits.idle_entries_max)
        {
            self.sessions.remove(at);
            self.seen.note("idle");
        }
        let output = match command {
            SessionCommand::Plain(_) | SessionCommand::Limits(_) => Ok(SessionOutput::LimitsSet),
            SessionCommand::Register => {
                let (outputs, answered_before) = (Vec::new(), 1);
                self.sessions.push(ModelSession { id: now, last_used: now, answered_before, outputs });
                Ok(SessionOutput::Registered(now.into()))
            }
            SessionCommand::Close(id) => {
                let found = self.sessions.iter().position(|session| session.id == id.get());
                found.map(|at| self.sessions.remove(at)).ok_or(SessionError::Expired)?;
                Ok(SessionOutput::Closed)
            }
            SessionCommand::Call { session, sequence, first_unanswered, command } => {
                self.call(now, session.get(), sequence.get(), first_unanswered.get(), command)
            }
        };
        self.expire_surplus();
        output
    }

    fn call(
        &mut self,
        now: u64,
        id: u64,
        sequence: u64,
        first_unanswered: u64,
        command: &[u8],
    ) -> LedgerOutput {
        let limits = self.limits;
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else {
            self.seen.note("expired");
            return Err(SessionError::Expired);
        };
        session.last_used = now;
        session.answered_before = session.answered_before.max(first_unanswered);
        if sequence < session.answered_before {
            self.seen.note("answered");
            return Err(SessionError::Answered);
        }
        if let Some((_, output)) = session.outputs.iter().find(|(known, _)| *known == sequence) {
            self.seen.note("answered again");
            return Ok(SessionOutput::Applied(output.clone()));
        }
        if sequence >= session.answered_before + u64::from(limits.calls_max) {
            self.seen.note("too far ahead");
            return Err(SessionError::TooFarAhead { calls_max: limits.calls_max });
        }
        if session.bytes() >= limits.session_bytes_max {
            self.seen.note("replies full");
            return Err(SessionError::RepliesFull { bytes_max: limits.session_bytes_max });
        }
        if session.outputs.iter().any(|(known, _)| *known > sequence) {
            self.seen.note("applied out of order");
        }
        let output = self.execute(command);
        let session = self.sessions.iter_mut().find(|session| session.id == id).expect("just seen");
        session.outputs.push((sequence, output.clone()));
        Ok(SessionOutput::Applied(output))
    }

    fn execute(&mut self, command: &[u8]) -> Vec<u8> {
        self.commands.push(command.to_vec());
        ledger_output(self.commands.len(), command)
    }

    fn expire_surplus(&mut self) {
        let is_over = |sessions: &[ModelSession], limits: &SessionLimits| {
            sessions.len() as u64 > limits.sessions_max.into()
                || sessions.iter().map(ModelSession::bytes).sum::<u64>() > limits.table_bytes_max
        };
        while is_over(&self.sessions, &self.limits) {
            let oldest = self.sessions.iter().enumerate().min_by_key(|(_, session)| session.last_used);
            let (at, _) = oldest.expect("no sessions are within all limits");
            self.sessions.remove(at);
            self.seen.note("surplus");
        }
    }
}
