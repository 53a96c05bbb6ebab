//! What the node did, for whoever checks it against a specification.

use alloc::vec::Vec;

use super::Raft;
use crate::corridor::Machine;
use crate::words::trace::TraceEvent;

impl Raft {
    /// Records from now on what this node does, beginning with the state it is in
    /// ([`InitState`](crate::TraceKind::InitState)). Best called before the first input.
    ///
    /// Recording changes nothing else; a node that was not asked to records nothing.
    ///
    /// ```
    /// use raft_core::{Config, Membership, NodeId, Raft};
    ///
    /// let ids = [1, 2, 3].map(NodeId::new);
    /// let mut raft = Raft::found(Config::new(ids[0]), Membership::of_voters(ids)?)?;
    /// raft.start_trace();
    /// assert_eq!(raft.take_trace().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_trace(&mut self) {
        let Machine { trace, books, role, .. } = &mut self.machine;
        trace.start(books, role);
    }

    /// What this node did since this was asked last, oldest first.
    ///
    /// Events wait without limit, for a trace with a hole proves nothing: take them whenever
    /// [`poll_action`](Self::poll_action) has given `None`. Write them down before messages that were
    /// handed out meanwhile arrive elsewhere; then one file can hold several nodes in an order that
    /// makes sense.
    ///
    /// ```
    /// use raft_core::{Action, Config, Membership, NodeId, Raft, TraceKind};
    ///
    /// let id = NodeId::new(1);
    /// let mut raft = Raft::found(Config::new(id), Membership::of_voters([id])?)?;
    /// raft.start_trace();
    /// raft.campaign()?;
    /// while let Some(action) = raft.poll_action() {
    ///     if let Action::Persist(request) = action { raft.persisted(request.id) }
    /// }
    /// let events = raft.take_trace();
    /// assert!(events.iter().any(|event| event.kind == TraceKind::BecomeLeader));
    /// for event in &events {
    ///     println!("{event}"); // a line of JSON
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn take_trace(&mut self) -> Vec<TraceEvent> {
        self.observe();
        self.machine.trace.take()
    }
}
