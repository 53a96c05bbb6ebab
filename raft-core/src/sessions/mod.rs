//! Client sessions: a command that is proposed more than once is applied once (diss. §6.3).
//!
//! A client that hears nothing does not know whether its command was applied: the answer may be
//! lost, not the command. If it asks again, a counter may count twice. Raft cannot see that the two
//! entries mean one command; the state machine can, if the command says whose it is and which one.
//! [`Sessions`] is a state machine around yours that does this:
//!
//! 1. A client opens a session with an entry of its own ([`SessionCommand::Register`]). The index of
//!    that entry names the session, so no two sessions share a name.
//! 2. It numbers its commands from 1 on. [`SessionCommand::Call`] carries session, number (the
//!    *sequence*) and command. [`SessionClient`] does the numbering.
//! 3. The first copy of a call in the log is applied, and its output is kept. Every later copy,
//!    from whatever leader, gets the kept output (S76, S77).
//! 4. Each call also says up to which number the client has all outputs. Those are forgotten.
//!
//! ```
//! use raft_core::mem::{MemLog, MemNetwork};
//! use raft_core::sessions::{SessionClient, SessionCommand, SessionLimits, SessionOutput, Sessions};
//! use raft_core::{Config, Entry, Event, Membership, Node, NodeId, Outcome, StateMachine};
//!
//! struct Sum(u64);
//! impl StateMachine for Sum {
//!     type Output = u64; // a `Reply`: it can be kept
//!     fn apply(&mut self, entry: &Entry<'_>) -> u64 {
//!         self.0 += u64::from(entry.payload[0]);
//!         self.0
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ids = [1, 2, 3].map(NodeId::new);
//! let (members, network) = (Membership::of_voters(ids)?, MemNetwork::new());
//! let limits = SessionLimits::default(); // the same at all members
//! let open = |id| {
//!     let machine = Sessions::new(Sum(0), limits);
//!     Node::open(Config::new(id), Some(members.clone()), MemLog::new(), network.join(id), machine)
//! };
//! let mut nodes = ids.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
//!
//! // Proposes through one member and waits for the output.
//! let mut ask = |at: usize, payload: &[u8]| {
//!     let mut is_proposed = false;
//!     loop {
//!         for node in &mut nodes {
//!             node.tick();
//!             node.pump().expect("memory does not fail");
//!         }
//!         is_proposed = is_proposed || nodes[at].propose(payload).is_ok(); // not before an election
//!         if let Some(Event::Proposed { outcome: Outcome::Applied(output), .. }) = nodes[at].poll_event() {
//!             break output;
//!         }
//!     }
//! };
//!
//! let Ok(SessionOutput::Registered(session)) = ask(0, &SessionCommand::Register.to_payload()) else {
//!     panic!("no session");
//! };
//! let mut client = SessionClient::new(session, limits.calls_max);
//! let call = client.call(&[42])?;
//! let payload = client.payload(call).expect("not answered yet");
//! let _lost = ask(0, &payload); // applied, but the answer does not reach the client
//! let output = ask(1, &payload); // so it asks another member
//! assert_eq!(client.on_output(call, output), Ok(Some(42)));
//!
//! let next = client.call(&[1])?;
//! let output = ask(2, &client.payload(next).expect("not answered yet"));
//! assert_eq!(client.on_output(next, output), Ok(Some(43))); // 85, had it been applied twice
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! A client may make calls before earlier ones are answered, and they may reach the log in any
//! order: they are applied in the order of the log, each once, and call 5 does not wait for call 4
//! (S81). A client that wants one after the other waits for the first answer. How far ahead a call
//! may be is limited; beyond that it is refused, and can be asked again under the same number.
//!
//! # Expiry
//!
//! The table of sessions is bounded by [`SessionLimits`]. A session expires when it was not used for
//! a number of entries, and the least recently used ones expire when there are too many sessions or
//! too many bytes of replies. Age is counted in entries of the log, never by a clock, so all members
//! expire the same sessions. A call of an expired session is told [`SessionError::Expired`] and not
//! applied (S78): its first copy may have been, and the application must decide what that means.
//!
//! # Mixing
//!
//! Commands without a session are [`SessionCommand::Plain`], and cost one byte. A log that was begun
//! without sessions cannot be continued with them, unless all its payloads begin with byte 1.
//!
//! A malformed payload gives an error as its output, the same at all members. But a kind of command
//! that this version does not know means something to members of a later version, so it is not
//! passed over: nothing is applied any more, and [`Sessions::fault`] says why (N15).

mod bytes;
mod client;
mod command;
mod error;
mod limits;
mod machine;
mod reply;
mod session;
mod snapshot;
mod table;

pub use client::{SessionClient, TooManyCalls};
pub use command::{CommandError, SessionCommand};
pub use error::SessionError;
pub use limits::SessionLimits;
pub use machine::{SessionOutput, Sessions, SessionsFault};
pub use reply::Reply;

pub use crate::words::ids::{Sequence, SessionId};
