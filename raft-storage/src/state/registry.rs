//! What the groups and the writer share: completions one way, what is still needed the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::GroupId;

use super::group::GroupState;
use crate::format::extent::Extent;
use crate::format::segment::SegmentSeq;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

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
#[derive(Debug, Default)]
pub(crate) struct Registry {
    groups: Mutex<BTreeMap<GroupId, Member>>,
}

#[derive(Debug)]
struct Member {
    link: Arc<GroupLink>,
    /// What recovery found, until the group is opened.
    found: Option<GroupState>,
}

impl Registry {
    /// Takes what recovery found.
    pub(crate) fn new(found: BTreeMap<GroupId, GroupState>) -> Self {
        let groups = found.into_iter().map(|(id, state)| (id, Member::new(id, Some(state)))).collect();
        Self { groups: Mutex::new(groups) }
    }

    /// Opens a group; `None` if it has been opened before.
    pub(crate) fn open(&self, id: GroupId) -> Option<(Arc<GroupLink>, GroupState)> {
        let mut groups = self.groups.lock();
        let member = groups.entry(id).or_insert_with(|| Member::new(id, None));
        if member.link.opened.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some((Arc::clone(&member.link), member.found.take().unwrap_or_default()))
    }

    pub(crate) fn ids(&self) -> Vec<GroupId> {
        self.groups.lock().keys().copied().collect()
    }

    /// The oldest segment that any group needs, at most `newest`.
    pub(crate) fn live_from(&self, newest: SegmentSeq) -> SegmentSeq {
        let groups = self.groups.lock();
        groups.values().map(|member| member.link.live_from()).fold(newest, SegmentSeq::min)
    }
}

impl Member {
    fn new(id: GroupId, found: Option<GroupState>) -> Self {
        let live_from = found.as_ref().and_then(GroupState::live_from).unwrap_or(SegmentSeq::MAX);
        let link = GroupLink {
            id,
            durable_count: AtomicU64::new(0),
            completed: Mutex::default(),
            live_from: AtomicU32::new(live_from),
            opened: AtomicBool::new(false),
        };
        Self { link: Arc::new(link), found }
    }
}
