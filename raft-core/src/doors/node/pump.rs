//! The loop itself: carries out what the core wants, and tells it and the owner what came of it.

use super::Node;
use crate::doors::outcome::{Event, NodeError, Outcome};
use crate::doors::snapshots::Step;
use crate::doors::state_machine::StateMachine;
use crate::doors::store::SnapshotStore;
use crate::doors::transport::{Arrival, Transport};
use crate::words::action::{Action, ForwardResult, Load};
use crate::words::batches::Batches;
use crate::words::entries::EntryKind;
use crate::words::ids::{ForwardId, Position};
use crate::words::status::CommitStatus;

impl<L: SnapshotStore, T: Transport, S: StateMachine> Node<L, T, S> {
    /// Does all that can be done now: takes what came from the network and the disk, and carries
    /// out every action that follows; and a piece of work on a snapshot, if there is any.
    ///
    /// It never waits. Call it when the store or the transport rings, after ticks and after inputs.
    ///
    /// ```
    /// # use raft_core::{mem::*, *};
    /// # struct Sum(u64);
    /// # impl StateMachine for Sum {
    /// #     type Output = u64;
    /// #     fn apply(&mut self, entry: &Entry<'_>) -> u64 { self.0 += u64::from(entry.payload[0]); self.0 }
    /// # }
    /// # let (id, network) = (NodeId::new(1), MemNetwork::new());
    /// # let members = Membership::of_voters([id])?;
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// node.propose(&[1])?;
    /// node.propose(&[2])?; // Both travel in one batch.
    /// node.pump()?;
    /// assert_eq!(node.machine().0, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the store fails. The node has stopped then, without vouching for anything; every later call says
    /// [`Stopped`](NodeError::Stopped).
    pub fn pump(&mut self) -> Result<(), NodeError<L::Error>> {
        if self.has_failed {
            return Err(NodeError::Stopped);
        }
        let result = self.work().and_then(|()| self.pump_all());
        self.has_failed = result.is_err();
        result
    }

    /// Whether the next [`pump`](Self::pump) has something to do even if nothing happens before: a
    /// snapshot is written or restored a piece at a time, so that ticks and messages need not wait.
    ///
    /// ```
    /// # use raft_core::{mem::*, *};
    /// # struct Sum(u64);
    /// # impl StateMachine for Sum {
    /// #     type Output = u64;
    /// #     fn apply(&mut self, entry: &Entry<'_>) -> u64 { self.0 += u64::from(entry.payload[0]); self.0 }
    /// # }
    /// # let (id, network) = (NodeId::new(1), MemNetwork::new());
    /// # let members = Membership::of_voters([id])?;
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// assert!(!node.has_work()); // so wait for the network, the disk or the clock
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has_work(&self) -> bool {
        self.snapshots.has_work(&self.store)
    }

    /// The next event, if any. Drain them after each [`pump`](Self::pump): they wait without limit.
    ///
    /// ```
    /// # use raft_core::{mem::*, *};
    /// # struct Sum(u64);
    /// # impl StateMachine for Sum {
    /// #     type Output = u64;
    /// #     fn apply(&mut self, entry: &Entry<'_>) -> u64 { self.0 += u64::from(entry.payload[0]); self.0 }
    /// # }
    /// # let (id, network) = (NodeId::new(1), MemNetwork::new());
    /// # let members = Membership::of_voters([id])?;
    /// # let mut node = Node::open(Config::new(id), Some(members), MemLog::new(), network.join(id), Sum(0))?;
    /// # node.campaign()?;
    /// # node.pump()?;
    /// while let Some(event) = node.poll_event() {
    ///     match event {
    ///         Event::Proposed { id, outcome } => println!("proposal {}: {outcome:?}", id.get()),
    ///         Event::ReadReady { up_to } => println!("serve reads up to {up_to}"),
    ///         Event::ReadRefused { up_to } => println!("ask again for reads up to {up_to}"),
    ///         Event::Notice(notice) => println!("{notice:?}"),
    ///     }
    /// }
    /// assert_eq!(node.poll_event(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_event(&mut self) -> Option<Event<S::Output>> {
        self.events.pop_front()
    }

    fn pump_all(&mut self) -> Result<(), NodeError<L::Error>> {
        loop {
            let mut has_news = false;
            while let Some(arrival) = self.transport.poll() {
                has_news = true;
                match arrival {
                    Arrival::Message(message) => self.raft.receive(message),
                    Arrival::Unreachable(peer) => self.raft.unreachable(peer),
                }
            }
            if let Some(id) = self.store.poll_persisted().map_err(NodeError::Store)? {
                has_news = true;
                self.raft.persisted(id);
            }
            while let Some(stored) = self.store.poll_snapshot() {
                has_news = true;
                self.snapshots.on_stored(stored, &mut self.raft);
            }
            while let Some(action) = self.raft.poll_action() {
                has_news = true;
                self.carry_out(action)?;
            }
            if !has_news {
                break;
            }
        }
        self.transport.flush();
        Ok(())
    }

    fn carry_out(&mut self, action: Action) -> Result<(), NodeError<L::Error>> {
        match action {
            Action::Send(message) => self.transport.send(message),
            Action::Persist(request) => {
                // Followers write while we do (diss. §10.2.1).
                self.transport.flush();
                self.store.persist(request).map_err(NodeError::Store)?;
            }
            Action::Apply(batches) => self.apply(&batches),
            Action::Load(Load { id, first, end, bytes_max }) => {
                let batches = self.store.load(first, end, bytes_max).map_err(NodeError::Store)?;
                self.raft.loaded(id, &batches).map_err(NodeError::Load)?;
            }
            Action::TakeSnapshot(mark) => {
                let source = self.machine.snapshot();
                self.snapshots.take(mark, source, &mut self.store, &mut self.raft);
            }
            Action::LoadChunk(load) => self.snapshots.load_chunk(load, &mut self.store, &mut self.raft),
            Action::StoreChunk(chunk) => {
                self.snapshots.store_chunk(*chunk, &mut self.store, &mut self.raft);
            }
            Action::RestoreSnapshot(meta) => {
                self.snapshots.restore(meta);
            }
            Action::ReadReady { up_to, index } => {
                self.reads.add(up_to, index);
                self.report_reads();
            }
            Action::ReadRefused { up_to } => self.events.push_back(Event::ReadRefused { up_to }),
            Action::Forwarded { first, count, result } => self.report_forwarded(first, count, result),
            Action::Notice(notice) => self.events.push_back(Event::Notice(notice)),
        }
        Ok(())
    }

    /// Goes on with a snapshot that is being written or restored. Before anything else is done: what
    /// the owner was told to read in the last pump, it has read by now.
    fn work(&mut self) -> Result<(), NodeError<L::Error>> {
        self.snapshots.write_step(&mut self.store, &mut self.raft);
        if let Some(last) = self.snapshots.restoring()
            && self.snapshots.restore_step(&mut self.store, &mut self.machine)? == Step::Done
        {
            self.applied = last.index;
            self.raft.applied(last.index);
            // What became of those that the snapshot covers is not told by it (S46). Some of them may
            // have learnt their place only while it was restored.
            for id in self.waiting.take_covered(last.index) {
                self.events.push_back(Event::Proposed { id, outcome: Outcome::Unknown });
            }
            self.report_reads();
        }
        Ok(())
    }

    fn apply(&mut self, batches: &Batches) {
        for entry in batches.entries() {
            let output = match entry.kind {
                EntryKind::Command => Some(self.machine.apply(&entry)),
                EntryKind::Hollow | EntryKind::Empty | EntryKind::Membership => None,
            };
            if let Some((id, is_ours)) = self.waiting.take_applied(entry.index, entry.term) {
                let outcome = match output {
                    Some(output) if is_ours => Outcome::Applied(output),
                    // Committed, and applied by whoever has the payload; a witness has no result.
                    None if is_ours => Outcome::Unknown,
                    Some(_) | None => Outcome::Lost,
                };
                self.events.push_back(Event::Proposed { id, outcome });
                // Others that were given the same index by earlier leaders.
                while let Some((id, _)) = self.waiting.take_applied(entry.index, entry.term) {
                    self.events.push_back(Event::Proposed { id, outcome: Outcome::Lost });
                }
            }
            self.applied = entry.index;
        }
        self.raft.applied(self.applied);
        self.report_reads();
    }

    fn report_reads(&mut self) {
        if !self.raft.has_state() {
            return;
        }
        while let Some(up_to) = self.reads.take_ready(self.applied) {
            self.events.push_back(Event::ReadReady { up_to });
        }
    }

    fn report_forwarded(&mut self, first: ForwardId, count: u32, result: ForwardResult) {
        let mut position = match result {
            ForwardResult::Appended(position) => Some(position),
            ForwardResult::Refused(_) | ForwardResult::Unknown => None,
        };
        for id in self.waiting.take_forwarded(first, count) {
            let outcome = match (result, position) {
                (ForwardResult::Refused(refusal), _) => Outcome::Refused(refusal),
                (ForwardResult::Appended(_), Some(at)) if at.index > self.applied => {
                    self.waiting.appended(id, at);
                    position = Some(Position::new(at.term, at.index.next()));
                    continue;
                }
                // Applied before we knew that it was ours: the result is gone.
                (ForwardResult::Appended(_), Some(at))
                    if self.raft.commit_status(at) == CommitStatus::Lost =>
                {
                    Outcome::Lost
                }
                (ForwardResult::Appended(_) | ForwardResult::Unknown, _) => Outcome::Unknown,
            };
            position = position.map(|at| Position::new(at.term, at.index.next()));
            self.events.push_back(Event::Proposed { id, outcome });
        }
    }
}
