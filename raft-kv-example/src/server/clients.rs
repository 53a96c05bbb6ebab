//! All connections, found by key.

use std::io;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;

use super::client::Client;

/// Names a connection. The key of one that is gone never names another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    slot: usize,
    id: u64,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Clients {
    slots: Slab<Client>,
    accepted_total: u64,
    first_token: usize,
}

impl Clients {
    /// None. Their sockets' tokens begin at `first_token`.
    pub(super) fn new(first_token: usize) -> Self {
        Self { slots: Slab::new(), accepted_total: 0, first_token }
    }

    /// Adds a connection.
    ///
    /// # Errors
    ///
    /// If its socket cannot be watched.
    pub(super) fn add(&mut self, mut stream: TcpStream, registry: &Registry, now: Instant) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let slot = self.slots.vacant_entry();
        let token = Token(self.first_token + slot.key());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.accepted_total += 1;
        slot.insert(Client::new(stream, self.accepted_total, now));
        Ok(())
    }

    /// Ends a connection.
    pub(super) fn remove(&mut self, key: ClientKey, registry: &Registry) {
        if self.find(key).is_some() {
            let mut client = self.slots.remove(key.slot);
            // Closing the socket takes it out of the kernel's list in any case.
            let _ = registry.deregister(client.stream_mut());
        }
    }

    pub(super) fn find(&mut self, key: ClientKey) -> Option<&mut Client> {
        self.slots.get_mut(key.slot).filter(|client| client.session.id == key.id)
    }

    /// The key of the connection whose socket has this token.
    pub(super) fn key_of(&self, token: Token) -> Option<ClientKey> {
        let slot = token.0.checked_sub(self.first_token)?;
        let client = self.slots.get(slot)?;
        Some(ClientKey { slot, id: client.session.id })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ClientKey, &mut Client)> {
        self.slots.iter_mut().map(|(slot, client)| (ClientKey { slot, id: client.session.id }, client))
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn accepted_total(&self) -> u64 {
        self.accepted_total
    }
}
