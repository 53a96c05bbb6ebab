//! Clients that propose and read, and remember what they were told.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::checker::Checker;
use super::report::Report;
use crate::doors::outcome::Outcome;
use crate::doors::waiting::ProposalId;
use crate::words::ids::{LogIndex, NodeId, ReadId};

/// What clients asked for and were told.
#[derive(Debug, Default)]
pub(super) struct Clients {
    proposed: u64,
    /// Proposals without an outcome: who was asked, under which id, and the payload.
    waiting: BTreeMap<(NodeId, ProposalId), Vec<u8>>,
    /// Payloads whose proposers were told that they are applied, or never will be.
    applied: Vec<Vec<u8>>,
    refused: Vec<Vec<u8>>,
    /// Reads without an answer, with what they must see.
    reads: BTreeMap<(NodeId, ReadId), LogIndex>,
}

impl Clients {
    /// A payload that nobody proposed before; longer ones now and then.
    pub(super) fn next_payload(&mut self, random: u64) -> Vec<u8> {
        self.proposed += 1;
        let mut payload = self.proposed.to_le_bytes().to_vec();
        payload.resize(8 + (random % 40) as usize, random.to_le_bytes()[1]);
        payload
    }

    pub(super) fn on_propose(&mut self, node: NodeId, id: ProposalId, payload: Vec<u8>) {
        self.waiting.insert((node, id), payload);
    }

    /// A proposal that was not taken can never be applied.
    pub(super) fn on_refused(&mut self, payload: Vec<u8>) {
        self.refused.push(payload);
    }

    /// An outcome; an applied one makes everything up to its index visible to later reads.
    pub(super) fn on_outcome(
        &mut self,
        node: NodeId,
        id: ProposalId,
        outcome: &Outcome<LogIndex>,
        checker: &mut Checker,
        report: &mut Report,
    ) {
        let Some(payload) = self.waiting.remove(&(node, id)) else {
            return checker.violate("one outcome per proposal", format!("node {node}, {id:?}"));
        };
        match outcome {
            Outcome::Applied(index) => {
                report.note("acknowledged");
                checker.acknowledged = checker.acknowledged.max(*index);
                self.applied.push(payload);
            }
            Outcome::Refused(_) => {
                report.note("proposal refused");
                self.refused.push(payload);
            }
            Outcome::Lost => {
                report.note("proposal lost");
                self.refused.push(payload);
            }
            Outcome::Unknown => report.note("proposal unknown"),
        }
    }

    /// A read must see whatever was acknowledged, or read, before it was asked for.
    pub(super) fn on_read(&mut self, node: NodeId, id: ReadId, checker: &Checker) {
        self.reads.insert((node, id), checker.acknowledged);
    }

    /// Reads up to `up_to` are served from a state with everything up to `applied`.
    pub(super) fn on_reads_served(
        &mut self,
        node: NodeId,
        up_to: ReadId,
        applied: LogIndex,
        checker: &mut Checker,
        report: &mut Report,
    ) {
        for (id, needed) in self.take_reads(node, up_to) {
            report.note("read served");
            if applied < needed {
                let details = format!("read {id} at node {node} saw {applied}, needs {needed}");
                checker.violate("linearizable reads", details);
            }
            checker.acknowledged = checker.acknowledged.max(applied);
        }
    }

    pub(super) fn on_reads_refused(&mut self, node: NodeId, up_to: ReadId, report: &mut Report) {
        for _ in self.take_reads(node, up_to) {
            report.note("read refused");
        }
    }

    /// The node crashed: nobody will answer.
    pub(super) fn on_crash(&mut self, node: NodeId) {
        self.waiting.retain(|(at, _), _| *at != node);
        self.reads.retain(|(at, _), _| *at != node);
    }

    /// At the end: what was acknowledged is there once, what was refused is not.
    pub(super) fn check(&self, checker: &mut Checker) {
        for payload in &self.applied {
            let count = checker.count_committed(payload);
            if count != 1 {
                checker.violate("acknowledged once, applied once", format!("{payload:?} {count} times"));
            }
        }
        for payload in &self.refused {
            if checker.count_committed(payload) != 0 {
                checker.violate("refused is never applied", format!("{payload:?} was applied"));
            }
        }
    }

    /// How many reads and proposals wait for an answer from these nodes.
    pub(super) fn waiting_count(&self, is_counted: impl Fn(NodeId) -> bool) -> usize {
        let proposals = self.waiting.keys().filter(|(node, _)| is_counted(*node)).count();
        proposals + self.reads.keys().filter(|(node, _)| is_counted(*node)).count()
    }

    fn take_reads(&mut self, node: NodeId, up_to: ReadId) -> Vec<(ReadId, LogIndex)> {
        let ids = self.reads.range((node, ReadId::ZERO)..=(node, up_to)).map(|(key, _)| *key);
        let ids: Vec<_> = ids.collect();
        ids.iter().map(|key| (key.1, self.reads.remove(key).expect("just seen"))).collect()
    }
}
