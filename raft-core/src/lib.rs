//! A deterministic, sans-I/O Raft consensus state machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod books;
#[cfg(feature = "sim")]
pub mod conformance;
mod corridor;
mod doors;
mod means;
pub mod mem;
mod rooms;
#[cfg(feature = "sim")]
pub mod sim;
mod wire;
mod words;

pub use doors::node::{Event, Node, NodeError, Outcome};
pub use doors::raft::{Raft, StartError};
pub use doors::state_machine::StateMachine;
pub use doors::store::LogStore;
pub use doors::transport::{Arrival, Transport};
pub use doors::waiting::ProposalId;
pub use means::config::{Config, ConfigError};
pub use raft_proto::bytes;
pub use wire::MessageError;
pub use words::action::{Action, ForwardResult, Load};
pub use words::batches::Batches;
pub use words::entries::{Entries, EntriesBuilder, EntriesError, EntriesIter, Entry, EntryKind};
pub use words::error::{CampaignError, LoadError, ProposeError, ReadError, RestoreError};
pub use words::ids::{ForwardId, GroupId, LoadId, LogIndex, NodeId, PersistId, Position, ReadId, Term};
pub use words::membership::{Member, MemberRole, Membership, MembershipError};
pub use words::message::{
    Append, AppendReply, Body, Conflict, Heartbeat, HeartbeatReply, InstallSnapshot, InstallSnapshotReply,
    Message, Refusal, SnapshotMeta, VoteReply, VoteRequest,
};
pub use words::notice::{Notice, Offence, StepDown};
pub use words::persist::{HardState, Persist, Recovered, Run, SnapshotMark};
pub use words::status::{CommitStatus, PeerMode, PeerStatus, RoleName, Status};
