//! One group's log as its owner sees it. The owner's view runs ahead of the medium: what was handed
//! over can be read at once, from memory until the writer says where it is.

use std::collections::VecDeque;
use std::sync::Arc;

use raft_core::bytes::Bytes;
use raft_core::{
    Entries, GroupId, HardState, LogIndex, LogStore, NewMark, Persist, PersistId, Position, Recovered,
    SnapshotFailure, SnapshotMeta, SnapshotStore, Term,
};

use super::load::Loader;
use crate::error::{LogError, RequestRule};
use crate::format::batch::Request;
use crate::format::extent::Extent;
use crate::format::segment::SegmentSeq;
use crate::report::SnapshotLoss;
use crate::snapshot::shelf::Shelf;
use crate::state::group::{GroupState, vote_broken_by};
use crate::state::registry::{Completed, GroupLink};
use crate::writer::queue::Queued;
use crate::writer::shared::Shared;

/// The durable log of one group, and its snapshots; a [`LogStore`] and [`SnapshotStore`].
///
/// It belongs to one thread at a time. The [`Wal`](crate::Wal) it comes from may be dropped or
/// closed first; every call fails from then on.
#[derive(Debug)]
pub struct GroupLog {
    shared: Arc<Shared>,
    link: Arc<GroupLink>,
    /// What has been asked for, less the batches that wait.
    state: GroupState,
    /// Batches whose place is not known yet, behind those in the index.
    waiting: VecDeque<WaitingBatch>,
    /// Requests that are not known to be durable.
    requests: VecDeque<WaitingRequest>,
    /// How many requests are known to be durable.
    heard_count: u64,
    /// The newest durable request, until it is asked for.
    news: Option<PersistId>,
    /// What waits now will not be in an older segment than this.
    newest_segment: SegmentSeq,
    /// Empty; kept for its memory.
    completed: Completed,
    failed: Option<LogError>,
    shelf: Shelf,
}

#[derive(Debug)]
struct WaitingBatch {
    entries: Entries,
    /// The number of its request, counted from the opening on.
    request: u64,
}

#[derive(Debug)]
struct WaitingRequest {
    id: PersistId,
    /// Once it is durable, the group needs no older segment than this.
    frees_before: Option<SegmentSeq>,
}

impl GroupLog {
    pub(crate) fn new(
        shared: Arc<Shared>,
        link: Arc<GroupLink>,
        state: GroupState,
        shelf: Shelf,
        newest_segment: SegmentSeq,
    ) -> Self {
        Self {
            shared,
            link,
            state,
            waiting: VecDeque::new(),
            requests: VecDeque::new(),
            heard_count: 0,
            news: None,
            newest_segment,
            completed: Completed::default(),
            failed: None,
            shelf,
        }
    }

    /// Which group this is.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.link.id
    }

    /// Writes all that waits, of all groups, on this thread, and returns when it is durable.
    ///
    /// # Errors
    ///
    /// If a write or sync of the log fails or has failed; [`NoRoom`](LogError::NoRoom) if the medium is
    /// full, after which the log goes on. What becomes of snapshots,
    /// [`poll_snapshot`](SnapshotStore::poll_snapshot) tells.
    pub fn flush_now(&mut self) -> Result<(), LogError> {
        let flushed = self.sticky(|log| log.shared.flush_now());
        self.shelf.work();
        flushed
    }

    /// The snapshots that [`recover_snapshot`](SnapshotStore::recover_snapshot) found damaged and
    /// passed over, because another one or the log makes up for them (F6). Worth an operator's look.
    #[must_use]
    pub fn snapshot_losses(&self) -> &[SnapshotLoss] {
        self.shelf.losses()
    }

    /// Does what may fail; the first error is every later call's answer, but for a lack of room.
    fn sticky<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let outcome = work(self);
        match &outcome {
            Ok(_) | Err(LogError::NoRoom(_)) => {}
            Err(error) => self.failed = Some(error.clone()),
        }
        outcome
    }

    /// Learns where requests went that have become durable.
    fn absorb(&mut self) -> Result<(), LogError> {
        self.shared.check()?;
        if self.link.durable_count() == self.heard_count {
            return Ok(());
        }
        let mut completed = self.link.take_completed(std::mem::take(&mut self.completed));
        let mut extents = &completed.extents[..];
        for done in completed.requests.drain(..) {
            let request = self.requests.pop_front().expect("completions are of requests");
            let (own, rest) = extents.split_at(done.extent_count);
            extents = rest;
            self.place_batches(own);
            self.heard_count += 1;
            self.newest_segment = done.segment;
            if let Some(seq) = request.frees_before {
                self.link.set_live_from(seq);
            }
            self.news = Some(request.id);
        }
        completed.extents.clear();
        self.completed = completed;
        Ok(())
    }

    /// Moves the waiting batches of the oldest request into the index. Later requests may have cut
    /// off some of its entries, or forgotten them.
    fn place_batches(&mut self, extents: &[Extent]) {
        let number = self.heard_count;
        let next_of_request = |log: &mut Self| log.waiting.pop_front_if(|batch| batch.request == number);
        let Some(batch) = next_of_request(self) else { return };
        let (first, mut last) = (batch.entries.first(), batch.entries.last());
        while let Some(batch) = next_of_request(self) {
            last = batch.entries.last();
        }
        // One extent may hold entries of several batches, the first of which may be forgotten already.
        let begin = extents.partition_point(|extent| extent.first <= first).saturating_sub(1);
        let end = extents.partition_point(|extent| extent.first <= last);
        let follows = self.state.index.push(first, last, &extents[begin..end]);
        assert!(follows, "group {}: entries from {first} on leave a gap", self.link.id);
    }

    /// Checks a request, lets it take effect in memory, and queues it.
    fn submit(&mut self, id: PersistId, mut request: Request) -> Result<(), LogError> {
        self.check_rules(&request)?;
        let mut frees_before = None;
        if request.mark.is_some() {
            // Said again, so that nothing before this record matters to this group any more.
            request.hard_state = request.hard_state.or(Some(self.state.hard_state));
        }
        let record_bytes = request.record_bytes();
        let limit_bytes = self.shared.limits.record_bytes_max;
        let batch_count = request.rows().count();
        if record_bytes > limit_bytes || batch_count > usize::from(u16::MAX) {
            return Err(LogError::TooLarge { record_bytes, limit_bytes });
        }
        if let Some(new) = &request.mark {
            self.apply_mark(new);
            let kept = self.state.index.first_extent().map(|extent| extent.segment);
            frees_before = Some(kept.unwrap_or(self.newest_segment));
        }
        if let Some(from) = request.truncate_from {
            self.truncate_from(from);
        }
        let number = self.heard_count + self.requests.len() as u64;
        for entries in request.entries.iter() {
            self.waiting.push_back(WaitingBatch { entries: entries.clone(), request: number });
        }
        self.state.hard_state = request.hard_state.unwrap_or(self.state.hard_state);
        self.requests.push_back(WaitingRequest { id, frees_before });
        self.shared.submit(Queued { group: Arc::clone(&self.link), request, record_bytes })?;
        if self.shared.limits.flushes_on_persist { self.shared.flush() } else { Ok(()) }
    }

    fn apply_mark(&mut self, new: &NewMark) {
        let index = new.mark.last.index;
        if new.keeps_entries {
            self.state.index.drop_to(index);
            while self.waiting.front().is_some_and(|batch| batch.entries.last() <= index) {
                self.waiting.pop_front();
            }
        } else {
            self.state.index.clear();
            self.waiting.clear();
        }
        self.state.mark = Some(new.mark.clone());
    }

    fn truncate_from(&mut self, from: LogIndex) {
        while let Some(mut batch) = self.waiting.pop_back() {
            if let Some(kept) = batch.entries.prefix_before(from) {
                batch.entries = kept;
                self.waiting.push_back(batch);
                break;
            }
        }
        self.state.index.truncate_from(from);
    }

    /// The rules that make recovery's checks (F17) able to tell damage from a strange request.
    fn check_rules(&self, request: &Request) -> Result<(), LogError> {
        let (mut mark, mut last) = (self.state.mark_position(), self.last());
        if let Some(new) = &request.mark {
            let new_mark = new.mark.last;
            if !new.keeps_entries {
                last = new_mark;
            } else if new_mark.index < mark.index || self.term_at(new_mark.index) != Some(new_mark.term) {
                return Err(self.bad(RequestRule::CompactionWithinLog));
            }
            mark = new_mark;
        }
        if let Some(from) = request.truncate_from {
            if from <= mark.index || from > last.index.next() {
                return Err(self.bad(RequestRule::TruncationWithinLog));
            }
            if from <= last.index {
                let term =
                    if from.prev() == mark.index { Some(mark.term) } else { self.term_at(from.prev()) };
                last = Position::new(term.unwrap_or(Term::ZERO), from.prev());
            }
        }
        for batch in request.entries.iter() {
            if batch.first() != last.index.next() {
                return Err(self.bad(RequestRule::EntriesFollowLog));
            }
            if batch.term() < last.term {
                return Err(self.bad(RequestRule::TermsDoNotFall));
            }
            last = batch.last_position();
        }
        self.check_hard_state(request.hard_state, last)
    }

    fn check_hard_state(&self, new: Option<HardState>, last: Position) -> Result<(), LogError> {
        let state = new.unwrap_or(self.state.hard_state);
        if state.term < self.state.hard_state.term {
            return Err(self.bad(RequestRule::HardStateDoesNotFall));
        }
        if vote_broken_by(self.state.hard_state, state).is_some() {
            return Err(self.bad(RequestRule::VoteStays));
        }
        if state.term < last.term {
            return Err(self.bad(RequestRule::HardStateCoversLog));
        }
        if state.commit > last.index {
            return Err(self.bad(RequestRule::CommitWithinLog));
        }
        Ok(())
    }

    fn bad(&self, rule: RequestRule) -> LogError {
        LogError::BadRequest { group: self.link.id, rule }
    }

    /// The last entry, waiting ones included, or the mark.
    fn last(&self) -> Position {
        self.waiting.back().map_or_else(|| self.state.last(), |batch| batch.entries.last_position())
    }

    fn term_at(&self, index: LogIndex) -> Option<Term> {
        let waiting = self.waiting.iter().rev().find(|batch| batch.entries.first() <= index);
        match waiting {
            Some(batch) => (index <= batch.entries.last()).then_some(batch.entries.term()),
            None => self.state.term_at(index),
        }
    }
}

impl LogStore for GroupLog {
    type Error = LogError;

    fn recover(&mut self) -> Result<Recovered, LogError> {
        self.sticky(|log| {
            log.shared.check()?;
            Ok(log.state.recovered())
        })
    }

    fn persist(&mut self, request: Persist) -> Result<(), LogError> {
        self.sticky(|log| {
            log.absorb()?;
            let Persist { id, mark, truncate_from, entries, hard_state } = request;
            log.submit(id, Request { mark, truncate_from, entries, hard_state })
        })
    }

    fn poll_persisted(&mut self) -> Result<Option<PersistId>, LogError> {
        self.sticky(|log| {
            if log.shared.limits.flushes_on_persist && log.shared.queue.is_held() {
                // Nobody else tries whether there is room by now.
                log.shared.flush()?;
            }
            // What became durable before a failure is still worth knowing, so look first.
            let absorbed = log.absorb();
            match log.news.take() {
                Some(id) => Ok(Some(id)),
                None => absorbed.map(|()| None),
            }
        })
    }

    fn load(&mut self, first: LogIndex, end: LogIndex, bytes_max: usize) -> Result<Vec<Entries>, LogError> {
        self.sticky(|log| {
            log.absorb()?;
            let (have_first, have_last) = (log.state.mark_position().index.next(), log.last().index);
            if first < have_first || first >= end || end > have_last.next() {
                return Err(LogError::OutOfRange { first, end, have_first, have_last });
            }
            let mut loader = Loader::new(&log.shared.segments, first, end, bytes_max);
            loader.take_from_index(&log.state.index)?;
            for batch in &log.waiting {
                loader.take(&batch.entries);
            }
            Ok(loader.finish())
        })
    }
}

impl SnapshotStore for GroupLog {
    fn recover_snapshot(&mut self) -> Result<Option<SnapshotMeta>, LogError> {
        self.sticky(|log| {
            log.shared.check()?;
            log.shelf.recover(log.state.mark_position())
        })
    }

    fn begin_snapshot(&mut self, last: Position) {
        self.shelf.begin(last);
    }

    fn write_snapshot(&mut self, piece: Bytes) {
        self.shelf.write(piece);
    }

    fn snapshot_room(&self) -> usize {
        self.shelf.room()
    }

    fn finish_snapshot(&mut self, meta: SnapshotMeta) {
        self.shelf.finish(meta);
    }

    fn abort_snapshot(&mut self) {
        self.shelf.abort();
    }

    fn poll_snapshot(&mut self) -> Option<Result<SnapshotMeta, SnapshotFailure<LogError>>> {
        self.shelf.poll()
    }

    fn read_snapshot(
        &mut self,
        last: Position,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, LogError> {
        self.shelf.read(last, offset, bytes_max)
    }
}
