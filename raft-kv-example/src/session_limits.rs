//! The limits of the table of sessions: those that a cluster begins with, and those that its operators
//! ask for.
//!
//! The limits decide which sessions expire, so they are replicated state: what is asked for goes
//! through the log, and holds for all nodes from the same entry on.

use clap::Args;
use raft_core::sessions::SessionLimits;

/// What a cluster begins with. Never changed: a node that reads its log from the first entry on must
/// come to the same state as those that did so before.
pub const FOUNDING: SessionLimits = SessionLimits {
    sessions_max: 10_000,
    idle_entries_max: 10_000_000,
    calls_max: 256,
    session_bytes_max: 64 << 10,
    table_bytes_max: 64 << 20,
};

/// The limits that a node brings into force when it leads; those not given stay as they are.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct SessionLimitArgs {
    /// When this node leads: how many sessions may be open; one more, and the one that was not used
    /// for longest expires [at the founding: 10000]
    #[arg(long, value_name = "NUMBER")]
    pub sessions_max: Option<u32>,
    /// When this node leads: after how many log entries an unused session expires [at the founding:
    /// 10000000]
    #[arg(long, value_name = "NUMBER")]
    pub session_idle_entries_max: Option<u64>,
    /// When this node leads: how many calls of a session may be unanswered [at the founding: 256]
    #[arg(long, value_name = "NUMBER")]
    pub session_calls_max: Option<u32>,
    /// When this node leads: how many bytes of replies are kept for a session before its calls are
    /// refused [at the founding: 65536]
    #[arg(long, value_name = "BYTES")]
    pub session_bytes_max: Option<u64>,
    /// When this node leads: how many bytes of replies are kept for all sessions; more, and sessions
    /// expire [at the founding: 67108864]
    #[arg(long, value_name = "BYTES")]
    pub sessions_bytes_max: Option<u64>,
}

impl SessionLimitArgs {
    /// The limits to be, given those in force.
    #[must_use]
    pub fn over(&self, in_force: SessionLimits) -> SessionLimits {
        SessionLimits {
            sessions_max: self.sessions_max.unwrap_or(in_force.sessions_max),
            idle_entries_max: self.session_idle_entries_max.unwrap_or(in_force.idle_entries_max),
            calls_max: self.session_calls_max.unwrap_or(in_force.calls_max),
            session_bytes_max: self.session_bytes_max.unwrap_or(in_force.session_bytes_max),
            table_bytes_max: self.sessions_bytes_max.unwrap_or(in_force.table_bytes_max),
        }
    }
}
