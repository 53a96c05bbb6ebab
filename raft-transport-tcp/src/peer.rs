//! One peer: the queue to it, the connections with it, and who may write at the moment.
//!
//! The thread that flushes writes by itself as long as the socket takes everything at once, so that
//! a message needs no thread switch on its way out. Only when the socket is full does the peer's
//! own thread take over, until it has emptied the queue. Nobody waits for the kernel with the lock
//! held.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use std::{io, mem};

use parking_lot::{Condvar, Mutex, MutexGuard};
use raft_core::{GroupId, Message, NodeId};
use slog::{Logger, debug, error, info, o};

use crate::counters::PeerCells;
use crate::inbox::Inbox;
use crate::options::Limits;
use crate::queue::{Batch, Queue, Unqueued};
use crate::stream::Stream;

/// Another node, as long as it has an address or a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: NodeId,
    pub(crate) counters: PeerCells,
    pub(crate) log: Logger,
    state: Mutex<State>,
    /// Tells the peer's own thread that there is something to do.
    changed: Condvar,
}

/// A connection with a peer that has said who it is.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: Arc<Stream>,
    pub(crate) opened_by: OpenedBy,
}

/// Which end opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenedBy {
    Us,
    Peer,
}

/// What one group remembers about one peer, so that losses are reported to it once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ticket {
    generation: u64,
    overflow: u64,
}

/// What the peer's own thread does next.
#[derive(Debug)]
pub(crate) enum Task {
    /// Open a connection to this address.
    Dial(String),
    /// Write on, where the socket was full.
    Write(Stuck),
    /// End.
    Stop,
}

/// A batch that did not fit into the socket at once.
#[derive(Debug)]
pub(crate) struct Stuck {
    link: Arc<Link>,
    batch: Batch,
    written: usize,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    writer: Writer,
    /// The connection we opened; preferred, since a stranger cannot replace it.
    ours: Option<Arc<Link>>,
    /// The connection the peer opened.
    theirs: Option<Arc<Link>>,
    /// Groups that have sent something since losses were last reported.
    senders: Vec<(GroupId, Arc<Inbox>)>,
    /// Counts the times `senders` was emptied, so that each group enters itself once.
    generation: u64,
    /// Groups that know of the outage that lasts.
    told: HashSet<GroupId>,
    address: Option<String>,
    dial_now: bool,
    incarnation: Option<u64>,
    stopping: bool,
}

/// Who may write; a frame must never be cut in two by somebody else's.
#[derive(Debug)]
enum Writer {
    Nobody,
    Somebody,
    /// Whoever wrote last met a full socket; the peer's own thread has to go on.
    HandedOver(Stuck),
}

/// Whom to tell that messages may be lost. Telling calls foreign code, so no lock may be held.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Losers(Vec<(GroupId, Arc<Inbox>)>);

impl Peer {
    pub(crate) fn new(id: NodeId, limits: &Limits, log: &Logger) -> Self {
        let state = State {
            queue: Queue::new(limits),
            writer: Writer::Nobody,
            ours: None,
            theirs: None,
            senders: Vec::new(),
            generation: 1,
            told: HashSet::new(),
            address: None,
            dial_now: false,
            incarnation: None,
            stopping: false,
        };
        let log = log.new(o!("peer" => id.get()));
        Self { id, counters: PeerCells::default(), log, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Queues a message, or drops it if there is no room.
    pub(crate) fn send(&self, message: Message, group: GroupId, inbox: &Arc<Inbox>, ticket: &mut Ticket) {
        let mut state = self.state.lock();
        match state.queue.push(group, message) {
            Ok(()) => {
                if ticket.generation != state.generation {
                    ticket.generation = state.generation;
                    state.senders.push((group, Arc::clone(inbox)));
                }
                if state.queue.waiting_bytes() >= FLUSH_BYTES {
                    self.flush_locked(state);
                }
            }
            Err(Unqueued::Full(overflow)) => {
                drop(state);
                self.counters.dropped_messages.add(1);
                if ticket.overflow != overflow {
                    ticket.overflow = overflow;
                    inbox.push_unreachable(self.id);
                }
            }
            Err(Unqueued::TooLarge) => {
                drop(state);
                self.counters.oversized_messages.add(1);
                error!(self.log, "a message is longer than a frame may be, dropped"; "group" => group.get());
            }
        }
    }

    /// Writes what waits as far as the socket takes it at once.
    pub(crate) fn flush(&self) {
        self.flush_locked(self.state.lock());
    }

    /// A connection stands; it replaces an older one opened by the same end. Fails if the peer was
    /// removed meanwhile.
    pub(crate) fn attach(&self, link: &Arc<Link>) -> Result<(), Removed> {
        let mut state = self.state.lock();
        if state.stopping {
            return Err(Removed);
        }
        let replaced = state.slot(link.opened_by).replace(Arc::clone(link));
        let losers = match replaced {
            None => Losers::default(),
            Some(old) => {
                info!(self.log, "connection replaced by a newer one");
                self.counters.disconnects.add(1);
                old.stream.close();
                state.take_losers()
            }
        };
        self.counters.connects.add(1);
        state.told.clear();
        if state.ours.is_none() {
            // The peer is evidently there: no need to sit out the back-off.
            state.dial_now = true;
            self.changed.notify_one();
        }
        self.flush_locked(state);
        losers.tell(self.id);
        Ok(())
    }

    /// A connection has ended.
    pub(crate) fn detach(&self, link: &Arc<Link>) {
        let mut state = self.state.lock();
        let losers = self.detach_locked(&mut state, link);
        drop(state);
        losers.tell(self.id);
    }

    /// An attempt to connect has failed: without another connection, what waits is lost.
    pub(crate) fn on_failed_attempt(&self) {
        self.counters.failed_attempts.add(1);
        let mut state = self.state.lock();
        if state.current().is_some() {
            return;
        }
        let losers = self.give_up(&mut state);
        drop(state);
        losers.tell(self.id);
    }

    /// What to do next; waits for it. Without a connection of ours it is dialing from `dial_at` on.
    pub(crate) fn next_task(&self, dial_at: Instant) -> Task {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return Task::Stop;
            }
            match mem::replace(&mut state.writer, Writer::Somebody) {
                Writer::HandedOver(stuck) => return Task::Write(stuck),
                writer @ (Writer::Nobody | Writer::Somebody) => state.writer = writer,
            }
            let Some(address) = state.address.clone().filter(|_| state.ours.is_none()) else {
                self.changed.wait(&mut state);
                continue;
            };
            if state.dial_now || Instant::now() >= dial_at {
                state.dial_now = false;
                return Task::Dial(address);
            }
            self.changed.wait_until(&mut state, dial_at);
        }
    }

    /// Writes, waiting for the socket, until nothing is left; then others may write again.
    pub(crate) fn write_on(&self, stuck: Stuck) {
        let Stuck { mut link, mut batch, mut written } = stuck;
        loop {
            let result = link.stream.write_all(&batch.bytes[written..]);
            let mut state = self.state.lock();
            state.writer = Writer::Nobody;
            let losers = match result {
                Ok(()) => {
                    self.on_written(&mut state, batch);
                    Losers::default()
                }
                Err(error) => self.on_failed_write(&mut state, &link, batch, &error),
            };
            let next = state.begin_write();
            drop(state);
            losers.tell(self.id);
            match next {
                Some(next) => (link, batch, written) = (next.0, next.1, 0),
                None => return,
            }
        }
    }

    /// Sets where to find the peer; a connection of ours to another address is closed.
    pub(crate) fn set_address(&self, address: String) -> Losers {
        let mut state = self.state.lock();
        if state.address.as_ref() == Some(&address) {
            return Losers::default();
        }
        state.address = Some(address);
        state.dial_now = true;
        let stale = state.ours.clone();
        let losers = stale.map(|link| self.detach_locked(&mut state, &link)).unwrap_or_default();
        self.changed.notify_one();
        losers
    }

    /// Whether this is the life of the peer's data that we know; the first one seen counts (D13).
    pub(crate) fn knows(&self, incarnation: u64) -> bool {
        *self.state.lock().incarnation.get_or_insert(incarnation) == incarnation
    }

    /// Whether neither an address nor a connection leads to the peer.
    pub(crate) fn is_forgotten(&self) -> bool {
        let state = self.state.lock();
        state.address.is_none() && state.current().is_none()
    }

    /// Closes everything and ends the peer's thread.
    pub(crate) fn stop(&self) {
        self.flush();
        let mut state = self.state.lock();
        state.stopping = true;
        let links = [state.ours.clone(), state.theirs.clone()];
        let mut losers = Losers::default();
        for link in links.into_iter().flatten() {
            losers.0.extend(self.detach_locked(&mut state, &link).0);
        }
        losers.0.extend(self.give_up(&mut state).0);
        self.changed.notify_all();
        drop(state);
        losers.tell(self.id);
    }

    fn flush_locked(&self, mut state: MutexGuard<'_, State>) {
        let mut losers = Losers::default();
        for round in 0..DIRECT_WRITES_MAX {
            let Some((link, batch)) = state.begin_write() else { break };
            let hand_over = round + 1 == DIRECT_WRITES_MAX;
            let result = if hand_over {
                Ok(0)
            } else {
                MutexGuard::unlocked(&mut state, || link.stream.try_write(&batch.bytes))
            };
            state.writer = Writer::Nobody;
            match result {
                Ok(written) if written == batch.bytes.len() => self.on_written(&mut state, batch),
                Ok(written) => {
                    self.counters.blocked_writes.add(1);
                    state.writer = Writer::HandedOver(Stuck { link, batch, written });
                    self.changed.notify_one();
                    break;
                }
                Err(error) => {
                    losers.0.extend(self.on_failed_write(&mut state, &link, batch, &error).0);
                }
            }
        }
        drop(state);
        losers.tell(self.id);
    }

    fn on_written(&self, state: &mut State, batch: Batch) {
        self.counters.writes.add(1);
        self.counters.sent_messages.add(batch.messages);
        self.counters.sent_bytes.add(batch.bytes.len());
        state.queue.finish(batch);
    }

    fn on_failed_write(
        &self,
        state: &mut State,
        link: &Arc<Link>,
        batch: Batch,
        error: &io::Error,
    ) -> Losers {
        info!(self.log, "cannot write, closing the connection"; "error" => %error);
        self.counters.dropped_messages.add(batch.messages);
        state.queue.finish(batch);
        self.detach_locked(state, link)
    }

    /// Whatever was written to the connection may be lost, so its senders are told.
    fn detach_locked(&self, state: &mut State, link: &Arc<Link>) -> Losers {
        link.stream.close();
        let was_current = state.current().is_some_and(|current| Arc::ptr_eq(&current, link));
        let slot = state.slot(link.opened_by);
        if !slot.as_ref().is_some_and(|attached| Arc::ptr_eq(attached, link)) {
            return Losers::default();
        }
        *slot = None;
        self.counters.disconnects.add(1);
        self.changed.notify_one();
        if !was_current {
            return Losers::default();
        }
        if state.current().is_none() { self.give_up(state) } else { state.take_losers() }
    }

    /// Nobody can say when the peer comes back, so what waits is stale by then. Each group is told
    /// once, however often this happens until there is a connection again.
    fn give_up(&self, state: &mut State) -> Losers {
        let dropped = state.queue.clear();
        if dropped > 0 {
            self.counters.dropped_messages.add(dropped);
            debug!(self.log, "messages dropped, the peer is out of reach"; "count" => dropped);
        }
        state.generation += 1;
        let mut senders = mem::take(&mut state.senders);
        senders.retain(|(group, _)| state.told.insert(*group));
        Losers(senders)
    }
}

/// The peer was removed while somebody still worked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removed;

impl State {
    /// The connection to write to.
    fn current(&self) -> Option<Arc<Link>> {
        self.ours.as_ref().or(self.theirs.as_ref()).map(Arc::clone)
    }

    fn slot(&mut self, opened_by: OpenedBy) -> &mut Option<Arc<Link>> {
        match opened_by {
            OpenedBy::Us => &mut self.ours,
            OpenedBy::Peer => &mut self.theirs,
        }
    }

    /// Takes the right to write and everything that waits, if both are to be had.
    fn begin_write(&mut self) -> Option<(Arc<Link>, Batch)> {
        if !matches!(self.writer, Writer::Nobody) {
            return None;
        }
        let link = self.current()?;
        let batch = self.queue.take()?;
        self.writer = Writer::Somebody;
        Some((link, batch))
    }

    fn take_losers(&mut self) -> Losers {
        self.generation += 1;
        Losers(mem::take(&mut self.senders))
    }
}

impl Losers {
    /// Reports that messages to `peer` may be lost.
    pub(crate) fn tell(self, peer: NodeId) {
        for (_, inbox) in self.0 {
            inbox.push_unreachable(peer);
        }
    }
}

/// With so much waiting, a message is written without waiting for the flush.
const FLUSH_BYTES: usize = 256 << 10;

/// So many batches a flushing thread writes before the peer's own thread takes over: others may
/// send faster than it can write, and it has something else to do.
const DIRECT_WRITES_MAX: usize = 4;
