//! Writes down what happens in a run, as data, while it happens.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::subject::RequestId;
use crate::doors::raft::Raft;
use crate::words::entries::EntryKind;
use crate::words::ids::{LogIndex, NodeId, Position, Term};
use crate::words::message::Message;
use crate::words::persist::Persist;
use crate::words::status::Status;

/// What happened, each list in the order of the steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder {
    pub(super) flights: Vec<Flight>,
    /// Where in `flights` the copies are that have not come to an end, by their number in the network.
    under_way: BTreeMap<u64, usize>,
    pub(super) glimpses: Vec<Glimpse>,
    latest: BTreeMap<NodeId, State>,
    pub(super) marks: Vec<Mark>,
    pub(super) requests: BTreeMap<RequestId, Request>,
    /// What the entries say, each as it was first written.
    pub(super) entries: BTreeMap<Position, (EntryKind, Vec<u8>)>,
}

/// One copy of a message.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) message: Message,
    pub(super) origin: Origin,
    pub(super) sent: u64,
    /// When it reached its receiver's inbox, or would have.
    pub(super) due: u64,
    /// When it came to its end; the same as `due` or later.
    pub(super) ended: u64,
    pub(super) end: End,
}

/// Why there is this copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The node sent it.
    Node,
    /// The network made one more of it.
    Duplicate,
    /// The network remembered an old one.
    Replay,
}

/// What became of a copy of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The run ended first.
    UnderWay,
    /// The receiver took it in.
    TakenIn,
    /// The network lost it.
    Lost,
    /// Its link was cut.
    Cut,
    /// Its receiver crashed before taking it in.
    Crashed,
}

/// What a node is from some step on.
#[derive(Clone, Debug)]
pub(super) struct Glimpse {
    pub(super) step: u64,
    pub(super) node: NodeId,
    pub(super) state: State,
}

/// What a node is, as far as it can be seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It does not run.
    Down,
    /// It runs, or is paused.
    Up {
        is_paused: bool,
        status: Box<Status>,
        /// The terms of its log from the mark on: each with its last index.
        terms: Vec<(LogIndex, Term)>,
    },
}

/// Something that happened at one node, or to the network.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) step: u64,
    pub(super) node: Option<NodeId>,
    pub(super) kind: MarkKind,
    pub(super) text: String,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkKind {
    /// A node starts.
    Start,
    /// A node crashes, pauses, or is spoilt.
    Fault,
    /// Links are cut or mended.
    Network,
    /// An administrator asks for something.
    Order,
    /// A node tells something itself.
    Notice,
}

/// What a client asks a node for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) node: NodeId,
    pub(super) asked: u64,
    /// The command; `None` is a read.
    pub(super) command: Option<Vec<u8>>,
    pub(super) answer: Option<(u64, &'static str)>,
}

impl Recorder {
    /// A copy of a message is on its way, or lost at once.
    pub(super) fn on_send(&mut self, number: u64, flight: Flight) {
        if flight.end == End::UnderWay {
            self.under_way.insert(number, self.flights.len());
        }
        self.flights.push(flight);
    }

    /// A copy of a message came to its end. What was no message has no number that is known here.
    pub(super) fn on_end(&mut self, number: u64, end: End, now: u64) {
        if let Some(at) = self.under_way.remove(&number) {
            let flight = &mut self.flights[at];
            // What is lost on its way would have arrived later.
            (flight.end, flight.ended) = (end, now.max(flight.due));
        }
    }

    /// A node crashed, and what it had not taken in is gone with it.
    pub(super) fn on_crash(&mut self, node: NodeId, now: u64) {
        let flights = &mut self.flights;
        self.under_way.retain(|_, at| {
            let flight = &mut flights[*at];
            let is_gone = flight.message.to == node && flight.due <= now;
            if is_gone {
                (flight.end, flight.ended) = (End::Crashed, now);
            }
            !is_gone
        });
    }

    /// What a node is now, or that it is down. Nothing is written down if it has not changed.
    pub(super) fn on_state(&mut self, step: u64, node: NodeId, raft: Option<&Raft>, is_paused: bool) {
        let state = raft.map_or(State::Down, |raft| State::of(raft, is_paused));
        if self.latest.get(&node) != Some(&state) {
            self.latest.insert(node, state.clone());
            self.glimpses.push(Glimpse { step, node, state });
        }
    }

    /// A node asks its store to make something durable.
    pub(super) fn on_persist(&mut self, request: &Persist) {
        for entry in request.entries.entries().filter(|entry| entry.kind != EntryKind::Hollow) {
            let position = Position::new(entry.term, entry.index);
            self.entries.entry(position).or_insert_with(|| (entry.kind, entry.payload.to_vec()));
        }
    }

    /// A client asks for something.
    pub(super) fn on_ask(&mut self, asked: u64, request: RequestId, node: NodeId, command: Option<&[u8]>) {
        let command = command.map(<[u8]>::to_vec);
        self.requests.insert(request, Request { node, asked, command, answer: None });
    }

    /// A client is told something.
    pub(super) fn on_answer(&mut self, now: u64, request: RequestId, answer: &'static str) {
        if let Some(request) = self.requests.get_mut(&request) {
            request.answer = Some((now, answer));
        }
    }

    /// Something else happened.
    pub(super) fn on_mark(
        &mut self,
        step: u64,
        kind: MarkKind,
        node: Option<NodeId>,
        text: fmt::Arguments<'_>,
    ) {
        self.marks.push(Mark { step, node, kind, text: text.to_string() });
    }
}

impl State {
    fn of(raft: &Raft, is_paused: bool) -> Self {
        let mut status = Box::new(raft.status());
        // How the others progress changes with every answer, and shows in their own states.
        status.peers.clear();
        let mut terms: Vec<(LogIndex, Term)> = Vec::new();
        let mut index = status.mark.index;
        while index < status.last.index {
            index = index.next();
            let term = raft.term_at(index).unwrap_or_default();
            match terms.last_mut() {
                Some(run) if run.1 == term => run.0 = index,
                Some(_) | None => terms.push((index, term)),
            }
        }
        Self::Up { is_paused, status, terms }
    }
}
