//! What was asked to be made durable, and what is.
//!
//! Entries count as durable by the request that carried them: when a log is cut and written anew,
//! the completion of an older request says nothing of the new entries at the same indexes, even if
//! term and index look alike (S28, S105).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};

use crate::books::log::Log;
use crate::words::ids::{LogIndex, PersistId};
use crate::words::persist::{HardState, NewMark, Persist, SnapshotMark};

/// The disk as the core sees it.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// The last request that was handed out.
    asked: PersistId,
    under_way: VecDeque<UnderWay>,
    /// Entries up to here were handed out.
    handed: LogIndex,
    durable: LogIndex,
    mark: Option<Box<NewMark>>,
    truncate_from: Option<LogIndex>,
    hard_dirty: bool,
    /// The commit index as it was handed out last.
    commit_handed: LogIndex,
    /// The last request that carried a term or a vote.
    hard_asked: PersistId,
    completed: PersistId,
    /// Ticks so far.
    now: u64,
}

/// A request that is not durable yet.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    id: PersistId,
    /// The last entry it carried or, if that was cut off since, the last one that is left.
    last: LogIndex,
    /// When it was handed out, in ticks.
    since: u64,
}

impl Disk {
    /// A disk that holds the log up to `last`.
    pub(crate) fn new(last: LogIndex, commit: LogIndex) -> Self {
        Self {
            asked: PersistId::ZERO,
            under_way: VecDeque::new(),
            handed: last,
            durable: last,
            mark: None,
            truncate_from: None,
            hard_dirty: false,
            commit_handed: commit,
            hard_asked: PersistId::ZERO,
            completed: PersistId::ZERO,
            now: 0,
        }
    }

    /// The log begins anew behind this mark.
    pub(crate) fn reset(&mut self, mark: SnapshotMark) {
        self.truncate(mark.last.index);
        self.truncate_from = None;
        self.handed = mark.last.index;
        self.durable = mark.last.index;
        self.mark = Some(Box::new(NewMark { mark, keeps_entries: false }));
    }

    /// The log begins behind this mark, and keeps the entries behind it.
    pub(crate) fn compact(&mut self, mark: SnapshotMark) {
        let is_anew = self.mark.as_ref().is_some_and(|new| !new.keeps_entries);
        self.mark = Some(Box::new(NewMark { mark, keeps_entries: !is_anew }));
    }

    /// The term or the vote changed.
    pub(crate) fn touch_hard_state(&mut self) {
        self.hard_dirty = true;
    }

    /// The log was cut at `from`.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        let kept = from.prev();
        if self.handed >= from {
            self.truncate_from = Some(self.truncate_from.map_or(from, |earlier| earlier.min(from)));
            self.handed = kept;
        }
        self.durable = self.durable.min(kept);
        for request in &mut self.under_way {
            request.last = request.last.min(kept);
        }
    }

    /// The next request, if there is anything to make durable. The log is sealed.
    pub(crate) fn take(&mut self, log: &Log, hard_state: HardState) -> Option<Persist> {
        if !self.is_dirty(log) {
            return None;
        }
        self.asked = self.asked.next();
        if self.hard_dirty {
            self.hard_asked = self.asked;
        }
        let last = log.last().index;
        let entries = if last > self.handed {
            log.slice(self.handed.next(), last.next(), usize::MAX)
                .expect("what is not durable stays in memory")
        } else {
            crate::words::batches::Batches::new()
        };
        let changed = self.hard_dirty || hard_state.commit != self.commit_handed;
        self.handed = last;
        self.hard_dirty = false;
        self.commit_handed = hard_state.commit;
        self.under_way.push_back(UnderWay { id: self.asked, last, since: self.now });
        Some(Persist {
            id: self.asked,
            mark: self.mark.take().map(|mark| *mark),
            truncate_from: self.truncate_from.take(),
            entries,
            hard_state: changed.then_some(hard_state),
        })
    }

    /// Everything up to this request is durable. Ids that were never handed out count for the
    /// last one that was.
    pub(crate) fn complete(&mut self, id: PersistId) {
        while let Some(request) = self.under_way.pop_front_if(|request| request.id <= id) {
            self.completed = request.id;
            self.durable = self.durable.max(request.last);
        }
    }

    /// Time passes.
    pub(crate) fn advance(&mut self, ticks: u32) {
        self.now = self.now.saturating_add(u64::from(ticks));
    }

    /// Gives back memory that nothing needs now.
    pub(crate) fn shrink(&mut self) {
        self.under_way.shrink_to_fit();
    }

    /// How long until the oldest request has waited for `patience` ticks: `u32::MAX` if
    /// nothing waits, or has waited that long already.
    pub(crate) fn ticks_until_stalled(&self, patience: u32) -> u32 {
        let left = u64::from(patience).saturating_sub(self.stalled_ticks());
        match u32::try_from(left) {
            Ok(left) if left > 0 && !self.under_way.is_empty() => left,
            Ok(_) | Err(_) => u32::MAX,
        }
    }

    /// The log is durable up to here.
    #[inline]
    pub(crate) fn durable(&self) -> LogIndex {
        self.durable
    }

    /// Everything up to this request is durable.
    pub(crate) fn completed(&self) -> PersistId {
        self.completed
    }

    /// Whether the term and the vote are durable as they are.
    #[inline]
    pub(crate) fn is_hard_state_durable(&self) -> bool {
        !self.hard_dirty && self.hard_asked <= self.completed
    }

    /// How long the oldest request has waited, in ticks.
    pub(crate) fn stalled_ticks(&self) -> u64 {
        self.under_way.front().map_or(0, |oldest| self.now - oldest.since)
    }

    /// The request after which everything that holds now is durable; `None` if it is already.
    pub(crate) fn barrier(&self, log: &Log) -> Option<PersistId> {
        if self.is_dirty(log) {
            return Some(self.asked.next());
        }
        self.under_way.back().map(|newest| newest.id)
    }

    #[inline]
    fn is_dirty(&self, log: &Log) -> bool {
        self.hard_dirty
            || log.last().index > self.handed
            || self.truncate_from.is_some()
            || self.mark.is_some()
    }
}

/// Requests and ticks count from the oldest request that still matters: how many there were before
/// decides about nothing.
impl Hash for Disk {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            asked,
            under_way,
            handed,
            durable,
            mark,
            truncate_from,
            hard_dirty,
            commit_handed,
            hard_asked,
            completed,
            now,
        } = self;
        let since_completed = |id: PersistId| id.get().saturating_sub(completed.get());
        for request in under_way {
            (since_completed(request.id), request.last, *now - request.since).hash(state);
        }
        (since_completed(*asked), since_completed(*hard_asked)).hash(state);
        (handed, durable, commit_handed, hard_dirty, truncate_from, mark).hash(state);
    }
}
