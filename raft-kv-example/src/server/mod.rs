//! The node's clients: connections, the way of their commands to the replicated log and back.
//!
//! One thread does it all: it waits for sockets, reads requests, proposes, drives the replica and
//! writes replies. What a connection sent by the time it is read makes one *chunk*: a chunk with
//! writes becomes one log entry, a chunk of reads waits for one read point that it shares with all
//! reads of that turn. A connection has one chunk under way at a time; what arrives meanwhile stays
//! in its socket and becomes the next chunk. So replies leave in the order of the requests, a
//! read sees the writes before it, and a client that sends too fast fills its own socket only.

mod answer;
mod base;
mod chunk;
mod client;
mod clients;
mod desk;
mod floor;
mod intake;
mod limits;
mod local;
mod overview;
mod replica;
mod routes;
mod serve;
mod session;
#[cfg(test)]
mod tests;
mod ticks;
mod wake;

pub use answer::Failure;
pub use base::{ServeError, Stop};
pub use limits::Limits;
pub use overview::{MemberOverview, Overview, PeerOverview, SnapshotTransfer, SnapshotsOverview};
pub use replica::{Outcome, Refused, Replica, ReplicaEvent, Ticket};
pub use serve::Server;
pub use wake::Wake;
