//! A group as its owner sees it. This view runs ahead of the medium: what was handed over can be read at
//! once, from memory until the writer says where it is.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use raft_core::{
    Batches, Entries, GroupId, HardState, LogIndex, NewMark, PersistId, Position, Recovered, SnapshotMark,
    Term,
};

use super::group::{GroupState, vote_broken_by};
use super::index::Index;
use super::load::Loader;
use super::registry::{Completed, GroupLink};
use crate::error::{LogError, RequestRule};
use crate::files::segment::{Segment, Segments};
use crate::format::batch::Request;
use crate::format::extent::Extent;
use crate::format::segment::SegmentSeq;

/// What a group's owner asked for, and what of it is not known to be durable.
#[derive(Debug)]
pub(crate) struct View {
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
}

/// Entries that are about to be read, with the segments they are in.
#[derive(Debug)]
pub(crate) struct Stretch {
    first: LogIndex,
    end: LogIndex,
    bytes_max: usize,
    index: Index,
    segments: Vec<Arc<Segment>>,
    waiting: Vec<Entries>,
}

/// All that a group at rest needs of the log.
#[derive(Debug)]
pub(crate) struct Whole {
    mark: Option<SnapshotMark>,
    hard_state: HardState,
    entries: Option<Stretch>,
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

impl View {
    /// A group as recovery found it; whatever it asks for will be in this segment or a newer one.
    pub(crate) fn new(state: GroupState, newest_segment: SegmentSeq) -> Self {
        Self {
            state,
            waiting: VecDeque::new(),
            requests: VecDeque::new(),
            heard_count: 0,
            news: None,
            newest_segment,
            completed: Completed::default(),
        }
    }

    pub(crate) fn recovered(&self) -> Recovered {
        self.state.recovered()
    }

    pub(crate) fn mark_position(&self) -> Position {
        self.state.mark_position()
    }

    /// Tells the newest request that became durable, once.
    pub(crate) fn take_news(&mut self) -> Option<PersistId> {
        self.news.take()
    }

    /// Learns where requests went that have become durable.
    pub(crate) fn absorb(&mut self, link: &GroupLink) {
        if link.durable_count() == self.heard_count {
            return;
        }
        let mut completed = link.take_completed(std::mem::take(&mut self.completed));
        let mut extents = &completed.extents[..];
        for done in completed.requests.drain(..) {
            let request = self.requests.pop_front().expect("completions are of requests");
            let (own, rest) = extents.split_at(done.extent_count);
            extents = rest;
            self.place_batches(own);
            self.heard_count += 1;
            self.newest_segment = done.segment;
            if let Some(seq) = request.frees_before {
                link.set_live_from(seq);
            }
            self.news = Some(request.id);
        }
        completed.extents.clear();
        self.completed = completed;
    }

    /// Checks a request and lets it take effect here. Gives it back as it is to be written, with the bytes
    /// that its record takes.
    pub(crate) fn admit(
        &mut self,
        group: GroupId,
        id: PersistId,
        mut request: Request,
        limit_bytes: u64,
    ) -> Result<(Request, u64), LogError> {
        self.check_rules(&request).map_err(|rule| LogError::BadRequest { group, rule })?;
        let mut frees_before = None;
        if request.mark.is_some() {
            // Said again, so that nothing before this record matters to this group any more.
            request.hard_state = request.hard_state.or(Some(self.state.hard_state));
        }
        let record_bytes = request.record_bytes();
        if record_bytes > limit_bytes || !request.has_countable_rows() {
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
        Ok((request, record_bytes))
    }

    /// The entries that there are.
    pub(crate) fn range(&self) -> Option<RangeInclusive<LogIndex>> {
        let (first, last) = (self.mark_position().index.next(), self.last().index);
        (first <= last).then_some(first..=last)
    }

    /// All that it takes to read these entries within a byte budget without looking here again, whatever
    /// becomes of them.
    pub(crate) fn stretch(
        &self,
        segments: &Segments,
        first: LogIndex,
        end: LogIndex,
        bytes_max: usize,
    ) -> Result<Stretch, LogError> {
        self.check_range(first, end)?;
        let (index, is_whole) = self.state.index.stretch(first, end, bytes_max);
        // A segment that somebody has is not filled again.
        let mut held: Vec<Arc<Segment>> = Vec::new();
        for extent in index.extents() {
            if held.last().is_none_or(|segment| segment.seq != extent.segment) {
                held.push(segments.find(extent.segment).expect("indexed segments are kept"));
            }
        }
        let waiting = self.waiting.iter().filter(|batch| is_whole && batch.entries.first() < end);
        let waiting = waiting.map(|batch| batch.entries.clone()).collect();
        Ok(Stretch { first, end, bytes_max, index, segments: held, waiting })
    }

    fn check_range(&self, first: LogIndex, end: LogIndex) -> Result<(), LogError> {
        let (have_first, have_last) = (self.mark_position().index.next(), self.last().index);
        match first < have_first || first >= end || end > have_last.next() {
            true => Err(LogError::OutOfRange { first, end, have_first, have_last }),
            false => Ok(()),
        }
    }

    /// How many bytes its entries take, with their places in memory; `None` if that is more than this.
    pub(crate) fn held_bytes(&self, bytes_max: u64) -> Option<u64> {
        let mut bytes = 0;
        self.state.index.extents().all(|extent| {
            bytes += u64::from(extent.byte_count) + size_of::<Extent>() as u64;
            bytes <= bytes_max
        });
        (bytes <= bytes_max).then_some(bytes)
    }

    /// Whether all that was asked for is known to be durable.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.requests.is_empty()
    }

    /// All that a group at rest needs of the log; `None` if it is not.
    pub(crate) fn whole(&self, segments: &Segments) -> Result<Option<Whole>, LogError> {
        if !self.is_at_rest() {
            return Ok(None);
        }
        let entries = match self.range() {
            Some(range) => Some(self.stretch(segments, *range.start(), range.end().next(), usize::MAX)?),
            None => None,
        };
        Ok(Some(Whole { mark: self.state.mark.clone(), hard_state: self.state.hard_state, entries }))
    }

    /// Notes where the entries are of the request that said all of it, now that it is durable; `false`, and
    /// nothing changes, if something was asked for since. The writer, whose call this is, has not written that.
    pub(crate) fn moved(&mut self, extents: impl Iterator<Item = Extent>) -> bool {
        let is_same = self.is_at_rest();
        if is_same {
            self.state.index.replace(extents);
        }
        is_same
    }

    /// Moves the waiting batches of the oldest request into the index. Later requests may have cut
    /// off some of its entries, or forgotten them.
    fn place_batches(&mut self, extents: &[Extent]) {
        let number = self.heard_count;
        let next_of_request = |view: &mut Self| view.waiting.pop_front_if(|batch| batch.request == number);
        let Some(batch) = next_of_request(self) else { return };
        let (first, mut last) = (batch.entries.first(), batch.entries.last());
        while let Some(batch) = next_of_request(self) {
            last = batch.entries.last();
        }
        // One extent may hold entries of several batches, the first of which may be forgotten already.
        let begin = extents.partition_point(|extent| extent.first <= first).saturating_sub(1);
        let end = extents.partition_point(|extent| extent.first <= last);
        let follows = self.state.index.push(first, last, &extents[begin..end]);
        assert!(follows, "entries from {first} on leave a gap");
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
    fn check_rules(&self, request: &Request) -> Result<(), RequestRule> {
        let (mut mark, mut last) = (self.state.mark_position(), self.last());
        if let Some(new) = &request.mark {
            let new_mark = new.mark.last;
            if !new.keeps_entries {
                last = new_mark;
            } else if new_mark.index < mark.index || self.term_at(new_mark.index) != Some(new_mark.term) {
                return Err(RequestRule::CompactionWithinLog);
            }
            mark = new_mark;
        }
        if let Some(from) = request.truncate_from {
            if from <= mark.index || from > last.index.next() {
                return Err(RequestRule::TruncationWithinLog);
            }
            if from <= last.index {
                let term =
                    if from.prev() == mark.index { Some(mark.term) } else { self.term_at(from.prev()) };
                last = Position::new(term.unwrap_or(Term::ZERO), from.prev());
            }
        }
        for batch in request.entries.iter() {
            if batch.first() != last.index.next() {
                return Err(RequestRule::EntriesFollowLog);
            }
            if batch.term() < last.term {
                return Err(RequestRule::TermsDoNotFall);
            }
            last = batch.last_position();
        }
        self.check_hard_state(request.hard_state, last)
    }

    fn check_hard_state(&self, new: Option<HardState>, last: Position) -> Result<(), RequestRule> {
        let state = new.unwrap_or(self.state.hard_state);
        if state.term < self.state.hard_state.term {
            return Err(RequestRule::HardStateDoesNotFall);
        }
        if vote_broken_by(self.state.hard_state, state).is_some() {
            return Err(RequestRule::VoteStays);
        }
        if state.term < last.term {
            return Err(RequestRule::HardStateCoversLog);
        }
        if state.commit > last.index {
            return Err(RequestRule::CommitWithinLog);
        }
        Ok(())
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

impl Stretch {
    /// Reads the entries.
    pub(crate) fn load(&self) -> Result<Vec<Entries>, LogError> {
        let loader = Loader::new(&self.segments, self.first, self.end, self.bytes_max);
        loader.load(&self.index, self.waiting.iter())
    }
}

impl Whole {
    /// The request that says all of it again: once it is durable, nothing before it matters to the group.
    pub(crate) fn request(&self) -> Result<Request, LogError> {
        let mut entries = Batches::default();
        if let Some(stretch) = &self.entries {
            stretch.load()?.into_iter().for_each(|batch| entries.push(batch));
        }
        let mark = self.mark.clone().map(|mark| NewMark { mark, keeps_entries: false });
        // A mark drops the log by itself.
        let truncate_from = if mark.is_none() { entries.first() } else { None };
        Ok(Request { mark, truncate_from, entries, hard_state: Some(self.hard_state) })
    }
}
