//! The layer itself: a state machine around the application's.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::{error, fmt};

use super::command::{CommandError, SessionCommand};
use super::error::SessionError;
use super::limits::SessionLimits;
use super::reply::Reply;
use super::snapshot::{Picture, Restoring};
use super::table::Table;
use crate::doors::state_machine::{InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};
use crate::words::entries::Entry;
use crate::words::ids::{LogIndex, Sequence, SessionId};

/// A state machine whose commands can be retried: see [the module](super).
///
/// All payloads of the log are [`SessionCommand`]s. The application's machine sees the commands in
/// them as entries of the same index and term. It has snapshots if the application's machine does.
///
/// # Panics
///
/// Applying panics if two entries that use sessions have the same index.
#[derive(Clone, Debug)]
pub struct Sessions<S> {
    table: Table,
    machine: S,
    /// A snapshot that has begun to come in.
    restoring: Restoring,
    fault: Option<SessionsFault>,
}

/// Why a member applies nothing more: the log holds a kind of command that this version does not
/// know. The owner must stop it: members that know the command have another state (N15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionsFault {
    /// Where the command stands.
    pub index: LogIndex,
    /// The tag of its kind.
    pub tag: u8,
}

impl fmt::Display for SessionsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the command of entry {} has tag {}, which this version does not know",
            self.index, self.tag
        )
    }
}

impl error::Error for SessionsFault {}

/// What came of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOutput<O> {
    /// A session is open.
    Registered(SessionId),
    /// The application's output: of a call, the same each time it is asked for.
    Applied(O),
    /// The session is closed.
    Closed,
    /// The limits hold from here on.
    LimitsSet,
}

impl<S> Sessions<S> {
    /// Wraps the application's machine in its first state, without sessions.
    ///
    /// The limits must be the same at all members, for as long as the group lives: see
    /// [`SessionLimits`].
    ///
    /// ```
    /// use raft_core::sessions::{SessionCommand, SessionLimits, SessionOutput, Sessions};
    /// use raft_core::{Entry, EntryKind, StateMachine};
    /// # struct Echo;
    /// # impl StateMachine for Echo {
    /// #     type Output = u64;
    /// #     fn apply(&mut self, entry: &Entry<'_>) -> u64 { entry.payload.len() as u64 }
    /// # }
    ///
    /// let mut machine = Sessions::new(Echo, SessionLimits::default());
    /// let payload = SessionCommand::Plain(b"four").to_payload();
    /// let entry =
    ///     Entry { index: 1.into(), term: 1.into(), kind: EntryKind::Command, payload: &payload };
    /// assert_eq!(machine.apply(&entry), Ok(SessionOutput::Applied(4)));
    /// assert_eq!(machine.session_count(), 0);
    /// ```
    #[must_use]
    pub fn new(machine: S, limits: SessionLimits) -> Self {
        Self { table: Table::new(limits), machine, restoring: Restoring::default(), fault: None }
    }

    /// The application's machine.
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// The application's machine, for reads that need `&mut`. Changing what commands see would make
    /// this member differ from the others.
    pub fn machine_mut(&mut self) -> &mut S {
        &mut self.machine
    }

    /// Why nothing more is applied, if so. **Look at it after each [`pump`](crate::Node::pump)**,
    /// before anything is read from the machine, and stop the node.
    #[must_use]
    pub fn fault(&self) -> Option<SessionsFault> {
        self.fault
    }

    /// The limits that hold now.
    #[must_use]
    pub fn limits(&self) -> SessionLimits {
        self.table.limits()
    }

    /// How many sessions the table holds. Idle ones are counted until a command of some session
    /// finds that they have expired.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.table.session_count()
    }

    /// How many bytes the kept replies have, counted as in [`SessionLimits`].
    #[must_use]
    pub fn reply_bytes(&self) -> u64 {
        self.table.reply_bytes()
    }
}

impl<S: StateMachine<Output: Reply>> Sessions<S> {
    fn call(
        &mut self,
        entry: &Entry<'_>,
        session: SessionId,
        sequence: Sequence,
        first_unanswered: Sequence,
    ) -> Result<S::Output, SessionError> {
        if let Some(reply) = self.table.call(entry.index, session, sequence, first_unanswered)? {
            return S::Output::decode(reply).ok_or(SessionError::UnreadableReply);
        }
        let output = self.machine.apply(entry);
        let mut reply = Vec::new();
        output.encode(&mut reply);
        self.table.keep(session, sequence, reply.into());
        Ok(output)
    }
}

impl<S: StateMachine<Output: Reply>> StateMachine for Sessions<S> {
    type Output = Result<SessionOutput<S::Output>, SessionError>;

    fn apply(&mut self, entry: &Entry<'_>) -> Self::Output {
        let now = entry.index;
        if let Some(SessionsFault { tag, .. }) = self.fault {
            return Err(SessionError::Malformed(CommandError::UnknownTag { tag }));
        }
        let command = SessionCommand::decode(entry.payload).map_err(|error| {
            // Other versions would do something here. Else an error is the same to all of them: what
            // belongs to a tag never changes.
            if let CommandError::UnknownTag { tag } = error {
                self.fault = Some(SessionsFault { index: now, tag });
            }
            SessionError::Malformed(error)
        })?;
        match command {
            SessionCommand::Plain(payload) => {
                Ok(SessionOutput::Applied(self.machine.apply(&Entry { payload, ..*entry })))
            }
            SessionCommand::Register => Ok(SessionOutput::Registered(self.table.register(now))),
            SessionCommand::Call { session, sequence, first_unanswered, command } => {
                let entry = Entry { payload: command, ..*entry };
                self.call(&entry, session, sequence, first_unanswered).map(SessionOutput::Applied)
            }
            SessionCommand::Close(session) => self.table.close(now, session).map(|()| SessionOutput::Closed),
            SessionCommand::Limits(limits) => {
                self.table.set_limits(now, limits);
                Ok(SessionOutput::LimitsSet)
            }
        }
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        // What was left out would be missed by whoever restores it.
        if self.fault.is_some() {
            return None;
        }
        let machine = self.machine.snapshot()?;
        Some(Box::new(Picture::new(&self.table, machine)))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if let Some(rest) = self.restoring.take(piece)? {
            self.machine.restore(rest)?;
        }
        if piece.is_last {
            let table = self.restoring.finish().ok_or(InvalidSnapshot)?;
            if table.replies().any(|reply| S::Output::decode(reply).is_none()) {
                return Err(InvalidSnapshot);
            }
            self.table = table;
        }
        Ok(())
    }
}
