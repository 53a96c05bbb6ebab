//! A machine that remembers what it applied, and a log that it is driven from.

use raft_core::bytes::Bytes;
use raft_core::sessions::{
    Sequence, SessionCommand, SessionError, SessionId, SessionLimits, SessionOutput, Sessions,
};
use raft_core::{
    Entry, EntryKind, InvalidSnapshot, LogIndex, SnapshotPiece, SnapshotSource, StateMachine, Term,
};

/// Remembers each command with its place. A command's first byte says how long the output shall be;
/// its bytes say how many commands there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) applied: Vec<(LogIndex, Term, Vec<u8>)>,
    incoming: Vec<u8>,
}

impl Ledger {
    pub(crate) fn commands(&self) -> Vec<&[u8]> {
        self.applied.iter().map(|(_, _, command)| &command[..]).collect()
    }
}

impl StateMachine for Ledger {
    type Output = Vec<u8>;

    fn apply(&mut self, entry: &Entry<'_>) -> Vec<u8> {
        assert_eq!(entry.kind, EntryKind::Command);
        self.applied.push((entry.index, entry.term, entry.payload.to_vec()));
        ledger_output(self.applied.len(), entry.payload)
    }

    fn snapshot(&mut self) -> Option<Box<dyn SnapshotSource>> {
        let mut bytes = Vec::new();
        for (index, term, command) in &self.applied {
            for number in [index.get(), term.get(), command.len() as u64] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(command);
        }
        Some(Box::new(Bytes::from(bytes)))
    }

    fn restore(&mut self, piece: SnapshotPiece<'_>) -> Result<(), InvalidSnapshot> {
        if piece.offset == 0 {
            self.incoming.clear();
        }
        assert_eq!(piece.offset, self.incoming.len() as u64, "pieces of the machine come in order");
        assert!(!piece.bytes.is_empty() || (piece.is_last && piece.offset == 0), "{piece:?}");
        self.incoming.extend(piece.bytes);
        if piece.is_last {
            self.applied = parse(&std::mem::take(&mut self.incoming)).ok_or(InvalidSnapshot)?;
        }
        Ok(())
    }
}

fn parse(mut rest: &[u8]) -> Option<Vec<(LogIndex, Term, Vec<u8>)>> {
    let mut applied = Vec::new();
    while !rest.is_empty() {
        let mut number = || {
            let (bytes, tail) = rest.split_first_chunk()?;
            rest = tail;
            Some(u64::from_le_bytes(*bytes))
        };
        let (index, term, length) = (number()?, number()?, number()?);
        let (command, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        rest = tail;
        applied.push((LogIndex::new(index), Term::new(term), command.to_vec()));
    }
    Some(applied)
}

/// What a ledger answers to its `count`-th command.
pub(crate) fn ledger_output(count: usize, command: &[u8]) -> Vec<u8> {
    let length = command.first().map_or(1, |length| usize::from(*length));
    vec![u8::try_from(count % 251).expect("below 251"); length]
}

pub(crate) type LedgerOutput = Result<SessionOutput<Vec<u8>>, SessionError>;

/// Drives one machine with the entries of a log.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) sessions: Sessions<Ledger>,
    /// The index of the last entry.
    pub(crate) last: u64,
}

impl Log {
    pub(crate) fn new(limits: SessionLimits) -> Self {
        Self { sessions: Sessions::new(Ledger::default(), limits), last: 0 }
    }

    pub(crate) fn apply_payload(&mut self, payload: &[u8]) -> LedgerOutput {
        self.last += 1;
        self.sessions.apply(&entry(self.last, payload))
    }

    pub(crate) fn apply(&mut self, command: SessionCommand<'_>) -> LedgerOutput {
        self.apply_payload(&command.to_payload())
    }

    pub(crate) fn register(&mut self) -> SessionId {
        match self.apply(SessionCommand::Register) {
            Ok(SessionOutput::Registered(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Applies a call; nothing before `first_unanswered` waits for an answer.
    pub(crate) fn call(
        &mut self,
        session: SessionId,
        sequence: u64,
        first_unanswered: u64,
        command: &[u8],
    ) -> LedgerOutput {
        self.apply(SessionCommand::Call {
            session,
            sequence: Sequence::new(sequence),
            first_unanswered: Sequence::new(first_unanswered),
            command,
        })
    }

    /// Lets the log grow by entries that no session is concerned with.
    pub(crate) fn pass(&mut self, entries: u64) {
        self.last += entries;
    }

    pub(crate) fn commands(&self) -> Vec<&[u8]> {
        self.sessions.machine().commands()
    }
}

/// An entry of a term that changes now and then.
pub(crate) fn entry(index: u64, payload: &[u8]) -> Entry<'_> {
    Entry { index: LogIndex::new(index), term: Term::new(1 + index / 10), kind: EntryKind::Command, payload }
}

/// A picture in one buffer.
pub(crate) fn read_all(mut picture: Box<dyn SnapshotSource>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = picture.next_piece(7) {
        assert!(!piece.is_empty());
        bytes.extend(piece);
    }
    bytes
}

/// Restores a snapshot in pieces of these sizes; the last size serves for all that is left.
pub(crate) fn restore(
    machine: &mut impl StateMachine,
    snapshot: &[u8],
    sizes: impl IntoIterator<Item = usize>,
) -> Result<(), InvalidSnapshot> {
    let (mut offset, mut sizes) = (0, sizes.into_iter());
    loop {
        let end = sizes.next().map_or(snapshot.len(), |size| snapshot.len().min(offset + size));
        let (bytes, is_last) = (&snapshot[offset..end], end == snapshot.len());
        machine.restore(SnapshotPiece { offset: offset as u64, bytes, is_last })?;
        if is_last {
            return Ok(());
        }
        offset = end;
    }
}
