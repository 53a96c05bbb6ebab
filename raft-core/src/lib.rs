//! Raft as a deterministic state machine without I/O.
//!
//! Start with [`Node`] if you want a replicated state machine: give it a [`LogStore`] that is a
//! [`SnapshotStore`] as well, a [`Transport`] and a [`StateMachine`] ([`mem`] has the first two in
//! memory), and let it run. Take [`Raft`] if you have a loop of your own: inputs are methods, every
//! output is an [`Action`]. Wrap your state machine in [`sessions`] if clients may propose a command
//! again after a lost answer.
//!
//! The protocol is that of the [Raft paper] ("Raft §5.2") and [Ongaro's dissertation] ("diss.
//! §6.4"). Nothing here reads a clock, spawns a thread, opens a file or logs; the crate is `no_std`.
//!
//! # Words
//!
//! Those of the paper, and a few more:
//!
//! | word | meaning |
//! |---|---|
//! | position | term and index of an entry; names it for ever |
//! | batch | consecutive entries of one term and kind in one buffer ([`Entries`]) |
//! | witness | a voter that keeps positions and no payloads; counts, but cannot lead |
//! | hollow | of a command in a witness's log: its payload is with full members alone |
//! | full member | one that is no witness |
//! | in sync | has durable what the leader had at the last quorum check |
//! | mark | where a log begins: everything up to it is in a snapshot, or there is nothing |
//! | durable | survives a crash and a power cut, as reported by the store |
//! | received | at a follower: up to here its log is known to equal the leader's, durable or not |
//! | round | a number on a leader's messages that followers repeat; confirms reads, dates answers |
//! | campaign | one attempt of a node to become leader, numbered to tell late answers apart |
//! | epoch | one life of a node's process, told apart by a number drawn when it starts |
//! | forward | to send a proposal on to the leader |
//! | session | the numbered calls of one client, each applied once ([`sessions`]) |
//! | offence | a message that is well formed and breaks a rule; dropped and counted |
//! | notice | a happening worth logging or counting |
//!
//! # Features
//!
//! - `std` (default): passed on to raft-proto, where it makes checksums faster; and [`sim`] catches panics.
//! - `sim`: the cluster simulator and the conformance suite for log stores.
//! - `trace`: records what a node did, to be checked against a TLA+ specification: `Raft::start_trace`.
//!
//! [Raft paper]: https://raft.github.io/raft.pdf
//! [Ongaro's dissertation]: https://github.com/ongardie/dissertation
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, all(feature = "sim", feature = "std")))]
extern crate std;

mod books;
#[cfg(feature = "sim")]
pub mod conformance;
mod corridor;
mod doors;
mod means;
pub mod mem;
mod rooms;
pub mod sessions;
#[cfg(feature = "sim")]
pub mod sim;
mod wire;
mod words;

pub use doors::node::Node;
pub use doors::outcome::{Event, NodeError, Outcome};
pub use doors::raft::{Raft, StartError};
pub use doors::state_machine::{InvalidSnapshot, SnapshotPiece, SnapshotSource, StateMachine};
pub use doors::store::{LogStore, SnapshotFailure, SnapshotStore};
pub use doors::transport::{Arrival, Transport};
pub use doors::waiting::ProposalId;
pub use means::config::{Config, ConfigError};
pub use raft_proto::{bytes, crc32c, crc32c_append};
pub use wire::MessageError;
pub use words::action::{Action, ChunkLoad, ForwardResult, Load};
pub use words::batches::Batches;
pub use words::change::MembershipChange;
pub use words::counters::Counters;
pub use words::entries::{Entries, EntriesBuilder, EntriesError, EntriesIter, Entry, EntryKind};
pub use words::error::{
    CampaignError, ChangeError, LoadError, ProposeError, ReadError, RestoreError, SnapshotError,
    TransferError,
};
pub use words::ids::{ForwardId, GroupId, LoadId, LogIndex, NodeId, PersistId, Position, ReadId, Term};
pub use words::membership::{Member, MemberRole, Membership, MembershipError};
pub use words::message::{
    Append, AppendReply, Body, Conflict, Heartbeat, HeartbeatReply, InstallSnapshot, InstallSnapshotReply,
    Message, Refusal, SnapshotMeta, VoteReply, VoteRequest,
};
pub use words::notice::{Notice, Offence, StepDown};
pub use words::persist::{HardState, NewMark, Persist, Recovered, Run, SnapshotMark};
pub use words::status::{Backlog, CommitStatus, PeerMode, PeerStatus, RoleName, SnapshotProgress, Status};
#[cfg(feature = "trace")]
pub use words::trace::{TraceConf, TraceEvent, TraceKind, TraceMessage, TraceMessageKind, TraceState};

/// The programs of the READMEs, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../README.md")]
struct Readme;
