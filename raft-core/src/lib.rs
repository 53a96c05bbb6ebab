//! A deterministic, sans-I/O Raft consensus state machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod doors;
mod wire;
mod words;

pub use doors::state_machine::StateMachine;
pub use doors::store::LogStore;
pub use doors::transport::{Arrival, Transport};
pub use raft_proto::bytes;
pub use wire::MessageError;
pub use words::batches::Batches;
pub use words::entries::{Entries, EntriesBuilder, EntriesError, EntriesIter, Entry, EntryKind};
pub use words::ids::{ForwardId, GroupId, LoadId, LogIndex, NodeId, PersistId, Position, ReadId, Term};
pub use words::membership::{Member, MemberRole, Membership, MembershipError};
pub use words::message::{
    Append, AppendReply, Body, Conflict, Heartbeat, HeartbeatReply, InstallSnapshot, InstallSnapshotReply,
    Message, Refusal, SnapshotMeta, VoteReply, VoteRequest,
};
pub use words::persist::{HardState, Persist, Recovered, Run, SnapshotMark};
