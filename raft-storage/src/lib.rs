//! A durable, crash-safe log for raft-core.
