//! The client's end of a session: numbers its calls, and keeps them until they are answered.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::{error, fmt};

use super::command::SessionCommand;
use super::error::SessionError;
use super::machine::SessionOutput;
use crate::words::ids::{Sequence, SessionId};

/// One client's session, without any I/O: it makes payloads, and is told what came of them.
///
/// **Contract with the application.** (1) Open a session by proposing [`SessionCommand::Register`];
/// its output names the session. (2) [`call`](Self::call) numbers a command; propose its
/// [`payload`](Self::payload), to any member, and again for as long as no output has come. (3) Give
/// each output to [`on_output`](Self::on_output). (4) After [`SessionError::Expired`] begin anew at
/// (1), with a new value. [The module](super) has an example that runs.
///
/// Calls may be made while others wait for their outputs. They are applied in the order in which the
/// log takes their first copies; to have one after the other, wait for the output of the first.
#[derive(Clone, Debug)]
pub struct SessionClient {
    session: SessionId,
    calls_max: u32,
    next: Sequence,
    /// The commands of the calls that wait for an output.
    unanswered: BTreeMap<Sequence, Vec<u8>>,
}

/// As many calls as one session may have are unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyCalls {
    /// The limit.
    pub calls_max: u32,
}

impl fmt::Display for TooManyCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls wait for an answer already", self.calls_max)
    }
}

impl error::Error for TooManyCalls {}

impl SessionClient {
    /// Begins to use a session that was just opened. `calls_max` is that of the members'
    /// [`SessionLimits`](super::SessionLimits), or less.
    ///
    /// ```
    /// # use raft_core::sessions::*;
    /// # let mut client = SessionClient::new(SessionId::new(7), 2);
    /// assert_eq!((client.session(), client.unanswered().count()), (SessionId::new(7), 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(session: SessionId, calls_max: u32) -> Self {
        Self { session, calls_max, next: Sequence::new(1), unanswered: BTreeMap::new() }
    }

    /// Takes a command, and gives the number under which it is known from now on.
    ///
    /// ```
    /// # use raft_core::sessions::*;
    /// # let mut client = SessionClient::new(SessionId::new(7), 2);
    /// let (first, second) = (client.call(b"a")?, client.call(b"b")?);
    /// assert_eq!((first, second), (Sequence::new(1), Sequence::new(2)));
    /// assert_eq!(client.call(b"c"), Err(TooManyCalls { calls_max: 2 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the window is full: from the first unanswered call on, `calls_max` numbers are given.
    pub fn call(&mut self, command: &[u8]) -> Result<Sequence, TooManyCalls> {
        let sequence = self.next;
        if sequence.get() - self.first_unanswered().get() >= self.calls_max.into() {
            return Err(TooManyCalls { calls_max: self.calls_max });
        }
        self.unanswered.insert(sequence, command.to_vec());
        self.next = sequence.next();
        Ok(sequence)
    }

    /// Takes what came of one copy of a call. Gives the application's output, once; `None` if the
    /// call was answered before.
    ///
    /// ```
    /// # use raft_core::sessions::*;
    /// # let mut client = SessionClient::new(SessionId::new(7), 2);
    /// let call = client.call(b"a")?;
    /// assert_eq!(client.on_output(call, Ok(SessionOutput::Applied("done"))), Ok(Some("done")));
    /// assert_eq!(client.on_output(call, Ok(SessionOutput::Applied("done"))), Ok(None)); // of a second copy
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no output. After [`TooFarAhead`](SessionError::TooFarAhead) and
    /// [`RepliesFull`](SessionError::RepliesFull) the call is still unanswered: propose it again
    /// when calls before it are answered. After others it makes no sense to propose it again:
    /// [give it up](Self::give_up).
    pub fn on_output<O>(
        &mut self,
        sequence: Sequence,
        output: Result<SessionOutput<O>, SessionError>,
    ) -> Result<Option<O>, SessionError> {
        if !self.unanswered.contains_key(&sequence) {
            return Ok(None);
        }
        match output? {
            SessionOutput::Applied(output) => {
                self.unanswered.remove(&sequence);
                Ok(Some(output))
            }
            SessionOutput::Registered(_) | SessionOutput::Closed | SessionOutput::LimitsSet => Ok(None),
        }
    }

    /// Stops waiting for a call's output. A copy under way may still be applied, until a payload
    /// that was made after this and all calls before it were answered is committed.
    ///
    /// ```
    /// # use raft_core::sessions::*;
    /// # let mut client = SessionClient::new(SessionId::new(7), 2);
    /// let call = client.call(b"a")?;
    /// client.give_up(call);
    /// assert_eq!(client.payload(call), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn give_up(&mut self, sequence: Sequence) {
        self.unanswered.remove(&sequence);
    }

    /// The payload of a call that waits for its output, for the first time or again.
    ///
    /// ```
    /// # use raft_core::sessions::*;
    /// # let mut client = SessionClient::new(SessionId::new(7), 2);
    /// let call = client.call(b"a")?;
    /// let payload = client.payload(call).expect("not answered yet");
    /// let Ok(SessionCommand::Call { sequence, command, .. }) = SessionCommand::decode(&payload) else { panic!() };
    /// assert_eq!((sequence, command), (call, &b"a"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn payload(&self, sequence: Sequence) -> Option<Vec<u8>> {
        let command = self.unanswered.get(&sequence)?;
        let first_unanswered = self.first_unanswered();
        let call = SessionCommand::Call { session: self.session, sequence, first_unanswered, command };
        Some(call.to_payload())
    }

    /// The calls that wait for their outputs: what to propose again after a change of leader.
    ///
    /// ```
    /// # use raft_core::sessions::*;
    /// # let mut client = SessionClient::new(SessionId::new(7), 2);
    /// let call = client.call(b"a")?;
    /// assert_eq!(client.unanswered().collect::<Vec<_>>(), [call]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unanswered(&self) -> impl Iterator<Item = Sequence> {
        self.unanswered.keys().copied()
    }

    /// Which session this is.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    fn first_unanswered(&self) -> Sequence {
        self.unanswered.first_key_value().map_or(self.next, |(sequence, _)| *sequence)
    }
}
