//! What the groups and the writer share: completions one way, what is still needed the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::GroupId;

use super::group::GroupState;
use super::view::View;
use crate::format::extent::Extent;
use crate::format::segment::SegmentSeq;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// What one group and the writer share.
#[derive(Debug)]
pub(crate) struct GroupLink {
    pub(crate) id: GroupId,
    /// How many requests are durable; the group looks here first, without a lock.
    durable_count: AtomicU64,
    /// Those that the group has not heard of.
    completed: Mutex<Completed>,
    /// The oldest segment this group needs; `u32::MAX` if none.
    live_from: AtomicU32,
    opened: AtomicBool,
    /// Locked to look something up or to note it, never while the medium is read or written.
    view: Mutex<View>,
}

/// Requests that have become durable, in order, and where their entries are.
#[derive(Debug, Default)]
pub(crate) struct Completed {
    pub(crate) requests: Vec<CompletedRequest>,
    pub(crate) extents: Vec<Extent>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct CompletedRequest {
    pub(crate) segment: SegmentSeq,
    /// How many extents are of this request.
    pub(crate) extent_count: usize,
}

impl GroupLink {
    fn new(id: GroupId, state: GroupState, newest_segment: SegmentSeq) -> Self {
        Self {
            id,
            durable_count: AtomicU64::new(0),
            completed: Mutex::default(),
            live_from: AtomicU32::new(state.live_from().unwrap_or(SegmentSeq::MAX)),
            opened: AtomicBool::new(false),
            view: Mutex::new(View::new(state, newest_segment)),
        }
    }

    /// The group as its owner sees it, with all that is known to be durable.
    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        let mut view = self.view.lock();
        view.absorb(self);
        view
    }

    /// Reports a request as durable.
    pub(crate) fn complete(&self, request: CompletedRequest, extents: impl Iterator<Item = Extent>) {
        self.live_from.fetch_min(request.segment, Ordering::AcqRel);
        {
            let mut completed = self.completed.lock();
            completed.requests.push(request);
            completed.extents.extend(extents);
        }
        self.durable_count.fetch_add(1, Ordering::Release);
    }

    /// How many requests have become durable since the log was opened.
    pub(crate) fn durable_count(&self) -> u64 {
        self.durable_count.load(Ordering::Acquire)
    }

    /// Exchanges the newly durable ones for an empty list, whose memory is used for the next ones.
    pub(crate) fn take_completed(&self, empty: Completed) -> Completed {
        std::mem::replace(&mut self.completed.lock(), empty)
    }

    pub(crate) fn live_from(&self) -> SegmentSeq {
        self.live_from.load(Ordering::Acquire)
    }

    /// The group needs nothing before `seq`. A group that begins may say so of a segment that went before
    /// its first record came; that raises nothing, for no link may call for such a segment.
    pub(crate) fn set_live_from(&self, seq: SegmentSeq) {
        self.live_from.fetch_max(seq, Ordering::AcqRel);
    }
}

/// All groups of one log.
#[derive(Debug)]
pub(crate) struct Registry {
    groups: Mutex<BTreeMap<GroupId, Arc<GroupLink>>>,
    /// The newest segment when the log was opened.
    newest_segment: SegmentSeq,
}

impl Registry {
    /// Takes what recovery found.
    pub(crate) fn new(found: BTreeMap<GroupId, GroupState>, newest_segment: SegmentSeq) -> Self {
        let link = |(id, state)| (id, Arc::new(GroupLink::new(id, state, newest_segment)));
        Self { groups: Mutex::new(found.into_iter().map(link).collect()), newest_segment }
    }

    /// Opens a group; `None` if it has been opened before.
    pub(crate) fn open(&self, id: GroupId) -> Option<Arc<GroupLink>> {
        let mut groups = self.groups.lock();
        let new = || Arc::new(GroupLink::new(id, GroupState::default(), self.newest_segment));
        let link = groups.entry(id).or_insert_with(new);
        (!link.opened.swap(true, Ordering::AcqRel)).then(|| Arc::clone(link))
    }

    pub(crate) fn ids(&self) -> Vec<GroupId> {
        self.groups.lock().keys().copied().collect()
    }

    /// The oldest segment that any group needs, at most `newest`.
    pub(crate) fn live_from(&self, newest: SegmentSeq) -> SegmentSeq {
        self.groups.lock().values().map(|link| link.live_from()).fold(newest, SegmentSeq::min)
    }

    /// The groups that need segments before this one, each with the oldest that it needs, in that order.
    pub(crate) fn holding_before(&self, seq: SegmentSeq) -> Vec<(SegmentSeq, Arc<GroupLink>)> {
        let groups = self.groups.lock();
        let all = groups.values().map(|link| (link.live_from(), Arc::clone(link)));
        let mut holding: Vec<_> = all.filter(|(live_from, _)| *live_from < seq).collect();
        holding.sort_by_key(|(live_from, _)| *live_from);
        holding
    }
}
