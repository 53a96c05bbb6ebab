//! Another group in the same log: a run of the group under test fills a segment or two, so the neighbour
//! sees to it that many are begun, left behind and made anew, between any two of its records.

use raft_core::sim::{Dice, Violation};
use raft_core::{
    Batches, Entries, EntryKind, HardState, LogIndex, LogStore, Membership, NewMark, Persist, PersistId,
    Position, SnapshotMark, Term,
};
use raft_storage::GroupLog;

/// A group without a node: it appends big entries, and keeps none but the last.
#[derive(Debug)]
pub(super) struct Neighbour {
    log: GroupLog,
    last: LogIndex,
    /// What the log reported as durable.
    durable: LogIndex,
    asked: PersistId,
    /// Where this start of the process began.
    start: LogIndex,
}

const TERM: Term = Term::new(1);

impl Neighbour {
    /// The group as a log that was opened just now holds it; at least what it had before must be there.
    pub(super) fn open(mut log: GroupLog, had: LogIndex) -> Result<Self, Violation> {
        let last = log.recover().map(|recovered| recovered.last().index);
        let last = last.map_err(|error| Violation::new("a neighbour survives", error))?;
        if last < had {
            let details = format!("it had {had}, {last} is there");
            return Err(Violation::new("a neighbour survives", details));
        }
        Ok(Self { log, last, durable: last, asked: PersistId::ZERO, start: last })
    }

    /// Asks for one more entry, and forgets those before it.
    pub(super) fn append(&mut self, dice: &mut Dice) {
        let before = Position::new(if self.last == LogIndex::ZERO { Term::ZERO } else { TERM }, self.last);
        let payload = vec![0; dice.between(0, ENTRY_BYTES_MAX) as usize];
        let entry = Entries::single(Position::new(TERM, self.last.next()), EntryKind::Command, &payload);
        let mark = SnapshotMark { last: before, membership: Membership::default() };
        let request = Persist {
            id: self.asked.next(),
            mark: Some(NewMark { mark, keeps_entries: true }),
            truncate_from: None,
            entries: Batches::from(entry.expect("a short payload")),
            hard_state: Some(HardState { term: TERM, vote: None, commit: self.last }),
        };
        // A log that has failed says so to the group under test as well.
        if self.log.persist(request).is_ok() {
            (self.asked, self.last) = (self.asked.next(), self.last.next());
        }
    }

    /// Up to where its entries are durable.
    pub(super) fn durable(&mut self) -> LogIndex {
        if let Ok(Some(id)) = self.log.poll_persisted() {
            self.durable = LogIndex::new(self.start.get() + id.get());
        }
        self.durable
    }
}

/// A few of them fill the smallest segment.
const ENTRY_BYTES_MAX: u32 = 8 << 10;
