//! The trace of a whole run: what all nodes did, in one order (feature `trace`).

use alloc::vec::Vec;

use super::cluster::Cluster;
use super::options::Options;
use super::report::Report;
use super::subject::Subject;
use super::violation::Failure;
use crate::words::ids::NodeId;
use crate::words::trace::TraceEvent;

/// Runs one seed as [`run`](super::run) does, and tells what all nodes did, in an order in which it
/// can have happened: what a message says was sent before it is received.
///
/// ```
/// use raft_core::TraceKind;
/// use raft_core::sim::{Digests, Options, trace};
///
/// let mut options = Options::default();
/// options.fault_steps = 500;
/// let (events, result) = trace(0, &options, Digests::default());
/// assert!(result.is_ok());
/// assert!(events.iter().any(|event| event.kind == TraceKind::BecomeLeader));
/// ```
pub fn trace<S: Subject>(
    seed: u64,
    options: &Options,
    subject: S,
) -> (Vec<TraceEvent>, Result<Report, Failure>) {
    let mut cluster = Cluster::new(seed, options, subject);
    cluster.events = Some(Vec::new());
    let result = cluster.finish(seed, options);
    (cluster.events.unwrap_or_default(), result)
}

impl<S: Subject> Cluster<S> {
    /// A node that has just started is recorded, if the run is.
    pub(super) fn record(&mut self, id: NodeId) {
        if self.events.is_some()
            && let Some(node) = self.node(id)
        {
            node.start_trace();
        }
    }

    /// What a node did joins what others did before.
    pub(super) fn collect_trace(&mut self, id: NodeId) {
        if let Some(events) = &mut self.events
            && let Some(node) = self.seats.get_mut(&id).and_then(|seat| seat.node.as_mut())
        {
            events.extend(node.take_trace());
        }
    }
}
