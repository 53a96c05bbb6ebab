//! Who waits for what: proposals for their outcome, reads for a read point, chunks for a leader.

use std::collections::VecDeque;

use hashbrown::{DefaultHashBuilder, HashMap};

use super::clients::ClientKey;
use super::replica::Ticket;

/// Who waits for what. Connections that are gone may still be listed; their keys name nobody.
#[derive(Debug, Default)]
pub(super) struct Desk {
    writes: HashMap<Ticket, ClientKey, DefaultHashBuilder>,
    /// Reads for which the next read point will be asked.
    next_reads: Vec<ClientKey>,
    /// Reads that wait for a read point that was asked for.
    asked_reads: VecDeque<(Ticket, Vec<ClientKey>)>,
    held: Vec<ClientKey>,
    orders: HashMap<Ticket, ClientKey, DefaultHashBuilder>,
}

impl Desk {
    /// Waits for the outcome of a proposal.
    pub(super) fn add_write(&mut self, ticket: Ticket, key: ClientKey) {
        self.writes.insert(ticket, key);
    }

    /// Who proposed it; it waits no more.
    pub(super) fn take_write(&mut self, ticket: Ticket) -> Option<ClientKey> {
        self.writes.remove(&ticket)
    }

    /// Waits for what comes of an order.
    pub(super) fn add_order(&mut self, ticket: Ticket, key: ClientKey) {
        self.orders.insert(ticket, key);
    }

    /// Who asked for it; it waits no more.
    pub(super) fn take_order(&mut self, ticket: Ticket) -> Option<ClientKey> {
        self.orders.remove(&ticket)
    }

    /// Waits for the next read point.
    pub(super) fn add_read(&mut self, key: ClientKey) {
        self.next_reads.push(key);
    }

    /// Whether a read point should be asked for.
    pub(super) fn wants_read(&self) -> bool {
        !self.next_reads.is_empty()
    }

    /// All waiting reads share the read point that was asked for.
    pub(super) fn on_read_asked(&mut self, ticket: Ticket) {
        let readers = std::mem::take(&mut self.next_reads);
        self.asked_reads.push_back((ticket, readers));
    }

    /// All reads that no read point was asked for; they wait no more.
    pub(super) fn take_next_reads(&mut self) -> Vec<ClientKey> {
        std::mem::take(&mut self.next_reads)
    }

    /// All reads whose read point is known, up to this one; they wait no more.
    pub(super) fn take_reads(&mut self, up_to: Ticket) -> Vec<ClientKey> {
        let mut readers = Vec::new();
        while let Some((ticket, _)) = self.asked_reads.front()
            && *ticket <= up_to
        {
            readers.extend(self.asked_reads.pop_front().map(|(_, keys)| keys).unwrap_or_default());
        }
        readers
    }

    /// Waits for a leader.
    pub(super) fn hold(&mut self, key: ClientKey) {
        self.held.push(key);
    }

    /// All that wait for a leader, in the order in which they came; they wait no more.
    pub(super) fn take_held(&mut self) -> Vec<ClientKey> {
        std::mem::take(&mut self.held)
    }
}
