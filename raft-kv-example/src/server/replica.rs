//! The replicated node as the server needs it.

use std::error;

use raft_core::sessions::SessionError;

use super::overview::Overview;
use crate::admin::{AdminError, Done};
use crate::command::Order;
use crate::kv::{Fault, Machine, Replies};

/// Names what was asked of a replica. Each kind of request is numbered upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One member of the replicated group. Never waits.
pub trait Replica {
    /// What stops it for good.
    type Error: error::Error + Send + Sync + 'static;

    /// So many ticks have passed.
    fn tick(&mut self, ticks: u32);

    /// Does all work that has come up: takes what arrived, sends, persists, applies.
    ///
    /// # Errors
    ///
    /// If it can no longer keep its promises; the process must end.
    fn pump(&mut self) -> Result<(), Self::Error>;

    /// Whether the next [`pump`](Self::pump) has something to do even if nothing happens before. It
    /// does a piece of such work at a time.
    fn has_work(&self) -> bool;

    /// Proposes the payload of a log entry.
    ///
    /// # Errors
    ///
    /// If it was not taken; it will not be applied.
    fn propose(&mut self, payload: &[u8]) -> Result<Ticket, Refused>;

    /// Asks for a point from which reads see everything that was answered before.
    ///
    /// # Errors
    ///
    /// If it was not taken.
    fn read(&mut self) -> Result<Ticket, Refused>;

    /// Takes an order; [`ReplicaEvent::Ordered`] tells what came of it, in any case and
    /// in bounded time.
    fn order(&mut self, order: Order) -> Ticket;

    /// What has come of earlier requests.
    fn poll_event(&mut self) -> Option<ReplicaEvent>;

    /// The state as far as it is applied here.
    fn machine(&self) -> &Machine;

    /// Why it applies nothing more, if so; the process must end.
    fn fault(&self) -> Option<Fault>;

    /// What people want to know of it.
    fn overview(&self) -> Overview;
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No leader is known. It may become one.
    NoLeader,
    /// Too much waits already.
    Busy,
    /// The batch is larger than a log entry may be.
    TooLarge,
    /// This member keeps no data.
    Witness,
    /// The cluster goes on without this node.
    Outsider,
}

/// What came of a request.
#[derive(Debug)]
pub enum ReplicaEvent {
    /// A proposal's fate is known.
    Answered {
        /// Which proposal.
        ticket: Ticket,
        /// Its fate.
        outcome: Outcome,
    },
    /// All reads up to this one may be served now.
    ReadReady {
        /// The last of them.
        up_to: Ticket,
    },
    /// All reads up to this one must be asked for again.
    ReadRefused {
        /// The last of them.
        up_to: Ticket,
    },
    /// What came of an order is known.
    Ordered {
        /// Which one.
        ticket: Ticket,
        /// What it gave, if it was carried out.
        result: Result<Done, AdminError>,
    },
    /// Who leads has changed, or is not known any more.
    LeaderChanged,
}

/// The fate of a proposal.
#[derive(Debug)]
pub enum Outcome {
    /// It was applied and this came of it.
    Applied(Replies),
    /// It is committed, but its session does not take it: it changed nothing.
    SessionRefused(SessionError),
    /// It was not applied and never will be.
    NotApplied,
    /// The leader has too much to do; it was not applied and never will be.
    Busy,
    /// It may have been applied, or may be later, or never.
    Unknown,
}
