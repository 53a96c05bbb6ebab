//! Requests of clients that wait for an answer, and at which node.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::by_node::ByNode;
use super::subject::RequestId;
use crate::doors::waiting::ProposalId;
use crate::words::ids::{LogIndex, NodeId, ReadId};

/// What clients wait for.
#[derive(Debug, Default)]
pub(super) struct Requests {
    count: u64,
    at_nodes: ByNode<Waiting>,
}

/// What clients wait for at one node.
#[derive(Debug, Default)]
struct Waiting {
    /// With when they were made, in ticks of the node.
    proposals: BTreeMap<ProposalId, (RequestId, u64)>,
    /// With what they must see: whatever was acknowledged, or read, before they were asked for.
    reads: BTreeMap<ReadId, (RequestId, LogIndex)>,
}

impl Requests {
    /// A name for the next one.
    pub(super) fn next(&mut self) -> RequestId {
        self.count += 1;
        RequestId(self.count)
    }

    pub(super) fn on_propose(&mut self, node: NodeId, id: ProposalId, request: RequestId, ticks: u64) {
        self.at_nodes.or_default(node).proposals.insert(id, (request, ticks));
    }

    /// When the oldest proposal was made that waits at a node, in ticks of the node.
    pub(super) fn oldest_proposal(&self, node: NodeId) -> Option<u64> {
        let (_, (_, ticks)) = self.at_nodes.get(&node)?.proposals.first_key_value()?;
        Some(*ticks)
    }

    pub(super) fn on_read(&mut self, node: NodeId, id: ReadId, request: RequestId, needed: LogIndex) {
        self.at_nodes.or_default(node).reads.insert(id, (request, needed));
    }

    pub(super) fn take_proposal(&mut self, node: NodeId, id: ProposalId) -> Option<RequestId> {
        self.at_nodes.get_mut(&node)?.proposals.remove(&id).map(|(request, _)| request)
    }

    /// All reads at a node up to one, with what they must see.
    pub(super) fn take_reads(&mut self, node: NodeId, up_to: ReadId) -> Vec<(RequestId, LogIndex)> {
        let Some(waiting) = self.at_nodes.get_mut(&node) else { return Vec::new() };
        waiting.reads.extract_if(..=up_to, |_, _| true).map(|(_, read)| read).collect()
    }

    /// The proposals and the reads that a node will not answer any more.
    pub(super) fn take_all(&mut self, node: NodeId) -> (Vec<RequestId>, Vec<RequestId>) {
        let Waiting { proposals, reads } = self.at_nodes.remove(&node).unwrap_or_default();
        let proposals = proposals.into_values().map(|(request, _)| request);
        (proposals.collect(), reads.into_values().map(|(request, _)| request).collect())
    }

    /// How many wait for an answer from these nodes.
    pub(super) fn waiting_count(&self, is_counted: impl Fn(NodeId) -> bool) -> usize {
        let counted = self.at_nodes.iter().filter(|(node, _)| is_counted(*node));
        counted.map(|(_, waiting)| waiting.proposals.len() + waiting.reads.len()).sum()
    }
}
