//! Rooms: the rules of Raft, a room for each. A room names the books it touches in its signature
//! and never calls another room; what comes next is for the corridor to say.

pub(crate) mod applying;
pub(crate) mod compaction;
pub(crate) mod election;
pub(crate) mod following;
pub(crate) mod installing;
pub(crate) mod proposing;
pub(crate) mod reading;
pub(crate) mod reconfiguration;
pub(crate) mod replication;
pub(crate) mod sending;
pub(crate) mod transfer;
