//! Requests of clients that wait for an answer, and at which node.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::subject::RequestId;
use crate::doors::waiting::ProposalId;
use crate::words::ids::{LogIndex, NodeId, ReadId};

/// What clients wait for.
#[derive(Debug, Default)]
pub(super) struct Requests {
    count: u64,
    /// With when they were made, in ticks of the node.
    proposals: BTreeMap<(NodeId, ProposalId), (RequestId, u64)>,
    /// With what they must see: whatever was acknowledged, or read, before they were asked for.
    reads: BTreeMap<(NodeId, ReadId), (RequestId, LogIndex)>,
}

impl Requests {
    /// A name for the next one.
    pub(super) fn next(&mut self) -> RequestId {
        self.count += 1;
        RequestId(self.count)
    }

    pub(super) fn on_propose(&mut self, node: NodeId, id: ProposalId, request: RequestId, ticks: u64) {
        self.proposals.insert((node, id), (request, ticks));
    }

    /// When the oldest proposal was made that waits at a node, in ticks of the node.
    pub(super) fn oldest_proposal(&self, node: NodeId) -> Option<u64> {
        let from = (node, ProposalId::default());
        let ((at, _), (_, ticks)) = self.proposals.range(from..).next()?;
        (*at == node).then_some(*ticks)
    }

    pub(super) fn on_read(&mut self, node: NodeId, id: ReadId, request: RequestId, needed: LogIndex) {
        self.reads.insert((node, id), (request, needed));
    }

    pub(super) fn take_proposal(&mut self, node: NodeId, id: ProposalId) -> Option<RequestId> {
        self.proposals.remove(&(node, id)).map(|(request, _)| request)
    }

    /// All reads at a node up to one, with what they must see.
    pub(super) fn take_reads(&mut self, node: NodeId, up_to: ReadId) -> Vec<(RequestId, LogIndex)> {
        let keys: Vec<_> =
            self.reads.range((node, ReadId::ZERO)..=(node, up_to)).map(|(key, _)| *key).collect();
        keys.iter().map(|key| self.reads.remove(key).expect("just seen")).collect()
    }

    /// The proposals and the reads that a node will not answer any more.
    pub(super) fn take_all(&mut self, node: NodeId) -> (Vec<RequestId>, Vec<RequestId>) {
        let proposals = self.proposals.extract_if(.., |(at, _), _| *at == node);
        let proposals = proposals.map(|(_, (request, _))| request);
        let reads = self.reads.extract_if(.., |(at, _), _| *at == node).map(|(_, (request, _))| request);
        (proposals.collect(), reads.collect())
    }

    /// How many wait for an answer from these nodes.
    pub(super) fn waiting_count(&self, is_counted: impl Fn(NodeId) -> bool) -> usize {
        let proposals = self.proposals.keys().filter(|(node, _)| is_counted(*node)).count();
        proposals + self.reads.keys().filter(|(node, _)| is_counted(*node)).count()
    }
}
