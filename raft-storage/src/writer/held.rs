//! Requests that wait for room on the medium (F12).
//!
//! A full disk is like one that does not answer: what waits is not reported, and whoever asked for it
//! draws the consequences (F25). Within a group nothing overtakes, since requests become durable in
//! order.

use std::collections::BTreeSet;

use raft_core::GroupId;

use super::queue::Queued;
use crate::error::Failure;

/// What could not be written for want of room, in the order in which it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Held {
    requests: Vec<Queued>,
    groups: BTreeSet<GroupId>,
    byte_count: u64,
    /// Why they wait.
    refusal: Option<Failure>,
}

impl Held {
    /// Adds a request that found no room.
    pub(crate) fn push(&mut self, queued: Queued, refusal: Failure) {
        self.groups.insert(queued.group.id);
        self.byte_count += queued.record_bytes;
        self.requests.push(queued);
        self.refusal = Some(refusal);
    }

    /// Puts all that waits in front of these requests, to be tried again.
    pub(crate) fn put_before(&mut self, requests: &mut Vec<Queued>) {
        if self.requests.is_empty() {
            return;
        }
        self.requests.append(requests);
        std::mem::swap(&mut self.requests, requests);
        (self.byte_count, self.refusal) = (0, None);
        self.groups.clear();
    }

    /// How many bytes the records take that wait.
    pub(crate) fn byte_count(&self) -> u64 {
        self.byte_count
    }

    /// Why something waits, if anything does.
    pub(crate) fn refusal(&self) -> Option<&Failure> {
        self.refusal.as_ref()
    }

    /// Why a request of this group has to wait, if an earlier one does.
    pub(crate) fn refusal_of(&self, group: GroupId) -> Option<&Failure> {
        self.refusal.as_ref().filter(|_| self.groups.contains(&group))
    }
}
